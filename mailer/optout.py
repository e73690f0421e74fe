"""The opt-out door: a no is in force when its first transaction commits, and is answered within about a second.

First a `stop_requests` row is committed: that never waits, and every gate that starts later reads it. Then, within
one second in all, the locks are taken and the ledger is written. A gate that ran before the row holds the locks
until it has handed over (at most W = 0.8 s of first bytes), so after either answer no hand-over starts. An opt-out
by link or account also stops its address: another record with the same address is not mailed either.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import address as addresses
from mailer import patience
from mailer.consent.ledger import fold_stop_requests, lock_customers
from mailer.errors import AddressMoved, Unavailable
from mailer.suppression import OPT_OUT, lock_addresses, suppress

log = structlog.get_logger(__name__)

PATIENCE = 1.0
"""Seconds an opt-out waits for locks before it answers from its stop request."""

CLOCK_PATIENCE = 0.05
"""Seconds the clock waits for one person's locks: it comes again."""

GATES_PASSED = 0.85
"""Seconds after which no gate that ran before the stop request can still start a message: a little more than W."""

ANSWER_SECONDS = 3.0
"""Seconds in all after which a database that says nothing counts as one that can't be reached."""

GIVE_UP = {"57014", "55P03", "40P01", "40001"}
"""Cancelled by the time-out, lock not available, deadlock, serialization: the stop request already holds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a stop came to. `in_flight`: a message whose first byte may be out already."""

    known: bool
    """Whether anybody has this address or reference."""
    scope: str
    at: datetime
    via: Literal["ledger", "stop_request"]
    in_flight: bool


@dataclass(frozen=True, slots=True)
class _Whom:
    customer_id: int | None
    address_hash: bytes | None


def stop_person(
    engine: Engine, *, customer_id: int, scope: str, source: str, evidence: Mapping[str, Any] | None = None
) -> Answer:
    """Stop mail about `scope` (a purpose or `all`) to a person and to their present address.

    Owns its transactions. Raises Unavailable when the database can't be reached: then nothing is sent either.
    """
    with patience.within(ANSWER_SECONDS):
        return _stop(engine, _Whom(customer_id, None), scope, source, evidence)


def stop_address(
    engine: Engine,
    keys: Keys,
    *,
    address: str,
    scope: str = "all",
    source: str,
    evidence: Mapping[str, Any] | None = None,
) -> Answer:
    """Stop mail to an address as somebody typed it, known or not. Raises BadAddress for what is no address."""
    hashed = addresses.hash_address(keys, addresses.parse(address).canonical)
    with patience.within(ANSWER_SECONDS):
        _require_key(engine, keys)
        return _stop(engine, _Whom(None, hashed), scope, source, evidence)


def stop_hash(engine: Engine, address_hash: bytes, *, scope: str, source: str) -> Answer:
    """Stop mail to an address of which only the hash is known: from the journal, after a restore."""
    with patience.within(ANSWER_SECONDS):
        return _stop(engine, _Whom(None, address_hash), scope, source, None)


def _require_key(engine: Engine, keys: Keys) -> None:
    # Under another root key the hash matches nobody: the page would say "done" and mail would go on.
    with _reachable(), Session(engine) as session:
        known = session.scalar(text("SELECT root_key_fingerprint FROM installation"))
    if known is not None and known != keys.fingerprint():
        raise Unavailable("The root key is not this database's. Nothing is being sent meanwhile.")


def fold_waiting(engine: Engine, limit: int = 100, *, seconds: float = 1.0) -> int:
    """Fold stop requests that were answered before they could be written down; return how many. For the clock.

    Takes at most about `seconds`, and waits for nobody: the gate reads open requests, so no hurry is worth
    holding up the clock's other duties. One that can't be folded is logged and holds up none of the others: they are
    taken in no order (what a stop ends is told by its sequence), so that the same ones don't come first every time.
    """
    until = time.monotonic() + seconds
    folded = 0
    with Session(engine) as session:
        waiting = session.execute(
            text("""SELECT id, customer_id, address_hash, scope FROM stop_requests
                     WHERE folded_at IS NULL ORDER BY random() LIMIT :limit"""),
            {"limit": limit},
        ).all()
        session.commit()
        for stop in waiting:
            if time.monotonic() > until:
                break
            try:
                whom = _Whom(stop.customer_id, stop.address_hash)
                _write(session, whom, stop.scope, stop.id, _Patience(CLOCK_PATIENCE))
                session.commit()
                folded += 1
            except (DBAPIError, AddressMoved) as trouble:
                session.rollback()
                if not _given_up(trouble):
                    log.error("stop_not_folded", request=stop.id, why=str(trouble).splitlines()[0])  # noqa: TRY400
    return folded


def _stop(engine: Engine, whom: _Whom, scope: str, source: str, evidence: Mapping[str, Any] | None) -> Answer:
    with _reachable(), Session(engine) as session:
        request = session.execute(
            text("""INSERT INTO stop_requests (customer_id, address_hash, scope, source, document)
                    VALUES (CAST(:customer AS bigint), coalesce(CAST(:hash AS bytea),
                              (SELECT address_hash FROM addresses WHERE customer_id = CAST(:customer AS bigint))),
                            :scope, :source, CAST(:document AS jsonb))
                    RETURNING id, requested_at, address_hash,
                      (SELECT count(*) FROM addresses a WHERE a.address_hash = CAST(:hash AS bytea)) AS holders"""),
            {
                "customer": whom.customer_id,
                "hash": whom.address_hash,
                "scope": scope,
                "source": source,
                "document": json.dumps(dict(evidence or {}), ensure_ascii=False),
            },
        ).one()
        session.commit()
        waiting = _Patience(PATIENCE)
        stopped = _Whom(whom.customer_id, request.address_hash)
        known = whom.customer_id is not None or request.holders > 0
        via: Literal["ledger", "stop_request"] = "ledger"
        try:
            _write(session, stopped, scope, request.id, waiting)
            session.commit()
        except (OperationalError, AddressMoved) as trouble:
            # Whatever went wrong, the stop request is committed: the gate refuses, and the clock folds it.
            if _given_up(trouble):
                session.rollback()
            else:
                session.invalidate()
            via = "stop_request"
    if via == "stop_request":
        waiting.wait_until(GATES_PASSED)
    return Answer(known, scope, request.requested_at, via, in_flight=_in_flight(engine, stopped, request.id))


def _write(session: Session, whom: _Whom, scope: str, request_id: int, waiting: _Patience) -> None:
    """Take the locks in their order, write ledger and suppression, and fold the request. Does not commit."""
    for _ in range(5):
        waiting.limit(session)
        hashes = _addresses(session, whom)
        if hashes:
            lock_addresses(session, hashes)
        people = _holders(session, whom, hashes)
        waiting.limit(session)
        lock_customers(session, people)
        # Later statements: what the locking ones saw may be older than their locks.
        if _addresses(session, whom) == hashes and _holders(session, whom, hashes) == people:
            break
        session.rollback()
    else:
        raise AddressMoved("The address kept moving between records.")
    # For everybody here: who came to have the person's new address is not named by the request itself.
    fold_stop_requests(session, people, of_all=request_id)
    for address_hash in hashes:
        suppress(session, address_hash, scope, OPT_OUT)
    session.execute(
        text("UPDATE stop_requests SET folded_at = clock_timestamp() WHERE id = :id AND folded_at IS NULL"),
        {"id": request_id},
    )


def _addresses(session: Session, whom: _Whom) -> list[bytes]:
    """Return the address that was meant and the one that the person has now: it may have changed meanwhile."""
    now = session.scalar(
        text("SELECT address_hash FROM addresses WHERE customer_id = CAST(:customer AS bigint)"),
        {"customer": whom.customer_id},
    )
    return sorted({bytes(address_hash) for address_hash in (whom.address_hash, now) if address_hash is not None})


def _holders(session: Session, whom: _Whom, hashes: Sequence[bytes]) -> list[int]:
    found = session.execute(
        text("""SELECT id FROM customers WHERE id = CAST(:customer AS bigint)
                UNION SELECT customer_id FROM addresses WHERE address_hash = ANY(CAST(:hashes AS bytea[]))
                ORDER BY 1"""),
        {"customer": whom.customer_id, "hashes": list(hashes)},
    )
    return list(found.scalars())


_OPEN = text("""
    SELECT EXISTS (SELECT 1 FROM open_handovers WHERE customer_id = CAST(:customer AS bigint)
                      OR customer_id IN (SELECT customer_id FROM addresses WHERE address_hash = CAST(:hash AS bytea)))
""")


# Skipped while the clock folds it: a figure isn't worth anybody's wait.
_ANSWERED = text("""
    UPDATE stop_requests SET answered_at = clock_timestamp()
     WHERE id = (SELECT id FROM stop_requests WHERE id = :id FOR UPDATE SKIP LOCKED)
""")


def _in_flight(engine: Engine, whom: _Whom, request_id: int) -> bool:
    # Asked after the stop is committed: what is open now began before it.
    try:
        with _reachable(), Session(engine) as session:
            values = {"customer": whom.customer_id, "hash": whom.address_hash}
            in_flight = bool(session.execute(_OPEN, values).scalar())
            _note_answer(session, request_id)
            return in_flight
    except Unavailable:
        return True  # the stop holds; whether a message is on its way nobody can say


def _note_answer(session: Session, request_id: int) -> None:
    """Keep when it was answered, for the published figures. The answer hangs on none of this."""
    try:
        session.execute(text("SET LOCAL synchronous_commit = off"))  # a lost figure costs nobody anything
        session.execute(_ANSWERED, {"id": request_id})
        session.commit()
    except DBAPIError as trouble:
        log.warning("answer_not_noted", request=request_id, why=type(trouble.orig).__name__)


class _Patience:
    """One second in all, over every statement that may wait: `lock_timeout` counts per wait, and there are two."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._until = self._began + seconds

    def wait_until(self, seconds: float) -> None:
        """Wait until so long after the stop request was committed: a deadlock answers sooner than a gate closes."""
        time.sleep(max(0.0, self._began + seconds - time.monotonic()))

    def limit(self, session: Session) -> None:
        left = max(1, int((self._until - time.monotonic()) * 1000))
        session.execute(text("SELECT set_config('statement_timeout', :left, true)"), {"left": f"{left}ms"})


def _given_up(trouble: Exception) -> bool:
    return isinstance(trouble, AddressMoved) or getattr(getattr(trouble, "orig", None), "sqlstate", None) in GIVE_UP


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as trouble:
        raise Unavailable("No connection to the database was free in time.") from trouble
    except OperationalError as trouble:
        if trouble.connection_invalidated or getattr(trouble.orig, "sqlstate", None) is None:
            raise Unavailable("The database can't be reached. Nothing is being sent meanwhile.") from trouble
        raise
