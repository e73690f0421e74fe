"""What receivers hold against us, the sender: grouped by cause, with what to do, until somebody says "seen"."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, abort, render_template, request
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from mailer import acts
from mailer.models import Alert
from mailer.web.chrome import answer_crash, answer_problem
from mailer.web.edge import db, see, transaction
from mailer.web.signin import needs, operator_id

alerts = Blueprint("alerts", __name__, url_prefix="/alerts")
alerts.register_error_handler(400, answer_problem)
alerts.register_error_handler(403, answer_problem)
alerts.register_error_handler(500, answer_crash)

SEES = ("author", "approver", "helpline", "admin")
SETTLES = ("approver", "admin")
DOMAINS = 6
EARLIER = 20
MOST = 5_000
"""Lines that one button can mark: what a form may hold. The rest shows again."""

ADVICE = {
    "sender_not_authenticated": (
        "Our mail is not proved to be ours",
        "Check SPF, DKIM and DMARC of the sender's domain, and the reverse name of the server that sends.",
    ),
    "refused_as_spam": (
        "Receivers call our mail unwanted, or our server",
        "Pause what is sending. Look at complaints, and whether our server is on a block list; then send slower.",
    ),
    "sender_refused": (
        "Our own sender address is refused",
        "Check that the From address and the domain of return paths exist and take mail.",
    ),
    "too_large": ("Our messages are too large", "Make the images smaller, or leave some out."),
    "message_refused": (
        "Our messages are refused for how they are made",
        "Read what the receiver says, and send a test to yourself. If it looks right, tell whoever runs askfirst.",
    ),
    "blocked": (
        "The provider or a receiver blocks our mail",
        "Look at the provider's own page about blocks: they are about the sender or the moment, not about the people.",
    ),
}
OTHERWISE = ("Something about our mail is refused", "Read what the receiver says, and tell whoever runs askfirst.")


@dataclass(frozen=True, slots=True)
class Group:
    """One cause, over all domains and days that nobody has looked at."""

    cause: str
    title: str
    advice: str
    count: int
    domains: Sequence[tuple[str, int]]
    more_domains: int
    sample: str
    first_at: datetime
    last_at: datetime
    shown: str
    """Names of the lines that the page counts together."""


@alerts.get("/")
@needs(*SEES)
def index() -> str:
    """What nobody has looked at, the latest first; below it, what was looked at."""
    session = db()
    seen = session.scalars(
        select(Alert).where(Alert.seen_at.is_not(None)).order_by(Alert.seen_at.desc()).limit(EARLIER)
    ).all()
    return render_template("admin/alerts.html", unseen=groups(session), seen=seen, advice=ADVICE, otherwise=OTHERWISE)


@alerts.post("/seen")
@needs(*SETTLES)
def settle() -> Response:
    """Somebody has looked at what the page showed. What came since stays, and the next one shows again."""
    cause, shown = request.form.get("cause", ""), set(request.form.get("shown", "").split())
    unseen = select(Alert).where(Alert.cause == cause, Alert.seen_at.is_(None)).order_by(Alert.domain, Alert.day)
    with transaction() as session:
        seen = [alert for alert in session.scalars(unseen.with_for_update()) if as_shown(alert) in shown]
        if not seen:
            abort(400)
        for alert in seen:
            alert.seen_at, alert.seen_by = func.clock_timestamp(), operator_id()
        acts.record(session, operator_id(), "see_alert", f"alert:{cause}", messages=sum(alert.count for alert in seen))
    return see("alerts.index")


def as_shown(alert: Alert) -> str:
    """Return a short name for one line as it stands: with the next message it is another one."""
    return hashlib.sha256(f"{alert.domain} {alert.day} {alert.count}".encode()).hexdigest()[:10]


def groups(session: Session) -> list[Group]:
    found: dict[str, list[Alert]] = {}
    for alert in session.scalars(select(Alert).where(Alert.seen_at.is_(None)).order_by(Alert.last_at.desc())):
        found.setdefault(alert.cause, []).append(alert)
    return [group(cause, rows) for cause, rows in found.items()]


def group(cause: str, rows: Sequence[Alert]) -> Group:
    title, advice = ADVICE.get(cause, OTHERWISE)
    domains: dict[str, int] = {}
    for row in rows:
        domains[row.domain] = domains.get(row.domain, 0) + row.count
    most = sorted(domains.items(), key=lambda one: (-one[1], one[0]))
    return Group(
        cause,
        title,
        advice,
        sum(domains.values()),
        most[:DOMAINS],
        max(0, len(most) - DOMAINS),
        rows[0].sample,
        min(row.first_at for row in rows),
        rows[0].last_at,
        " ".join(as_shown(row) for row in rows[:MOST]),
    )
