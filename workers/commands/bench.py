"""`askfirst bench NAME --n N`: measure one thing at two or more sizes; one JSON line a result."""

from __future__ import annotations

import importlib.util
import json
import sys
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import click

from config.settings import Settings
from workers.engines.places import EngineProblem
from workers.installation import reachable
from workers.measured import Counted, Measured, counted, line

FOLDER = Path(__file__).parents[2] / "bench"


@click.command()
@click.argument("name")
@click.option("--n", "sizes", type=click.IntRange(1), multiple=True, help="A size; give two or more to see growth.")
@click.option("--smtp", help="HOST:PORT of a sink for the send benchmark; without it one is started.")
@click.option("--provider", type=click.Choice(["fast", "slow", "hung"]), help="For optout: one of three.")
@click.option("--trials", type=click.IntRange(1), help="For optout: how many people say no.")
@click.option("--every", type=click.FloatRange(0.1), help="For killstorm: seconds between two kills.")
@click.option(
    "--folder", "labelled", type=click.Path(exists=True, file_okay=False, path_type=Path), help="For classify."
)
@click.option("--seed", default=1, show_default=True, help="What the data is made from.")
@click.pass_obj
def command(
    settings: Settings, /, name: str, sizes: tuple[int, ...], seed: int, labelled: Path | None, **options: Any
) -> None:
    """Measure NAME: ours, the limit and the naive way, on the same bytes. Benchmarks come with the source only.

    Runs on an embedded database of its own, which is gone afterwards; never on the one of DATABASE_URL.
    """
    bench = found(name)
    if not bench.SIZES:  # it reads what it's given, and needs no installation
        if labelled is None:
            raise click.UsageError(f"'{name}' needs --folder.")
        print(json.dumps(bench.run(labelled)), flush=True)
        return
    sizes = tuple(sorted(sizes)) or bench.SIZES
    if len(sizes) == 1 and getattr(bench, "GROWS", True):
        sizes = (max(1, sizes[0] // 10), *sizes)
    smallest: dict[str, Measured] = {}
    try:
        for n, chosen in product(sizes, bench.each(options) if hasattr(bench, "each") else [options]):
            with TemporaryDirectory(prefix="askfirst-bench-") as folder:
                apart = settings.replace(data=Path(folder) / "data", database_url=None, database_owner_url=None)
                with reachable(apart) as own:
                    found_out = bench.run(own, n, seed=seed, **chosen)
            # One result, or several by name.
            for part, one in (found_out if isinstance(found_out, dict) else {name: found_out}).items():
                told = (
                    counted(part, one) if isinstance(one, Counted) else line(part, one, smallest.setdefault(part, one))
                )
                print(json.dumps(told), flush=True)
    except EngineProblem as problem:
        raise click.ClickException(str(problem)) from problem


def found(name: str) -> ModuleType:
    """Return the benchmark of this name, or say which there are."""
    # Some modules there are what benchmarks are made of: a sink, a bare client.
    known = sorted(file.stem for file in FOLDER.glob("[a-z]*.py") if "\ndef run(" in file.read_text())
    if name not in known:
        raise click.UsageError(f"There is no benchmark '{name}'. There are: {', '.join(known) or 'none here'}.")
    spec = importlib.util.spec_from_file_location(f"bench_{name}", FOLDER / f"{name}.py")
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{FOLDER / name}.py can't be read.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its data classes look for themselves
    spec.loader.exec_module(module)
    return module
