"""Approval and return: the mandate is written here, and nowhere else."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from campaigns import options, rules
from campaigns.approval import MESSAGE_CLASS, approval_hash
from campaigns.audience import funnel
from campaigns.describe import describe
from campaigns.drafts import active_operator, locked, note, void_approval
from campaigns.lifecycle import after
from campaigns.models import Approval, Campaign
from campaigns.preflight import require_ready
from mailer import clicks
from mailer.errors import NotAllowed, Refused
from mailer.models import Mandate, Product, Purpose, Revision


def approve(session: Session, campaign_id: int, operator_id: int, *, seen: bytes, comment: str | None = None) -> bool:
    """Say yes to exactly what was `seen` (its `approval_hash`); False if that is approved already.

    Raises NotAllowed for the author of the campaign or of its content, Refused if it changed since it was seen.
    The database enforces the same once more (trigger `approvals_before`).
    """
    campaign = locked(session, campaign_id)
    if campaign.state == "approved" and campaign.approved_hash == seen:
        return False
    state = after(campaign.state, "approve")
    _may_approve(session, campaign, operator_id)
    require_ready(session, campaign)
    if approval_hash(session, campaign_id) != seen:
        raise Refused("It was changed since you opened it. Read it again, then decide.")
    audience = funnel(session, rules.parse(campaign.rule), campaign.purpose).may_be_mailed
    session.add(
        Approval(
            campaign_id=campaign_id,
            author_id=campaign.author_id,
            approver_id=operator_id,
            approved_hash=seen,
            audience=audience,
            comment=comment,
        )
    )
    session.flush()
    campaign.state, campaign.approved_hash, campaign.approved_audience = state, seen, audience
    _write_mandate(session, campaign, seen)
    note(
        session,
        campaign_id,
        operator_id,
        f"Approved for {audience} people" + (f": {comment}" if comment else ""),
        "campaign_approved",
        approved_hash=seen.hex(),
        audience=audience,
    )
    return True


def return_(session: Session, campaign_id: int, operator_id: int, comment: str) -> bool:
    """Give a campaign back to its author, also after approval; False if it is a draft already."""
    campaign = locked(session, campaign_id)
    if campaign.state == "draft":
        return False
    campaign.state = after(campaign.state, "return")
    active_operator(session, operator_id)
    void_approval(session, campaign)
    note(session, campaign_id, operator_id, f"Returned: {comment}", "campaign_returned", comment=comment)
    return True


def _may_approve(session: Session, campaign: Campaign, operator_id: int) -> None:
    operator = active_operator(session, operator_id)
    content_author = session.scalar(select(Revision.author_id).where(Revision.id == campaign.revision_id))
    if operator_id in (campaign.author_id, content_author):
        raise NotAllowed("You can't approve your own work. Ask somebody else who may approve.")
    if "approver" not in {role.name for role in operator.roles}:
        raise NotAllowed("Only an approver can approve. Ask an administrator for that role.")


def _write_mandate(session: Session, campaign: Campaign, approved_hash: bytes) -> None:
    chosen = options.parse(campaign.options)
    tracked = session.scalar(select(Purpose.click_tracking).where(Purpose.key == campaign.purpose)) or False
    if tracked and campaign.revision_id is not None:
        clicks.keep_destinations(session, session.get_one(Revision, campaign.revision_id))
    session.execute(delete(Mandate).where(Mandate.campaign_id == campaign.id, Mandate.state == "approved"))
    session.add(
        Mandate(
            campaign_id=campaign.id,
            state="approved",
            purpose=campaign.purpose,
            message_class=MESSAGE_CLASS,
            revision_id=campaign.revision_id,
            sender_id=campaign.sender_id,
            approved_hash=approved_hash,
            click_tracking=tracked,
            audience_sentence=describe(rule := rules.parse(campaign.rule), _product_names(session, rule)),
            **{name: getattr(chosen, name) for name in options.Options.__slots__},
        )
    )
    session.flush()


def _product_names(session: Session, rule: rules.Rule) -> dict[str, str]:
    wanted = {
        value
        for part in rules.walk(rule)
        if isinstance(part, rules.Bought | rules.WishlistHolds) and part.dimension == "product"
        for value in part.values
    }
    if not wanted:
        return {}
    named = select(Product.external_ref, Product.name).where(Product.external_ref.in_(wanted))
    return dict(session.execute(named).all())
