"""`askfirst admin create`: let somebody in who works here. There is no other way to become an operator."""

from __future__ import annotations

import click

from config.settings import Settings
from mailer.errors import BadAddress, InputProblem


@click.group()
def command() -> None:
    """The people who work here."""


@command.command()
@click.argument("email")
@click.option("--role", "roles", multiple=True, required=True, help="author, approver, helpline or admin; repeatable.")
@click.option("--name", help="Shown on campaigns and acts; the part before the @ unless given.")
@click.option("--password", "ask", is_flag=True, help="Ask for a password instead of making one.")
@click.pass_obj
def create(settings: Settings, email: str, roles: tuple[str, ...], name: str | None, ask: bool) -> None:
    """Add an operator. A password made here is printed once and kept nowhere."""
    given = click.prompt("Password", hide_input=True, confirmation_prompt=True) if ask else None
    try:
        address = checked(email, given)
        password = add(settings, address, name or address.partition("@")[0].capitalize(), roles, given)
    except InputProblem as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(f"{address} can sign in as {', '.join(roles)}.")
    if given is None:
        click.echo(f"Password (shown once): {password}")


LEAST = 12
"""Characters of a password that a person chose (NIST SP 800-63B asks for 8, or 15 where it stands alone)."""


def checked(email: str, password: str | None) -> str:
    from mailer.address import parse

    if password is not None and len(password) < LEAST:
        raise InputProblem(f"A password has at least {LEAST} characters. Nothing was added.")
    try:
        return parse(email).canonical
    except BadAddress as problem:
        raise InputProblem(f"{problem} Nothing was added.") from problem


def add(settings: Settings, email: str, name: str, roles: tuple[str, ...], password: str | None) -> str:
    """Write the operator in a transaction of its own."""
    import wsgi
    from mailer.web.edge import transaction
    from mailer.web.signin import make_operator
    from workers.installation import reachable

    with reachable(settings) as found:
        app = wsgi.create_app(found)
        try:
            with app.app_context(), transaction():
                return make_operator(email, name, roles, password)
        finally:
            app.extensions["askfirst"].engine.dispose()
