"""One campaign. It has one address; its state decides what is there."""

from __future__ import annotations

from flask import abort, make_response, render_template, request
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from campaigns import rules
from campaigns.approval import approval_hash, covered
from campaigns.audience import Funnel, funnel
from campaigns.describe import describe
from campaigns.models import Approval, Campaign
from campaigns.preflight import preflight
from campaigns.web import guarded, progress, readings
from campaigns.web.blueprint import campaigns
from mailer import clicks
from mailer.models import Customer, Mandate, Operator, Purpose, Revision, SenderIdentity
from mailer.web import words
from mailer.web.edge import db, is_poll, now
from mailer.web.reasons import STATES, reason
from mailer.web.signin import needs
from mailer.web.titles import readable

UNSENT = ("draft", "waiting", "approved")


@campaigns.get("/campaigns/<int:campaign_id>")
@needs()
def show(campaign_id: int) -> str | Response:
    campaign = found(campaign_id)
    if is_poll():
        return part(campaign)
    return page(campaign)


@campaigns.get("/campaigns/<int:campaign_id>/people")
@needs()
def rows(campaign_id: int) -> str:
    """The people behind a number, masked, a page at a time."""
    campaign, args = found(campaign_id), request.args
    number = args.get("page", "1")
    whom = progress.Whom(
        state=args.get("state", ""),
        reason=args.get("reason", ""),
        left_out="left_out" in args,
        page=max(1, int(number)) if number.isdecimal() and len(number) < 7 else 1,
    )
    people = progress.rows(db(), campaign_id, whom)
    return render_template(
        "admin/rows.html", c=campaign, whom=whom, people=people, size=progress.PAGE, states=STATES, reason=reason
    )


@campaigns.get("/campaigns/<int:campaign_id>/spoken")
@needs()
def spoken(campaign_id: int) -> str:
    """One sentence for people who listen to the page; asked for every 15 seconds."""
    p = progress.progress(db(), found(campaign_id))
    doubt = p.states.get("in_doubt", 0)
    return (
        f"{words.number(p.done)} of {words.people(p.audience)} dealt with, {doubt} in doubt, {p.opted_out} opted out."
    )


def found(campaign_id: int) -> Campaign:
    return db().get(Campaign, campaign_id, populate_existing=True) or abort(404)


def page(campaign: Campaign, **more: object) -> str:
    """The page of a campaign as it is, whatever was tried just before."""
    common = about(campaign) | more
    if campaign.state in UNSENT:
        return render_template("admin/campaign.html", **before(campaign), **common)
    return render_template("admin/progress.html", **(common | clicked(campaign) | sent(campaign)))


def part(campaign: Campaign) -> Response:
    """Only the numbers. A page that shows another state than the campaign's is told to load itself anew."""
    if request.args.get("as") not in {campaign.state, None}:
        return make_response("", 200, {"HX-Refresh": "true"})
    return make_response(render_template("admin/_numbers.html", c=campaign, **sent(campaign)))


def about(campaign: Campaign) -> dict[str, object]:
    """What every state shows: its topic, content, sender, author, and what happened."""
    session = db()
    revision = session.get(Revision, campaign.revision_id) if campaign.revision_id else None
    return {
        "c": campaign,
        "purpose": session.get(Purpose, campaign.purpose),
        "revision": revision,
        "subject": readable(revision.subject, revision.kind, revision.values) if revision else None,
        "preheader": readable(revision.preheader, revision.kind, revision.values) if revision else None,
        "sender": session.get(SenderIdentity, campaign.sender_id),
        "author": session.get(Operator, campaign.author_id),
        "approval": approval_of(campaign),
        "mine": campaign.author_id == current_user.id,
        "events": readings.events(session, campaign.id),
        "said": request.args.get("said"),
    }


def approval_of(campaign: Campaign) -> tuple[Approval, str] | None:
    """The approval that holds, with the name of who gave it."""
    if campaign.approved_hash is None:
        return None
    row = db().execute(
        select(Approval, Operator.name)
        .join(Operator, Operator.id == Approval.approver_id)
        .where(Approval.campaign_id == campaign.id, Approval.approved_hash == campaign.approved_hash)
    )
    return row.one_or_none()


def before(campaign: Campaign) -> dict[str, object]:
    """What is decided on: whom it would reach, why others not, what has to be fixed, and the hash of all of it."""
    session, rule = db(), rules.parse(campaign.rule)
    return {
        "sentence": describe(rule),
        "funnel": funnel_rows(funnel(session, rule, campaign.purpose), campaign.purpose),
        "fix": preflight(session, campaign),
        "seen": approval_hash(session, campaign.id).hex(),
        "approvers": approvers(campaign),
        "counted": covered(session, campaign.id)["tracking"]["clicks"],
    }


def approvers(campaign: Campaign) -> list[str]:
    """Who may approve this campaign, by name."""
    query = select(Operator.name).where(Operator.active, Operator.roles.any(name="approver"))
    return list(db().scalars(query.where(Operator.id != campaign.author_id).order_by(Operator.name)))


def funnel_rows(counted: Funnel, purpose: str) -> dict[str, object]:
    """A funnel as pages show it: numbers with words, and why some may not be mailed."""
    known = db().scalar(select(func.count()).select_from(Customer)) or 0
    name = db().scalar(select(Purpose.name).where(Purpose.key == purpose))
    return {
        "rows": [
            (known, "people we know"),
            (counted.matched, "match the segment"),
            (counted.may_be_mailed, f"may be mailed about {name}"),
        ],
        "why": [(reason(key).few, count, None) for key, count in counted.reasons.items()],
        "may_be_mailed": counted.may_be_mailed,
        "not": counted.matched - counted.may_be_mailed,
        "at": now(),
    }


def clicked(campaign: Campaign) -> dict[str, object]:
    """Who followed which link: None where it was approved without counting, and so nobody was counted."""
    mandate = db().get(Mandate, campaign.id)
    if mandate is None or not mandate.click_tracking:
        return {"clicks": None}
    still = db().scalar(select(Purpose.click_tracking).where(Purpose.key == campaign.purpose))
    return {"clicks": clicks.numbers(db(), campaign.id), "counting": still}


def sent(campaign: Campaign) -> dict[str, object]:
    """The numbers of a campaign that was started."""
    return {
        "p": progress.progress(db(), campaign),
        "guarded": guarded.of_campaign(db(), campaign),
        "states": STATES,
        "reason": reason,
        "events": readings.events(db(), campaign.id),
    }
