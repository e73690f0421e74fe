"""Unsubscribe: the page behind the link of a mail, and one-click by the mailbox provider (RFC 8058).

GET, HEAD and OPTIONS change nothing, however often (scanners follow every link). A one-click POST needs no cookie,
no token beside the link and no redirect; it is answered 200 after the commit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from mailer.consent.links import Claim, Kind
from mailer.consent.policy import ALL
from mailer.web.edge import now
from mailer.web.public.blueprint import public
from mailer.web.public.stopping import stop
from mailer.web.public.typed import unknown_link
from mailer.web.public.visit import page, plain, spoken, verified
from mailer.web.shop import shop

ONE_CLICK = b"List-Unsubscribe=One-Click"
WAYS_ON = {"preferences": Kind.PREFERENCES, "why": Kind.WHY}


@public.route("/u/<token>", methods=["GET", "POST"], strict_slashes=False)
def unsubscribe(token: str) -> Response:
    """Ask (GET), or stop (POST): what the button or the provider says."""
    one_click = request.method == "POST" and is_one_click()
    claim = verified(token, Kind.UNSUBSCRIBE)
    if claim is None:
        return unknown_link(400)
    if request.method != "POST":
        return question(claim)
    if one_click:
        return answer_one_click(claim)
    scope = asked_scope(claim)
    if scope is None:
        return question(claim, unclear=True)
    return done(claim, scope, stop(claim, scope, "unsubscribe_page"))


def is_one_click() -> bool:
    """Whether this is RFC 8058's POST, urlencoded or multipart; the bare line without a type counts too."""
    raw = request.get_data(cache=True)  # before the form is parsed: afterwards it is gone
    return request.form.getlist("List-Unsubscribe") == ["One-Click"] or raw.strip() == ONE_CLICK


def asked_scope(claim: Claim) -> str | None:
    """What the pressed button says; None for anything that this page doesn't have a button for."""
    scope = request.form.get("scope")
    return scope if scope is not None and scope in (claim.purpose, ALL) else None


def answer_one_click(claim: Claim) -> Response:
    stop(claim, claim.purpose or ALL, "one_click")
    said = spoken()
    texts = said.texts["unsubscribe"]
    if claim.purpose is None:
        return plain(texts["one_click_all"])
    return plain(texts["one_click"].format(purpose=said.purpose(claim.purpose)))


def question(claim: Claim, *, unclear: bool = False) -> Response:
    """The page with the buttons. It says nothing that the link itself doesn't say."""
    return page("unsubscribe", claim=claim, status=400 if unclear else 200, unclear=unclear, **ways_on(claim))


def done(claim: Claim, scope: str, at: datetime) -> Response:
    """What ended, since when, and what may still arrive."""
    return page("done", claim=claim, scope=scope, at=at, **ways_on(claim))


def ways_on(claim: Claim) -> dict[str, Any]:
    """Tokens of the other links that the same mail carried; what has expired there isn't offered here."""
    links = shop().links
    tokens = {name: links.also(claim, kind) for name, kind in WAYS_ON.items()}
    return {name: token if links.verify(token, WAYS_ON[name], now()) else None for name, token in tokens.items()}
