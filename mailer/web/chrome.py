"""What surrounds every operators' page: the filters templates use, addresses of assets, the hold banner, errors."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, current_app, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException

from config.logging import get_logger
from mailer.address import mask
from mailer.guard_limits import percent_of
from mailer.models.mandates import Installation
from mailer.web import words
from mailer.web.edge import db, now

FACTS = {
    400: (
        "This form is too old",
        "It was open for too long, or came from another page. Go back, reload it and send it again.",
    ),
    403: (
        "This isn’t yours to see or do",
        "Your account doesn’t have the role for it. Whoever runs askfirst can give it.",
    ),
    404: ("There is nothing here", "The address may be mistyped, or the thing it named is gone."),
    405: ("That can’t be opened like this", "It is something to be done with a button, not a page."),
    422: ("That can’t be taken", "It holds a sign or a number that can’t be kept. Change it, and send it again."),
    429: ("Too many tries", "Wait a minute, then try again."),
    500: ("Something broke on our side", "It was written down. Nothing was sent because of it. Try again in a moment."),
}


def dress(app: Flask, zone: ZoneInfo) -> None:
    """Give the application's templates their filters and what every operators' page shows."""
    app.jinja_env.filters.update(
        number=words.number,
        rupees=words.rupees,
        people=words.people,
        mask=mask,
        visible=words.visible,
        breakable=words.breakable,
        duration=words.duration,
        percent=percent_of,
        capital=lambda text: text[:1].upper() + text[1:],
        when=lambda moment: words.when(moment, now(), zone),
        day=lambda moment: words.day(moment, zone),
        date=lambda moment: words.short_day(moment, zone),
        clock=lambda moment: words.clock_time(moment, zone),
        exact=lambda moment: words.exact(moment, zone),
        full=lambda moment: words.full(moment, zone),
    )
    app.jinja_env.globals.update(
        asset=asset, share=words.share, zone_name=zone.key.rpartition("/")[2].replace("_", " ")
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(hold)


def asset(name: str) -> str:
    """The address of a static file, with its content in it: caches may keep it for ever."""
    return url_for("static", filename=name, v=fingerprint(Path(str(current_app.static_folder)) / name))


@cache
def fingerprint(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:10]


def hold() -> dict[str, Any]:
    """The hold banner, for operators only: on public pages nobody asks."""
    if not current_user or not current_user.is_authenticated:
        return {"hold": None}
    row = (
        db()
        .execute(select(Installation.hold_reason, Installation.hold_since).where(Installation.hold.is_(True)))
        .one_or_none()
    )
    return {"hold": row and {"reason": row.hold_reason or "", "since": row.hold_since}}


def problem_page(code: int) -> tuple[str, int]:
    """A page for what went wrong: a fact and what to do."""
    fact, advice = FACTS.get(code, FACTS[500])
    return render_template("admin/problem.html", fact=fact, advice=advice), code


def answer_crash(_error: Exception) -> tuple[str, int]:
    """A page for what nobody thought of. The transaction it broke is given up first: the page reads, too."""
    db().rollback()
    return problem_page(500)


def answer_unkept(error: DataError) -> tuple[str, int]:
    """A page for what no column holds: a NUL, a number without end. Of strangers it stays a crash: their doors know."""
    if not current_user.is_authenticated:
        raise error
    get_logger(__name__).warning("not_kept", path=request.path, problem=type(error.orig).__name__)
    db().rollback()
    return problem_page(422 if request.method == "POST" else 404)  # a page keeps nothing: nothing has that number


def answer_problem(error: HTTPException) -> tuple[str, int] | HTTPException:
    """Error handler of the operators' blueprints."""
    return problem_page(error.code) if error.code in FACTS else error
