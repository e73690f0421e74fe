"""`askfirst bench NAME`: run a measurement of the source tree's `bench` folder, which is in no wheel."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import click

BENCH = Path(__file__).parents[2] / "bench"


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("name", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(name: str | None, arguments: tuple[str, ...]) -> None:
    """Measure NAME; each prints one JSON line a result. Without a name: what there is."""
    known = sorted(file.stem for file in BENCH.glob("*.py") if not file.stem.startswith("_"))
    if name not in known:
        raise click.UsageError(f"Say which: {', '.join(known) or 'there are none in this installation'}.")
    sys.argv = [name, *arguments]
    sys.path.insert(0, str(BENCH.parent))
    runpy.run_path(str(BENCH / f"{name}.py"), run_name="__main__")
