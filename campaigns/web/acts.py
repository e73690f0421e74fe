"""What buttons do: each change of a campaign is a noun that is posted to, and is answered with 303 or with why not."""

from __future__ import annotations

from collections.abc import Callable

from flask import current_app, request
from flask_login import current_user
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from campaigns import guarding, operations
from campaigns.web.blueprint import campaigns
from campaigns.web.one import found, page
from mailer.errors import InputProblem, NotAllowed, Refused
from mailer.web.edge import see, transaction
from mailer.web.signin import needs, operator_id

TEST_SENDER = "askfirst_test_sender"
"""Extension of the application: a `campaigns.operations.TestSender`, put there by whoever has a mail provider."""

Answer = Response | tuple[str, int]


@campaigns.post("/campaigns/<int:campaign_id>/submission")
@needs("author")
def submit(campaign_id: int) -> Answer:
    return change(campaign_id, lambda session: operations.submit(session, campaign_id, operator_id()))


@campaigns.post("/campaigns/<int:campaign_id>/approval")
@needs("approver")
def approve(campaign_id: int) -> Answer:
    """A yes to what the page showed: its hash comes back with the form."""
    comment = request.form.get("comment", "").strip()[:500] or None
    try:
        seen = bytes.fromhex(request.form.get("seen", ""))
    except ValueError:
        seen = b""
    return change(
        campaign_id,
        lambda session: operations.approve(session, campaign_id, operator_id(), seen=seen, comment=comment),
    )


@campaigns.post("/campaigns/<int:campaign_id>/return")
@needs("approver")
def give_back(campaign_id: int) -> Answer:
    comment = request.form.get("comment", "").strip()[:500]
    if not comment:
        return page(found(campaign_id), return_problem="Say what has to change. The author reads it."), 422
    return change(campaign_id, lambda session: operations.return_(session, campaign_id, operator_id(), comment))


@campaigns.post("/campaigns/<int:campaign_id>/start")
@needs("author", "approver")
def start(campaign_id: int) -> Answer:
    """Once. Whoever clicks again is told that it was started, and nothing happens."""

    def begin(session: Session) -> None:
        answer = operations.start(session, campaign_id, operator_id())
        if not answer.started:
            raise Refused(answer.words)

    return change(campaign_id, begin)


@campaigns.post("/campaigns/<int:campaign_id>/pause")
@needs("author", "approver")
def pause(campaign_id: int) -> Answer:
    reason = f"by {current_user.name}"
    return change(campaign_id, lambda session: operations.pause(session, campaign_id, operator_id(), reason))


@campaigns.post("/campaigns/<int:campaign_id>/resumption")
@needs("author", "approver")
def resume(campaign_id: int) -> Answer:
    """What its numbers stopped takes a reason."""
    reason = " ".join(request.form.get("reason", "").split())[:500] or None
    return change(campaign_id, lambda session: operations.resume(session, campaign_id, operator_id(), reason))


@campaigns.post("/campaigns/<int:campaign_id>/canary/release")
@needs("author", "approver")
def let_canary_go(campaign_id: int) -> Answer:
    """The rest goes now: before its time, or against its numbers."""
    said = request.form.get("reason", "")
    return change(
        campaign_id,
        lambda session: guarding.let_canary_go(session, campaign_id, operator_id(), guarding.require_reason(said)),
    )


@campaigns.post("/campaigns/<int:campaign_id>/domains/resumption")
@needs("author", "approver")
def let_domain_go(campaign_id: int) -> Answer:
    """Send again to a domain that its numbers had stopped."""
    domain, said = request.form.get("domain", ""), request.form.get("reason", "")
    return change(
        campaign_id,
        lambda session: guarding.let_domain_go(
            session, campaign_id, operator_id(), domain, guarding.require_reason(said)
        ),
    )


@campaigns.post("/campaigns/<int:campaign_id>/cancellation")
@needs("author", "approver")
def cancel(campaign_id: int) -> Answer:
    return change(campaign_id, lambda session: operations.cancel(session, campaign_id, operator_id()))


@campaigns.post("/campaigns/<int:campaign_id>/test")
@needs("author", "approver")
def test(campaign_id: int) -> Answer:
    """One message to whoever asks, and to nobody else."""
    sender = current_app.extensions.get(TEST_SENDER)
    if sender is None:
        return page(found(campaign_id), problem="No mail provider is set up here, so nothing was sent."), 409
    return change(
        campaign_id, lambda session: operations.send_test(session, campaign_id, operator_id(), sender), said="test"
    )


def change(campaign_id: int, act: Callable[[Session], object], **said: str) -> Answer:
    """Do it in one transaction. A no is shown on the page of the campaign as it is, and nothing was changed."""
    found(campaign_id)
    try:
        with transaction() as session:
            act(session)
    except (Refused, InputProblem) as no:
        status = 403 if isinstance(no, NotAllowed) else 409
        return page(found(campaign_id), problem=str(no)), status
    return see("campaigns.show", campaign_id=campaign_id, **said)
