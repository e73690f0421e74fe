"""Everything operators need besides their campaigns, added to the application in one call."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from flask import Flask
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError

from mailer.web.alerts import alerts
from mailer.web.chrome import answer_problem, answer_unkept, dress
from mailer.web.edge import lend_sessions
from mailer.web.kept import kept
from mailer.web.people import people
from mailer.web.senders import blueprint as senders
from mailer.web.shop import Shop
from mailer.web.signin import sign_operators_in


def open_desk(app: Flask, shop: Shop) -> None:
    """Add the look, sign-in, people and what came back. `app.extensions["askfirst"]` is set, CSRF protection is on."""
    lend_sessions(app)
    dress(app, ZoneInfo(shop.settings.shop_zone))
    sign_operators_in(app, shop.keys)
    app.register_error_handler(429, answer_problem)
    app.register_error_handler(CSRFError, answer_problem)
    app.register_error_handler(DataError, answer_unkept)
    for blueprint in (people, alerts, kept, senders):
        app.register_blueprint(blueprint)
