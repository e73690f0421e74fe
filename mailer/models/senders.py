"""How those are doing who carry our mail and those who take it: shared by all workers, and shown to operators."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class DomainState(Base):
    """How a recipient domain takes what one provider brings: how fast it may go, and whether it is left alone.

    `level` is how often the domain was left alone in a row: each one doubles the rest and halves the pace after it.
    """

    __tablename__ = "domain_states"
    __table_args__ = (
        CheckConstraint("level >= 0 AND strikes >= 0", name="counts"),
        CheckConstraint("rate_per_second > 0", name="rate"),
    )

    provider: Mapped[str] = mapped_column(primary_key=True)
    domain: Mapped[str] = mapped_column(primary_key=True)
    rate_per_second: Mapped[float | None]
    """What an operator allows; None for as fast as it goes."""
    level: Mapped[int] = mapped_column(server_default="0")
    strikes: Mapped[int] = mapped_column(server_default="0")
    """Temporary refusals since the last message taken."""
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]
    eased_at: Mapped[datetime | None]
    next_slot_at: Mapped[datetime | None]
    """The pace shared by all workers: when the next message may go."""
    reason: Mapped[str | None]
    """What the domain's server said, shortened and without addresses."""


class ProviderCircuit(Base):
    """A provider at which nobody was home, several times in a row: left alone, then tried with a few messages."""

    __tablename__ = "provider_circuits"

    provider: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(server_default="0")
    level: Mapped[int] = mapped_column(server_default="0")
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]
    trial_until: Mapped[datetime | None]
    """One worker tries; the others wait for what it finds."""
    reason: Mapped[str | None]
