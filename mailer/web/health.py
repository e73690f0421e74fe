"""`/healthz`: whether this process can do its work. 200 or 503, and one JSON object that says why.

HOLD is told, and is no illness: while nothing may be sent, customers must still be able to say stop, so a load
balancer must not take the web application away.
"""

from __future__ import annotations

from functools import cache

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, jsonify
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.wrappers import Response

from mailer.db import alembic_config
from mailer.models import Installation
from mailer.web.shop import shop

health = Blueprint("health", __name__)


@health.get("/healthz")
def healthz() -> tuple[Response, int]:
    """Ask the database, its schema and HOLD."""
    found = findings()
    well = found["database"] == "ok" and found["migrations"] == "at head"
    return jsonify({"ok": well, **found}), 200 if well else 503


def findings() -> dict[str, object]:
    """Say how the database is, whether its schema is this program's, and whether sending is on hold."""
    try:
        with shop().engine.connect() as connection:
            if MigrationContext.configure(connection).get_current_heads() != newest(shop().settings.database_url or ""):
                return {"database": "ok", "migrations": "not at head", "hold": None}
            hold = connection.scalar(select(Installation.hold))
    except (DBAPIError, PoolTimeout):
        return {"database": "unreachable", "migrations": "unknown", "hold": None}
    return {"database": "ok", "migrations": "at head", "hold": hold}


@cache
def newest(url: str) -> tuple[str, ...]:
    """The schema that this program was written for."""
    return tuple(ScriptDirectory.from_config(alembic_config(url)).get_heads())
