"""`askfirst hold`: stop everything, look, go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy import text
from sqlalchemy.orm import Session

from config.keys import Keys
from config.settings import Settings


@click.group()
def command() -> None:
    """Stop all sending, or let it go on. Opt-outs always work."""


@command.command()
@click.pass_obj
def status(settings: Settings) -> None:
    """Say whether sending is on hold, since when and why. Exit status 1 while it is."""
    with opened(settings) as (session, _keys):
        row = session.execute(text("SELECT hold, hold_reason, hold_since FROM installation")).one()
    if not row.hold:
        click.echo("Not on hold: campaigns that are started are being sent.")
        return
    click.echo(f"On hold since {row.hold_since:%d %B %Y, %H:%M} UTC: {row.hold_reason}")
    raise SystemExit(1)


@command.command()
@click.option("--reason", required=True, help="Why, for the record.")
@click.pass_obj
def on(settings: Settings, reason: str) -> None:
    """Stop all sending. Messages whose hand-over has begun may still arrive."""
    from mailer.hold import hold

    with opened(settings) as (session, _keys):
        changed = hold(session, None, reason)
        session.commit()
    click.echo("Nothing is sent from now on." if changed else "It was on hold already.")


@command.command()
@click.option("--reason", required=True, help="What was checked, for the record.")
@click.option("--accept-root-key", is_flag=True, help="The present root key is the right one from now on.")
@click.pass_obj
def off(settings: Settings, reason: str, *, accept_root_key: bool) -> None:
    """Let sending go on, after a person has looked."""
    from mailer.hold import release

    with opened(settings) as (session, keys):
        known = session.execute(text("SELECT root_key_fingerprint FROM installation")).scalar()
        if known not in (None, keys.fingerprint()) and not accept_root_key:
            raise click.ClickException(
                "The root key is not the one this database was made with: with it no suppression can be read, and"
                " people who said no could be mailed. Put the right key back. If it is lost for good and the"
                " suppressions were written anew under this one, say --accept-root-key."
            )
        changed = release(session, None, reason, fingerprint=keys.fingerprint() if accept_root_key else None)
        session.commit()
    click.echo("Sending goes on." if changed else "It was not on hold.")


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Session, Keys]]:
    """Give a session on the installation's database, and its keys."""
    from mailer.db import create_engine_from, session_factory
    from workers.installation import reachable
    from workers.runtime import required

    with reachable(settings) as found:
        engine = create_engine_from(required(found.database_url, "DATABASE_URL"), name="askfirst hold")
        try:
            with session_factory(engine)() as session:
                yield session, Keys(required(found.root_key, "ASKFIRST_ROOT_KEY"))
        finally:
            engine.dispose()
