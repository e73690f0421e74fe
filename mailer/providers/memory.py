"""An honest double: takes messages into memory, misbehaves on request, and keeps a ledger of what it *really* took.

What it tells (the receipt) and what it did (the ledger) are separate things, as they are in the world: a provider
that resets the connection after the final dot has taken the message. The ledger file is the oracle of the fault
tests, so a line is on the disk before the receipt is given. One file may be shared by any number of processes.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mailer.providers.base import HAND_OVER_SECONDS, Envelope, Outcome, Receipt, Window, not_started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


class Behaviour(StrEnum):
    """How the double treats a recipient."""

    TAKE = "take"
    REFUSE = "refuse"
    NOT_TAKEN = "not_taken"
    MISCONFIGURED = "misconfigured"
    AWAY = "away"
    """Nobody is home: there is no connection."""
    HANG = "hang"
    """Takes the bytes, then stays silent until `seconds` have passed or the hand-over's time is over."""
    RESET_AFTER_ACCEPT = "reset_after_accept"
    """Takes the message, then the connection is lost before the answer."""
    RAISE = "raise"
    """Breaks its own contract: raises before anything was taken."""


@dataclass(frozen=True, slots=True)
class Act:
    """One scripted behaviour; `seconds` delays the answer, whatever it is."""

    behaviour: Behaviour = Behaviour.TAKE
    seconds: float = 0.0
    code: str = ""
    detail: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """One message that was really taken. `first_byte` is the machine's monotonic clock, `wall` seconds since 1970."""

    first_byte: float
    wall: float
    recipient: str
    delivery_id: str
    attempt_id: str
    campaign_id: int


_TOLD = {
    Behaviour.TAKE: (Outcome.TAKEN, "250"),
    Behaviour.REFUSE: (Outcome.REFUSED, "550 5.1.1"),
    Behaviour.NOT_TAKEN: (Outcome.NOT_TAKEN, "451"),
    Behaviour.MISCONFIGURED: (Outcome.MISCONFIGURED, "530"),
    Behaviour.AWAY: (Outcome.NOT_TAKEN, ""),
    Behaviour.HANG: (Outcome.IN_DOUBT, ""),
    Behaviour.RESET_AFTER_ACCEPT: (Outcome.IN_DOUBT, ""),
}
_TAKES = {Behaviour.TAKE, Behaviour.HANG, Behaviour.RESET_AFTER_ACCEPT}


def script_from(words: Mapping[str, Mapping[str, Any]]) -> dict[str, Act]:
    """A script from JSON: `{"asha@example.com": {"behaviour": "hang", "seconds": 3}}`."""
    return {who: Act(**{**act, "behaviour": Behaviour(act["behaviour"])}) for who, act in words.items()}


class MemoryProvider:
    """Takes everything, unless the script says otherwise for a recipient."""

    name = "memory"

    def __init__(
        self,
        script: Mapping[str, Act] | None = None,
        *,
        usually: Act = Act(),
        ledger: Path | None = None,
        seconds: float = HAND_OVER_SECONDS,
        on_first_byte: Callable[[Envelope], None] | None = None,
    ) -> None:
        self.script = dict(script or {})
        self.usually = usually
        self.seconds = seconds
        self.taken: list[Taken] = []
        self.contents: dict[str, bytes] = {}
        self.release = threading.Event()
        """Set it to end every delay and hang at once."""
        self._ledger = ledger
        self._on_first_byte = on_first_byte

    def hand_over(self, envelopes: Sequence[Envelope], window: Window) -> Iterator[Receipt]:
        """As the interface says."""
        deadline = time.monotonic() + self.seconds
        for place, envelope in enumerate(envelopes):
            if time.monotonic() >= deadline:
                yield Receipt(envelope.delivery_id, Outcome.NOT_TAKEN, detail="no time left in this hand-over")
            elif window.open():
                yield self._one(envelope, deadline)
            else:
                yield from not_started(envelopes[place:])
                return

    def close(self) -> None:
        """Nothing is held open."""

    def _one(self, envelope: Envelope, deadline: float) -> Receipt:
        first_byte = time.monotonic()
        if self._on_first_byte:
            self._on_first_byte(envelope)
        act = self.script.get(envelope.recipient, self.usually)
        if act.behaviour is Behaviour.RAISE:
            raise RuntimeError(act.detail or "the memory provider was told to raise")
        if act.behaviour in _TAKES:
            self._take(envelope, first_byte)
        outcome, code = _TOLD[act.behaviour]
        if not self._wait(act.seconds, deadline) and outcome is Outcome.TAKEN:
            outcome, code = Outcome.IN_DOUBT, ""
        return Receipt(
            envelope.delivery_id,
            outcome,
            code=act.code or code,
            detail=act.detail,
            provider_message_id=envelope.attempt_id.hex if outcome is Outcome.TAKEN else None,
            retry_after=act.retry_after,
        )

    def _wait(self, seconds: float, deadline: float) -> bool:
        """Whether the answer came while there was time."""
        left = deadline - time.monotonic()
        if seconds > 0:
            self.release.wait(min(seconds, max(left, 0.0)))
        return self.release.is_set() or seconds <= left

    def _take(self, envelope: Envelope, first_byte: float) -> None:
        entry = Taken(
            first_byte,
            time.time(),
            envelope.recipient,
            str(envelope.delivery_id),
            str(envelope.attempt_id),
            envelope.campaign_id,
        )
        if self._ledger:
            _append(self._ledger, asdict(entry))
        self.taken.append(entry)
        self.contents[entry.delivery_id] = envelope.content


def _append(path: Path, entry: dict[str, Any]) -> None:
    """One line, whole and on the disk: O_APPEND keeps lines of several processes apart."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, json.dumps(entry).encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
