"""What we owe a provider, and what it asked of us: shared by all workers, lost with none of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class ProviderRest(Base):
    """Until when a provider asked to be left alone (SendGrid's 429). One worker hears it, all obey."""

    __tablename__ = "provider_rests"

    provider: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]
    reason: Mapped[str]


class ProviderNotice(Base):
    """Something that a provider who had a person's data must be told (DPDP s.6(6)). Written by triggers.

    `standing`: what the person agrees to has changed; what that comes to is read when it is told, so order and
    repetition don't matter. `erasure`: the address is gone here. The address is forgotten once it was told; an
    erasure is told when nobody has the address any more.
    """

    __tablename__ = "provider_notices"
    __table_args__ = (
        CheckConstraint("kind IN ('standing', 'erasure')", name="kind"),
        CheckConstraint("(address IS NULL) = (told_at IS NOT NULL)", name="address"),
        Index("ix_provider_notices_due", "provider", "not_before", postgresql_where=text("told_at IS NULL")),
        Index("ix_provider_notices_customer_id", "customer_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    provider: Mapped[str]
    kind: Mapped[str]
    customer_id: Mapped[int] = mapped_column(BigInteger)
    address: Mapped[str | None]
    address_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    not_before: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    tries: Mapped[int] = mapped_column(server_default="0")
    problem: Mapped[str | None]
    told_at: Mapped[datetime | None]


class ListKeeper(Base):
    """A provider that keeps lists of the people it was given. Never removed: it still has what it was given."""

    __tablename__ = "list_keepers"

    provider: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class ListComparison(Base):
    """How far the daily look at a provider's own list has come (`mailer.comparing`), and what the last one found."""

    __tablename__ = "list_comparisons"

    provider: Mapped[str] = mapped_column(primary_key=True)
    began_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    read: Mapped[int] = mapped_column(server_default="0")
    """Addresses read so far: where a look that was cut short goes on."""
    finished_at: Mapped[datetime | None]
    theirs_only: Mapped[int] = mapped_column(server_default="0")
    """People they don't mail whom we would have: stopped here too."""
    ours_only: Mapped[int] = mapped_column(server_default="0")
    """People whose no they had lost: told again."""
    not_before: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    problem: Mapped[str | None]


class ListedAddress(Base):
    """An address on a provider's list, by its hash, as last seen there."""

    __tablename__ = "listed_addresses"

    provider: Mapped[str] = mapped_column(primary_key=True)
    address_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    seen_at: Mapped[datetime]
