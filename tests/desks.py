"""The operators' side for tests: an application on a database of its own, operators, and visitors who press buttons."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, cached_property
from typing import ClassVar

from flask.testing import FlaskClient
from flask_security import hash_password
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from campaigns import audience, operations, rules
from campaigns.approval import approval_hash
from campaigns.models import Campaign
from campaigns.options import Options
from config.keys import Keys
from config.settings import Settings
from mailer.models import Customer, Operator, Role
from mailer.starters import starting_source
from mailer.web.edge import now
from mailer.web.signin import SEEN, SINCE
from tests import factories
from tests.conftest import ROOT_KEY, Committed
from wsgi import create_app

PASSWORD = "correct horse battery staple"
HOST = "https://mail.example.com"


@cache
def hashed(password: str) -> str:
    """One hash serves every operator of a test process: argon2 is slow on purpose."""
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "ASKFIRST_ROOT_KEY": ROOT_KEY.hex()}
    with create_app(Settings.from_env(nowhere)).app_context():
        return str(hash_password(password))


class Compiled(BytecodeCache):
    """Templates compiled once for all the applications of a test process."""

    kept: ClassVar[dict[str, bytes]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.kept:
            bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.kept[bucket.key] = bucket.bytecode_to_string()


class Visitor:
    """Somebody with a browser, without its JavaScript."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, base_url=HOST, headers=headers)

    def post(self, path: str, on: str = "/people/", **fields: str) -> TestResponse:
        """Press a button of the page `on`: its token goes along."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(on).text)
        token = {"csrf_token": found[1]} if found else {}
        return self.client.post(path, base_url=HOST, data=token | {n.replace("__", "-"): v for n, v in fields.items()})

    def sign_in(self, name: str, password: str = PASSWORD, **fields: str) -> TestResponse:
        return self.post("/sign-in", on="/sign-in", email=f"{name}@example.com", password=password, **fields)


class Staff:
    """Who works in a shop and what they have written; `committed` gives sessions on its database."""

    def __init__(self, committed: Callable[[], Session]) -> None:
        self.committed = committed
        self.keys = Keys(ROOT_KEY)

    def operator(self, name: str, *roles: str) -> str:
        """Somebody who can sign in."""
        with self.committed() as session, session.begin():
            duties = session.scalars(select(Role).where(Role.name.in_(roles))).all()
            assert len(duties) == len(roles)
            email, uniquifier = f"{name}@example.com", f"{name}-{id(self)}"
            session.add(
                Operator(
                    email=email,
                    name=name.capitalize(),
                    password=hashed(PASSWORD),
                    fs_uniquifier=uniquifier,
                    active=True,
                    roles=list(duties),
                )
            )
        return name

    def id_of(self, name: str) -> int:
        with self.committed() as session:
            found = session.scalar(select(Operator.id).where(Operator.name == name.capitalize()))
        assert found is not None
        return found

    @cached_property
    def sender_id(self) -> int:
        with self.committed() as session, session.begin():
            return factories.sender(session).id

    def people(self, count: int, purpose: str = "festive", **facts: object) -> list[int]:
        """People who said yes to `purpose`."""
        with self.committed() as session, session.begin():
            return [factories.agreeing(session, self.keys, purpose, **facts).id for _ in range(count)]

    def others(self, count: int, **facts: object) -> list[int]:
        """People who never said yes."""
        with self.committed() as session, session.begin():
            return [factories.person(session, self.keys, **facts).id for _ in range(count)]

    def customer(self, customer_id: int) -> Customer:
        with self.committed() as session:
            return session.get_one(Customer, customer_id)

    def draft(self, author: str, name: str = "Diwali wishes", kind: str = "festive", rate: float | None = None) -> int:
        with self.committed() as session, session.begin():
            campaign = operations.create_campaign(
                session,
                self.id_of(author),
                name=name,
                kind=kind,
                sender_id=self.sender_id,
                rule=rules.EVERYBODY,
                options=Options(rate_per_second=rate),
            )
            operations.write_content(session, campaign.id, self.id_of(author), starting_source(kind))
            return campaign.id

    def waiting(self, author: str, **facts: str) -> int:
        campaign_id = self.draft(author, **facts)
        with self.committed() as session, session.begin():
            operations.submit(session, campaign_id, self.id_of(author))
        return campaign_id

    def approved(self, author: str, approver: str, **facts: str) -> int:
        campaign_id = self.waiting(author, **facts)
        with self.committed() as session, session.begin():
            seen = approval_hash(session, campaign_id)
            operations.approve(session, campaign_id, self.id_of(approver), seen=seen)
        return campaign_id

    def sending(self, author: str, approver: str, **facts: str) -> int:
        """Started, and everybody looked up."""
        campaign_id = self.approved(author, approver, **facts)
        with self.committed() as session, session.begin():
            operations.start(session, campaign_id, self.id_of(author))
        self.look_up(campaign_id)
        return campaign_id

    def look_up(self, campaign_id: int) -> None:
        """What a worker does first: the audience."""
        done = False
        while not done:
            with self.committed() as session, session.begin():
                done = audience.expand(session, campaign_id).done

    def settle(self, campaign_id: int, state: str, count: int, reason: str | None = None) -> None:
        """What workers do: put some of those who wait into a final state."""
        with self.committed() as session, session.begin():
            session.execute(
                text("""UPDATE deliveries SET state = :state, reason = :reason, settled_at = clock_timestamp(),
                               intended_at = clock_timestamp()
                         WHERE id IN (SELECT id FROM deliveries WHERE campaign_id = :campaign AND state = 'pending'
                                      ORDER BY customer_id LIMIT :count)"""),
                {"campaign": campaign_id, "state": state, "reason": reason, "count": count},
            )

    def state(self, campaign_id: int) -> str:
        with self.committed() as session:
            return session.get_one(Campaign, campaign_id).state


class Desk(Staff):
    """The application, with a shop that can send and people who work there."""

    def __init__(self, committed: Committed) -> None:
        super().__init__(committed)
        self.app = create_app(
            Settings.from_env({"DATABASE_URL": committed.url, "ASKFIRST_ROOT_KEY": ROOT_KEY.hex(), "PUBLIC_URL": HOST})
        )
        self.app.config["PROPAGATE_EXCEPTIONS"] = True
        self.app.jinja_env.bytecode_cache = Compiled()

    def close(self) -> None:
        self.app.extensions["askfirst"].engine.dispose()

    def stranger(self) -> Visitor:
        return Visitor(self.app.test_client())

    def visitor(self, name: str, *roles: str) -> Visitor:
        """Somebody who works here, signed in."""
        visitor = self.stranger()
        self.operator(name, *roles)
        with visitor.client.session_transaction(base_url=HOST) as session:
            session |= {
                "_user_id": f"{name}-{id(self)}",
                "_fresh": True,
                SINCE: now().timestamp(),
                SEEN: now().timestamp(),
            }
        return visitor
