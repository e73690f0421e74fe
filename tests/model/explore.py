"""Every state that can be reached, breadth first: the first trace found to a broken promise is a shortest one.

`explore(setup)` looks from the start; `Found.broken` has each broken promise with its trace, `Found.limits` those that
only the documented limits break. Where nothing was cut off it also looks for states without a way to the end (S6).
"""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.model import clock, people, promises, worker
from tests.model.state import FREE, Setup, State, Steps

STUCK = "S6 no way to an end"


@dataclass
class Found:
    """What an exploration came to."""

    states: int = 0
    steps: int = 0
    complete: bool = True
    seconds: float = 0.0
    traces: dict[str, list[str]] = field(default_factory=dict)

    @property
    def broken(self) -> dict[str, list[str]]:
        """Broken promises, each with a shortest trace."""
        return {name: trace for name, trace in self.traces.items() if not name.endswith(promises.LIMITS)}

    @property
    def limits(self) -> dict[str, list[str]]:
        """What happens only to a worker stopped or cut off exactly between its check and the write."""
        return {name: trace for name, trace in self.traces.items() if name.endswith(promises.LIMITS)}


def successors(s: State, setup: Setup) -> Steps:
    """Every atomic step that can follow."""
    for w in range(setup.workers):
        yield from worker.steps(s, w, setup)
    yield from people.steps(s, setup)
    yield from clock.steps(s, setup)


def explore(
    setup: Setup, *, until: Callable[[str], bool] | None = None, ends: bool = True, seconds: float = 60.0
) -> Found:
    """Look at every reachable state. `until` stops at the first broken promise it names; `ends` looks for S6."""
    return _Search(setup, until, time.process_time() + seconds).run(ends=ends)


class _Search:
    def __init__(self, setup: Setup, until: Callable[[str], bool] | None, deadline: float) -> None:
        self._setup, self._until, self._deadline = setup, until, deadline
        self._canon = _swapped_first if setup.workers == 2 else _as_it_is
        first = self._canon(setup.start())
        self._places: dict[State, int] = {first: 0}
        self._states = [first]
        self._before = array("l", [-1])
        self._labels = [""]
        self._edges: tuple[array[int], array[int]] = (array("l"), array("l"))
        self._found = Found()

    def run(self, *, ends: bool) -> Found:
        began = time.process_time()
        gc.disable()  # millions of tuples and not one cycle among them
        try:
            self._search(ends=ends)
        finally:
            gc.enable()
        self._found.states, self._found.seconds = len(self._states), time.process_time() - began
        return self._found

    def _search(self, *, ends: bool) -> None:
        place = 0
        while place < len(self._states) and not self._found_what_was_sought():
            self._expand(place, keep=ends)
            place += 1
            if place % 1024 == 0 and time.process_time() > self._deadline:
                self._found.complete = False
                break
        if ends and self._found.complete and not self._found_what_was_sought():
            self._look_for_ends()

    def _found_what_was_sought(self) -> bool:
        return self._until is not None and any(self._until(name) for name in self._found.broken)

    def _expand(self, place: int, *, keep: bool) -> None:
        sources, targets = self._edges
        for label, after, on_the_way in successors(self._states[place], self._setup):
            self._found.steps += 1
            broken, canonical = on_the_way, self._canon(after)
            target = self._places.setdefault(canonical, len(self._states))
            if target == len(self._states):
                self._states.append(canonical)
                self._before.append(place)
                self._labels.append(label)
                broken = [*on_the_way, *promises.of_state(canonical, self._setup)]
            if keep:
                sources.append(place)
                targets.append(target)
            for name in broken:
                if name not in self._found.traces:
                    self._found.traces[name] = [*self._trace(place), label]

    def _trace(self, place: int) -> list[str]:
        labels = []
        while place > 0:
            labels.append(self._labels[place])
            place = self._before[place]
        return labels[::-1]

    def _look_for_ends(self) -> None:
        into: list[list[int]] = [[] for _ in self._states]
        for source, target in zip(*self._edges, strict=True):
            into[target].append(source)
        ends = [place for place, s in enumerate(self._states) if promises.is_done(s)]
        reached = bytearray(len(self._states))
        for place in ends:
            reached[place] = 1
        while ends:
            for source in into[ends.pop()]:
                if not reached[source]:
                    reached[source] = 1
                    ends.append(source)
        stuck = reached.find(0)
        if stuck >= 0:
            letters = "".join(row.state for row in self._states[stuck].rows)
            self._found.traces[STUCK] = [*self._trace(stuck), f"rows are now {letters}"]


def _as_it_is(s: State) -> State:
    return s


def _swapped_first(s: State) -> State:
    """The two workers are interchangeable: return the one of both states that sorts first."""
    first, second = s.workers[0][:6], s.workers[1][:6]
    if first < second:
        return s
    other = _swapped(s)
    return other if first > second or _order(other) < _order(s) else s


def _swapped(s: State) -> State:
    return s._replace(
        person_locks=_swap(s.person_locks),
        address_locks=_swap(s.address_locks),
        row_locks=_swap(s.row_locks),
        rows=tuple([row if row.attempt == FREE else row._replace(attempt=1 - row.attempt) for row in s.rows]),
        open=tuple([held if held == FREE else held ^ 1 for held in s.open]),
        workers=s.workers[::-1],
        reaper=(*s.reaper[:3], 1 - s.reaper[3]) if s.reaper else (),
    )


def _swap(holders: tuple[int, ...]) -> tuple[int, ...]:
    if 0 in holders or 1 in holders:
        return tuple([1 - holder if holder in {0, 1} else holder for holder in holders])
    return holders


def _order(s: State) -> tuple[object, ...]:
    return s.rows, s.person_locks, s.open, s.reaper
