"""People for the households of the purchase history, made from a seed: nobody here exists.

Every address is at example.com (RFC 2606), every telephone number begins with 00, which no Indian number does.
The same seed gives the same people, whatever the day.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import insert
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import address as addresses
from mailer.models import Address, Customer
from workers.demo.history import Household, advance
from workers.demo.words import FAMILY, GIVEN, PLACES, STREETS

BANDS = {"19-24": (19, 24), "25-34": (25, 34), "35-44": (35, 44), "45-54": (45, 54), "55-64": (55, 64), "65+": (65, 88)}
SHARE_AN_ADDRESS = 0.012
NO_ADDRESS = 0.01
DEACTIVATED = 0.015
AGE_NOT_KNOWN = 0.06
BIRTH_DATE_KNOWN = 0.5


@dataclass(frozen=True, slots=True)
class Invented:
    """A person before they are stored."""

    id: int
    ref: bytes
    given_name: str
    family_name: str
    phone: str
    street: str
    city: str
    state: str
    postal_code: str
    birth_date: date | None
    declared_adult_at: datetime | None
    locale: str
    sign_in_source: str
    account: str
    created_at: datetime
    address: str | None

    @property
    def adult(self) -> bool:
        """Whether they may be asked for a yes: nobody under 18, and nobody whose age we don't know (DPDP s.9)."""
        return self.birth_date is not None or self.declared_adult_at is not None

    @property
    def language(self) -> str:
        return self.locale.partition("-")[0]


def invent(households: Iterable[Household], seed: int, today: date) -> list[Invented]:
    """Return one adult for each household; a few of them share an address with the person before."""
    people: list[Invented] = []
    for household in households:
        draw = random.Random(f"{seed}/person/{household.id}")  # noqa: S311 - people for a demonstration, not keys
        before = next((person.address for person in reversed(people) if person.address), None)
        people.append(_person(household, draw, today, before if draw.random() < SHARE_AN_ADDRESS else None))
    return people


def store(session: Session, keys: Keys, people: Sequence[Invented]) -> None:
    """Write people and addresses, each by the number of their household."""
    facts = [name for name in Invented.__slots__ if name != "address"]
    session.execute(insert(Customer), [{name: getattr(person, name) for name in facts} for person in people])
    parsed = [(person.id, addresses.parse(person.address)) for person in people if person.address is not None]
    session.execute(
        insert(Address),
        [
            {
                "customer_id": number,
                "address": address.written,
                "address_hash": addresses.hash_address(keys, address.canonical),
                "domain": address.domain,
            }
            for number, address in parsed
        ],
    )
    advance(session, "customers_id_seq", max(person.id for person in people))


def _person(household: Household, draw: random.Random, today: date, shared: str | None) -> Invented:
    given, family = draw.choice(GIVEN), draw.choice(FAMILY)
    city, state, pin, _, hindi = draw.choices(PLACES, weights=[place[3] for place in PLACES])[0]
    own = f"{given}.{family}.{household.id}@example.com".replace("'", "").lower()
    joined = datetime(today.year, today.month, today.day, 6, tzinfo=UTC) - timedelta(
        days=draw.randint(400, 1600), minutes=draw.randint(0, 700)
    )
    born, declared = _age(household.age, draw, today, joined)
    return Invented(
        id=household.id,
        ref=draw.randbytes(16),
        given_name=given,
        family_name=family,
        phone=f"+91 00{draw.randint(100, 999)} {draw.randint(10000, 99999)}",
        street=f"{draw.randint(1, 240)} {draw.choice(STREETS)}",
        city=city,
        state=state,
        postal_code=f"{pin}{draw.randint(1, 99):02d}",
        birth_date=born,
        declared_adult_at=declared,
        locale="hi-IN" if draw.random() * 100 < hindi else "en-IN",
        sign_in_source=draw.choices(("own", "social", "third_party", "none"), weights=(50, 20, 8, 22))[0],
        account="deactivated" if draw.random() < DEACTIVATED else "active",
        created_at=joined,
        address=None if draw.random() < NO_ADDRESS else shared or own,
    )


def _age(band: str | None, draw: random.Random, today: date, joined: datetime) -> tuple[date | None, datetime | None]:
    """Return a birth date, or the declaration to be 18 or older, or neither."""
    low, high = BANDS.get(band or "", (19, 80))
    born = today - timedelta(days=round((draw.uniform(low, high) + 0.9) * 365.25))
    chance = draw.random()
    if chance < AGE_NOT_KNOWN:
        return None, None
    return (born, None) if chance < AGE_NOT_KNOWN + BIRTH_DATE_KNOWN else (None, joined)
