"""People and their addresses: coming in, changing address, learning a birth date."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import address as addresses
from mailer.consent.ledger import grant, lock_customers, refuse_underage
from mailer.errors import AddressMoved, InputProblem
from mailer.models import Address, Customer
from mailer.suppression import lock_addresses


def new_ref() -> bytes:
    """Return a random 128-bit name for a person, as links carry it (ASVS 11.5.1 rules UUIDs out)."""
    return secrets.token_bytes(16)


def add(session: Session, keys: Keys, customer: Customer, address: str | None = None) -> Customer:
    """Store a person, with an address if one is given. Raises BadAddress before anything is written."""
    parsed = addresses.parse(address) if address is not None else None
    customer.ref = customer.ref or new_ref()
    session.add(customer)
    session.flush()
    if parsed is not None:
        hashed = addresses.hash_address(keys, parsed.canonical)
        session.add(Address(customer_id=customer.id, address=parsed.written, address_hash=hashed, domain=parsed.domain))
        session.flush()
    return customer


def sign_up(
    session: Session,
    keys: Keys,
    customer: Customer,
    address: str,
    wordings: Sequence[int],
    *,
    source: str,
    evidence: Mapping[str, Any] | None = None,
) -> Customer:
    """Store a person with a yes to each of `wordings`; the age is looked at before anything is written.

    Raises Underage for somebody under 18 or of unknown age: nothing about them is kept (checks 117 and 119).
    """
    refuse_underage(customer.birth_date, declared_adult=customer.declared_adult_at is not None)
    add(session, keys, customer, address)
    for wording_id in wordings:
        grant(session, customer.id, wording_id, source=source, evidence=evidence)
    return customer


def change_address(session: Session, keys: Keys, customer_id: int, new: str) -> None:
    """Give a person another address, under the locks of both addresses and of the person.

    Raises BadAddress, InputProblem (no such person), AddressMoved (changed meanwhile: try again).
    """
    parsed = addresses.parse(new)
    hashed = addresses.hash_address(keys, parsed.canonical)
    before = _hash_of(session, customer_id)
    lock_addresses(session, [hashed] if before is None else [before, hashed])
    if not lock_customers(session, [customer_id]):
        raise InputProblem(f"There is no customer {customer_id}.")
    # Read after the locks, in a later statement: somebody may have been quicker.
    if _hash_of(session, customer_id) != before:
        raise AddressMoved("The address was changed meanwhile. Look again.")
    session.execute(
        text("""INSERT INTO addresses (customer_id, address, address_hash, domain)
                VALUES (:id, :address, :hash, :domain)
                ON CONFLICT (customer_id) DO UPDATE
                   SET address = excluded.address, address_hash = excluded.address_hash,
                       domain = excluded.domain, since = clock_timestamp()"""),
        {"id": customer_id, "address": parsed.written, "hash": hashed, "domain": parsed.domain},
    )


def learn_birth_date(session: Session, customer_id: int, birth_date: date) -> None:
    """Store a birth date under the person's lock. The gate refuses minors from the next message on (check 118)."""
    lock_customers(session, [customer_id])
    customer = session.get(Customer, customer_id, populate_existing=True)
    if customer is None:
        raise InputProblem(f"There is no customer {customer_id}.")
    customer.birth_date = birth_date
    session.flush()


def number_of(session: Session, said: str) -> int:
    """Return the id of the person meant by our own number, or by the retailer's. Raises InputProblem if nobody is."""
    if said.isdecimal() and len(said) < 19 and session.get(Customer, int(said)) is not None:
        return int(said)
    by_shop = session.scalar(select(Customer.id).where(Customer.external_ref == said))
    if by_shop is None:
        raise InputProblem(f"There is no customer {said}.")
    return by_shop


def _hash_of(session: Session, customer_id: int) -> bytes | None:
    return session.scalar(select(Address.address_hash).where(Address.customer_id == customer_id))
