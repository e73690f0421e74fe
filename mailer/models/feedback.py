"""What came back: events as they arrived, soft bounces, mails for a person to read, alerts for operators.

An event is stored as it came, once, before it is answered; what it changes is applied later, once. Nothing here can
say yes for anybody.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, LargeBinary, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class ProviderEvent(Base):
    """One event or one mail, as it came. Duplicates meet the unique key; `applied_at` says that it was acted upon."""

    __tablename__ = "provider_events"
    __table_args__ = (
        UniqueConstraint("source", "dedupe_key"),
        Index("ix_provider_events_waiting", "not_before", "id", postgresql_where=text("applied_at IS NULL")),
        Index("ix_provider_events_refused", "id", postgresql_where=text("applied_at IS NULL AND source = 'handover'")),
        CheckConstraint("source IN ('sendgrid', 'mail', 'handover')", name="source"),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    source: Mapped[str]
    dedupe_key: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the provider's own id of the event; where there is none, of the event."""
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A mail; taken out once it was applied (what a person must read is in `kept_mails`)."""
    received_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    not_before: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    tries: Mapped[int] = mapped_column(server_default="0")
    applied_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    """What came of it: `delivered`, `suppressed`, `unknown` ..."""


class SoftBounce(Base):
    """A failure that may pass: one for each message, so that it counts once however often it is told."""

    __tablename__ = "soft_bounces"

    address_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(BigInteger)
    cause: Mapped[str]
    at: Mapped[datetime]


class KeptMail(Base):
    """A mail for a person here: letters of customers, and whatever could not be read or proved."""

    __tablename__ = "kept_mails"
    __table_args__ = (
        CheckConstraint("kind IN ('letter', 'unreadable', 'unproved', 'unclear')", name="kind"),
        Index("ix_kept_mails_customer_id", "customer_id", "id"),
        Index("ix_kept_mails_waiting", "id", postgresql_where=text("forwarded_at IS NULL AND kind = 'letter'")),
        Index("ix_kept_mails_forwarded", "forwarded_at", postgresql_where=text("forwarded_at IS NOT NULL")),
        Index("ix_kept_mails_open", "id", postgresql_where=text("handled_at IS NULL")),
        CheckConstraint(
            "handled_as IN ('done', 'opt_out', 'bounce') AND (handled_at IS NULL) = (handled_as IS NULL)",
            name="handled",
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    kind: Mapped[str]
    customer_id: Mapped[int | None] = mapped_column(BigInteger)
    delivery_id: Mapped[UUID | None]
    sender: Mapped[str]
    subject: Mapped[str]
    text: Mapped[str]
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime]
    forwarded_at: Mapped[datetime | None]
    """When it went on to the helpline's address."""
    tries: Mapped[int] = mapped_column(server_default="0")
    not_before: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    problem: Mapped[str | None]
    """Why it has not gone on yet."""
    handled_at: Mapped[datetime | None]
    handled_by: Mapped[int | None] = mapped_column(BigInteger)
    handled_as: Mapped[str | None]
    """What somebody here decided: `done`, `opt_out` or `bounce`."""


class Alert(Base):
    """Something about us, the sender, that receivers complain of: counted by cause, domain and day."""

    __tablename__ = "alerts"

    cause: Mapped[str] = mapped_column(primary_key=True)
    domain: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(server_default="1")
    sample: Mapped[str]
    """What one receiver said, without any address."""
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    seen_at: Mapped[datetime | None]
    seen_by: Mapped[int | None] = mapped_column(BigInteger)
