"""The HTTP application, put together. `gunicorn 'wsgi:create_app()'` runs it; nothing connects at import."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask
from sqlalchemy import Engine

from campaigns.web.acts import TEST_SENDER
from campaigns.web.routes import campaigns
from config.keys import Keys
from config.settings import Settings, SettingsProblems
from mailer.consent.links import Links
from mailer.db import create_engine_from, session_factory
from mailer.web.desk import open_desk
from mailer.web.edge import count_rows
from mailer.web.health import health
from mailer.web.inbox import show_inbox
from mailer.web.measures import measures
from mailer.web.public.routes import public
from mailer.web.security import guard
from mailer.web.shop import EXTENSION, Shop
from mailer.web.unavailable import say_when_unavailable
from mailer.web.webhooks import webhooks
from workers.trial import make_test_sender

TEMPLATES = Path(__file__).parent / "templates"
CONNECT_SECONDS = 3
POOL_SECONDS = 5


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application. Engine, keys and links are in `app.extensions["askfirst"]`, a `Shop`."""
    settings = settings or Settings.from_env(os.environ)
    shop = parts(settings)
    app = Flask("askfirst", template_folder=TEMPLATES / "pages", static_folder=TEMPLATES / "static")
    app.extensions[EXTENSION] = shop
    count_rows(app)
    guard(app, settings).exempt(webhooks)
    open_desk(app, shop)
    say_when_unavailable(app)
    for blueprint in (public, health, campaigns, webhooks, measures):
        app.register_blueprint(blueprint)
    # Browsers ask for it by this name, whatever a page says.
    app.add_url_rule("/favicon.ico", "favicon", lambda: app.send_static_file("shop.svg"))
    show_inbox(app, settings)
    if settings.providers:
        app.extensions[TEST_SENDER] = make_test_sender(settings, shop.links)
    return app


def parts(settings: Settings) -> Shop:
    """Make what requests share. Raises SettingsProblems for what only `askfirst up` can do without."""
    if settings.database_url is None or settings.root_key is None:
        raise SettingsProblems(
            ["DATABASE_URL and ASKFIRST_ROOT_KEY are needed by the web application; `askfirst up` gives it its own"]
        )
    keys, engine = Keys(settings.root_key), web_engine(settings)
    return Shop(settings, keys, engine, session_factory(engine), Links(keys, settings.public_url))


def web_engine(settings: Settings) -> Engine:
    """An engine with a connection for every thread and one more for the opt-out door, which brings its own."""
    return create_engine_from(
        settings.database_url or "",
        name="askfirst web",
        pool_size=settings.web_threads,
        max_overflow=settings.web_threads,
        pool_timeout=POOL_SECONDS,
        connect_args={"connect_timeout": CONNECT_SECONDS},
    )
