"""A person's choices: what they said yes to, and a button to stop each kind or all; and one against counting clicks.

Nothing can be added here: a link may have been forwarded, so a new yes needs a confirmation by mail.
"""

from __future__ import annotations

from flask import request
from werkzeug.wrappers import Response

from mailer import clicks
from mailer.consent.links import Claim, Kind
from mailer.consent.policy import ALL
from mailer.web.edge import now
from mailer.web.public.blueprint import public
from mailer.web.public.choices import Choices, choices
from mailer.web.public.stopping import stop
from mailer.web.public.typed import unknown_link
from mailer.web.public.visit import page, verified
from mailer.web.shop import shop


@public.route("/p/<token>", methods=["GET", "POST"], strict_slashes=False)
def preferences(token: str) -> Response:
    """Show the choices (GET), or stop one kind or all, or the counting of clicks (POST)."""
    claim = verified(token, Kind.PREFERENCES)
    if claim is None:
        return unknown_link(400)
    found = of(claim)
    if request.method != "POST":
        return page("preferences", claim=claim, choices=found)
    if request.form.get("clicks") == "off":
        with shop().sessions() as session, session.begin():
            clicks.stop_counting(session, claim.customer_ref)
        return page("preferences", claim=claim, choices=of(claim), uncounted=True)
    scope = request.form.get("scope")
    if scope != ALL and scope not in {choice.purpose for choice in found.of}:
        return page("preferences", claim=claim, choices=found, unclear=True, status=400)
    at = stop(claim, scope, "preferences_page")
    return page("preferences", claim=claim, choices=of(claim), scope=scope, at=at)


def of(claim: Claim) -> Choices:
    """What the person says now; the session ends before a door is called that waits for locks."""
    with shop().sessions() as session:
        return choices(session, claim.customer_ref, now())
