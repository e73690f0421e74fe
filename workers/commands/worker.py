"""`askfirst worker`: one process that sends, one batch at a time."""

from __future__ import annotations

import click

from config.settings import Settings


@click.command()
@click.option("--queue", default="sending", show_default=True)
@click.pass_obj
def command(settings: Settings, queue: str) -> None:
    """Work on one queue until SIGTERM; the batch at hand is finished."""
    from workers.runtime import run_worker

    run_worker(settings, queue)
