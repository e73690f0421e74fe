"""Who is in a round: people of one made-up town, most of whom said yes, and a campaign to all of that town."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from sqlalchemy import insert, select, text

from campaigns.rules import LivesIn
from mailer import address as addresses
from mailer.consent import ledger
from mailer.models import Address, Customer, Wording
from tests import campaigns_ready, factories

PURPOSE = "festive"
DOMAINS = ("example.com", "example.org", "example.net")
WILLING, SHARING, NEVER_ASKED, WITHDRAWN, STOPPED = 120, 6, 8, 6, 6


@dataclass
class Crowd:
    """The town's people by what they said; `address` and `ref` by person."""

    campaign_id: int
    operator_id: int
    willing: list[int]
    unwilling: list[int]
    address: dict[int, str] = field(repr=False)
    ref: dict[int, bytes] = field(repr=False)


def gather(installation, number: int, draw: random.Random) -> Crowd:
    """Make the people of round `number`, let them say what they say, and start an approved campaign."""
    town = f"Town {number}"
    with installation.sessions() as session, session.begin():
        count = WILLING + SHARING + NEVER_ASKED + WITHDRAWN + STOPPED
        people = session.execute(
            insert(Customer).returning(Customer.id, Customer.ref),
            [
                {"ref": draw.randbytes(16), "given_name": "Asha", "city": town, "declared_adult_at": factories.LONG_AGO}
                for _ in range(count)
            ],
        ).all()
        ids = sorted(row.id for row in people)
        draw.shuffle(ids)
        willing, others = ids[: WILLING + SHARING], ids[WILLING + SHARING :]
        written = {person: f"p{person}@{draw.choice(DOMAINS)}" for person in ids}
        for first, second in zip(willing[:SHARING], willing[-SHARING:], strict=True):
            written[second] = written[first]
        _write_addresses(session, installation.keys, written)
        _say(session, willing, others)
        campaign = campaigns_ready.started(session, LivesIn(cities=(town,)), kind=PURPOSE)
        return Crowd(campaign.id, campaign.author_id, willing, others, written, {row.id: row.ref for row in people})


def _write_addresses(session, keys, written: dict[int, str]) -> None:
    rows = []
    for person, address in written.items():
        parsed = addresses.parse(address)
        hashed = addresses.hash_address(keys, parsed.canonical)
        rows.append({"customer_id": person, "address": parsed.written, "address_hash": hashed, "domain": parsed.domain})
    session.execute(insert(Address), rows)


def _say(session, willing, others) -> None:
    wording = session.scalars(select(Wording).where(Wording.purpose == PURPOSE)).first() or factories.wording(
        session, PURPOSE
    )
    yes = [
        ledger.Act(person, ledger.Action.GRANT, PURPOSE, "signup", wording.id, wording.policy_version_id)
        for person in [*willing, *others[NEVER_ASKED:]]
    ]
    assert not ledger.record_many(session, yes)
    withdrawn, stopped = others[NEVER_ASKED : NEVER_ASKED + WITHDRAWN], others[NEVER_ASKED + WITHDRAWN :]
    assert not ledger.record_many(session, [ledger.withdrawal(person, PURPOSE, "helpline") for person in withdrawn])
    session.execute(
        text("""INSERT INTO stop_requests (customer_id, address_hash, scope, source)
                SELECT customer_id, address_hash, 'all', 'typed_address' FROM addresses
                 WHERE customer_id = ANY(:who)"""),
        {"who": stopped},
    )
