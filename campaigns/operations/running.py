"""Start, pause, resume, cancel, and a test mail to an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import rules
from campaigns.approval import approval_hash
from campaigns.audience import funnel
from campaigns.drafts import active_operator, locked, note
from campaigns.lifecycle import MANDATES, after
from campaigns.models import Campaign, ExpansionCursor
from mailer import guards
from mailer.consent.policy import SHOP_ZONE
from mailer.errors import InputProblem, Refused, WrongState
from mailer.models import Mandate, Operator, Revision

GROWTH = 1.2
"""An audience larger than this many times the approved one asks again."""


class AudienceGrew(Refused):
    """More people would get it than somebody said yes to. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Start:
    """Whether this click started the campaign, and what to tell whoever clicked."""

    started: bool
    words: str


TestSender = Callable[[Session, Campaign, Revision, Operator], Any]
"""Hands one test message to an operator's own address over; enqueues nothing (`mailer.delivery.send_test`)."""


def start(session: Session, campaign_id: int, operator_id: int | None) -> Start:
    """Begin to send. Of any number of clicks one starts it; the others hear that it was started already.

    Raises Refused if it isn't what was approved any more or leaves later, AudienceGrew over 120 % of the approved
    audience, WrongState if there is nothing to start. Nothing is changed then.
    """
    if (state := _state(session, campaign_id)) in ("sending", "paused", "sent"):
        return Start(False, f"It was started already: {state}.")
    if operator_id is not None:
        active_operator(session, operator_id)
    now_hash = approval_hash(session, campaign_id)
    with session.begin_nested():
        session.execute(select(Mandate.state).where(Mandate.campaign_id == campaign_id).with_for_update())
        started = session.scalars(
            update(Campaign)
            .where(Campaign.id == campaign_id, Campaign.state == "approved", Campaign.approved_hash == now_hash)
            .values(state="sending", started_at=func.clock_timestamp())
            .returning(Campaign)
            .execution_options(populate_existing=True)
        ).one_or_none()
        if started is None:
            return _not_started(_state(session, campaign_id))
        _refuse_early(started)
        _refuse_grown(session, started)
        session.execute(
            update(Mandate)
            .where(Mandate.campaign_id == campaign_id, Mandate.state == "approved")
            .values(state="sending", as_of=started.started_at, expanded=False)
        )
        session.execute(insert(ExpansionCursor).values(campaign_id=campaign_id).on_conflict_do_nothing())
        note(session, campaign_id, operator_id, "Started", "campaign_started", approved_hash=now_hash.hex())
    return Start(True, "Started.")


def pause(session: Session, campaign_id: int, operator_id: int | None, reason: str) -> bool:
    """Hold a campaign; False if it is paused already. Nothing more starts once the open window (0.8 s) has passed."""
    campaign = locked(session, campaign_id)
    if campaign.state == "paused":
        return False
    _move(session, campaign, "pause", reason)
    note(session, campaign_id, operator_id, f"Paused: {reason}", "campaign_paused", reason=reason)
    return True


def resume(session: Session, campaign_id: int, operator_id: int, reason: str | None = None) -> bool:
    """Go on; False if it is being sent already. Raises Refused if it isn't what was approved any more.

    What was stopped for its complaints or bounces takes a `reason`; the same reports don't stop it again.
    """
    campaign = locked(session, campaign_id)
    if campaign.state == "sending":
        return False
    after(campaign.state, "resume")
    active_operator(session, operator_id)
    if approval_hash(session, campaign_id) != campaign.approved_hash:
        raise Refused("It is not what was approved any more: the sender was changed. Cancel it and write it anew.")
    if guards.stopped(session, campaign_id) and not reason:
        raise Refused("Its numbers stopped it. Say what you found before it goes on.")
    guards.acknowledge(session, campaign_id)
    _move(session, campaign, "resume", None)
    said = f"Resumed: {reason}" if reason else "Resumed"
    note(session, campaign_id, operator_id, said, "campaign_resumed", reason=reason)
    return True


def cancel(session: Session, campaign_id: int, operator_id: int) -> bool:
    """End a campaign for good; False if it was cancelled already. Who is still waiting gets nothing."""
    campaign = locked(session, campaign_id)
    if campaign.state == "cancelled":
        return False
    active_operator(session, operator_id)
    _move(session, campaign, "cancel", None)
    campaign.ended_at = session.scalar(select(func.clock_timestamp()))
    note(session, campaign_id, operator_id, "Cancelled", "campaign_cancelled")
    return True


def send_test(session: Session, campaign_id: int, operator_id: int, send: TestSender) -> Any:
    """Hand a test message to the operator's own address; nobody else gets anything and nothing is enqueued."""
    operator = active_operator(session, operator_id)
    campaign = session.get(Campaign, campaign_id)
    revision = None if campaign is None or campaign.revision_id is None else session.get(Revision, campaign.revision_id)
    if campaign is None or revision is None:
        raise InputProblem("There is no content yet. Write the message first.")
    answer = send(session, campaign, revision, operator)
    note(session, campaign_id, operator_id, "Test sent", "campaign_test_sent", revision=revision.id)
    return answer


def _state(session: Session, campaign_id: int) -> str:
    state = session.scalar(select(Campaign.state).where(Campaign.id == campaign_id))
    if state is None:
        raise InputProblem(f"There is no campaign {campaign_id}.")
    return state


def _not_started(state: str) -> Start:
    if state in ("sending", "paused", "sent"):
        return Start(False, f"It was started already: {state}.")
    after(state, "start")
    raise Refused("It is not what was approved any more. Return it, submit it again and have it approved.")


def _refuse_early(campaign: Campaign) -> None:
    leaves, now = campaign.scheduled_at, campaign.started_at
    if leaves is not None and now is not None and leaves > now:
        local = leaves.astimezone(SHOP_ZONE)
        raise WrongState(f"It is approved to leave on {local.day} {local:%b %Y, %H:%M}, not before.")


def _refuse_grown(session: Session, campaign: Campaign) -> None:
    now = funnel(session, rules.parse(campaign.rule), campaign.purpose, campaign.started_at).may_be_mailed
    approved = campaign.approved_audience or 0
    if now > approved * GROWTH:
        raise AudienceGrew(
            f"The audience has grown from {approved} to {now} people since it was approved. "
            "Return it, submit it again and have it approved for the new number."
        )


def _move(session: Session, campaign: Campaign, event: str, reason: str | None) -> None:
    """Change the state of the campaign and of its mandate together."""
    campaign.state = after(campaign.state, event)
    session.execute(
        update(Mandate)
        .where(Mandate.campaign_id == campaign.id)
        .values(state=MANDATES[campaign.state], state_reason=reason)
    )
