"""The limits that warn of a campaign and stop it: which hold, who set them, and an administrator's form."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from flask import render_template, request
from werkzeug.wrappers import Response

from campaigns.web.blueprint import campaigns
from mailer import guard_limits
from mailer.errors import InputProblem
from mailer.guards import CANARY_FEWEST, FEWEST
from mailer.web.edge import db, see, transaction
from mailer.web.signin import needs, operator_id


@campaigns.get("/limits")
@needs()
def limits() -> str:
    return page()


@campaigns.post("/limits")
@needs("admin")
def set_limits() -> Response | tuple[str, int]:
    """Both kinds at once, or nothing. What was stopped stays stopped until a person lets it go on."""
    problems: dict[str, str] = {}
    with transaction() as session:
        for what in guard_limits.WHATS:
            warn, stop = entered(f"{what}_warn"), entered(f"{what}_stop")
            if warn is None or stop is None:
                problems[f"{what}_{'warn' if warn is None else 'stop'}"] = "Enter a percentage such as 0.3."
                continue
            try:
                guard_limits.change(session, operator_id(), what, warn, stop)
            except InputProblem as problem:
                problems[f"{what}_stop"] = str(problem)
        if problems:
            session.rollback()
    return (page(problems), 422) if problems else see("campaigns.limits")


def entered(name: str) -> float | None:
    """Return the share that a field holds; None for what is no percentage."""
    try:
        given = Decimal(request.form.get(name, "").strip().removesuffix("%").strip())
    except InvalidOperation:
        return None
    return float(given / 100) if given.is_finite() and 0 < given <= 100 else None


def page(problems: dict[str, str] | None = None) -> str:
    found = guard_limits.read(db())
    shown: dict[str, Any] = {}
    for what, limit in found.items():
        for name, share in (("warn", limit.warn), ("stop", limit.stop)):
            field = f"{what}_{name}"
            shown[field] = request.form.get(field, guard_limits.percent_of(share).removesuffix("%"))
    return render_template(
        "admin/limits.html",
        limits=found,
        shown=shown,
        usual=guard_limits.USUAL,
        most=guard_limits.MOST,
        fewest=FEWEST,
        canary_fewest=CANARY_FEWEST,
        problems=problems or {},
    )
