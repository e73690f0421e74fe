"""Finding a person: by the whole address, an order number or a reference. Never by a part of anything."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session, joinedload

from config.keys import Keys
from mailer import address as addresses
from mailer.errors import BadAddress
from mailer.models import Address, Customer, Order

MOST = 20


def find(session: Session, keys: Keys, asked: str) -> Sequence[Customer]:
    """Return the people whose address, order or reference is exactly `asked`; several may share an address."""
    if "\0" in asked:  # PostgreSQL has no text with it
        return []
    condition = by_address(keys, asked) if "@" in asked else by_number(asked)
    return session.scalars(
        select(Customer).where(condition).options(joinedload(Customer.address)).order_by(Customer.id).limit(MOST)
    ).all()


def by_address(keys: Keys, asked: str) -> ColumnElement[bool]:
    try:
        hashed = addresses.hash_address(keys, addresses.parse(asked).canonical)
    except BadAddress:
        return Customer.id.in_([])
    return Customer.id.in_(select(Address.customer_id).where(Address.address_hash == hashed))


def by_number(asked: str) -> ColumnElement[bool]:
    return or_(
        Customer.external_ref == asked,
        Customer.id.in_(select(Order.customer_id).where(Order.external_ref == asked)),
    )
