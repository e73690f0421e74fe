"""`askfirst up`: run everything until Ctrl-C."""

from __future__ import annotations

import click

from config.settings import Settings
from workers.engines.places import EngineProblem
from workers.up import Supervisor, run


@click.command()
@click.option("--sink-latency", default=0.0, help="Seconds the local mail sink takes for a message, like a real relay.")
@click.pass_obj
def command(settings: Settings, sink_latency: float) -> None:
    """Run the database, the queue, the web application, the workers, the clock and a local inbox."""
    try:
        run(Supervisor(settings, say=click.echo, sink_latency=sink_latency), welcome=welcome)
    except EngineProblem as problem:
        raise click.ClickException(str(problem)) from problem


def welcome(supervisor: Supervisor) -> None:
    click.echo(f"askfirst is up: {supervisor.web_url}")
    if "sink" in supervisor.parts:
        click.echo(f"No SMTP_URL is set, so mail goes nowhere but to {supervisor.web_url}/inbox/")
    click.echo(f"Data and logs are in {supervisor.settings.data}. Press Ctrl-C to stop.")
