"""Health: how every part is, how fast opt-outs are; and the way to stop all sending, and to let it go on."""

from __future__ import annotations

from typing import Any

from flask import render_template, request
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from campaigns.web import unknowns
from campaigns.web.blueprint import campaigns
from mailer import condition, guard_limits, hold, metrics
from mailer.delivery import WINDOW_SECONDS
from mailer.models import Installation, Mandate, OpenHandover
from mailer.web.edge import db, see, transaction
from mailer.web.shop import shop
from mailer.web.signin import needs, operator_id

Answer = Response | tuple[str, int]

NO_KEY = (
    "The root key is not the one this database was made with: with it no suppression can be read. It is let go on the"
    " machine itself, with the right key."
)
UNREAD = "Something else was found while this page was open. Read why everything is on hold, then decide again."


@campaigns.get("/health")
@needs()
def health() -> str:
    """One line for every part. What isn't known is said, and hides nothing else."""
    session = db()
    found = condition.lines(session)
    return render_template(
        "admin/health.html",
        lines=found,
        worst=condition.worst(found),
        days=condition.patiently(session, lambda: metrics.by_day(session, shop().settings.shop_zone)),
        limits=guard_limits.read(session),
        unknown=condition.patiently(session, lambda: unknowns.campaigns(session)),
    )


@campaigns.get("/hold")
@needs()
def held() -> str:
    return hold_page()


@campaigns.post("/hold")
@needs("admin")
def stop_all() -> Answer:
    """Stop everything, at once. Saying it again changes nothing."""
    reason = said()
    if not reason:
        return hold_page(reason_problem="Say why, in a few words. It is kept with your name."), 422
    with transaction() as session:
        hold.hold(session, operator_id(), reason)
    return see("campaigns.held")


@campaigns.post("/hold/release")
@needs("admin")
def let_go() -> Answer:
    """Let it go on, for a reason. Never with a root key under which suppressions can't be read."""
    reason = said()
    if not reason:
        return hold_page(reason_problem="Say what you looked at. It is kept with your name."), 422
    known = db().scalar(select(Installation.root_key_fingerprint))
    if known not in (None, shop().keys.fingerprint()):
        return hold_page(problem=NO_KEY), 409
    with transaction() as session:
        # Whoever pressed saw a page: a restored database that was noticed since is for them to read about first.
        doubted = session.scalar(select(Installation.doubted_witness).with_for_update())
        unread = (doubted or "") != request.form.get("doubted", "")
        if not unread:
            hold.release(session, operator_id(), reason)
    return (hold_page(problem=UNREAD), 409) if unread else see("campaigns.held")


def said() -> str:
    return " ".join(request.form.get("reason", "").split())[:500]


def hold_page(**more: Any) -> str:
    session = db()
    state = session.execute(
        select(
            Installation.hold,
            Installation.doubted_witness,
            Installation.hold_since < func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, WINDOW_SECONDS),
        )
    ).one()
    sending = session.scalar(select(func.count()).where(Mandate.state == "sending"))
    in_flight = session.scalar(select(func.count()).select_from(OpenHandover))
    return render_template(
        "admin/hold.html",
        is_held=state.hold,
        in_doubt=state.doubted_witness is not None,
        doubted=state.doubted_witness or "",
        settled=bool(state[2]),
        sending=sending or 0,
        in_flight=in_flight or 0,
        **more,
    )
