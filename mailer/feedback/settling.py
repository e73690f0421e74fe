"""What facts do to a delivery, an address and a person. Monotone: any order and number of them ends the same (S8).

Times are the earliest that was told; states only go up (unknown, refused, accepted); what an address or a person
asked to be spared is never taken back here. Every change of several deliveries locks them first, by id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from mailer.bounces.causes import Act
from mailer.consent.ledger import lock_customers
from mailer.consent.policy import ALL
from mailer.feedback.facts import Fact, What
from mailer.suppression import COMPLAINT, HARD_BOUNCE, OPT_OUT, lock_addresses, suppress

NOT_YET = "not_yet"
"""The hand-over is still open: our own record comes first."""
UNKNOWN = "unknown"

_LOCK = text("""
    SELECT id, customer_id, campaign_id, address_hash, recipient_domain, purpose, state, attempt_id, reason
      FROM deliveries WHERE id = ANY(:ids) ORDER BY id FOR UPDATE SKIP LOCKED
""")
_LOOK = text("SELECT id, customer_id, address_hash, purpose, state FROM deliveries WHERE id = ANY(:ids)")
_ATTEMPTS = text("""
    SELECT delivery_id, attempt_id FROM delivery_attempts
     WHERE customer_id = ANY(:customers) AND delivery_id = ANY(:ids) AND outcome = 'intent'
""")
_WRITE = text("""
    WITH w AS (
      SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:reasons AS text[]),
                           CAST(:delivered AS timestamptz[]), CAST(:opened AS timestamptz[]),
                           CAST(:clicked AS timestamptz[]), CAST(:bounced AS timestamptz[]),
                           CAST(:complained AS timestamptz[]), CAST(:unsubscribed AS timestamptz[]))
             AS w(id, state, reason, delivered, opened, clicked, bounced, complained, unsubscribed)),
    stated AS (
      UPDATE deliveries d SET
             state = coalesce(w.state, d.state),
             reason = CASE WHEN w.state IS NULL THEN d.reason ELSE w.reason END,
             settled_at = CASE WHEN w.state IS NULL THEN d.settled_at ELSE clock_timestamp() END,
             delivered_at = least(d.delivered_at, w.delivered), opened_at = least(d.opened_at, w.opened),
             clicked_at = least(d.clicked_at, w.clicked), bounced_at = least(d.bounced_at, w.bounced),
             complained_at = least(d.complained_at, w.complained),
             unsubscribed_at = least(d.unsubscribed_at, w.unsubscribed)
        FROM w WHERE d.id = w.id
      RETURNING d.id, d.customer_id, d.campaign_id, d.address_hash, d.attempt_id, w.state),
    gone AS (DELETE FROM come_back b USING stated s WHERE s.state IS NOT NULL AND b.delivery_id = s.id
                AND b.customer_id = s.customer_id),
    held AS (
      -- whoever turns out to have got it holds the address's key again: nobody else with it gets it too
      INSERT INTO campaign_addresses (campaign_id, address_hash, delivery_id, attempt_id)
      SELECT campaign_id, address_hash, id, attempt_id FROM stated
       WHERE state = 'accepted' AND attempt_id IS NOT NULL ORDER BY address_hash ON CONFLICT DO NOTHING)
    INSERT INTO delivery_attempts (customer_id, delivery_id, attempt_id, outcome, code)
    SELECT customer_id, id, attempt_id, state, 'feedback' FROM stated WHERE state IS NOT NULL AND attempt_id IS NOT NULL
     ORDER BY id
""")
_ERASED = text("SELECT account = 'erased' FROM customers WHERE id = :id")
_HOLDERS = text("SELECT customer_id FROM addresses WHERE address_hash = :hash ORDER BY 1")
_SOFT = text("""
    INSERT INTO soft_bounces (address_hash, delivery_id, customer_id, cause, at)
    VALUES (:hash, :delivery, :customer, :cause, :at)
    ON CONFLICT (address_hash, delivery_id) DO UPDATE
       SET at = least(soft_bounces.at, excluded.at), cause = least(soft_bounces.cause, excluded.cause)
""")
_ALERT = text("""
    INSERT INTO alerts (cause, domain, day, sample, first_at, last_at)
    VALUES (:cause, :domain, CAST(CAST(:at AS timestamptz) AT TIME ZONE 'UTC' AS date), :sample, :at, :at)
    ON CONFLICT (cause, domain, day) DO UPDATE
       SET count = alerts.count + 1, sample = least(alerts.sample, excluded.sample),
           first_at = least(alerts.first_at, excluded.first_at), last_at = greatest(alerts.last_at, excluded.last_at),
           seen_at = NULL, seen_by = NULL
""")

_COLUMNS = {
    What.DELIVERED: "delivered",
    What.OPENED: "opened",
    What.CLICKED: "clicked",
    What.BOUNCED: "bounced",
    What.DROPPED: "bounced",
    What.COMPLAINED: "complained",
    What.UNSUBSCRIBED: "unsubscribed",
}
DROPPED = "dropped_by_provider"
UP = {
    # What a provider tells is more than what we could know ourselves when no answer came.
    ("in_doubt", "accepted"),
    ("in_doubt", "refused_by_provider"),
    ("unconfirmed", "accepted"),
    ("unconfirmed", "refused_by_provider"),
    # An attempt that we took for not taken was taken all the same: it must not go out once more.
    ("pending", "accepted"),
    # Thrown away, said one event; on its way, said another: then it is on its way, whichever came first.
    ("refused_by_provider", "accepted"),
}


@dataclass(frozen=True, slots=True)
class Whose:
    """Where a fact belongs, read without a lock."""

    delivery_id: UUID
    customer_id: int
    address_hash: bytes
    purpose: str
    erased: bool


def whose(session: Session, delivery_id: UUID) -> Whose | None:
    """Return whom a delivery was for, or None if there is no such delivery: nobody is made up for an event."""
    row = session.execute(_LOOK, {"ids": [delivery_id]}).one_or_none()
    if row is None:
        return None
    erased = session.scalar(_ERASED, {"id": row.customer_id})
    return Whose(row.id, row.customer_id, bytes(row.address_hash), row.purpose, erased is not False)


def settle(session: Session, facts: Mapping[int, Fact]) -> dict[int, str]:
    """Write down facts (by event id) on their deliveries; return what came of each. Locks what is free, by id.

    Events of deliveries that somebody holds, or that are just being handed over, are `NOT_YET`: come back.
    """
    ids = sorted({fact.delivery_id for fact in facts.values()})
    known = set(session.execute(_LOOK, {"ids": ids}).scalars())
    rows = {row.id: row for row in session.execute(_LOCK, {"ids": ids})}
    attempts = _attempts(session, rows.values())
    outcomes: dict[int, str] = {}
    mine: dict[UUID, list[Fact]] = {}
    for event_id, fact in facts.items():
        row = rows.get(fact.delivery_id)
        outcomes[event_id] = _outcome(fact, row, attempts, known=fact.delivery_id in known)
        if outcomes[event_id] == fact.what.value:
            mine.setdefault(fact.delivery_id, []).append(fact)
    _write(session, rows, mine)
    return outcomes


def _attempts(session: Session, rows: Collection[Row[Any]]) -> set[tuple[UUID, UUID]]:
    if not rows:
        return set()
    found = session.execute(
        _ATTEMPTS, {"customers": [row.customer_id for row in rows], "ids": [row.id for row in rows]}
    )
    return {(row.delivery_id, row.attempt_id) for row in found}


def _outcome(fact: Fact, row: Row[Any] | None, attempts: set[tuple[UUID, UUID]], *, known: bool) -> str:
    if row is None:
        return NOT_YET if known else UNKNOWN
    if row.state == "handing_over":
        return NOT_YET
    if fact.attempt_id is not None and (row.id, fact.attempt_id) not in attempts:
        return UNKNOWN
    if row.attempt_id is None:
        return UNKNOWN  # never attempted: nobody can know anything of it
    return fact.what.value


def _write(session: Session, rows: Mapping[UUID, Row[Any]], mine: Mapping[UUID, Sequence[Fact]]) -> None:
    if not mine:
        return
    ids = sorted(mine)
    states = [_state(rows[one], mine[one]) for one in ids]
    times: dict[str, list[datetime | None]] = {name: [] for name in dict.fromkeys(_COLUMNS.values())}
    for one in ids:
        for name, column in times.items():
            column.append(min((fact.at for fact in mine[one] if _COLUMNS.get(fact.what) == name), default=None))
    reasons = [DROPPED if state == "refused_by_provider" else None for state in states]
    session.execute(_WRITE, {"ids": ids, "states": states, "reasons": reasons, **times})


def _state(row: Row[Any], facts: Sequence[Fact]) -> str | None:
    """The state that these facts lift a row to, if any."""
    evidence = {fact.what for fact in facts} - {What.NOTHING}
    if not evidence:
        return None
    wanted = "refused_by_provider" if evidence == {What.DROPPED} else "accepted"
    if (row.state, wanted) not in UP or (row.state == "refused_by_provider" and row.reason != DROPPED):
        return None
    return wanted


def settle_one(session: Session, event_id: int, fact: Fact, to: Whose) -> str:
    """Write down a fact that also concerns an address or a person: locks address, people, then the delivery."""
    reason = _suppression(fact)
    if reason is not None:
        lock_addresses(session, [to.address_hash])
        lock_customers(session, session.execute(_HOLDERS, {"hash": to.address_hash}).scalars())
    outcome = settle(session, {event_id: fact})[event_id]
    if outcome in (NOT_YET, UNKNOWN):
        return outcome
    if reason is not None:
        suppress(session, to.address_hash, _scope(fact, to), reason)
        return "suppressed" if fact.cause is not None else outcome
    return _follow(session, fact, to)


def _scope(fact: Fact, to: Whose) -> str:
    return to.purpose if fact.what is What.UNSUBSCRIBED and fact.scope is None else ALL


def _suppression(fact: Fact) -> str | None:
    if fact.what is What.COMPLAINED:
        return COMPLAINT
    if fact.what is What.UNSUBSCRIBED:
        return OPT_OUT
    return HARD_BOUNCE if fact.cause is not None and fact.cause.act is Act.SUPPRESS else None


def _follow(session: Session, fact: Fact, to: Whose) -> str:
    cause = fact.cause
    if cause is None or cause.act is Act.NOTHING:
        return fact.what.value
    if cause.act is Act.COUNT:
        soft = {"hash": to.address_hash, "delivery": to.delivery_id, "customer": to.customer_id}
        session.execute(_SOFT, {**soft, "cause": cause.name, "at": fact.at})
        return "counted"
    raise_alert(session, fact, to)
    return "alerted"


def raise_alert(session: Session, fact: Fact, to: Whose) -> None:
    """Tell the operators what a receiver holds against us. The person is left alone."""
    domain = session.scalar(text("SELECT recipient_domain FROM deliveries WHERE id = :id"), {"id": to.delivery_id})
    name = fact.cause.name if fact.cause is not None else fact.what.value
    sample = without_addresses(fact.words)[:300]
    session.execute(_ALERT, {"cause": name, "domain": domain or "", "sample": sample, "at": fact.at})


def without_addresses(words: str) -> str:
    """The words of a receiver, with whoever they name left out."""
    return " ".join("(address)" if "@" in word else word for word in words.replace("\x00", "").split())
