"""The way through a counted link: to where the approved mail says, and nowhere else.

No cookie, no session, nothing about anybody in the address that follows. Whether it was a person is judged by what
a program says of itself; it decides only what is counted, never where anybody goes.
"""

from __future__ import annotations

from datetime import timedelta

from flask import abort, redirect, request
from sqlalchemy.exc import DBAPIError
from werkzeug.wrappers import Response

from config.logging import get_logger
from mailer import clicks
from mailer.click_links import ClickLinks, Followed
from mailer.consent.policy import SHOP_ZONE
from mailer.web.edge import now
from mailer.web.public.agents import agent_class
from mailer.web.public.blueprint import public
from mailer.web.public.typed import unknown_link
from mailer.web.rates import bucket, count, network_of
from mailer.web.shop import shop

WINDOW = timedelta(hours=1)
PER_NETWORK = 600
"""Clicks of one network that are counted in an hour. Beyond it everybody still gets where they are going."""
PEOPLE = {"browser", "text browser"}
AHEAD = ("Purpose", "Sec-Purpose", "X-Purpose", "X-Moz")
"""Headers by which a program says that it fetches ahead, for nobody yet."""


@public.get("/c/<token>", strict_slashes=False)
def click(token: str) -> Response:
    """Lead on (302). Without the database nobody knows where to: 503, said plainly, and the link stays good."""
    links = ClickLinks(shop().keys, shop().settings.public_url)
    followed = links.verify(token)
    if followed is None:
        return unknown_link(400)
    with shop().sessions() as session:
        url = clicks.leads_to(session, followed)
    if url is None:
        return unknown_link(404)
    if not url.startswith("https://"):  # held by the table too
        abort(404)
    count_it(followed)
    answer = redirect(url, code=302)
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    return answer


def count_it(followed: Followed) -> None:
    """Write it down, if it can be; the way on never hangs on that."""
    agent = agent_class(request.user_agent.string)
    machine = request.method == "HEAD" or agent not in PEOPLE or fetches_ahead()
    today = now().astimezone(SHOP_ZONE).date()
    try:
        with shop().sessions() as session, session.begin():
            if count(session, bucket(shop().keys, "click", network_of(request.remote_addr)), WINDOW) <= PER_NETWORK:
                clicks.record(session, followed, machine=machine, agent=agent, today=today)
    except DBAPIError as trouble:
        get_logger(__name__).warning("click_not_counted", problem=type(trouble.orig).__name__)


def fetches_ahead() -> bool:
    """Whether the request says of itself that nobody asked for it."""
    said = " ".join(request.headers.get(header, "") for header in AHEAD).lower()
    return "prefetch" in said or "preview" in said or "prerender" in said
