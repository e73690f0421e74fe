"""What a benchmark tells: ours, the limit and the naive way on the same bytes, in the same run."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """One result. Rates are in units a second, times in seconds: `unit` says which; CPU is that of the workers only."""

    n: int
    unit: str
    ours: float
    limit: float
    naive: float
    cpu_s_per_1000: float
    rss_mb: float | None = None
    """The most memory that any of the workers had; None where this process is the worker."""

    @property
    def is_rate(self) -> bool:
        return self.unit.endswith("/s")

    @property
    def cost(self) -> float:
        """Return seconds a unit."""
        return 1 / self.ours if self.is_rate else self.ours / self.n


@dataclass(frozen=True, slots=True)
class Counted:
    """A result of which only counts and times matter: what was promised, and how often it was broken."""

    n: int
    facts: Mapping[str, Any] = field(default_factory=dict)


def counted(bench: str, one: Counted) -> Mapping[str, Any]:
    """Return the JSON line of a result that is compared with nothing."""
    return {"bench": bench, "n": one.n, **one.facts}


def line(bench: str, one: Measured, smallest: Measured) -> Mapping[str, Any]:
    """Return the JSON line of a result; `growth` is its cost a unit against that of the smallest size."""
    return {
        "bench": bench,
        "n": one.n,
        "unit": one.unit,
        "ours": round(one.ours, 3),
        "limit": round(one.limit, 3),
        "naive": round(one.naive, 3),
        "ratio_to_limit": round(one.ours / one.limit, 3),
        "times_naive": round(one.ours / one.naive if one.is_rate else one.naive / one.ours, 2),
        "cpu_s_per_1000": round(one.cpu_s_per_1000, 4),
        "peak_rss_mb": round(one.rss_mb or peak_rss_mb(), 1),
        "growth": round(one.cost / smallest.cost, 3),
    }


def peak_rss_mb() -> float:
    """Return the most memory that this process ever had, in megabytes."""
    with suppress(OSError, StopIteration):
        # getrusage also counts what the process that started this one had (Linux, setrlimit(2): kept over execve).
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) / 1_000
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1_000_000 if sys.platform == "darwin" else 1_000)
