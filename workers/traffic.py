"""What a worker knows of a provider and of the domains it brings mail to, between two looks at the database."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.orm import Session

from mailer import circuits, domains
from mailer.circuits import Circuit
from mailer.db import SessionFactory
from mailer.domains import Heard, State
from mailer.pick import Candidate

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
"""How old what a worker knows may be. What it hears itself it knows at once."""


class Traffic:
    """Whom to leave alone until when, and how much fits. One thread uses it."""

    def __init__(self, provider: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.provider = provider
        self._clock = clock
        self._looked = float("-inf")
        self._circuit, self._seen = Circuit(), 0.0
        self._states: dict[str, State] = {}
        self._rests: dict[str, float] = {}
        self._full: dict[str, float] = {}

    def look(self, session: Session) -> None:
        """Ask the database again, if it is time. While anybody is left alone it always is: others may know better."""
        now = self._clock()
        if self._is_fresh(now):
            return
        self._looked = now
        self._take(circuits.look(session, self.provider))
        self._states, at = domains.known(session, self.provider)
        self._rests = {d: now + left for d, state in self._states.items() if (left := state.rests(at)) > 0}

    def _is_fresh(self, now: float) -> bool:
        return now - self._looked < LOOK_SECONDS and not self._rests and self.left() == 0

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to ask anybody: it has just been looked, and all may go."""
        return self._circuit.level == 0 and self._is_fresh(self._clock())

    @property
    def is_well(self) -> bool:
        """Whether a message that is taken changes nothing that is known."""
        return not (self.is_troubled or self.is_trying or self.slowed)

    # -- the provider ----------------------------------------------------------------------------------

    def left(self) -> float:
        """Return the seconds for which the provider is to be left alone, as far as is known."""
        circuit = self._circuit
        return max(0.0, max(circuit.asked, circuit.open, circuit.trial) - (self._clock() - self._seen))

    @property
    def most(self) -> int | None:
        """How many messages a batch may have while somebody has to try first."""
        return circuits.TRIAL_MESSAGES if self._circuit.level else None

    @property
    def is_troubled(self) -> bool:
        """Whether the last hand-overs met nobody."""
        return self._circuit.failures > 0

    def may_try(self, session: Session) -> bool:
        """Whether this worker may hand over now: nothing is wrong, or it is the one who tries."""
        if not self._circuit.level or circuits.attempt(session, self.provider):
            return True
        self._take(circuits.look(session, self.provider))
        return self._circuit.level == 0

    def asked(self, seconds: float) -> None:
        """The provider asked for a rest."""
        self._take(Circuit(asked=seconds))

    def nobody_home(self, session: Session, reason: str) -> None:
        """Nobody answered in a whole hand-over."""
        self._take(circuits.failed(session, self.provider, reason, _jitter()))
        if self._circuit.open > 0:
            log.warning("provider_away", provider=self.provider, seconds=round(self._circuit.open, 1), why=reason)

    @property
    def is_trying(self) -> bool:
        """Whether this worker's last hand-over was the trial that the others wait for."""
        return self._circuit.level > 0

    def not_tried(self, session: Session) -> None:
        """No message was begun in the trial: a connection may be on its way, and must not wait for the next one."""
        circuits.not_tried(session, self.provider)

    def somebody_home(self, session: Session) -> None:
        """It answers again."""
        circuits.answered(session, self.provider)
        self._take(Circuit())

    def _take(self, circuit: Circuit) -> None:
        self._circuit, self._seen = circuit, self._clock()

    # -- its domains -----------------------------------------------------------------------------------

    @property
    def slowed(self) -> bool:
        """Whether any domain's next answer may change anything."""
        return any(not state.is_well for state in self._states.values())

    def knows(self, domain: str) -> bool:
        """Whether there is anything about this domain that its next answer may change."""
        state = self._states.get(domain)
        return state is not None and not state.is_well

    def avoid(self) -> list[str]:
        """Return the domains that get nothing just now."""
        now = self._clock()
        return [d for held in (self._rests, self._full) for d, until in held.items() if until > now]

    def soonest(self) -> float:
        """Return the seconds until one of those may get something again."""
        now = self._clock()
        ends = [until - now for held in (self._rests, self._full) for until in held.values() if until > now]
        return min(ends, default=float("inf"))

    def admit(self, sessions: SessionFactory, batch: Sequence[Candidate]) -> Sequence[Candidate]:
        """Return those of `batch` whose domain may get mail now. The others stay as they are, unwritten."""
        if not self._states:
            return batch
        avoided = set(self.avoid())
        batch = [candidate for candidate in batch if candidate.domain not in avoided]
        paces = {domain: pace for domain, state in self._states.items() if (pace := state.pace) is not None}
        wanted = Counter(candidate.domain for candidate in batch if candidate.domain in paces)
        if not wanted:
            return batch
        with sessions() as session, session.begin():
            rooms = domains.reserve(session, self.provider, {str(d): n for d, n in wanted.items()}, paces)
        left = {domain: room.granted for domain, room in rooms.items()}
        for domain, room in rooms.items():
            if room.granted < wanted[domain] and room.wait > 0:
                self._full[domain] = self._clock() + room.wait
        return [c for c in batch if c.domain not in left or _one_of(left, c.domain)]

    def heard(self, session: Session, heard: dict[str, Heard]) -> None:
        """Keep what domains said in a hand-over."""
        found, at = domains.note(session, self.provider, heard, _jitter())
        self._states |= found
        for domain, state in found.items():
            if (left := state.rests(at)) > 0 and domain not in self._rests:
                log.warning(
                    "domain_rests", provider=self.provider, domain=domain, seconds=round(left), why=state.reason
                )
            self._rests[domain] = self._clock() + left


def _one_of(left: dict[str, int], domain: str) -> bool:
    left[domain] -= 1
    return left[domain] >= 0


def _jitter() -> float:
    return random.random()  # noqa: S311  (spreads load, keeps no secret)
