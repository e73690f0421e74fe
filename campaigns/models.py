"""Campaigns, their segments, approvals and the cursor of the audience snapshot."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, LargeBinary, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class Segment(Base):
    """A saved rule with a name. Its versions are kept: a campaign cites the one it was approved with."""

    __tablename__ = "segments"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    version: Mapped[int] = mapped_column(server_default="1")
    rule: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The rule tree as JSON (`campaigns.rules`)."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Campaign(Base):
    """A message to many people. Its kind decides its purpose; its state is changed by `campaigns.operations` only."""

    __tablename__ = "campaigns"
    __table_args__ = (
        CheckConstraint("kind IN ('festive', 'launch', 'offer', 'service')", name="kind"),
        CheckConstraint(
            "state IN ('draft', 'waiting', 'approved', 'sending', 'paused', 'sent', 'cancelled')", name="state"
        ),
        CheckConstraint("purpose = kind", name="purpose_of_kind"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    purpose: Mapped[str] = mapped_column(ForeignKey("purposes.key"))
    state: Mapped[str] = mapped_column(server_default="draft")
    rule: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The resolved rule tree, nested segments included: what was approved is what is sent to."""
    segment_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("segments.id"))
    sender_id: Mapped[int] = mapped_column(ForeignKey("senders.id"))
    revision_id: Mapped[int | None] = mapped_column(BigInteger)
    author_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operators.id"))
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """Rate, caps, quiet hours, end: all that the approval covers besides content and audience."""
    scheduled_at: Mapped[datetime | None]
    approved_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    approved_audience: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    submitted_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Approval(Base):
    """A yes by somebody other than the author to exactly this hash. The database enforces both (check, trigger)."""

    __tablename__ = "approvals"
    __table_args__ = (
        CheckConstraint("approver_id <> author_id", name="two_people"),
        UniqueConstraint("campaign_id", "approved_hash"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("campaigns.id"))
    author_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operators.id"))
    approver_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operators.id"))
    approved_hash: Mapped[bytes] = mapped_column(LargeBinary)
    audience: Mapped[int]
    comment: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class ExpansionCursor(Base):
    """How far the audience snapshot has come. Locked first by whoever expands, so that two never do."""

    __tablename__ = "expansion_cursors"

    campaign_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("campaigns.id"), primary_key=True)
    after_customer_id: Mapped[int] = mapped_column(BigInteger, server_default="0")
    done: Mapped[bool] = mapped_column(server_default="false")
    matched: Mapped[int] = mapped_column(server_default="0")
    inserted: Mapped[int] = mapped_column(server_default="0")


class CampaignEvent(Base):
    """What happened to a campaign, in words for the people who watch it."""

    __tablename__ = "campaign_events"
    __table_args__ = (Index("ix_campaign_events_campaign_id", "campaign_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("campaigns.id"))
    what: Mapped[str]
    operator_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("operators.id"))
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
