"""Where the views of this folder attach themselves, and what each of their pages shows above itself."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from flask_login import current_user

from campaigns.web import readings
from mailer.web.chrome import answer_crash, answer_problem
from mailer.web.edge import db

campaigns = Blueprint("campaigns", __name__)
for code in (400, 403, 404, 405):
    campaigns.register_error_handler(code, answer_problem)
campaigns.register_error_handler(500, answer_crash)


@campaigns.app_context_processor
def on_air() -> dict[str, Any]:
    """What is being sent now, in the top line of every operators' page."""
    if not current_user or not current_user.is_authenticated:
        return {"on_air": None}
    return {"on_air": readings.on_air(db())}
