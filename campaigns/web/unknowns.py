"""What pages read of messages that nobody knows to have arrived, and of the requests to send them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select, true
from sqlalchemy.orm import Session, aliased

from campaigns.models import Campaign
from mailer.consent.eligible import first_refusal
from mailer.models import (
    Address,
    Customer,
    Delivery,
    DeliveryAttempt,
    KeptMail,
    Operator,
    ResendRequest,
    ResendRow,
    SoftBounce,
)

STATES = ("in_doubt", "unconfirmed")
PAGE = 50


@dataclass(frozen=True, slots=True)
class Line:
    """One campaign with unknown ends, and how many of each."""

    campaign: Campaign
    in_doubt: int
    unconfirmed: int
    asked: int
    """Requests that wait for a decision."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message: to whom, by which provider, what that one said, and whether somebody asked to send it again."""

    id: UUID
    customer_id: int
    address: str | None
    state: str
    reason: str | None
    provider: str | None
    said: str | None
    handed_over_at: datetime | None
    attempts: int
    asked: bool
    bounce: str | None
    """A failure that was reported of it and may pass: it proves nothing yet."""
    letter_at: datetime | None
    """When the person wrote, as an answer to it: then they have it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, who made and who decided it, and how its rows stand."""

    request: ResendRequest
    by: str
    decided_by: str | None
    people: int
    open: int
    """Still unconfirmed by the same attempt: a yes would send to them."""
    again: int
    barred: int
    """Of the open ones: whom the check before leaving would keep out now."""


def campaigns(session: Session) -> list[Line]:
    """Return every campaign with messages in doubt or unconfirmed, newest first."""
    counted = (
        select(
            Delivery.campaign_id,
            func.count().filter(Delivery.state == "in_doubt").label("in_doubt"),
            func.count().filter(Delivery.state == "unconfirmed").label("unconfirmed"),
        )
        .where(Delivery.state.in_(STATES))
        .group_by(Delivery.campaign_id)
        .subquery()
    )
    asked = (
        select(func.count())
        .where(ResendRequest.campaign_id == Campaign.id, ResendRequest.decision.is_(None))
        .scalar_subquery()
    )
    found = session.execute(
        select(Campaign, counted.c.in_doubt, counted.c.unconfirmed, asked)
        .join(counted, counted.c.campaign_id == Campaign.id)
        .order_by(Campaign.started_at.desc(), Campaign.id.desc())
    )
    return [Line(*row) for row in found]


def counts(session: Session, campaign_id: int) -> dict[str, int]:
    """Return how many of a campaign are in doubt and how many unconfirmed."""
    found = session.execute(
        select(Delivery.state, func.count())
        .where(Delivery.campaign_id == campaign_id, Delivery.state.in_(STATES))
        .group_by(Delivery.state)
    )
    return dict.fromkeys(STATES, 0) | dict(found.all())


def rows(session: Session, campaign_id: int, page: int) -> list[Row]:
    """Return a page of them, one more than shown if there are more; what a person can decide on comes first."""
    mine = and_(DeliveryAttempt.customer_id == Delivery.customer_id, DeliveryAttempt.delivery_id == Delivery.id)
    said = (
        select(DeliveryAttempt.code)
        .where(mine, DeliveryAttempt.attempt_id == Delivery.attempt_id, DeliveryAttempt.outcome == "in_doubt")
        .limit(1)
        .scalar_subquery()
    )
    attempts = select(func.count()).where(mine, DeliveryAttempt.outcome == "intent").scalar_subquery()
    asked = (
        select(ResendRow.request_id)
        .where(
            ResendRow.customer_id == Delivery.customer_id,
            ResendRow.delivery_id == Delivery.id,
            ResendRow.outcome.is_(None),
        )
        .exists()
    )
    bounce = (
        select(func.min(SoftBounce.cause))
        .where(SoftBounce.address_hash == Delivery.address_hash, SoftBounce.delivery_id == Delivery.id)
        .scalar_subquery()
    )
    letter = (
        select(func.min(KeptMail.received_at))
        .where(KeptMail.customer_id == Delivery.customer_id, KeptMail.delivery_id == Delivery.id)
        .scalar_subquery()
    )
    found = session.execute(
        select(
            Delivery.id,
            Delivery.customer_id,
            Address.address,
            Delivery.state,
            Delivery.reason,
            Delivery.provider,
            said,
            Delivery.intended_at,
            attempts,
            asked,
            bounce,
            letter,
        )
        .outerjoin(Address, Address.customer_id == Delivery.customer_id)
        .where(Delivery.campaign_id == campaign_id, Delivery.state.in_(STATES))
        .order_by(Delivery.state.desc(), Delivery.customer_id)
        .limit(PAGE + 1)
        .offset((page - 1) * PAGE)
    )
    return [Row(*row) for row in found]


def requests(session: Session, campaign: Campaign, now: datetime) -> Sequence[Asked]:
    """Return a campaign's requests, those that wait first, then the newest."""
    asker, decider = aliased(Operator), aliased(Operator)
    still = and_(ResendRow.outcome.is_(None), Delivery.state == "unconfirmed")
    barred: Any = first_refusal(campaign.purpose, now).is_not(None)
    numbers = (
        select(
            func.count(ResendRow.delivery_id).label("people"),
            func.count().filter(still).label("open"),
            func.count().filter(ResendRow.outcome == "sent_again").label("again"),
            func.count().filter(still, barred).label("barred"),
        )
        .join(Delivery, and_(Delivery.customer_id == ResendRow.customer_id, Delivery.id == ResendRow.delivery_id))
        .join(Customer, Customer.id == ResendRow.customer_id)
        .where(ResendRow.request_id == ResendRequest.id)
        .lateral()
    )
    found = session.execute(
        select(
            ResendRequest,
            asker.name,
            decider.name,
            numbers.c.people,
            numbers.c.open,
            numbers.c.again,
            numbers.c.barred,
        )
        .join(asker, asker.id == ResendRequest.proposed_by)
        .outerjoin(decider, decider.id == ResendRequest.decided_by)
        .join(numbers, true())
        .where(ResendRequest.campaign_id == campaign.id)
        .order_by(ResendRequest.decision.is_not(None), ResendRequest.id.desc())
        .limit(20)
    )
    return [Asked(*row) for row in found]
