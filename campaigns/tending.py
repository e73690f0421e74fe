"""What the clock does for campaigns: release those that are due, pause what was changed, end what is done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

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
class Duty:
    """Something that may be due for one campaign. Doing it looks again, under the campaign's lock."""

    what: Literal["start", "pause", "finish"]
    campaign_id: int
    late: timedelta = timedelta()

    def do(self, session: Session, settled: Settled) -> bool:
        """Do it if it is still due; return whether it was. Commit before the next one.

        An act is noted in a chain that everybody's acts wait for, so no other campaign may be locked after it.
        """
        if self.what == "start":
            return _release(session, self.campaign_id, self.late)
        return (
            _pause(session, self.campaign_id) if self.what == "pause" else _finish(session, self.campaign_id, settled)
        )


def look(session: Session, settled: Settled) -> list[Duty]:
    """Return what may be due: campaigns to start, to pause because they were changed, to end. Two clocks may do it all.

    `settled` is what a clock remembers between its ticks: a dict, empty at first.
    """
    sending = session.scalars(select(Campaign.id).where(Campaign.state == "sending").order_by(Campaign.id)).all()
    expanded = session.scalars(
        select(Mandate.campaign_id).where(Mandate.state == "sending", Mandate.expanded).order_by(Mandate.campaign_id)
    ).all()
    for campaign_id in settled.keys() - set(expanded):
        del settled[campaign_id]
    return [
        *_due(session),
        *(Duty("pause", campaign_id) for campaign_id in sending),
        *(Duty("finish", campaign_id) for campaign_id in expanded),
    ]


def _due(session: Session) -> list[Duty]:
    """Approved campaigns whose time has come; one found over 60 minutes late waits for a person instead."""
    lateness = func.clock_timestamp() - Campaign.scheduled_at
    due = select(Campaign.id, lateness).where(
        Campaign.state == "approved", Campaign.scheduled_at <= func.clock_timestamp()
    )
    found = session.execute(due.order_by(Campaign.scheduled_at, Campaign.id)).all()
    return [Duty("start", campaign_id, late) for campaign_id, late in found]


def _pause(session: Session, campaign_id: int) -> bool:
    """Pause a campaign that is not what was approved any more: somebody changed its sender."""
    if not _changed(session, campaign_id) or locked(session, campaign_id).state != "sending":
        return False
    return operations.pause(session, campaign_id, None, CHANGED)


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
