"""`askfirst demo`: the main job on a real purchase history, with opt-outs and a killed worker, judged at the end."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from config.settings import Settings
from workers.demo.history import HistoryMissing
from workers.demo.story import Listener, Told, tell
from workers.demo.world import NotEmpty
from workers.engines.places import EngineProblem

STEP = 0.25
"""Where no terminal shows a bar, a line is printed every so often."""


@click.command()
@click.option("--exit", "leave", is_flag=True, help="End when it is done: status 0 if every promise was kept.")
@click.option("--households", type=click.IntRange(30, 2469), help="Load so many households only.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, 600),
    default=20.0,
    show_default=True,
    help="How long the sending lasts; 0: as fast as it goes.",
)
@click.pass_obj
def command(settings: Settings, leave: bool, households: int | None, seconds: float) -> None:
    """Send a Diwali campaign to people who don't exist, and prove that nobody was mailed who said no."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job ignores the first
        signal.signal(number, signal.default_int_handler)
    try:
        with shown() as listener, tell(settings, listener, households=households, seconds=seconds) as told:
            show(told)
            if not leave:
                welcome(told)
                threading.Event().wait()
    except KeyboardInterrupt:
        sys.exit(130 if leave else 0)
    except (EngineProblem, HistoryMissing, NotEmpty) as problem:
        raise click.ClickException(str(problem)) from problem
    sys.exit(0 if told.verdict.kept else 1)


def show(told: Told) -> None:
    """Print a short table, what was not kept if anything, and the JSON object."""
    sys.stderr.flush()
    numbers = told.verdict.numbers
    table = Table("", "people", title="Diwali wishes", title_justify="left", show_edge=False, caption_justify="left")
    table.columns[1].justify = "right"
    table.add_row("match the rule", str(numbers["matched"]))
    for reason, count in sorted(told.verdict.exclusions.items(), key=lambda item: -item[1]):
        table.add_row(f"  left out: {reason.replace('_', ' ')}", str(count))
    table.add_row("in the audience", str(numbers["audience"]))
    table.add_row("  handed to the mail provider", str(numbers["accepted"]))
    for reason, count in numbers["withheld"].items():
        table.add_row(f"  withheld at the last moment: {str(reason).replace('_', ' ')}", str(count))
    table.add_row("  refused by the provider", str(numbers["refused"]))
    table.add_row("  in doubt: a worker was killed", str(numbers["in_doubt"]))
    table.add_row("messages in the inbox", str(numbers["inbox"]))
    table.add_row("said no while it was being sent", str(numbers["opted_out_while_sending"]))
    table.caption = pace(told)
    Console(highlight=False).print(table)
    for words in told.verdict.broken:
        print(f"NOT KEPT: {words}")
    print(json.dumps(numbers), flush=True)


def pace(told: Told) -> str:
    """Say how fast mail went out, and how quickly opt-outs were answered."""
    seconds = max(told.verdict.mailing_seconds, 0.001)
    words = f"{seconds:.1f} s of mailing, {told.verdict.numbers['inbox'] / seconds:.0f} messages a second"
    answers = sorted(one.answered_at - one.asked_at for one in told.clicks)
    if answers:
        words += f"\nopt-outs answered in {answers[len(answers) // 2]:.3f} s, {answers[-1]:.3f} s at most"
    return words


def welcome(told: Told) -> None:
    """Say where everything is, and how to sign in."""
    url = told.supervisor.web_url
    print(f"\nThe operators' side: {url}/   the inbox: {url}/inbox/")
    for one in told.staff:
        print(f"  {one.email:<20} {one.password}   {one.name}, {', '.join(one.roles)}")
    print("Everything is removed when you press Ctrl-C.", flush=True)


@contextmanager
def shown() -> Iterator[Listener]:
    """Give a listener that shows stages and progress on stderr: bars on a terminal, lines elsewhere."""
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield _Shown(console, bars).listener()


class _Shown:
    def __init__(self, console: Console, bars: Progress) -> None:
        self._console = console
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, float] = {}

    def listener(self) -> Listener:
        return Listener(
            self._console.print, lambda what, done, of: self._advance(f"loading {what}", done, of), self._sent
        )

    def _sent(self, settled: int, audience: int) -> None:
        if audience:
            self._advance("sending", settled, audience)

    def _advance(self, what: str, done: int, of: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=of)
        self._bars.update(self._tasks[what], completed=done)
        share = done / of
        if not self._console.is_terminal and share >= self._told.get(what, 0.0):
            self._console.print(f"{what.replace('_', ' ')}: {share:.0%}")
            self._told[what] = share // STEP * STEP + STEP
