"""Bugs that must be found: what is planted, where it would bite, and the promise it breaks there.

`python -m tests.model.mutants [NAME]` prints the shortest trace of each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.model.explore import Found, explore
from tests.model.state import Setup

PAIR = Setup(outcomes="AN")
"""One campaign, two people, two workers."""
STOPPED = replace(PAIR, opt_out="link")
HURRIED = replace(STOPPED, impatient=True, rows=((0, 1), (0, 0)))
"""The opt-out's second runs out; the person who opts out comes second in the batch."""
SHARED = replace(PAIR, address=(0, 0))
"""Two records with one address."""
TWICE = Setup(rows=((0, 0), (1, 0)), address=(0,), outcomes="AN")
"""One person in two campaigns."""
LONE = Setup(rows=((0, 0),), address=(0,), outcomes="AN")
"""One delivery, two workers."""


@dataclass(frozen=True)
class Mutant:
    """A planted bug with the configuration in which it bites; `promise` is how the broken one begins."""

    bug: str
    promise: str
    setup: Setup
    ends: bool = False

    def hunt(self) -> Found:
        """Explore with the bug until the promise is broken."""
        planted = replace(self.setup, bugs=frozenset({self.bug}))
        return explore(planted, until=lambda name: name.startswith(self.promise), ends=self.ends)

    def trace(self) -> list[str] | None:
        """Return the trace to the broken promise, or None if the bug lives."""
        return next((trace for name, trace in self.hunt().broken.items() if name.startswith(self.promise)), None)


MUTANTS = (
    Mutant("no gate", "S2", STOPPED),
    Mutant("no lock", "S2", STOPPED),
    Mutant("gate joined into the locking statement", "S2", STOPPED),
    Mutant("a batch waits for people", "LIVE a batch", STOPPED),
    Mutant("in-doubt re-queued", "S1 taken twice for a person", replace(LONE, kills=1)),
    Mutant("recorded before the call", "S5 accepted and never taken", LONE),
    Mutant("no open hand-overs", "S7 two open", TWICE),
    Mutant("no address key", "S1 taken twice for an address", SHARED),
    Mutant("no address key", "S1 taken twice for an address", replace(PAIR, moves=((1, 0),), workers=1)),
    Mutant(
        "only handed-over holders count",
        "S6",
        replace(SHARED, opt_out="link", resends=1, outcomes="AD", workers=1),
        ends=True,
    ),
    Mutant("pause withholds", "S6 a pause", replace(LONE, pauses=1)),
    Mutant("no fence", "S7 a first byte", LONE),
    Mutant("no fence", "S1 a first byte of a settled row", replace(LONE, resends=1)),
    Mutant("reaper ignores the lock", "S5 a live hand-over", LONE),
    Mutant("reaper without the later check", "S8", LONE),
    Mutant("feedback is overwritten", "S8", replace(LONE, outcomes="AD", feedback=True)),
    Mutant("ledger not compared", "S4", replace(LONE, yeses=1)),
    Mutant("grant cited only when recorded", "S4", replace(LONE, kills=1)),
    Mutant("address not compared", "S1 a first byte to an address", replace(PAIR, moves=((1, 2),), workers=1)),
    Mutant("gate does not read stop requests", "S2", HURRIED),
    Mutant("stop requests are never folded", "S6", replace(HURRIED, workers=1), ends=True),
    Mutant("late fold", "S9", replace(HURRIED, workers=1, yeses=1)),
    Mutant("window restarted by progress", "S2", HURRIED),
    Mutant("opt-out answers without its wait", "S2", replace(HURRIED, rows=((0, 0),))),
    Mutant("opt-out without the stop row", "S2", replace(HURRIED, rows=((0, 0),))),
    Mutant("swept only once", "S6", replace(PAIR, cancels=1, workers=1, gives_up=True), ends=True),
    Mutant("sweep in another order, waiting", "LIVE deadlock", replace(PAIR, cancels=1, row_locks=True, gives_up=True)),
    Mutant("socket not watched", "SOCKET", replace(PAIR, losses=1, workers=1)),
)


def controls() -> Iterator[tuple[Setup, bool]]:
    """Every configuration once, with nothing planted, and whether a way to the end is looked for."""
    for setup in dict.fromkeys(mutant.setup for mutant in MUTANTS):
        yield setup, any(mutant.ends for mutant in MUTANTS if mutant.setup == setup)


if __name__ == "__main__":
    for mutant in MUTANTS:
        if len(sys.argv) < 2 or mutant.bug in sys.argv[1:]:
            found = mutant.hunt()
            print(f"{mutant.bug}: {found.states} states, {found.seconds:.1f} s")
            for name, trace in found.broken.items():
                print(
                    f"    {name}, {len(trace)} steps",
                    *trace if name.startswith(mutant.promise) else (),
                    sep="\n        ",
                )
