"""The parts of a running installation: each one process, started again when it dies, stopped in groups in order."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workers.processes import stop

FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0
STEADY_SECONDS = 10.0
"""A part that lived this long is taken for healthy: when it dies the next one is started without a wait."""


@dataclass
class Part:
    """One process and how to start it."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log: Path
    ask: signal.Signals = signal.SIGTERM
    insist: signal.Signals = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None
    born: float = 0.0
    deaths: int = 0
    due: float | None = field(default=None, repr=False)

    def begin(self) -> None:
        self.process, self.born, self.due = self.start(), time.monotonic(), None

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """Take over a process that was started, and waited for, elsewhere."""
        self.process, self.born = process, time.monotonic()

    @property
    def pid(self) -> int | None:
        return None if self.process is None or self.process.poll() is not None else self.process.pid

    def look(self, now: float) -> str | None:
        """Start the process again if it is gone and its delay is over; return what happened, if anything did."""
        if self.process is None or self.process.poll() is None:
            return None
        if self.due is None:
            self.deaths = 1 if now - self.born > STEADY_SECONDS else self.deaths + 1
            self.due = now + restart_delay(self.deaths)
            return f"{self.name} ended ({ending(self.process.returncode)})"
        if now < self.due:
            return None
        self.begin()
        return f"{self.name} started again"


def restart_delay(deaths: int) -> float:
    """Return the seconds to wait after that many deaths in a row: doubling, and never longer than LONGEST_DELAY."""
    return min(FIRST_DELAY * 2.0 ** min(deaths - 1, 10), LONGEST_DELAY)


def ending(code: int) -> str:
    """Return in words how a process ended."""
    if code >= 0:
        return f"status {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


@dataclass(frozen=True)
class Group:
    """Parts that stop together: how long they may take, and how much of the whole is kept back for them."""

    names: tuple[str, ...]
    seconds: float
    reserve: float


def stop_in_order(groups: Sequence[Group], parts: dict[str, Part], seconds: float) -> list[str]:
    """Stop every group in turn, all within `seconds`; return the names of the parts that had to be forced.

    Once a group has used up the time of all, the ones after it are asked together, except the last: that is the
    database, which outlives everything that writes to it.
    """
    until, forced = time.monotonic() + seconds, list[str]()
    for place, group in enumerate(groups):
        later = groups[place + 1 :]
        own, whole = time.monotonic() + group.seconds, until - sum(following.reserve for following in later)
        members = _members(group, parts)
        _ask(members)
        slow = [part.name for part in members if not _gone(part, min(own, whole))]
        if slow and whole <= own:
            _ask([part for following in later[:-1] for part in _members(following, parts)])
        forced += slow
    return forced


def _members(group: Group, parts: dict[str, Part]) -> list[Part]:
    return [parts[name] for name in group.names if name in parts]


def _ask(members: Sequence[Part]) -> None:
    for part in members:
        if part.pid is not None and part.process is not None:
            part.process.send_signal(part.ask)


def _gone(part: Part, until: float) -> bool:
    """Wait for `part` and force it at `until`; True when waiting was enough."""
    return part.process is None or stop(part.process, None, until - time.monotonic(), part.insist)
