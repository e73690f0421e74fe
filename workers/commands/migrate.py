"""`askfirst migrate`: bring the database to the newest schema."""

from __future__ import annotations

import click

from config.settings import Settings
from workers.engines.places import EngineProblem
from workers.installation import reachable
from workers.up import make_ready


@click.command()
@click.pass_obj
def command(settings: Settings) -> None:
    """Bring the database to the newest schema, and check that it may be relied on."""
    try:
        with reachable(settings) as reached:
            make_ready(reached)
    except EngineProblem as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo("The schema is the newest.")
