"""The long run (`make model`): every promise in configurations too large for each change of the code.

Each is cut off after 150 seconds of one core (`make model ARGS=20`: after 20); what was looked at by then is said.
Ends with 1 if a promise was broken or a planted bug was not found.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

from tests.model.explore import explore
from tests.model.mutants import MUTANTS
from tests.model.state import Setup

SECONDS = 150.0

_HURRIED = Setup(opt_out="link", impatient=True, rows=((0, 1), (0, 0)))
_AN, _AND = replace(_HURRIED, outcomes="AN"), replace(_HURRIED, outcomes="AND")
_BOTH = ((0, 0), (0, 1), (1, 0))
RUNS: Mapping[str, Setup] = {
    "an opt-out that runs out of patience, all outcomes, events": replace(
        _HURRIED, part_batches=True, gives_up=True, feedback=True
    ),
    "the same with a kill": replace(_AN, kills=1),
    "the same with a lost session": replace(_AN, losses=1),
    "the same with a stopped worker": replace(_AN, stops=1),
    "the same with a kill and a lost session": replace(_AND, kills=1, losses=1, feedback=True),
    "the same with a lost session and a stopped worker": replace(_AN, losses=1, stops=1),
    "a typed address, to which another record moves": replace(_AN, opt_out="typed", moves=((1, 0),), gives_up=True),
    "a typed address that is left and taken again": replace(_AN, opt_out="typed", moves=((0, 2), (0, 0))),
    "two records with one address in two campaigns": replace(_AND, address=(0, 0), rows=((0, 0), (1, 1))),
    "two records with one address in one campaign, a kill": replace(
        _AND, address=(0, 0), rows=((0, 0), (0, 1)), impatient=False, kills=1
    ),
    "a cap over two campaigns, a kill": replace(_AN, rows=_BOTH, cap=1, kills=1, impatient=False),
    "a cap over two campaigns of one person, two kills, a lost session": replace(
        _AND, rows=((0, 0), (1, 0)), address=(0,), cap=1, kills=2, losses=1
    ),
    "sent again, closed, late events, a kill, a lost session": Setup(
        outcomes="AD", resends=1, kills=1, losses=1, feedback=True
    ),
    "sent again while addresses move, a kill": Setup(
        outcomes="AD", resends=1, kills=1, moves=((0, 2), (1, 0)), workers=1
    ),
    "one delivery, everything goes wrong": replace(
        _AND, rows=((0, 0),), address=(0,), resends=1, kills=2, losses=1, feedback=True, gives_up=True
    ),
    "a new yes before, during and after the opt-out": replace(_AN, yeses=1, workers=1, feedback=True),
    "rows locked one by one: cancel, end, opt-out": replace(_AN, row_locks=True, cancels=1),
    "rows locked one by one: a kill, a lost session": Setup(
        outcomes="AN", row_locks=True, cancels=1, kills=1, losses=1
    ),
    "faults off: two pauses, everybody reaches an end": replace(
        _HURRIED, outcomes="ARN", pauses=2, reap_only_dead=True
    ),
    "faults off: pause, cancel and end over two campaigns": Setup(
        outcomes="AN", rows=_BOTH, pauses=1, cancels=1, reap_only_dead=True
    ),
    "pause, cancel, a kill, a lost session": Setup(outcomes="AN", pauses=1, cancels=1, kills=1, losses=1),
    "addresses that swap hands": Setup(outcomes="AN", moves=((0, 2), (1, 0), (0, 1)), reap_only_dead=True),
}


def main(seconds: float = SECONDS) -> int:
    """Run everything, print a line each, return how many promises were broken or bugs survived."""
    wrong = 0
    for name, setup in RUNS.items():
        found = explore(setup, seconds=seconds)
        whole = "complete" if found.complete else "cut off"
        print(f"{name}: {found.states} states, {found.steps} steps, {whole}, {found.seconds:.0f} s", flush=True)
        for title, trace in found.traces.items():
            print(f"  {title}, {len(trace)} steps", *(trace if title in found.broken else ()), sep="\n    ", flush=True)
        wrong += len(found.broken)
    alive = [mutant.bug for mutant in MUTANTS if mutant.trace() is None]
    print(f"{len(MUTANTS)} planted bugs, not found: {alive or 'none'}")
    return wrong + len(alive)


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:])) > 0)
