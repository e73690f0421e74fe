"""`askfirst sink`: the local mail sink alone."""

from __future__ import annotations

import asyncio
import socket

import click

from config.settings import Settings


@click.command()
@click.option("--fd", type=int, help="A listening socket handed over by the supervisor.")
@click.option("--port", default=0, help="Otherwise the port to listen on; 0 takes a free one.")
@click.option("--latency", default=0.0, help="Seconds to take for a message.")
@click.pass_obj
def command(settings: Settings, fd: int | None, port: int, latency: float) -> None:
    """Keep mail in the inbox folder and send nothing on."""
    from workers.sink import listen, serve

    listening = listen(port=port) if fd is None else socket.socket(fileno=fd)
    click.echo(f"keeping mail for {listening.getsockname()[:2]} in {settings.data / 'inbox'}")
    asyncio.run(serve(settings.data / "inbox", listening, latency))
