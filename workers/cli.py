"""The command line, `askfirst`. Each command is a module in `workers/commands` with a `command` in it.

They are imported when they are run, so that one command never pays for another, and a new one is a new file.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from pathlib import Path

import click

from config.settings import Settings, SettingsProblems
from workers import commands


class Commands(click.Group):
    """The modules of `workers.commands`, by name."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"workers.commands.{cmd_name}").command
        return command


@click.group(cls=Commands)
@click.option("--data", type=click.Path(path_type=Path), help="The data folder; ASKFIRST_DATA says the same.")
@click.pass_context
def main(ctx: click.Context, data: Path | None) -> None:
    """Mail only people who said yes."""
    if ctx.resilient_parsing:
        return
    try:
        settings = Settings.from_env(os.environ)
    except SettingsProblems as problems:
        raise click.UsageError(str(problems)) from None
    ctx.obj = settings if data is None else settings.replace(data=data)


if __name__ == "__main__":
    main(prog_name="askfirst")
