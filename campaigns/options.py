"""PURE: what an approval covers besides content, audience and sender: pace, caps, quiet hours, end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, time
from typing import Any

from mailer.errors import InputProblem


class OptionProblems(InputProblem):
    """Some options can't be used; `problems` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True)
class Options:
    """How a campaign is sent. None everywhere: as fast as it goes, to everybody who may be mailed, without an end."""

    rate_per_second: float | None = None
    cap_messages: int | None = None
    """Nobody gets more than so many marketing messages ..."""
    cap_days: int | None = None
    """... in so many days."""
    quiet_from: time | None = None
    quiet_until: time | None = None
    """None are sent between these, by the person's own clock; they may span midnight."""
    ends_at: datetime | None = None
    """What is still pending then expires."""
    canary_messages: int | None = None
    """So many go first ..."""
    canary_minutes: int | None = None
    """... and the rest waits so long, and for good numbers."""


def parse(document: Mapping[str, Any]) -> Options:
    """Return the options that `document` (JSON) says, or raise `OptionProblems` with all that is wrong."""
    known = [f.name for f in fields(Options)]
    problems = [f"{name} is not an option; these exist: {', '.join(known)}" for name in document if name not in known]
    said: dict[str, Any] = {}
    for name in known:
        if document.get(name) is None:
            continue
        try:
            said[name] = _READ[name](document[name])
        except ValueError as problem:
            problems.append(f"{name} {problem}")
    for pair in _PAIRS:
        if (pair[0] in said) != (pair[1] in said) and not problems:
            problems.append(f"{pair[0]} and {pair[1]} go together: give both or none")
    if problems:
        raise OptionProblems(problems)
    return Options(**said)


def to_json(options: Options) -> dict[str, Any]:
    """Return `options` as JSON; `parse` of it gives equal options."""
    said = {f.name: getattr(options, f.name) for f in fields(options)}
    return {n: v.isoformat() if isinstance(v, time | datetime) else v for n, v in said.items() if v is not None}


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"must be a whole number of {least} to {most}")
        return value

    return read


def _rate(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 100_000:
        raise ValueError("must be a number of messages a second above 0 and up to 100000")
    return float(value)


def _clock(value: Any) -> time:
    try:
        read = value if isinstance(value, time) else time.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("must be a time like 21:00") from None
    return read.replace(tzinfo=None)


def _moment(value: Any) -> datetime:
    try:
        read = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("must be a date and time like 2026-11-08T18:00:00+05:30") from None
    if read.tzinfo is None:
        raise ValueError("must name its time zone, like 2026-11-08T18:00:00+05:30")
    return read


_PAIRS = (("cap_messages", "cap_days"), ("quiet_from", "quiet_until"), ("canary_messages", "canary_minutes"))
_READ: dict[str, Callable[[Any], Any]] = {
    "rate_per_second": _rate,
    "cap_messages": _whole(1, 1000),
    "cap_days": _whole(1, 365),
    "quiet_from": _clock,
    "quiet_until": _clock,
    "ends_at": _moment,
    "canary_messages": _whole(1, 1_000_000),
    "canary_minutes": _whole(1, 7 * 24 * 60),
}
