"""`askfirst journal`: every no and every erasure outside the database, and back into a restored one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from config.settings import Settings


@click.group()
def command() -> None:
    """Opt-outs and erasures as files: written by the clock by itself, brought back after a restore."""


@command.command()
@click.option("--wait", default=10.0, show_default=True, help="Seconds to wait for transactions that still run.")
@click.pass_obj
def export(settings: Settings, wait: float) -> None:
    """Write what is new to the journal in the data folder, now. Exit status 1 when not all of it could be written."""
    from mailer.db import create_engine_from, session_factory
    from mailer.journal_whole import export_all
    from workers.installation import reachable
    from workers.runtime import required
    from workers.startup import folders

    with reachable(settings) as found:
        engine = create_engine_from(required(found.database_url, "DATABASE_URL"), name="askfirst journal")
        try:
            done = export_all(session_factory(engine), folders(settings), wait)
        finally:
            engine.dispose()
    if done is None:
        raise click.ClickException("Nothing was written: the database is in doubt (on HOLD).")
    click.echo(f"{done.lines} lines written to {settings.data / 'journal'}.")
    if done.waiting:
        raise click.ClickException(f"{done.waiting} wait for a transaction that is still running: run it again.")


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def apply(settings: Settings, files: tuple[Path, ...]) -> None:
    """Bring back what FILES say and this database doesn't know. It only stops; again and again is safe.

    Prints one JSON object. Exit status 1 when a line could not be read.
    """
    from mailer.db import create_engine_from
    from mailer.journal_back import apply as bring_back
    from workers.installation import reachable
    from workers.runtime import required

    with reachable(settings) as found:
        engine = create_engine_from(required(found.database_url, "DATABASE_URL"), name="askfirst journal")
        try:
            done = {"applied": 0, "known": 0, "nobody": 0, "unreadable": 0}
            for file in files:
                with file.open(encoding="utf-8", errors="replace") as lines:
                    for what, count in bring_back(engine, lines).items():
                        done[what] += count
        finally:
            engine.dispose()
    click.echo(json.dumps(done))
    if done["unreadable"]:
        raise SystemExit(1)
