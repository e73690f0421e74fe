"""What the clock does for campaigns: release those that are due, pause what was changed, end what is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from campaigns import operations
from campaigns.approval import approval_hash
from campaigns.drafts import locked, note
from campaigns.lifecycle import after
from campaigns.models import Campaign, CampaignEvent
from mailer.errors import Refused
from mailer.models import Delivery, Mandate

LATE = timedelta(minutes=60)
"""A schedule found later than this asks first: a wish for a festival is no good the day after."""
CHANGED = "it is not what was approved any more: the sender was changed"
Settled: TypeAlias = dict[int, int]
"""By campaign: up to which person nobody waits any more."""
_LATE_WORDS = "Found too late"
_HELD_WORDS = "Could not start"


@dataclass(frozen=True, slots=True)
class Tended:
    """Ids of the campaigns that the clock started, paused and ended."""

    started: Sequence[int] = ()
    paused: Sequence[int] = ()
    finished: Sequence[int] = ()


def tend(session: Session, settled: Settled | None = None) -> Tended:
    """Do all of it once. Two clocks may: each campaign is locked first, and what was done is not done again.

    `settled` is what a clock remembers between its ticks: a dict, empty at first.
    """
    return Tended(
        release_due(session), pause_changed(session), finish_done(session, {} if settled is None else settled)
    )


def release_due(session: Session) -> list[int]:
    """Start approved campaigns whose time has come; one found over 60 minutes late waits for a person instead."""
    lateness = func.clock_timestamp() - Campaign.scheduled_at
    due = session.execute(
        select(Campaign.id, lateness).where(
            Campaign.state == "approved", Campaign.scheduled_at <= func.clock_timestamp()
        )
    )
    return [campaign_id for campaign_id, late in due.all() if _release(session, campaign_id, late)]


def pause_changed(session: Session) -> list[int]:
    """Pause campaigns that are not what was approved any more: somebody changed their sender."""
    paused = []
    for campaign_id in session.scalars(select(Campaign.id).where(Campaign.state == "sending")).all():
        if not _changed(session, campaign_id) or locked(session, campaign_id).state != "sending":
            continue
        operations.pause(session, campaign_id, None, CHANGED)
        paused.append(campaign_id)
    return paused


def finish_done(session: Session, settled: Settled) -> list[int]:
    """End campaigns of which nobody waits any more."""
    expanded = select(Mandate.campaign_id).where(Mandate.state == "sending", Mandate.expanded)
    sending = session.scalars(expanded).all()
    for campaign_id in settled.keys() - set(sending):
        del settled[campaign_id]
    return [campaign_id for campaign_id in sending if _finish(session, campaign_id, settled)]


def _finish(session: Session, campaign_id: int, settled: Settled) -> bool:
    # From where the last look ended, so that looking at a million every second costs one pass in all. Then once
    # more from the beginning, under the lock: what a person sends again may lie behind.
    waiting = _first_waiting(session, campaign_id, settled.get(campaign_id, 0))
    if waiting is not None:
        settled[campaign_id] = waiting - 1
        return False
    campaign = locked(session, campaign_id)
    if campaign.state != "sending" or _first_waiting(session, campaign_id, 0) is not None:
        return False
    campaign.state = after(campaign.state, "finish")
    campaign.ended_at = session.scalar(select(func.clock_timestamp()))
    session.execute(update(Mandate).where(Mandate.campaign_id == campaign_id).values(state="finished"))
    note(session, campaign_id, None, "Everybody was dealt with", "campaign_finished")
    return True


def _first_waiting(session: Session, campaign_id: int, beyond: int) -> int | None:
    """Return the first person beyond `beyond` whose message waits or is being handed over."""
    return session.scalar(
        select(Delivery.customer_id)
        .where(
            Delivery.campaign_id == campaign_id,
            Delivery.customer_id > beyond,
            Delivery.state.in_(["pending", "handing_over"]),
        )
        .order_by(Delivery.customer_id)
        .limit(1)
    )


def _release(session: Session, campaign_id: int, late: timedelta) -> bool:
    if late > LATE:
        _say_once(
            session, campaign_id, f"{_LATE_WORDS}: its time had passed by over an hour. Start it by hand, or not."
        )
        return False
    if _said_lately(session, campaign_id):
        return False  # counting an audience takes seconds, and a minute ago it had grown too much
    try:
        return operations.start(session, campaign_id, None).started
    except Refused as refused:
        _say_once(session, campaign_id, f"{_HELD_WORDS}: {refused}")
        return False


def _said_lately(session: Session, campaign_id: int) -> bool:
    said = select(CampaignEvent.id).where(
        CampaignEvent.campaign_id == campaign_id,
        CampaignEvent.what.startswith(_HELD_WORDS),
        CampaignEvent.at > func.clock_timestamp() - timedelta(minutes=1),
    )
    return session.scalar(said.limit(1)) is not None


def _changed(session: Session, campaign_id: int) -> bool:
    approved = session.scalar(select(Campaign.approved_hash).where(Campaign.id == campaign_id))
    return approval_hash(session, campaign_id) != approved


def _say_once(session: Session, campaign_id: int, words: str) -> None:
    campaign = locked(session, campaign_id)
    kind = words.split(":", maxsplit=1)[0]
    said = select(CampaignEvent.id).where(
        CampaignEvent.campaign_id == campaign_id,
        CampaignEvent.what.startswith(kind),
        CampaignEvent.at >= (campaign.submitted_at or campaign.created_at),
    )
    if session.scalar(said.limit(1)) is None:
        session.add(CampaignEvent(campaign_id=campaign_id, what=words))
