"""Writing a campaign: create, edit, content, submit. An edit takes a campaign back to a draft and voids its approval.

Only its author edits a campaign: so whoever approves it later is somebody who wrote none of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from campaigns import options as campaign_options
from campaigns import rules
from campaigns.content import save_revision
from campaigns.lifecycle import after
from campaigns.models import Campaign, CampaignEvent
from campaigns.preflight import require_ready
from mailer import acts
from mailer.errors import InputProblem, NotAllowed
from mailer.models import Mandate, Operator, Purpose, Revision, SenderIdentity
from mailer.render import Source

KINDS = ("festive", "launch", "offer", "service")
"""Each kind is bound to the purpose of the same key: what people said yes to decides what may be sent."""


class Changes(TypedDict, total=False):
    """What an edit changes; the rest stays."""

    name: str
    kind: str
    rule: rules.Rule
    segment_id: int | None
    sender_id: int
    options: campaign_options.Options
    scheduled_at: datetime | None


def create_campaign(
    session: Session,
    operator_id: int,
    *,
    name: str,
    kind: str,
    sender_id: int,
    rule: rules.Rule = rules.EVERYBODY,
    segment_id: int | None = None,
    options: campaign_options.Options | None = None,
    scheduled_at: datetime | None = None,
) -> Campaign:
    """Write a new draft, by `operator_id`, who will not be able to approve it."""
    active_operator(session, operator_id)
    campaign = Campaign(author_id=operator_id, state="draft")
    _apply(
        session,
        campaign,
        {
            "name": name,
            "kind": kind,
            "rule": rule,
            "segment_id": segment_id,
            "sender_id": sender_id,
            "options": options or campaign_options.Options(),
            "scheduled_at": scheduled_at,
        },
    )
    session.add(campaign)
    session.flush()
    note(session, campaign.id, operator_id, "Written", "campaign_created", name=name, kind=kind)
    return campaign


def edit(session: Session, campaign_id: int, operator_id: int, **changes: Unpack[Changes]) -> Campaign:
    """Change a campaign that was not started; whatever approval it had is void."""
    campaign = _to_draft(session, campaign_id, operator_id)
    changed = _apply(session, campaign, changes)
    note(session, campaign_id, operator_id, "Edited", "campaign_edited", fields=changed)
    return campaign


def write_content(session: Session, campaign_id: int, operator_id: int, source: Source) -> Revision:
    """Keep new content, compiled; whatever approval the campaign had is void. Raises `ContentProblems`."""
    campaign = _to_draft(session, campaign_id, operator_id)
    revision = save_revision(session, campaign, operator_id, source)
    note(session, campaign_id, operator_id, "Content written", "campaign_content_written", revision=revision.id)
    return revision


def submit(session: Session, campaign_id: int, operator_id: int) -> bool:
    """Ask for approval; False if it waits already. Raises `PreflightProblems` with all that must be fixed first."""
    campaign = locked(session, campaign_id)
    if campaign.state == "waiting":
        return False
    state = after(campaign.state, "submit")
    _only_author(session, campaign, operator_id)
    require_ready(session, campaign)
    campaign.state = state
    campaign.submitted_at = session.scalar(select(func.clock_timestamp()))
    note(session, campaign_id, operator_id, "Waits for approval", "campaign_submitted")
    return True


def locked(session: Session, campaign_id: int) -> Campaign:
    """Return the campaign, locked and as it is now. Every operation starts with it, so they come one by one.

    The mandate first: the gate, too, pauses a mandate and then, by its trigger, the campaign.
    """
    session.execute(select(Mandate.state).where(Mandate.campaign_id == campaign_id).with_for_update())
    campaign = session.scalars(
        select(Campaign).where(Campaign.id == campaign_id).with_for_update().execution_options(populate_existing=True)
    ).one_or_none()
    if campaign is None:
        raise InputProblem(f"There is no campaign {campaign_id}.")
    return campaign


def active_operator(session: Session, operator_id: int) -> Operator:
    """Return the operator, or raise NotAllowed for somebody who doesn't work here (any more)."""
    operator = session.get(Operator, operator_id)
    if operator is None or not operator.active:
        raise NotAllowed("Only somebody who works here, and is active, can do that.")
    return operator


def note(session: Session, campaign_id: int, operator_id: int | None, what: str, act: str, **document: Any) -> None:
    """Write down what happened: for those who watch the campaign, and in the chain of acts. Last in its transaction."""
    session.add(CampaignEvent(campaign_id=campaign_id, what=what, operator_id=operator_id))
    acts.record(session, operator_id, act, f"campaign:{campaign_id}", **document)


def _to_draft(session: Session, campaign_id: int, operator_id: int) -> Campaign:
    campaign = locked(session, campaign_id)
    state = after(campaign.state, "edit")
    _only_author(session, campaign, operator_id)
    void_approval(session, campaign)
    campaign.state = state
    return campaign


def void_approval(session: Session, campaign: Campaign) -> None:
    """Take the approval and the mandate that came of it away; the approval itself stays on record."""
    campaign.approved_hash = campaign.approved_audience = None
    session.execute(delete(Mandate).where(Mandate.campaign_id == campaign.id, Mandate.state == "approved"))


def _only_author(session: Session, campaign: Campaign, operator_id: int) -> None:
    active_operator(session, operator_id)
    if campaign.author_id != operator_id:
        raise NotAllowed("Only its author can change this campaign. Ask them, or write a new one.")


def _apply(session: Session, campaign: Campaign, changes: Changes) -> list[str]:
    if not changes.get("name", "-").strip():
        raise InputProblem("A campaign needs a name.")
    kind = changes.get("kind", campaign.kind)
    if kind not in KINDS or session.get(Purpose, kind) is None:
        raise InputProblem(f"There is no kind '{kind}'; these exist: {', '.join(KINDS)}.")
    sender_id = changes.get("sender_id", campaign.sender_id)
    if session.get(SenderIdentity, sender_id) is None:
        raise InputProblem(f"There is no sender {sender_id}. Choose one that exists.")
    leaves = changes.get("scheduled_at")
    if leaves is not None and leaves.tzinfo is None:
        raise InputProblem("The time it leaves must name its time zone.")
    stored: dict[str, Any] = {**changes, "purpose": kind}
    if "rule" in changes:
        stored["rule"] = rules.to_json(changes["rule"])
    if "options" in changes:
        stored["options"] = campaign_options.to_json(changes["options"])
    for name, value in stored.items():
        setattr(campaign, name, value)
    return sorted(changes)
