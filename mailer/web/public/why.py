"""The page behind "Why did I get this e-mail?"."""

from __future__ import annotations

from flask import request
from werkzeug.wrappers import Response

from mailer.consent.links import Kind
from mailer.web.edge import now
from mailer.web.public.blueprint import public
from mailer.web.public.proof import proof
from mailer.web.public.stopping import stop
from mailer.web.public.typed import unknown_link
from mailer.web.public.unsubscribe import asked_scope, done, ways_on
from mailer.web.public.visit import page, verified
from mailer.web.shop import shop


@public.route("/w/<token>", methods=["GET", "POST"], strict_slashes=False)
def why(token: str) -> Response:
    """Show the yes behind a mail (GET); its buttons stop as those of the opt-out page do (POST)."""
    claim = verified(token, Kind.WHY)
    if claim is None:
        return unknown_link(400)
    scope = asked_scope(claim)
    if request.method == "POST" and scope is not None:
        return done(claim, scope, stop(claim, scope, "proof_page"))
    with shop().sessions() as session:
        found = proof(session, claim, now())
    status = 400 if request.method == "POST" else 200
    return page("why", claim=claim, proof=found, unclear=status == 400, status=status, **ways_on(claim))
