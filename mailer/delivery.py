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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from mailer import gate, intents, records
from mailer.consent.ledger import lock_available
from mailer.db import SessionFactory
from mailer.message import return_path
from mailer.outcomes import not_obtained, result_of, withheld
from mailer.pick import Candidate, Job
from mailer.providers.base import Envelope, Provider, Receipt
from mailer.records import Result

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 0.8
"""W: no first byte later than this after the clock was read, whatever the progress. Less than an opt-out waits."""

_GONE = select.POLLIN | select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A candidate with its finished message; None where there was nothing worth rendering."""

    candidate: Candidate
    content: bytes | None


class HandoverWindow:
    """Open for W seconds and as long as the database session lives: without it the locks are somebody else's."""

    def __init__(self, session: Session, began: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._until = began + WINDOW_SECONDS
        self._clock = clock
        connection = session.connection().connection.driver_connection
        self._socket = select.poll()
        # The notice of a lost session arrives as data, before its locks are free: readable already means lost.
        self._socket.register(connection.fileno(), _GONE)  # type: ignore[union-attr]

    def open(self) -> bool:
        """Say whether a first byte may still be written."""
        return self._clock() < self._until and not self._socket.poll(0)


def deliver(
    sessions: SessionFactory, provider: Provider, job: Job, prepared: Sequence[Prepared], *, worker: str
) -> Counter[str]:
    """Hand over what may leave of `prepared` and record all of it; return how many ended in which state.

    At most one hand-over per person is open, over all campaigns. Owns its two transactions, T1 and T2. An exception
    leaves the rest to the reaper: in doubt, never repeated.
    """
    attempt_id = uuid4()
    with sessions() as session, session.begin():
        mine = intents.intend(
            session,
            job,
            [p.candidate for p in prepared],
            attempt_id=attempt_id,
            provider=provider.name,
            worker=worker,
        )
    if not mine:
        return Counter()
    contents = {p.candidate.delivery_id: p.content for p in prepared}
    customers = {candidate.delivery_id: candidate.customer_id for candidate in mine}
    results: list[Result] = []

    def settle(session: Session) -> None:
        records.settle(session, job, results, customers=customers, attempt_id=attempt_id, worker=worker)
        trouble = next((r.reason for r in results if r.reason in records.PAUSING), None)
        if trouble is not None:
            records.pause(session, job.campaign_id, _reason(trouble, results))

    try:
        with sessions() as session, session.begin():
            began = time.monotonic()
            obtained = lock_available(session, customers.values())
            verdicts = gate.ask(session, job, [c for c in mine if c.customer_id in obtained], attempt_id)
            results += [not_obtained(c.delivery_id) for c in mine if c.customer_id not in obtained]
            results += withheld(verdicts)
            envelopes = _envelopes(job, mine, verdicts, contents, attempt_id)
            results += _hand_over(provider, envelopes, HandoverWindow(session, began))
            settle(session)
    except (OperationalError, DBAPIError) as trouble:
        if not results:
            raise
        # What was handed over is known, whatever became of the transaction: say it again, from memory. Rows that
        # the reaper or feedback settled in between stay as they are.
        log.warning("record_repeated", campaign_id=job.campaign_id, why=type(trouble).__name__)
        with sessions() as session, session.begin():
            settle(session)
    return Counter(result.state for result in results)


def _envelopes(
    job: Job,
    mine: Sequence[Candidate],
    verdicts: dict[UUID, gate.Verdict],
    contents: dict[UUID, bytes | None],
    attempt_id: UUID,
) -> list[Envelope]:
    return [
        Envelope(
            candidate.delivery_id,
            attempt_id,
            job.campaign_id,
            candidate.address,
            return_path(candidate.delivery_id, job.return_domain),
            content,
        )
        for candidate in mine
        if isinstance(verdicts.get(candidate.delivery_id), gate.Go)
        and candidate.address is not None
        and (content := contents[candidate.delivery_id]) is not None
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


def _reason(trouble: str, results: Sequence[Result]) -> str:
    code = next((r.code for r in results if r.reason == trouble and r.code), "")
    return f"{trouble}: {code}".rstrip(": ")
