"""What every view needs from the application: a session, the time, and ways to answer.

The view owns the transaction: `transaction()` commits all that one request did, or nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from flask import Flask, g, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.routing import IntegerConverter, Map
from werkzeug.wrappers import Response

from mailer.web.shop import shop

SESSION = "askfirst_session"


class RowNumber(IntegerConverter):
    """A number in a path that a row can have: a larger one is no page, and never gets as far as the database."""

    def __init__(self, url_map: Map, *args: Any, **kwargs: Any) -> None:
        super().__init__(url_map, *args, **{"max": 2**63 - 1, **kwargs})


def count_rows(app: Flask) -> None:
    """Let every `<int:...>` of every path be such a number. Say it before any path is added."""
    app.url_map.converters["int"] = RowNumber


def lend_sessions(app: Flask) -> None:
    """Close with each answer the session that its request took, if it took one."""
    app.teardown_appcontext(_close)


def db() -> Session:
    """The session of this request: one, made when first asked for."""
    if SESSION not in g:
        setattr(g, SESSION, shop().sessions())
    return cast("Session", g.get(SESSION))


@contextmanager
def transaction() -> Iterator[Session]:
    """Commit what was done inside, or, on any exception, nothing of it."""
    session = db()
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise


def now() -> datetime:
    """The time of this machine, for what is shown. What is decided asks the database's clock."""
    return datetime.now(UTC)


def see(endpoint: str, **values: Any) -> Response:
    """303: after a change the browser gets a page, so that a reload repeats nothing (RFC 9110, 15.4.4)."""
    return redirect(url_for(endpoint, **values), code=303)


def is_poll() -> bool:
    """A page that asks again by itself, with nobody's hand on it."""
    return request.method == "GET" and request.headers.get("HX-Request") == "true"


def _close(_: BaseException | None) -> None:
    session = g.pop(SESSION, None)
    if session is not None:
        session.close()
