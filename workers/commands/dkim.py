"""`askfirst dkim`: make a signing key, and see whether the world can check what it signs."""

from __future__ import annotations

import os
from pathlib import Path

import click

from config.settings import Settings


@click.group()
def command() -> None:
    """Signing keys for mail that no relay signs, and what DNS says about them."""


@command.command()
@click.argument("domain")
@click.argument("selector")
@click.option("--file", type=click.Path(path_type=Path), help="Where the key goes; DATA/dkim/ unless given.")
@click.pass_obj
def new(settings: Settings, domain: str, selector: str, file: Path | None) -> None:
    """Make a key for DOMAIN under SELECTOR, readable by its owner only, and say what to publish."""
    from mailer.dkim import load, new_key
    from mailer.published import quoted

    file = file or settings.data / "dkim" / f"{domain}.{selector}.pem"
    try:
        (wanted,) = settings.replace(dkim_keys=f"{domain}:{selector}={file.absolute()}").dkim_keys
    except ValueError:
        raise click.UsageError("DOMAIN looks like example.com, SELECTOR like 2026a.") from None
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(f"{file} is there already. A key is never written over: name another.") from None
    with os.fdopen(handle, "wb") as output:
        output.write(new_key())
    name, value = load([wanted]).all[0].record()
    click.echo(f"The key is in {file.absolute()}. First publish this, as one TXT record:\n")
    click.echo(f"{name}. TXT\n{quoted(value)}\n")
    click.echo("When `askfirst dkim check` finds it, name the key last in the settings, so that it signs:\n")
    keys = ",".join([*(f"{k.domain}:{k.selector}={k.path}" for k in settings.dkim_keys), written(wanted)])
    click.echo(f"DKIM_KEYS={keys}")


@command.command()
@click.argument("domain")
@click.option("--return-domain", help="Domain of the return paths, where it is another.")
@click.pass_context
def check(ctx: click.Context, domain: str, return_domain: str | None) -> None:
    """Compare what DNS has for DOMAIN with the keys in DKIM_KEYS. Status 1 unless all is well."""
    from mailer.dkim import BadKey, load
    from mailer.published import check as checked
    from mailer.resolver import ask_dns

    try:
        signers = load(ctx.obj.dkim_keys)
    except BadKey as problem:
        raise click.ClickException(str(problem)) from None
    look_up = ctx.meta.get("askfirst.look_up", ask_dns)
    findings = checked(domain, signers, look_up, return_domain=return_domain)
    for finding in findings:
        click.echo(f"{SIGNS[finding.fine]}  {finding.subject}: {finding.words}")
    if not all(finding.fine for finding in findings):
        raise SystemExit(1)


SIGNS = {True: "ok     ", False: "problem", None: "unknown"}


def written(key: object) -> str:
    return f"{key.domain}:{key.selector}={key.path}"  # type: ignore[attr-defined]
