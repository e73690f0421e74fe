"""Topics: what people can say yes to, and whether clicks on links of its mail are counted."""

from __future__ import annotations

from flask import abort, render_template, request
from sqlalchemy import select
from werkzeug.wrappers import Response

from campaigns.web.blueprint import campaigns
from mailer import clicks
from mailer.errors import UnknownPurpose
from mailer.models import Purpose
from mailer.web.edge import db, see, transaction
from mailer.web.signin import needs, operator_id


@campaigns.get("/topics")
@needs()
def topics() -> str:
    found = db().scalars(select(Purpose).order_by(Purpose.position)).all()
    return render_template("admin/topics.html", topics=found, said=request.args.get("said"))


@campaigns.post("/topics/<key>/click-tracking")
@needs("admin")
def count_clicks(key: str) -> Response:
    """Turn counting on or off: on for what is approved from now on, off at once and for everything."""
    on = request.form.get("count") == "on"
    try:
        with transaction() as session:
            clicks.switch(session, key, operator_id(), on=on)
    except UnknownPurpose:
        abort(404)
    return see("campaigns.topics", said="on" if on else "off")
