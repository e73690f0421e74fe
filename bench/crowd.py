"""People for benchmarks: n customers who said yes, each with a wishlist and things bought, and a campaign to them all.

Everything is made from numbers, so the same n gives the same people. The ledger is written through its own lock and
trigger; only in larger sets than a person would ever need.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from campaigns import audience, operations, rules
from campaigns.approval import approval_hash
from campaigns.options import Options
from config.keys import Keys
from config.settings import Settings
from mailer.address import hash_address
from mailer.db import create_engine_from
from mailer.models import Operator, PolicyVersion, SenderIdentity, Wording
from mailer.starters import starting_source

CHUNK = 20_000
KIND = "festive"
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
NAMES = ("Asha", "Vikram", "Meera", "Imran", "Lakshmi", "Joseph", "Noor", "Devika")
THINGS = (
    ("Home", "Lamps", "Brass table lamp with a linen shade"),
    ("Home", "Cushions", "Block printed cushion cover, madder red"),
    ("Kitchen", "Cookware", "Hammered copper pan with a lid"),
    ("Kitchen", "Tea", "Darjeeling first flush, whole leaf, 250 g"),
    ("Grocery", "Sweets", "Box of kaju katli, half a kilo"),
    ("Garden", "Pots", "Terracotta pot, hand thrown, large"),
)
PRODUCTS = 600

_LOCK = text("""
    SELECT count(*) FROM lock_customers_available(
      ARRAY(SELECT generate_series(CAST(:first AS bigint), CAST(:last AS bigint))))
""")
_AGREE = text("""
    INSERT INTO consent_events (customer_id, action, purpose, source, wording_id, policy_version_id, occurred_at,
                                seq, recorded_at, prev_hash, hash)
    SELECT n, 'grant', :purpose, 'signup', :wording, :policy, :at, 0, clock_timestamp(), '', ''
      FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n
""")
_PRODUCTS = text("""
    INSERT INTO products (external_ref, name, department, category, price_paise)
    SELECT 'p-' || n, (CAST(:names AS text[]))[1 + n % :kinds] || ' no. ' || n,
           (CAST(:departments AS text[]))[1 + n % :kinds], (CAST(:categories AS text[]))[1 + n % :kinds],
           49900 + n * 100
      FROM generate_series(1, :count) n
""")
_WISHES = text("""
    INSERT INTO wishlist_items (customer_id, product_id, added_at)
    SELECT n, 1 + (n * 7 + i * 101) % :products, :at + make_interval(secs => i)
      FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n, generate_series(0, 2) i
""")
_BOUGHT = text("""
    INSERT INTO purchase_facets (dimension, value, customer_id, last_at, lines, units, amount_paise)
    SELECT 'category', (CAST(:categories AS text[]))[1 + (n + i) % :kinds], n, :at, 3 - i, 3 - i, 99900
      FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n, generate_series(0, 1) i
""")


def people(engine: Engine, keys: Keys, n: int) -> None:
    """Store `n` people, numbered from 1, who agreed to the campaign's purpose."""
    with Session(engine) as session, session.begin():
        version = PolicyVersion(label="1", summary="-", body="-", effective_at=LONG_AGO)
        session.add(version)
        session.flush()
        words = "Yes, e-mail me for festivals and seasons."
        wording = Wording(purpose=KIND, policy_version_id=version.id, locale="en", words=words)
        session.add(wording)
        session.flush()
        said = {"purpose": KIND, "wording": wording.id, "policy": version.id, "at": LONG_AGO}
        session.execute(_PRODUCTS, {**_kinds(), "count": PRODUCTS})
    for first in range(1, n + 1, CHUNK):
        some = {"first": first, "last": min(first + CHUNK - 1, n)}
        with Session(engine) as session, session.begin():
            _copy(session, keys, some["first"], some["last"])
            session.execute(_LOCK, some)
            session.execute(_AGREE, {**said, **some})
            session.execute(_WISHES, {**some, "products": PRODUCTS, "at": LONG_AGO})
            session.execute(_BOUGHT, {**some, "at": LONG_AGO, **_kinds("categories")})


def campaign(settings: Settings, engine: Engine, *, rate: float | None = None) -> int:
    """Write, approve and start a campaign to everybody, make its audience; return its id."""
    with Session(engine) as session, session.begin():
        author, approver = _operator(session, "author"), _operator(session, "approver")
        sender = SenderIdentity(
            name="Anaar Home",
            from_name="Anaar Home",
            from_address="hello@mail.example.com",
            legal_name="Anaar Home Private Limited",
            postal_address="14 Sample Road, Bengaluru 560 001, India",
            care_phone="1800 000 0000",
            care_email="care@example.com",
            officer="Meera Rao",
            list_domain="mail.example.com",
        )
        session.add(sender)
        session.flush()
        made = operations.create_campaign(
            session,
            author,
            name="Diwali",
            kind=KIND,
            sender_id=sender.id,
            rule=rules.EVERYBODY,
            options=Options(rate_per_second=rate),
        )
        operations.write_content(session, made.id, author, starting_source(KIND))
        operations.submit(session, made.id, author)
        operations.approve(session, made.id, approver, seen=approval_hash(session, made.id))
        operations.start(session, made.id, author)
        campaign_id = made.id
    done = False
    while not done:
        with Session(engine) as session, session.begin():
            done = audience.expand(session, campaign_id).done
    _settle_down(settings)
    return campaign_id


def _settle_down(settings: Settings) -> None:
    """Let the planner know what was loaded, as it would of a database that has lived for a day."""
    engine = create_engine_from(settings.database_owner_url or settings.database_url or "")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def _operator(session: Session, role: str) -> int:
    found = Operator(email=f"{role}@example.com", name=role.title(), fs_uniquifier=role)
    session.add(found)
    session.flush()
    session.execute(
        text("INSERT INTO operators_roles SELECT :id, id FROM roles WHERE name = :role"), {"id": found.id, "role": role}
    )
    return found.id


def _copy(session: Session, keys: Keys, first: int, last: int) -> None:
    cursor = session.connection().connection.cursor()
    with cursor.copy("COPY customers (ref, given_name, city, declared_adult_at) FROM STDIN") as copy:
        for number in range(first, last + 1):
            copy.write_row((ref(number), NAMES[number % len(NAMES)], "Bengaluru", LONG_AGO))
    with cursor.copy("COPY addresses (customer_id, address, address_hash, domain) FROM STDIN") as copy:
        for number in range(first, last + 1):
            copy.write_row((number, address(number), hash_address(keys, address(number)), "example.com"))


def ref(number: int) -> bytes:
    """Return the name of a person in links."""
    return UUID(int=number << 64 | number).bytes


def address(number: int) -> str:
    """Return where a person's mail goes."""
    return f"person{number}@example.com"


def _kinds(*only: str) -> dict[str, Any]:
    columns: Iterator[list[str]] = (list(column) for column in zip(*THINGS, strict=True))
    made = dict(zip(("departments", "categories", "names"), columns, strict=True))
    return {"kinds": len(THINGS), **{name: made[name] for name in only or made}}
