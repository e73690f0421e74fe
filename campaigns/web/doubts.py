"""In doubt: where a person decides about messages that nobody knows to have arrived, and a second one agrees."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from flask import render_template, request
from flask_login import current_user
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from campaigns import operations
from campaigns.models import Campaign
from campaigns.web import unknowns
from campaigns.web.blueprint import campaigns
from campaigns.web.one import found
from mailer.db import database_time
from mailer.errors import InputProblem, NotAllowed, Refused
from mailer.web.edge import db, see, transaction
from mailer.web.reasons import reason
from mailer.web.signin import needs, operator_id

Answer = Response | tuple[str, int]


@campaigns.get("/in-doubt")
@needs()
def doubts() -> str:
    """Every campaign of which something is not known."""
    return render_template("admin/doubts.html", lines=unknowns.campaigns(db()))


@campaigns.get("/campaigns/<int:campaign_id>/in-doubt")
@needs()
def doubt(campaign_id: int) -> str:
    return page(found(campaign_id))


@campaigns.post("/campaigns/<int:campaign_id>/resends")
@needs("author", "approver")
def ask_again(campaign_id: int) -> Answer:
    """Ask to send again, to those chosen or to all. Nothing is sent by it."""
    why = " ".join(request.form.get("reason", "").split())[:500]
    return decide(
        campaign_id,
        lambda session: operations.ask_to_send_again(session, campaign_id, operator_id(), why, chosen()),
        said="asked",
    )


@campaigns.post("/campaigns/<int:campaign_id>/resends/<int:request_id>/approval")
@needs("approver")
def approve_again(campaign_id: int, request_id: int) -> Answer:
    return decide(
        campaign_id,
        lambda session: operations.send_again(session, campaign_id, request_id, operator_id()),
        said="again",
    )


@campaigns.post("/campaigns/<int:campaign_id>/resends/<int:request_id>/refusal")
@needs("author", "approver")
def turn_down(campaign_id: int, request_id: int) -> Answer:
    """An approver declines; who asked takes it back."""
    return decide(
        campaign_id,
        lambda session: operations.turn_down(session, campaign_id, request_id, operator_id()),
        said="not_again",
    )


@campaigns.post("/campaigns/<int:campaign_id>/closing")
@needs("author", "approver")
def close(campaign_id: int) -> Answer:
    return decide(
        campaign_id, lambda session: operations.close(session, campaign_id, operator_id(), chosen()), said="closed"
    )


def chosen() -> list[UUID] | None:
    """The rows that were ticked; None for all of the campaign, which takes a button of its own."""
    if request.form.get("which") == "all":
        return None
    try:
        ticked = [UUID(value) for value in request.form.getlist("delivery")]
    except ValueError:
        raise InputProblem("Choose from the list.") from None
    if not ticked:
        raise InputProblem("Nobody was chosen. Tick who is meant, or use the button for all.")
    return ticked


def decide(campaign_id: int, act: Callable[[Session], object], said: str) -> Answer:
    """Do it in one transaction. A no is shown on the page as it is now, and nothing was changed."""
    found(campaign_id)
    try:
        with transaction() as session:
            act(session)
    except NotAllowed as no:
        return page(found(campaign_id), problem=str(no)), 403
    except InputProblem as no:
        return page(found(campaign_id), problem=str(no)), 422
    except Refused as no:
        return page(found(campaign_id), problem=str(no)), 409
    return see("campaigns.doubt", campaign_id=campaign_id, said=said)


def page(campaign: Campaign, problem: str | None = None) -> str:
    number = request.args.get("page", "1")
    at = max(1, int(number)) if number.isdecimal() and len(number) < 7 else 1
    session = db()
    return render_template(
        "admin/doubt.html",
        c=campaign,
        counts=unknowns.counts(session, campaign.id),
        rows=unknowns.rows(session, campaign.id, at),
        requests=unknowns.requests(session, campaign, database_time(session)),
        page=at,
        size=unknowns.PAGE,
        reason=reason,
        problem=problem,
        said=request.args.get("said"),
        me=current_user.id,
        wrote=request.form.get("reason", "") if problem else "",
    )
