"""All that a delivery may know of a campaign. `campaigns` writes it, `mailer` reads it."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    LargeBinary,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class Installation(Base):
    """One row: the root key's fingerprint, and HOLD: while it is set nothing is sent (restore guard, stop-all)."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, server_default="1", autoincrement=False)
    root_key_fingerprint: Mapped[str | None]
    hold: Mapped[bool] = mapped_column(server_default="false")
    hold_reason: Mapped[str | None]
    hold_since: Mapped[datetime | None]
    identity: Mapped[UUID] = mapped_column(server_default=func.gen_random_uuid())
    """Which database this is, wherever it runs."""
    witness: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """How often a data folder was told where this database stands (`mailer.restore`). An older copy has less."""
    witness_nonce: Mapped[str | None]
    doubted_witness: Mapped[str | None]
    """The data folder's record that this database didn't fit; released, it moves to `accepted_witness`."""
    accepted_witness: Mapped[str | None]


class SenderIdentity(Base):
    """Who a message is from, in the person's eyes and in law (E-Commerce Rules 2020 r.4(2), CAN-SPAM 7704(a)(5))."""

    __tablename__ = "senders"
    __table_args__ = (CheckConstraint("provider ~ '^[a-z0-9][a-z0-9-]{0,59}$'", name="provider"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    from_name: Mapped[str]
    from_address: Mapped[str]
    reply_to: Mapped[str | None]
    legal_name: Mapped[str]
    postal_address: Mapped[str]
    care_phone: Mapped[str]
    care_email: Mapped[str]
    officer: Mapped[str]
    list_domain: Mapped[str]
    """Domain of List-Id, Message-ID and, unless there is another for them, return paths."""
    return_domain: Mapped[str | None]
    """Domain to which failures come back."""
    provider: Mapped[str | None]
    """Name of the provider in the settings, where its secrets are; None for the installation's own."""
    purposes: Mapped[list[str]] = mapped_column(ARRAY(String), server_default=text("all_purposes()"))
    """What it may be used for. A campaign of another purpose is refused (trigger)."""


class Revision(Base):
    """Content as it was saved, with its compiled form. Never changed: an edit is a new revision (trigger)."""

    __tablename__ = "revisions"
    __table_args__ = (UniqueConstraint("campaign_id", "number"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int]
    kind: Mapped[str]
    language: Mapped[str] = mapped_column(server_default="en")
    subject: Mapped[str]
    preheader: Mapped[str]
    mjml: Mapped[str]
    text: Mapped[str]
    values: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """What is the same for everybody: dates, places, offers."""
    compiled_html: Mapped[str]
    compiled_text: Mapped[str]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    author_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Mandate(Base):
    """The permission under which deliveries of one campaign may leave. The gate reads it at the last moment."""

    __tablename__ = "mandates"
    __table_args__ = (
        CheckConstraint("state IN ('approved', 'sending', 'paused', 'cancelled', 'finished')", name="state"),
        CheckConstraint("message_class IN ('marketing', 'notice')", name="message_class"),
    )

    campaign_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    state: Mapped[str]
    state_reason: Mapped[str | None]
    purpose: Mapped[str] = mapped_column(ForeignKey("purposes.key"))
    message_class: Mapped[str] = mapped_column(server_default="marketing")
    revision_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("revisions.id"))
    sender_id: Mapped[int] = mapped_column(ForeignKey("senders.id"))
    approved_hash: Mapped[bytes] = mapped_column(LargeBinary)
    as_of: Mapped[datetime | None]
    """Frozen at the start: the moment the audience is counted for."""
    expanded: Mapped[bool] = mapped_column(server_default="false")
    """True when every matched person has a delivery or an exclusion."""
    rate_per_second: Mapped[float | None]
    next_slot_at: Mapped[datetime | None]
    """The throttle shared by all workers: when the next message may go."""
    cap_messages: Mapped[int | None]
    cap_days: Mapped[int | None]
    quiet_from: Mapped[time | None]
    quiet_until: Mapped[time | None]
    ends_at: Mapped[datetime | None]
    """After this what is still pending expires."""
    canary_messages: Mapped[int | None]
    """So many go first ..."""
    canary_minutes: Mapped[int | None]
    """... and the rest waits so long for the numbers."""
    canary_full_at: Mapped[datetime | None]
    """Since when all of the first are handed over."""
    canary_released_at: Mapped[datetime | None]
    canary_held: Mapped[str | None]
    """Why a person has to let the rest go."""
    click_tracking: Mapped[bool] = mapped_column(server_default="false")
    """Approved with it. Clicks are counted while the purpose says so too: turned off there, it is off at once."""
    audience_sentence: Mapped[str | None]
    """Whom this was meant for, as a sentence about them: shown to everybody who got it and asks why."""
