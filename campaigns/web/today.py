"""Today: what is being sent, and what needs a person."""

from __future__ import annotations

from flask import render_template
from flask_login import current_user

from campaigns.web import readings
from campaigns.web.blueprint import campaigns
from mailer.web.edge import db, now
from mailer.web.signin import needs, operator_id


@campaigns.get("/")
@needs()
def today() -> str:
    session = db()
    return render_template(
        "admin/today.html",
        now=now(),
        sending=readings.in_state(session, "sending", "paused"),
        dealt_with=lambda campaign_id: readings.dealt_with(session, campaign_id),
        reason_of_pause=lambda campaign_id: readings.reason_of_pause(session, campaign_id),
        waiting=[line for line in readings.in_state(session, "waiting") if line.campaign.author_id != operator_id()],
        may_approve=current_user.has_role("approver"),
        ready=readings.in_state(session, "approved"),
        unsettled=readings.unsettled(session, now()),
    )
