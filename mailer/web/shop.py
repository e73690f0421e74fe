"""What the web application was put together from, for whoever answers a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app
from sqlalchemy import Engine

from config.keys import Keys
from config.settings import Settings
from mailer.consent.links import Links
from mailer.db import SessionFactory

EXTENSION = "askfirst"


@dataclass(frozen=True, slots=True)
class Shop:
    """The parts that `create_app` joins. `app.extensions["askfirst"]` is one."""

    settings: Settings
    keys: Keys
    engine: Engine
    sessions: SessionFactory
    links: Links


def shop() -> Shop:
    """The parts of the application that answers this request."""
    return cast("Shop", current_app.extensions[EXTENSION])
