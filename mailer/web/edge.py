"""What every view needs from the application: a session, the time, and ways to answer.

The view owns the transaction: `transaction()` commits all that one request did, or nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import cast

from flask import Flask, current_app, g, redirect, request, url_for
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from config.keys import Keys
from mailer.db import SessionFactory

FACTORY, KEYS = "askfirst_sessions", "askfirst_keys"
SESSION = "askfirst_session"


def lend(app: Flask, sessions: SessionFactory, keys: Keys) -> None:
    """Give views the keys, and each request one session: made when first asked for, closed with the answer."""
    app.extensions[FACTORY], app.extensions[KEYS] = sessions, keys
    app.teardown_appcontext(_close)


def db() -> Session:
    """The session of this request."""
    if SESSION not in g:
        setattr(g, SESSION, current_app.extensions[FACTORY]())
    return cast("Session", g.get(SESSION))


def engine() -> Engine:
    """The engine behind the sessions, for doors that own their transactions."""
    return cast("Engine", db().get_bind())


def keys() -> Keys:
    return cast("Keys", current_app.extensions[KEYS])


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


def see(endpoint: str, **values: object) -> Response:
    """303: after a change the browser gets a page, so that a reload repeats nothing (RFC 9110, 15.4.4)."""
    return redirect(url_for(endpoint, **values), code=303)


def is_poll() -> bool:
    """A page that asks again by itself, with nobody's hand on it."""
    return request.method == "GET" and request.headers.get("HX-Request") == "true"


def _close(_: BaseException | None) -> None:
    session = g.pop(SESSION, None)
    if session is not None:
        session.close()
