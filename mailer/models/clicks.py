"""Links that are counted, where the shop has turned it on: where they lead, and which were followed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class LinkDestination(Base):
    """Where a counted link of a revision leads. Kept with the approval and never changed (trigger)."""

    __tablename__ = "link_destinations"
    __table_args__ = (
        CheckConstraint("number BETWEEN 1 AND 99", name="number"),
        CheckConstraint("url ~ '^https://'", name="url"),
    )

    revision_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("revisions.id"), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    written: Mapped[str]
    """As it stands in the compiled HTML: an address, or the campaign's value that holds it."""
    url: Mapped[str]


class Click(Base):
    """One link of one mail that was followed: by a person, by a program, or both. No network address is kept."""

    __tablename__ = "clicks"
    __table_args__ = (
        CheckConstraint("clicked_at IS NOT NULL OR scanned_at IS NOT NULL", name="kind"),
        Index("ix_clicks_campaign_id", "campaign_id", "number"),
    )

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    campaign_id: Mapped[int] = mapped_column(BigInteger)
    clicked_at: Mapped[datetime | None]
    """The first time by a person."""
    scanned_at: Mapped[datetime | None]
    """The first time by a program: never counted as anything."""
    last_at: Mapped[datetime]
    agent: Mapped[str]
    """The class of program that came first (`mailer.web.public.agents`), nothing closer."""
