"""Customers, their addresses and what they asked for in frequency.

No column of `customers` with a unique index is ever updated and no row deleted: either would deadlock with
whoever writes an order of that person while the gate holds their lock.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from mailer.db import Base

ACCOUNTS = ("active", "deactivated", "erased")
SIGN_IN_SOURCES = ("own", "social", "third_party", "none")


class Customer(Base):
    """A person. `ref` is the random name by which links speak of them: no address, no name, no sequence."""

    __tablename__ = "customers"
    __table_args__ = (
        CheckConstraint("account IN ('active', 'deactivated', 'erased')", name="account"),
        CheckConstraint("sign_in_source IN ('own', 'social', 'third_party', 'none')", name="sign_in_source"),
        CheckConstraint("octet_length(ref) = 16", name="ref"),
        Index("ix_customers_city", "city"),
        Index("ix_customers_state", "state"),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    ref: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """16 random bytes (`secrets.token_bytes`)."""
    external_ref: Mapped[str | None] = mapped_column(unique=True)
    """The retailer's own number of this person."""
    given_name: Mapped[str | None]
    family_name: Mapped[str | None]
    phone: Mapped[str | None]
    street: Mapped[str | None]
    city: Mapped[str | None]
    state: Mapped[str | None]
    postal_code: Mapped[str | None]
    country: Mapped[str] = mapped_column(server_default="IN")
    birth_date: Mapped[date | None]
    declared_adult_at: Mapped[datetime | None]
    """When they declared to be 18 or older. A birth date, once known, overrules it."""
    locale: Mapped[str] = mapped_column(server_default="en-IN")
    time_zone: Mapped[str] = mapped_column(server_default="Asia/Kolkata")
    sign_in_source: Mapped[str] = mapped_column(server_default="none")
    account: Mapped[str] = mapped_column(server_default="active")
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    address: Mapped[Address | None] = relationship(back_populates="customer", uselist=False)


class Address(Base):
    """The one address that mail goes to now. Two people may share it; `address_hash` is keyed (HMAC-SHA256)."""

    __tablename__ = "addresses"
    __table_args__ = (Index("ix_addresses_address_hash", "address_hash"),)

    customer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("customers.id"), primary_key=True)
    address: Mapped[str]
    """As the person wrote it, without surrounding space."""
    address_hash: Mapped[bytes] = mapped_column(LargeBinary)
    domain: Mapped[str]
    """Lower-case A-label form."""
    since: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    customer: Mapped[Customer] = relationship(back_populates="address")


class CustomerLimit(Base):
    """What the person asked for short of no: wait until a date, or write less often. Read by the gate."""

    __tablename__ = "customer_limits"

    customer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("customers.id"), primary_key=True)
    pause_until: Mapped[datetime | None]
    min_gap_days: Mapped[int | None]
    """At least so many days between two marketing messages."""
    clicks_uncounted: Mapped[bool] = mapped_column(server_default="false")
    """Nothing that they click is counted; their links lead straight where they lead."""
