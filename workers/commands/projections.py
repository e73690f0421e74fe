"""`askfirst projections`: what segments read, compared with what it was derived from, or derived anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.orm import Session

from config.settings import Settings
from mailer import activity
from mailer.db import create_engine_from
from workers import installation


@click.group()
def command() -> None:
    """Totals and facets of purchases and wishlists."""


@command.command()
@click.pass_obj
def verify(settings: Settings) -> None:
    """Derive every projection again, name what differs and exit 1 if anything does. Changes nothing."""
    with opened(settings) as session:
        differences = activity.verify(session)
    for one in differences:
        print(
            json.dumps(
                {"projection": one.projection, "key": one.key, "kept": one.kept, "derived": one.derived}, default=str
            )
        )
    print(json.dumps({"ok": not differences, "differences": len(differences)}))
    raise SystemExit(1 if differences else 0)


@command.command()
@click.pass_obj
def rebuild(settings: Settings) -> None:
    """Derive every projection anew. Whoever writes purchases waits meanwhile; mail and readers don't."""
    with opened(settings) as session:
        activity.rebuild(session)
        session.commit()
    print(json.dumps({"ok": True}))


@contextmanager
def opened(settings: Settings) -> Iterator[Session]:
    with installation.reachable(settings) as reached:
        if reached.database_url is None:
            raise click.ClickException("There is no database. Set DATABASE_URL, or run `askfirst up` once.")
        engine = create_engine_from(reached.database_url, name="askfirst projections")
        try:
            with Session(engine) as session:
                yield session
        finally:
            engine.dispose()
