"""The one door to a provider: intent, lock, gate, hand over, record. This is the whole promise.

Never without a yes, never after a no: the gate runs under the lock that every opt-out takes, and no first byte is
written later than W after that lock was asked for. Never twice: the intent is committed before the provider is
called, and what was intended and not recorded is in doubt, not repeated. Nothing lost: what did not start goes back
to pending. The steps, with what happens when the process dies at each, are in docs/sending.md.
"""

from __future__ import annotations

import select
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from mailer import gate, intents, records
from mailer.consent.ledger import lock_available
from mailer.db import SessionFactory
from mailer.letters import Letter
from mailer.message import return_path
from mailer.outcomes import not_obtained, result_of, unrendered, withheld
from mailer.pick import Candidate, Job, Prepared
from mailer.providers.base import Envelope, Provider, Receipt
from mailer.records import Result

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 0.8
"""W: no first byte later than this after the clock was read, whatever the progress. Less than an opt-out waits."""

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while a machine is suspended, where the system has such a clock: the window must not sleep with it."""


def clock() -> float:
    """Return the seconds by which the window is measured."""
    return time.clock_gettime(CLOCK)


_GONE = select.POLLIN | select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class HandoverWindow:
    """Open for W seconds and as long as the database session lives: without it the locks are somebody else's."""

    def __init__(self, session: Session, began: float, now: Callable[[], float] = clock) -> None:
        self._until = began + WINDOW_SECONDS
        self._now = now
        connection = session.connection().connection.driver_connection
        self._socket = select.poll()
        # The notice of a lost session arrives as data, before its locks are free: readable already means lost.
        self._socket.register(connection.fileno(), _GONE)  # type: ignore[union-attr]

    def open(self) -> bool:
        """Say whether a first byte may still be written."""
        return self._now() < self._until and not self._socket.poll(0)


Contents: TypeAlias = Mapping[UUID, bytes | Letter | None]
"""What each delivery says; None where nothing was worth rendering."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An intent that is committed: who holds an open hand-over until it is recorded or reaped."""

    id: UUID
    job: Job
    candidates: Sequence[Candidate]
    worker: str


def deliver(
    sessions: SessionFactory,
    provider: Provider,
    job: Job,
    prepared: Sequence[Prepared],
    *,
    worker: str,
    attempt_id: UUID | None = None,
) -> Counter[str]:
    """Hand over what may leave of `prepared` and record all of it; return how many ended in which state.

    At most one hand-over per person is open, over all campaigns. Owns its two transactions. An exception leaves the
    rest to the reaper: in doubt, never repeated. `attempt_id` is the one the messages were made with.
    """
    broken = [p for p in prepared if p.problem is not None]
    if broken:
        with sessions() as session, session.begin():
            records.fail(session, [(p.candidate.delivery_id, p.problem or "") for p in broken])
    candidates = [p.candidate for p in prepared if p.problem is None]
    attempt = intend(sessions, job, candidates, provider=provider.name, worker=worker, attempt_id=attempt_id)
    if not attempt.candidates:
        return Counter()
    return hand_over(sessions, provider, attempt, {p.candidate.delivery_id: p.content for p in prepared})


class _AlwaysOpen:
    """The window of a message to one of us: no customer, so nobody's lock."""

    def open(self) -> bool:
        return True


def send_test(provider: Provider, job: Job, operator_address: str, content: bytes) -> Receipt:
    """Hand a test message to an operator's own address. No delivery is written and no customer is involved."""
    test_id = uuid4()
    envelope = Envelope(
        test_id, test_id, job.campaign_id, operator_address, return_path(test_id, job.return_domain), content
    )
    return next(iter(provider.hand_over([envelope], _AlwaysOpen())))


def intend(
    sessions: SessionFactory,
    job: Job,
    candidates: Sequence[Candidate],
    *,
    provider: str,
    worker: str,
    attempt_id: UUID | None = None,
) -> Attempt:
    """T1. Commit the intent for those of `candidates` that are free, with the consent event each relies on."""
    attempt_id = attempt_id or uuid4()
    with sessions() as session, session.begin():
        mine = intents.intend(session, job, candidates, attempt_id=attempt_id, provider=provider, worker=worker)
    return Attempt(attempt_id, job, mine, worker)


def hand_over(sessions: SessionFactory, provider: Provider, attempt: Attempt, contents: Contents) -> Counter[str]:
    """T2. Lock the people, ask the gate, hand over what it lets go with the locks held, record every outcome."""
    results: list[Result] = []
    try:
        with sessions() as session, session.begin():
            began = clock()
            obtained = lock_available(session, [c.customer_id for c in attempt.candidates])
            held = [c for c in attempt.candidates if c.customer_id in obtained]
            verdicts = gate.ask(session, attempt.job, held, attempt.id)
            results += [not_obtained(c.delivery_id) for c in attempt.candidates if c.customer_id not in obtained]
            results += withheld(held, verdicts)
            allowed = [c for c, verdict in zip(held, verdicts, strict=True) if isinstance(verdict, gate.Go)]
            envelopes = _envelopes(attempt, allowed, contents)
            results += _hand_over(provider, envelopes, HandoverWindow(session, began))
            if len(envelopes) < len(allowed):
                results += [unrendered(c.delivery_id) for c in allowed if contents.get(c.delivery_id) is None]
            _record(session, attempt, results)
    except DBAPIError as trouble:
        if not results:
            raise
        # What was handed over is known, whatever became of the transaction: say it again, from memory. Rows that
        # the reaper or feedback settled in between stay as they are.
        log.warning("record_repeated", campaign_id=attempt.job.campaign_id, why=type(trouble.orig).__name__)
        with sessions() as session, session.begin():
            _record(session, attempt, results)
    return Counter(result.state for result in results)


def _record(session: Session, attempt: Attempt, results: Sequence[Result]) -> None:
    customers = {c.delivery_id: c.customer_id for c in attempt.candidates}
    records.settle(session, attempt.job, results, customers=customers, attempt_id=attempt.id, worker=attempt.worker)
    trouble = next((r for r in results if r.reason in records.PAUSING), None)
    if trouble is not None:
        records.pause(session, attempt.job.campaign_id, f"{trouble.reason} {trouble.code or ''}".strip())


def _envelopes(attempt: Attempt, allowed: Sequence[Candidate], contents: Contents) -> list[Envelope]:
    return [
        Envelope(
            candidate.delivery_id,
            attempt.id,
            attempt.job.campaign_id,
            candidate.address,
            return_path(candidate.delivery_id, attempt.job.return_domain),
            content.head if isinstance(content, Letter) else content,
            content if isinstance(content, Letter) else None,
        )
        for candidate in allowed
        if candidate.address is not None and (content := contents.get(candidate.delivery_id)) is not None
    ]


def _hand_over(provider: Provider, envelopes: Sequence[Envelope], window: HandoverWindow) -> list[Result]:
    """Return a result for every envelope: what has no receipt when the provider gives up is in doubt."""
    receipts: dict[UUID, Receipt] = {}
    try:
        for receipt in provider.hand_over(envelopes, window):
            receipts[receipt.delivery_id] = receipt
    except Exception:
        # A provider never raises for trouble with mail; if it does all the same, what it was doing is unknown.
        log.exception("provider_raised", provider=provider.name)
    return [result_of(envelope.delivery_id, receipts.get(envelope.delivery_id)) for envelope in envelopes]
