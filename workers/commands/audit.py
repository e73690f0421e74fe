"""`askfirst audit verify`: can every message be proved?"""

from __future__ import annotations

import json
import sys

import click

from config.settings import Settings


@click.group()
def command() -> None:
    """Prove what was sent."""


@command.command()
@click.pass_obj
def verify(settings: Settings) -> None:
    """Derive anew why each message could leave. Prints one JSON object; exit status 1 if anything is off."""
    from mailer.audit import verify_now
    from mailer.db import create_engine_from
    from workers.installation import reachable
    from workers.runtime import required

    with reachable(settings) as found:
        engine = create_engine_from(required(found.database_url, "DATABASE_URL"), name="askfirst audit")
        findings = verify_now(engine)
        engine.dispose()
    print(json.dumps(findings, ensure_ascii=False))
    sys.exit(0 if findings["off"] == 0 else 1)
