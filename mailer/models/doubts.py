"""Requests to send again what nobody knows to have arrived: one person asks, another decides, each row ends once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class ResendRequest(Base):
    """Somebody asks; somebody else approves or declines, or the first takes it back. The database enforces it."""

    __tablename__ = "resend_requests"
    __table_args__ = (
        CheckConstraint("decision IN ('approved', 'declined', 'withdrawn')", name="decision"),
        CheckConstraint(
            "(decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)", name="decided"
        ),
        CheckConstraint("(decision = 'withdrawn') = (decided_by = proposed_by)", name="two_people"),
        Index("ix_resend_requests_campaign_id", "campaign_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(BigInteger)
    proposed_by: Mapped[int] = mapped_column(BigInteger, ForeignKey("operators.id"))
    reason: Mapped[str]
    proposed_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    decision: Mapped[str | None]
    decided_by: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("operators.id"))
    decided_at: Mapped[datetime | None]


class ResendRow(Base):
    """One delivery that a request is about, and the attempt of which nobody knows. At most one open per delivery."""

    __tablename__ = "resend_rows"
    __table_args__ = (
        CheckConstraint("outcome IN ('sent_again', 'settled', 'closed', 'dropped')", name="outcome"),
        Index("ix_resend_rows_request_id", "request_id"),
        Index(
            "uq_resend_rows_open",
            "customer_id",
            "delivery_id",
            unique=True,
            postgresql_where=text("outcome IS NULL"),
        ),
    )

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("resend_requests.id"), primary_key=True, autoincrement=False
    )
    attempt_id: Mapped[UUID]
    outcome: Mapped[str | None]
    """`settled`: news came before the decision, or was just coming. Never sent again then."""
