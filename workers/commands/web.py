"""`askfirst web`: the web application alone, under gunicorn."""

from __future__ import annotations

import click

from config.settings import Settings


@click.command()
@click.option("--fd", type=int, help="A listening socket handed over by the supervisor.")
@click.pass_obj
def command(settings: Settings, fd: int | None) -> None:
    """Serve the pages and the JSON API."""
    from workers.web import serve

    serve(settings, f"fd://{fd}" if fd is not None else settings.web_listen)
