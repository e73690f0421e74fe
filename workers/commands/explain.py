"""`askfirst explain CAMPAIGN CUSTOMER`: why is this person in or out?"""

from __future__ import annotations

import sys

import click

from config.settings import Settings

MARKS = {True: "yes", False: "no ", None: "   "}


@click.command()
@click.argument("campaign", type=int)
@click.argument("customer")
@click.pass_obj
def command(settings: Settings, campaign: int, customer: str) -> None:
    """Tell step by step why CUSTOMER (our number, or the shop's own) is in or out of CAMPAIGN."""
    from campaigns.explain import explain
    from mailer.customers import number_of
    from mailer.db import create_engine_from, session_factory
    from mailer.errors import InputProblem
    from workers.installation import reachable
    from workers.runtime import required

    with reachable(settings) as found:
        engine = create_engine_from(required(found.database_url, "DATABASE_URL"), name="askfirst explain")
        try:
            with session_factory(engine)() as session:
                told = explain(session, campaign, number_of(session, customer))
        except InputProblem as problem:
            sys.exit(str(problem))
        finally:
            engine.dispose()
    for step in told.steps:
        click.echo(f"{MARKS[step.holds]} {'  ' * step.depth}{step.words}")
