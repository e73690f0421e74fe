"""The answer while the database can't be reached: 503, said plainly, with the same button once more.

The page is a plain file, read when the application is made: it needs no database, no template engine and no disk.
"Nothing is being sent meanwhile" holds because the gate fails closed: no message leaves without reading consent.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from flask import Flask, make_response, request
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.wrappers import Response

from config.logging import get_logger
from mailer import patience
from mailer.errors import Unavailable
from mailer.web.public.visit import last_house, sent_fields

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FILE = Path(__file__).parents[2] / "templates" / "pages" / "unavailable.html"
RETRY_SECONDS = 120
PATIENCE, SHORT_PATIENCE = 20.0, 4.0
"""Seconds that a request waits for a database that is frozen and says nothing; the short one is for pages on which
somebody may be saying no, and for all who ask often: their threads are needed."""
HURRIED = {"public", "people", "health", "webhooks"}


def say_when_unavailable(app: Flask) -> None:
    """Answer every request that needs the database and can't have it."""
    file = Template(FILE.read_text("utf-8"))

    def answer(error: Exception) -> Response:
        if isinstance(error, DBAPIError) and not is_unreachable(error):
            raise error
        get_logger(__name__).error("database_unavailable", method=request.method, problem=type(error).__name__)
        response = make_response(file.substitute(facts()), 503)
        response.retry_after = RETRY_SECONDS
        return response

    app.before_request(hurry)
    app.wsgi_app = in_time(app.wsgi_app)  # type: ignore[method-assign,assignment]
    for kind in (Unavailable, OperationalError, InterfaceError, PoolTimeout):
        app.register_error_handler(kind, answer)


def in_time(application: WSGIApplication) -> WSGIApplication:
    """Let no request wait for the database without an end, not even while its session is closed."""

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with patience.within(PATIENCE):
            return application(environ, start_response)

    return call


def hurry() -> None:
    """Shorten the wait where many come, or somebody says no."""
    if request.blueprint in HURRIED:
        patience.hurry(SHORT_PATIENCE)


def is_unreachable(error: DBAPIError) -> bool:
    """Whether there is no talking to the database, as opposed to the database saying no (which has an SQLSTATE)."""
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or state is None or state.startswith(("08", "57P", "53"))


def facts() -> dict[str, str]:
    """What the file leaves open: what was being done, and how to reach a person if we ever knew."""
    house, posted = last_house(), request.method == "POST"
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in sent_fields().items()
    )
    return {
        "root": escape(request.script_root),
        "brand": escape(house.brand),
        "method": "post" if posted else "get",
        "fields": fields,
        "saving": "" if posted else "hidden",
        "reading": "hidden" if posted else "",
        "phone": escape(house.care_phone),
        "call": "" if house.care_phone else "hidden",
    }
