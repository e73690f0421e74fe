"""One row per recipient: snapshot, queue and receipt in one. See docs/sending.md.

No index mentions state or attempt, and pages are half full: every change of state is a HOT update. There is no
foreign key to customers: it would lock every customer row at expansion.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, LargeBinary, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base

STATES = (
    "pending",
    "handing_over",
    "accepted",
    "refused_by_provider",
    "in_doubt",
    "unconfirmed",
    "withheld",
    "cancelled",
    "expired",
    "render_failed",
    "closed",
)
HANDED_OVER = ("accepted", "refused_by_provider", "in_doubt", "unconfirmed", "closed")
"""States of a message that was, or may have been, taken by a provider."""


class Delivery(Base):
    """A message to one person: whom, why (the grant relied on), where it stands, what came back."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("campaign_id", "customer_id"),
        UniqueConstraint("customer_id", "trigger_key"),
        Index("ix_deliveries_id", "id"),
        # What came back is rare and written once, so these cost a change of state nothing.
        Index(
            "ix_deliveries_complained",
            "campaign_id",
            "recipient_domain",
            postgresql_where=text("complained_at IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_bounced", "campaign_id", "recipient_domain", postgresql_where=text("bounced_at IS NOT NULL")
        ),
        CheckConstraint(
            "state IN ('pending', 'handing_over', 'accepted', 'refused_by_provider', 'in_doubt', 'unconfirmed',"
            " 'withheld', 'cancelled', 'expired', 'render_failed', 'closed')",
            name="state",
        ),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    campaign_id: Mapped[int] = mapped_column(BigInteger)
    address_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """At expansion; T1 overwrites it with the address as rendered."""
    recipient_domain: Mapped[str]
    message_class: Mapped[str] = mapped_column(server_default="marketing")
    purpose: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="pending")
    reason: Mapped[str | None]
    attempt_id: Mapped[UUID | None]
    consent_event_id: Mapped[int | None] = mapped_column(BigInteger)
    """The grant relied on, stored at intent (T1)."""
    ledger_seq_seen: Mapped[int | None]
    policy_version_id: Mapped[int | None]
    revision_id: Mapped[int | None] = mapped_column(BigInteger)
    variant: Mapped[str | None]
    trigger_key: Mapped[str | None]
    provider: Mapped[str | None]
    provider_message_id: Mapped[str | None]
    resend_approved_by: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    intended_at: Mapped[datetime | None]
    maybe_mailed_at: Mapped[datetime | None]
    """When the message left that was sent again since: it may have arrived, whatever became of the second."""
    settled_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    clicked_at: Mapped[datetime | None]
    bounced_at: Mapped[datetime | None]
    complained_at: Mapped[datetime | None]
    unsubscribed_at: Mapped[datetime | None]


class OpenHandover(Base):
    """Exists only while a hand-over is open: one per person over all campaigns. The fence and the reaper's index."""

    __tablename__ = "open_handovers"
    __table_args__ = (Index("ix_open_handovers_deadline", "deadline"), {"postgresql_with": {"fillfactor": "50"}})

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    delivery_id: Mapped[UUID]
    attempt_id: Mapped[UUID]
    campaign_id: Mapped[int] = mapped_column(BigInteger)
    deadline: Mapped[datetime]
    worker: Mapped[str]
    """host:pid of the process that holds it."""


class CampaignAddress(Base):
    """The address as rendered, once per campaign: two records with one address get one mail."""

    __tablename__ = "campaign_addresses"

    campaign_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    address_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    delivery_id: Mapped[UUID]
    attempt_id: Mapped[UUID]


class ComeBack(Base):
    """A pending row that must wait."""

    __tablename__ = "come_back"
    __table_args__ = (Index("ix_come_back_due", "campaign_id", "not_before"),)

    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    campaign_id: Mapped[int] = mapped_column(BigInteger)
    not_before: Mapped[datetime]


class DeliveryAttempt(Base):
    """Append-only: one row at intent, one at outcome."""

    __tablename__ = "delivery_attempts"
    __table_args__ = (Index("ix_delivery_attempts_customer_id", "customer_id", "delivery_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    delivery_id: Mapped[UUID]
    attempt_id: Mapped[UUID]
    outcome: Mapped[str]
    """`intent`, or what came of it."""
    code: Mapped[str | None]
    worker: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class AudienceExclusion(Base):
    """A matched person who was not taken into the audience, and the first reason why."""

    __tablename__ = "audience_exclusions"

    campaign_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    reason: Mapped[str]
