"""Where a campaign's people are, in numbers that add up: matched = left out + audience, audience = sum of states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, ExpansionCursor
from mailer.consent.policy import Refusal
from mailer.models import Address, AudienceExclusion, ConsentEvent, Customer, Delivery, Mandate
from mailer.models.deliveries import STATES

OPEN = ("pending", "handing_over")
PACE = timedelta(seconds=30)
PAGE = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """The numbers of one moment."""

    at: datetime
    matched: int
    expanded: bool
    states: Mapping[str, int]
    withheld: Mapping[str, int]
    left_out: Mapping[str, int]
    per_second: float
    opted_out: int
    paused_because: str | None
    seconds_since_start: float

    @property
    def is_stalled(self) -> bool:
        """Nobody was dealt with lately, though it was started long enough ago."""
        return not self.per_second and self.seconds_since_start > PACE.total_seconds()

    @property
    def audience(self) -> int:
        return sum(self.states.values())

    @property
    def waiting(self) -> int:
        return self.states.get("pending", 0)

    @property
    def done(self) -> int:
        return sum(count for state, count in self.states.items() if state not in OPEN)

    @property
    def seconds_left(self) -> float | None:
        left = self.audience - self.done
        return left / self.per_second if self.per_second and self.expanded else None


@dataclass(frozen=True, slots=True)
class Whom:
    """Which of a campaign's people: in a state, perhaps for a reason; or left out for a reason."""

    state: str = ""
    reason: str = ""
    left_out: bool = False
    page: int = 1


def progress(session: Session, campaign: Campaign) -> Progress:
    """Count. One pass over the campaign's rows; times by the database's clock."""
    at: datetime = session.scalar(select(func.clock_timestamp())) or datetime.now().astimezone()
    cursor = session.get(ExpansionCursor, campaign.id, populate_existing=True)
    mandate = session.get(Mandate, campaign.id, populate_existing=True)
    states, withheld, lately = _deliveries(session, campaign.id, at - PACE)
    left_out = _left_out(session, campaign.id)
    running = (at - (campaign.started_at or at)).total_seconds()
    return Progress(
        at=at,
        matched=cursor.matched if cursor else 0,
        expanded=bool(mandate and mandate.expanded),
        states=states,
        withheld=withheld,
        left_out=left_out,
        per_second=lately / min(PACE.total_seconds(), max(1.0, running)) if campaign.state == "sending" else 0.0,
        opted_out=_opted_out(session, campaign),
        paused_because=mandate.state_reason if mandate and campaign.state == "paused" else None,
        seconds_since_start=running,
    )


Person = tuple[Customer, str | None, str | None, datetime | None]
"""Somebody, their address, the reason if there is one, and since when."""


def rows(session: Session, campaign_id: int, whom: Whom) -> list[Person]:
    """Return a page of the people behind a number: (person, address, reason, since)."""
    query = _of_left_out(campaign_id, whom) if whom.left_out else _of_deliveries(campaign_id, whom)
    page = query.limit(PAGE + 1).offset((whom.page - 1) * PAGE)
    return [tuple(row) for row in session.execute(page)]


def _deliveries(session: Session, campaign_id: int, since: datetime) -> tuple[dict[str, int], dict[str, int], int]:
    counted = session.execute(
        select(Delivery.state, Delivery.reason, func.count(), func.count().filter(Delivery.settled_at > since))
        .where(Delivery.campaign_id == campaign_id)
        .group_by(Delivery.state, Delivery.reason)
    ).all()
    found: dict[str, int] = {}
    withheld: dict[str, int] = {}
    for state, reason, count, _ in counted:
        found[state] = found.get(state, 0) + count
        if state == "withheld":
            withheld[reason or ""] = withheld.get(reason or "", 0) + count
    lately = sum(row[3] for row in counted if row[0] not in OPEN)
    return {state: found[state] for state in STATES if state in found}, _in_order(withheld), lately


def _left_out(session: Session, campaign_id: int) -> dict[str, int]:
    counted = session.execute(
        select(AudienceExclusion.reason, func.count())
        .where(AudienceExclusion.campaign_id == campaign_id)
        .group_by(AudienceExclusion.reason)
    )
    return _in_order(dict(counted.all()))


def _in_order(reasons: Mapping[str, int]) -> dict[str, int]:
    """The order of the gate, then what else there is by name: the same rows in the same place every time."""
    order = {refusal.value: place for place, refusal in enumerate(Refusal)}
    return {reason: reasons[reason] for reason in sorted(reasons, key=lambda r: (order.get(r, len(order)), r))}


def _opted_out(session: Session, campaign: Campaign) -> int:
    """How many of the audience said no since it began."""
    if campaign.started_at is None:
        return 0
    said_no = (
        select(ConsentEvent.customer_id)
        .where(ConsentEvent.recorded_at >= campaign.started_at, ConsentEvent.action != "grant")
        .where(ConsentEvent.purpose.is_(None) | (ConsentEvent.purpose == campaign.purpose))
        .where(ConsentEvent.recorded_at <= (campaign.ended_at or func.clock_timestamp()))
        .distinct()
        .subquery()
    )
    of_it = select(func.count()).select_from(
        select(Delivery.customer_id)
        .join(said_no, said_no.c.customer_id == Delivery.customer_id)
        .where(Delivery.campaign_id == campaign.id)
        .subquery()
    )
    return session.scalar(of_it) or 0


def _of_deliveries(campaign_id: int, whom: Whom) -> Select[*tuple[Any, ...]]:
    query = (
        select(Customer, Address.address, Delivery.reason, Delivery.settled_at)
        .join(Delivery, Delivery.customer_id == Customer.id)
        .outerjoin(Address, Address.customer_id == Customer.id)
        .where(Delivery.campaign_id == campaign_id)
        .order_by(Delivery.customer_id)
    )
    if whom.state:
        query = query.where(Delivery.state == whom.state)
    return query.where(Delivery.reason == whom.reason) if whom.reason else query


def _of_left_out(campaign_id: int, whom: Whom) -> Select[*tuple[Any, ...]]:
    query = (
        select(Customer, Address.address, AudienceExclusion.reason, Mandate.as_of)
        .join(AudienceExclusion, AudienceExclusion.customer_id == Customer.id)
        .join(Mandate, Mandate.campaign_id == AudienceExclusion.campaign_id)
        .outerjoin(Address, Address.customer_id == Customer.id)
        .where(AudienceExclusion.campaign_id == campaign_id)
        .order_by(Customer.id)
    )
    return query.where(AudienceExclusion.reason == whom.reason) if whom.reason else query
