"""`askfirst clock`: what is due, as time goes by."""

from __future__ import annotations

import click

from config.settings import Settings


@click.command()
@click.pass_obj
def command(settings: Settings) -> None:
    """Release due campaigns, reap and reconcile, until SIGTERM."""
    from workers.clock import run

    run(settings)
