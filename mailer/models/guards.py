"""What stops mail by itself, what a restore must not undo, and signs of life."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, LargeBinary, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class GuardCount(Base):
    """What the guard last saw of a campaign: the whole of it (domain '') or one recipient domain.

    Written only where there are enough reports to say anything. `base` is from when it was counted last: it only
    grows, so the true rate is never higher than `reports / base`.
    """

    __tablename__ = "guard_counts"
    __table_args__ = (
        CheckConstraint("what IN ('complaints', 'bounces')", name="what"),
        CheckConstraint("level IN ('ok', 'warn', 'stop')", name="level"),
    )

    campaign_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    domain: Mapped[str] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(primary_key=True)
    reports: Mapped[int]
    base: Mapped[int]
    level: Mapped[str] = mapped_column(server_default="ok")
    acknowledged: Mapped[int] = mapped_column(server_default="0")
    """So many reports a person has looked at, and sent on all the same."""
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class GuardLimit(Base):
    """What share of complaints or bounces warns and stops, where an administrator has said so. No row: the default."""

    __tablename__ = "guard_limits"
    __table_args__ = (
        CheckConstraint("what IN ('complaints', 'bounces')", name="what"),
        CheckConstraint(
            "warn > 0 AND warn <= stop AND stop <= CASE what WHEN 'complaints' THEN 0.01 ELSE 0.1 END", name="sane"
        ),
    )

    what: Mapped[str] = mapped_column(primary_key=True)
    warn: Mapped[float]
    stop: Mapped[float]
    set_by: Mapped[int] = mapped_column(BigInteger, ForeignKey("operators.id"))
    set_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class JournalEntry(Base):
    """Append-only, by triggers: every no and every erasure, by keyed hashes, until files outside hold it too."""

    __tablename__ = "journal"
    __table_args__ = (
        CheckConstraint("kind IN ('stop', 'withdraw', 'suppress', 'erase')", name="kind"),
        Index("ix_journal_xact", "xact", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    xact: Mapped[int] = mapped_column(
        BigInteger, server_default=text("CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
    )
    """The transaction that wrote it. What is below the oldest one still running is complete."""
    kind: Mapped[str]
    customer_id: Mapped[int | None] = mapped_column(BigInteger)
    ref_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    """SHA-256 of the person's reference: after a restore their number may be somebody else's."""
    address_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    scope: Mapped[str]
    reason: Mapped[str | None]
    origin: Mapped[int | None] = mapped_column(BigInteger)
    origin_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    at: Mapped[datetime]


class JournalApplied(Base):
    """Lines of a journal that were looked at after a restore: saying them again changes nothing."""

    __tablename__ = "journal_applied"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Heartbeat(Base):
    """A part's last sign of life, and what it saw."""

    __tablename__ = "heartbeats"

    part: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    document: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
