"""The consent ledger: the only place where a yes or a no is written down.

Events are append-only and chained per customer by the database's trigger, which also keeps the projection. Every
writer locks the person first (`lock_customers`), folds that person's open stop requests, and only then writes: a
late fold would wipe out a newer yes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from mailer import arrays, statements
from mailer.consent.eligible import eligible, first_refusal
from mailer.consent.evidence import sealed
from mailer.consent.policy import ALL, SHOP_ZONE, Action, Event, is_adult
from mailer.errors import InputProblem, Underage, UnknownPurpose
from mailer.models import ConsentEvent, Customer, Purpose, Wording
from mailer.statements import Statement

__all__ = [
    "Act",
    "as_event",
    "eligible",
    "events_of",
    "first_refusal",
    "fold_stop_requests",
    "grant",
    "lock_available",
    "lock_customers",
    "record",
    "record_many",
    "refuse_underage",
    "withdraw",
    "withdrawal",
]

_LOCK_AVAILABLE = Statement("SELECT lock_customers_available(CAST(:ids AS bigint[]))")


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did, before it is written. `occurred_at` None means now; `evidence` is what may be erased."""

    customer_id: int
    action: Action
    purpose: str | None
    source: str
    wording_id: int | None = None
    policy_version_id: int | None = None
    occurred_at: datetime | None = None
    evidence: Mapping[str, Any] | None = None


def lock_customers(session: Session, ids: Iterable[int]) -> list[int]:
    """Lock people by id and mark the transaction. Waits: only for doors of a single person."""
    found = session.execute(text("SELECT lock_customers(:ids)"), {"ids": sorted(set(ids))})
    return list(found.scalars())


def lock_available(session: Session, ids: Iterable[int]) -> set[int]:
    """Lock those people whom nobody else holds. For writers of many: come back for the rest."""
    return {row[0] for row in statements.run(session, _LOCK_AVAILABLE, {"ids": arrays.numbers(sorted(set(ids)))})}


def grant(
    session: Session,
    customer_id: int,
    wording_id: int,
    *,
    source: str,
    occurred_at: datetime | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> int:
    """Write down a yes to exactly the words of `wording_id`; return its sequence. Locks the person.

    Raises Underage for somebody under 18 or of unknown age, InputProblem for unknown words or person. Nothing is
    written then.
    """
    wording = session.get(Wording, wording_id)
    if wording is None:
        raise InputProblem(f"There is no wording {wording_id}. A yes is a yes to exact words: store them first.")
    fold_stop_requests(session, lock_customers(session, [customer_id]))
    customer = session.get(Customer, customer_id, populate_existing=True)
    if customer is None:
        raise InputProblem(f"There is no customer {customer_id}.")
    refuse_underage(customer.birth_date, declared_adult=customer.declared_adult_at is not None)
    act = Act(
        customer_id, Action.GRANT, wording.purpose, source, wording_id, wording.policy_version_id, occurred_at, evidence
    )
    return int(record(session, [act])[0].seq)


def withdraw(
    session: Session,
    customer_id: int,
    scope: str,
    *,
    source: str,
    occurred_at: datetime | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> int:
    """Write down a no to one purpose or to `all`; return its sequence. Locks the person. Never refused for age.

    For the person's own opt-out use `mailer.optout`, which also stops the address and never waits long.
    """
    if scope != ALL and session.get(Purpose, scope) is None:
        raise UnknownPurpose(f"There is no purpose '{scope}'.")
    fold_stop_requests(session, lock_customers(session, [customer_id]))
    act = withdrawal(customer_id, scope, source, occurred_at, evidence)
    return int(record(session, [act])[0].seq)


def withdrawal(
    customer_id: int,
    scope: str,
    source: str,
    occurred_at: datetime | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Act:
    """Return the act of saying no to one purpose or to `all`."""
    if scope == ALL:
        return Act(customer_id, Action.WITHDRAW_ALL, None, source, occurred_at=occurred_at, evidence=evidence)
    return Act(customer_id, Action.WITHDRAW, scope, source, occurred_at=occurred_at, evidence=evidence)


def refuse_underage(birth_date: date | None, *, declared_adult: bool, today: date | None = None) -> None:
    """Raise Underage unless the person is known to be 18 or older (DPDP s.9; check 117 and 119)."""
    today = today or datetime.now(UTC).astimezone(SHOP_ZONE).date()
    if birth_date is not None and not is_adult(birth_date, today):
        raise Underage("Nobody under 18 may subscribe. Nothing was stored.")
    if birth_date is None and not declared_adult:
        raise Underage("We only write to people who are 18 or older: give a date of birth or declare it.")


_RECORD = text("""
    INSERT INTO consent_events (customer_id, action, purpose, source, wording_id, policy_version_id, occurred_at,
                                evidence_digest, seq, recorded_at, prev_hash, hash)
    SELECT a.customer_id, a.action, a.purpose, a.source, a.wording_id, a.policy_version_id,
           coalesce(a.occurred_at, clock_timestamp()), a.digest, 0, clock_timestamp(), '', ''
      FROM unnest(CAST(:customers AS bigint[]), CAST(:actions AS text[]), CAST(:purposes AS text[]),
                  CAST(:sources AS text[]), CAST(:wordings AS bigint[]), CAST(:policies AS int[]),
                  CAST(:times AS timestamptz[]), CAST(:digests AS bytea[]))
           WITH ORDINALITY AS a(customer_id, action, purpose, source, wording_id, policy_version_id, occurred_at,
                                digest, position)
     ORDER BY a.customer_id, a.position
    RETURNING customer_id, seq, id, evidence_digest
""")
_EVIDENCE = text("""
    INSERT INTO consent_evidence (customer_id, seq, salt, document)
    SELECT * FROM unnest(CAST(:customers AS bigint[]), CAST(:seqs AS int[]), CAST(:salts AS bytea[]),
                         CAST(:documents AS jsonb[]))
""")


def record(session: Session, acts: Sequence[Act]) -> Sequence[Row[Any]]:
    """Append `acts` in one statement; return (customer_id, seq, id, evidence_digest) ordered by person.

    The people must be locked by this transaction, else the trigger refuses. Acts of one person keep their order.
    Age is not looked at here: callers that take a yes do (`grant`).
    """
    seals = [sealed(act.evidence) for act in acts]
    rows = session.execute(
        _RECORD,
        {
            "customers": [act.customer_id for act in acts],
            "actions": [act.action.value for act in acts],
            "purposes": [act.purpose for act in acts],
            "sources": [act.source for act in acts],
            "wordings": [act.wording_id for act in acts],
            "policies": [act.policy_version_id for act in acts],
            "times": [act.occurred_at for act in acts],
            "digests": [seal.digest if seal else None for seal in seals],
        },
    ).all()
    proofs = {seal.digest: seal for seal in seals if seal}
    proven = [(row, proofs[bytes(row.evidence_digest)]) for row in rows if row.evidence_digest is not None]
    if proven:
        session.execute(
            _EVIDENCE,
            {
                "customers": [row.customer_id for row, _ in proven],
                "seqs": [row.seq for row, _ in proven],
                "salts": [seal.salt for _, seal in proven],
                "documents": [seal.document for _, seal in proven],
            },
        )
    return rows


def record_many(session: Session, acts: Sequence[Act]) -> list[Act]:
    """Append acts of many people; return those whose person was held by somebody else: come back for them.

    Withdrawals among acts that can't be written now should be put into `stop_requests` by the caller first.
    """
    locked = lock_available(session, {act.customer_id for act in acts})
    fold_stop_requests(session, sorted(locked))
    record(session, [act for act in acts if act.customer_id in locked])
    return [act for act in acts if act.customer_id not in locked]


_OPEN_STOPS = text("""
    SELECT r.id AS request_id, c.id AS customer_id, r.scope, r.source, r.document, r.requested_at,
           coalesce(s.granted, false) AS granted, s.withdrawn_at, h.withdrawn_all_at,
           EXISTS (SELECT 1 FROM consent_events e WHERE e.customer_id = c.id AND e.id > r.event_id_seen
                     AND (e.action = 'withdraw_all' OR (e.action = 'withdraw' AND e.purpose = r.scope))) AS written,
           EXISTS (SELECT 1 FROM consent_state g WHERE g.customer_id = c.id AND g.granted) AS any_granted
      FROM customers c
      JOIN stop_requests r ON r.folded_at IS NULL AND (r.customer_id = c.id OR r.address_hash =
                                (SELECT address_hash FROM addresses a WHERE a.customer_id = c.id)
                                OR r.id = :of_all)
      LEFT JOIN consent_state s ON s.customer_id = c.id AND s.purpose = r.scope
      LEFT JOIN consent_heads h ON h.customer_id = c.id
     WHERE c.id = ANY(:ids)
     ORDER BY c.id, r.id
""")


def fold_stop_requests(session: Session, locked: Sequence[int], *, of_all: int | None = None) -> set[int]:
    """Write the open stop requests of people whom this transaction has locked into their ledgers.

    The request `of_all` is about every one of them, whomever it names.
    Returns the ids of the requests met. A request of a person is marked as folded; one of an address stays open
    until `mailer.optout` has seen everybody who has that address.
    """
    if not locked:
        return set()
    rows = session.execute(_OPEN_STOPS, {"ids": list(locked), "of_all": of_all}).all()
    written: set[tuple[int, str]] = set()
    acts = []
    for row in rows:
        if (row.customer_id, row.scope) not in written and not _already_ended(row):
            written.add((row.customer_id, row.scope))
            evidence = {**(row.document or {}), "requested_at": row.requested_at.isoformat()}
            acts.append(withdrawal(row.customer_id, row.scope, row.source, None, evidence))
    if acts:
        record(session, acts)
    session.execute(
        text("""UPDATE stop_requests SET folded_at = clock_timestamp()
                 WHERE folded_at IS NULL AND address_hash IS NULL AND customer_id = ANY(:ids)"""),
        {"ids": list(locked)},
    )
    return {row.request_id for row in rows}


def _already_ended(stop: Row[Any]) -> bool:
    # Written since it was asked for, by sequence and never by time: folding it again would wipe out a newer yes.
    if stop.written:
        return True
    # A second click says nothing new: the ledger keeps one no, however often it is said.
    if stop.scope == ALL:
        return stop.withdrawn_all_at is not None and not stop.any_granted
    return (stop.withdrawn_at or stop.withdrawn_all_at) is not None and not stop.granted


def events_of(session: Session, customer_id: int) -> list[Event]:
    """Return a person's events as the rule reads them."""
    rows = session.scalars(
        select(ConsentEvent).where(ConsentEvent.customer_id == customer_id).order_by(ConsentEvent.seq)
    )
    return [as_event(row) for row in rows]


def as_event(row: ConsentEvent) -> Event:
    """Return a stored event as the rule reads it."""
    return Event(
        row.seq,
        row.id,
        Action(row.action),
        row.purpose,
        row.occurred_at,
        row.recorded_at,
        row.policy_version_id,
    )
