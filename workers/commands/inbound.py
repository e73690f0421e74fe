"""`askfirst inbound`: what a mail server must say at /hooks/inbound."""

from __future__ import annotations

import click

from config.keys import Keys
from config.settings import Settings
from mailer.feedback.signatures import inbound_secret
from workers.installation import root_key


@click.command()
@click.option(
    "--key-id", type=click.IntRange(1, 2), default=1, show_default=True, help="2 while the first is replaced."
)
@click.pass_obj
def command(settings: Settings, key_id: int) -> None:
    """Print the secret for mail that comes in; it is made from the root key. See docs/feedback.md."""
    print(inbound_secret(Keys(root_key(settings)), key_id))
