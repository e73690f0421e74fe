"""What people decide about messages nobody knows the fate of: send again, by two of them, or close."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from campaigns.approval import approval_hash
from campaigns.drafts import active_operator, locked, note
from campaigns.lifecycle import MANDATES, after
from campaigns.models import Campaign
from campaigns.operations.running import pause
from mailer import doubts, guards
from mailer.doubts import Decided
from mailer.errors import InputProblem, NotAllowed, Refused
from mailer.models import Mandate, ResendRequest


def ask_to_send_again(
    session: Session, campaign_id: int, operator_id: int, reason: str, only: Sequence[UUID] | None = None
) -> int:
    """Ask for a second message to those who are unconfirmed; return to how many. Somebody else decides.

    Raises InputProblem without a reason, Refused if nobody is unconfirmed or the campaign can't send any more.
    """
    campaign = locked(session, campaign_id)
    active_operator(session, operator_id)
    if not reason:
        raise InputProblem("Say why it should be sent again. Who decides reads it.")
    _refuse_if_over(session, campaign)
    request_id, covered = doubts.propose(session, campaign_id, operator_id, reason, only)
    what = f"Asked to send again to {covered} people: {reason}"
    facts = {"request": request_id, "people": covered, "reason": reason}
    note(session, campaign_id, operator_id, what, "resend_requested", **facts)
    return covered


def send_again(session: Session, campaign_id: int, request_id: int, operator_id: int) -> Decided:
    """Approve somebody else's request: who is still unconfirmed waits to leave again, and the campaign goes on.

    The gate runs again for each of them. Raises NotAllowed for whoever asked and for whoever may not approve,
    Refused if it was decided already or the campaign is not what was approved any more.
    """
    campaign = locked(session, campaign_id)
    _of_campaign(session, campaign_id, request_id)
    if "approver" not in {role.name for role in active_operator(session, operator_id).roles}:
        raise NotAllowed("Only an approver can approve. Ask an administrator for that role.")
    _refuse_if_over(session, campaign)
    if approval_hash(session, campaign_id) != campaign.approved_hash:
        raise Refused("It is not what was approved any more: the sender was changed. Close them instead.")
    decided = doubts.approve(session, request_id, operator_id)
    if decided.again:
        _go_on(session, campaign)
    what = f"Approved to send again to {decided.again} people"
    if decided.settled:
        what += f"; of {decided.settled} others news came first"
    facts = {"request": request_id, "people": decided.again, "settled": decided.settled}
    note(session, campaign_id, operator_id, what, "resend_approved", **facts)
    if campaign.state == "sending" and guards.stopped(session, campaign_id):
        # Its numbers spoke after it had ended: whoever resumes it says what they found.
        pause(session, campaign_id, None, "Too many complained or bounced the first time")
    return decided


def turn_down(session: Session, campaign_id: int, request_id: int, operator_id: int) -> str:
    """Decline somebody's request, or take one's own back; return which. Nobody is sent anything."""
    locked(session, campaign_id)
    asked = _of_campaign(session, campaign_id, request_id)
    operator = active_operator(session, operator_id)
    if asked.proposed_by != operator_id and "approver" not in {role.name for role in operator.roles}:
        raise NotAllowed("Only an approver can decide on somebody else's request.")
    decision = doubts.turn_down(session, request_id, operator_id)
    what = "Took the request to send again back" if decision == "withdrawn" else "Declined to send again"
    note(session, campaign_id, operator_id, what, f"resend_{decision}", request=request_id)
    return decision


def close(session: Session, campaign_id: int, operator_id: int, only: Sequence[UUID] | None = None) -> int:
    """Close what is unconfirmed, unknown as it is; return how many. It can't be opened again."""
    locked(session, campaign_id)
    active_operator(session, operator_id)
    closed = doubts.close(session, campaign_id, only)
    if closed == 0:
        raise Refused("Nobody is left to close: news came meanwhile, or somebody closed them already.")
    what = f"Closed {closed} unconfirmed, unknown whether they arrived"
    note(session, campaign_id, operator_id, what, "unconfirmed_closed", people=closed)
    return closed


def _of_campaign(session: Session, campaign_id: int, request_id: int) -> ResendRequest:
    asked = session.get(ResendRequest, request_id, populate_existing=True)
    if asked is None or asked.campaign_id != campaign_id:
        raise InputProblem("There is no such request in this campaign.")
    return asked


def _refuse_if_over(session: Session, campaign: Campaign) -> None:
    after(campaign.state, "resend")
    over = select(Mandate.ends_at <= func.clock_timestamp()).where(Mandate.campaign_id == campaign.id)
    if session.scalar(over):
        raise Refused("The end of this campaign has passed: nothing more of it is sent. Close them instead.")


def _go_on(session: Session, campaign: Campaign) -> None:
    state = after(campaign.state, "resend")
    if state != campaign.state:
        campaign.state, campaign.ended_at = state, None
        session.execute(
            update(Mandate).where(Mandate.campaign_id == campaign.id).values(state=MANDATES[state], state_reason=None)
        )
