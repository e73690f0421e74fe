"""What pages read: one question, one answer, in a fixed number of statements. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, CampaignEvent
from mailer.models import Delivery, Mandate, Operator, Purpose, Revision
from mailer.models.deliveries import STATES
from mailer.web.titles import readable

PAGE = 20
DONE = tuple(state for state in STATES if state not in {"pending", "handing_over"})
"""States in which a person has been dealt with."""
RECENT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class OnAir:
    """The campaign that is being sent now, as a share of its audience."""

    id: int
    percent: int


@dataclass(frozen=True, slots=True)
class Line:
    """One campaign in a list."""

    campaign: Campaign
    purpose: str
    author: str
    audience: int | None
    handed_over: int | None
    written_subject: str | None
    values: Mapping[str, Any] | None

    @property
    def subject(self) -> str | None:
        if self.written_subject is None:
            return None
        return readable(self.written_subject, self.campaign.kind, self.values or {})


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters of the list, as they stand in its address."""

    state: str = ""
    purpose: str = ""
    author: int | None = None
    words: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class Shelf:
    """A page of the list, and how many there are in each state."""

    lines: Sequence[Line]
    counts: Mapping[str, int]
    total: int


def on_air(session: Session) -> OnAir | None:
    """Return the campaign that was started last among those being sent, if any."""
    campaign_id = session.scalar(
        select(Campaign.id).where(Campaign.state == "sending").order_by(Campaign.started_at.desc()).limit(1)
    )
    if campaign_id is None:
        return None
    done, whole = dealt_with(session, campaign_id)
    return OnAir(campaign_id, int(100 * done / whole) if whole else 0)


def dealt_with(session: Session, campaign_id: int) -> tuple[int, int]:
    """Return how many people of the audience were dealt with, and how many it has so far."""
    done, whole = session.execute(
        select(func.count().filter(Delivery.state.in_(DONE)), func.count()).where(Delivery.campaign_id == campaign_id)
    ).one()
    return done, whole


def shelf(session: Session, wanted: Wanted) -> Shelf:
    """Return one page of the list under its filters. The counts of states ignore the state filter."""
    others = filters(wanted)
    by_state = select(Campaign.state, func.count()).where(*others).group_by(Campaign.state)
    counts = dict(session.execute(by_state).all())
    chosen = [*others, Campaign.state == wanted.state] if wanted.state else others
    total = counts.get(wanted.state, 0) if wanted.state else sum(counts.values())
    newest_first = func.coalesce(Campaign.started_at, Campaign.scheduled_at, Campaign.created_at).desc()
    query = lines().where(*chosen).order_by(newest_first, Campaign.id.desc())
    found = session.execute(query.limit(PAGE).offset((wanted.page - 1) * PAGE)).all()
    return Shelf([Line(*row) for row in found], counts, total)


def filters(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.purpose:
        conditions.append(Campaign.purpose == wanted.purpose)
    if wanted.author:
        conditions.append(Campaign.author_id == wanted.author)
    if wanted.words:
        of_subject = select(Revision.id).where(Revision.subject.icontains(wanted.words, autoescape=True))
        of_name = Campaign.name.icontains(wanted.words, autoescape=True)
        conditions.append(or_(of_name, Campaign.revision_id.in_(of_subject)))
    return conditions


def lines() -> Select[tuple[Campaign, str, str, int | None, int | None, str | None, Mapping[str, Any] | None]]:
    of_it = Delivery.campaign_id == Campaign.id
    started = Campaign.started_at.is_not(None)
    audience = select(func.count()).where(and_(of_it, started)).scalar_subquery()
    handed_over = select(func.count()).where(and_(of_it, started, Delivery.state == "accepted")).scalar_subquery()
    return (
        select(
            Campaign,
            Purpose.name,
            Operator.name,
            func.coalesce(func.nullif(audience, 0), Campaign.approved_audience),
            func.nullif(handed_over, 0),
            Revision.subject,
            Revision.values,
        )
        .join(Purpose, Purpose.key == Campaign.purpose)
        .join(Operator, Operator.id == Campaign.author_id)
        .outerjoin(Revision, Revision.id == Campaign.revision_id)
    )


def in_state(session: Session, *states: str) -> Sequence[Line]:
    """Return every campaign in one of `states`, the longest in it first."""
    query = lines().where(Campaign.state.in_(states)).order_by(Campaign.submitted_at, Campaign.id)
    return [Line(*row) for row in session.execute(query)]


def unsettled(session: Session, now: datetime) -> Sequence[tuple[Campaign, str, int]]:
    """Return (campaign, in_doubt or unconfirmed, people) where a message's fate is not known."""
    return session.execute(
        select(Campaign, Delivery.state, func.count())
        .join(Delivery, Delivery.campaign_id == Campaign.id)
        .where(Delivery.state.in_(["in_doubt", "unconfirmed"]), Campaign.started_at > now - RECENT)
        .group_by(Campaign.id, Delivery.state)
        .order_by(Delivery.state, Campaign.id)
    ).all()


def reason_of_pause(session: Session, campaign_id: int) -> str | None:
    return session.scalar(select(Mandate.state_reason).where(Mandate.campaign_id == campaign_id))


def events(session: Session, campaign_id: int) -> Sequence[tuple[CampaignEvent, str | None]]:
    """Return what happened to a campaign, newest first, with the name of who did it."""
    return session.execute(
        select(CampaignEvent, Operator.name)
        .outerjoin(Operator, Operator.id == CampaignEvent.operator_id)
        .where(CampaignEvent.campaign_id == campaign_id)
        .order_by(CampaignEvent.id.desc())
        .limit(30)
    ).all()
