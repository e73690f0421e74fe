"""Apply what was stored: each event once, in transactions as small as their locks. For the clock.

Harmless events go many to a transaction, sorted; one that concerns an address or a person has its own, and reads
whom it is about without a lock first. What can't be done now stays stored and comes again, ever later.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Engine, Row, text
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import address as addresses
from mailer import optout
from mailer.bounces.sorting import sort
from mailer.consent.links import Links
from mailer.consent.policy import ALL
from mailer.db import session_factory
from mailer.errors import BadAddress
from mailer.feedback import mails, refused, sendgrid, softs
from mailer.feedback.facts import HARMLESS, Fact, What
from mailer.feedback.settling import NOT_YET, UNKNOWN, settle, settle_one, whose

log = structlog.get_logger(__name__)

BATCH = 1000
MOST_TRIES = 60

_WAITING = text("""
    SELECT id, source, body, received_at FROM provider_events
     WHERE applied_at IS NULL AND not_before <= clock_timestamp() AND tries < :most AND source <> 'handover'
     ORDER BY not_before, id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_ONE = text("""
    SELECT id, source, body, raw, received_at FROM provider_events
     WHERE id = :id AND applied_at IS NULL FOR UPDATE SKIP LOCKED
""")
_DONE = text("""
    UPDATE provider_events e SET applied_at = clock_timestamp(), outcome = w.outcome, raw = NULL
      FROM unnest(CAST(:ids AS bigint[]), CAST(:outcomes AS text[])) AS w(id, outcome) WHERE e.id = w.id
""")
_MINIMAL = text("UPDATE provider_events SET body = CAST(:body AS jsonb) WHERE id = :id")
_LATER = text("""
    UPDATE provider_events SET tries = tries + 1,
           not_before = clock_timestamp() + make_interval(secs => least(3600, power(2, least(tries, 12))))
     WHERE id = ANY(:ids)
""")
_KEEP = text("""
    INSERT INTO kept_mails (event_id, kind, customer_id, delivery_id, sender, subject, text, raw, received_at,
                            handled_at, handled_as)
    VALUES (:event, :kind, :customer, :delivery, :sender, :subject, :text, :raw, :at,
            CASE WHEN CAST(:handled AS text) IS NOT NULL THEN clock_timestamp() END, :handled) ON CONFLICT DO NOTHING
""")
_BY_ADDRESS = text("SELECT customer_id FROM addresses WHERE address_hash = :hash ORDER BY 1 LIMIT 2")


@dataclass(frozen=True, slots=True)
class Applier:
    """Everything that applying needs. `apply_waiting` is one round."""

    engine: Engine
    keys: Keys
    links: Links

    def apply_waiting(self, limit: int = BATCH) -> int:
        """Apply up to `limit` stored events; return how many were looked at."""
        sessions = session_factory(self.engine)
        with sessions() as session, session.begin():
            rows = session.execute(_WAITING, {"limit": limit, "most": MOST_TRIES}).all()
            apart = self._harmless(session, rows)
        for event_id in apart:
            self._alone(event_id)
        return len(rows)

    def apply_refusals(self) -> int:
        """Read what servers refused at hand-over; return how many refusals were done."""
        sessions, done = session_factory(self.engine), 0
        while True:
            with sessions() as session, session.begin():
                some = refused.apply_next(session)
            if not some:
                return done
            done += some

    def judge_softs(self) -> int:
        """Suppress the addresses that have had their chances; return how many."""
        sessions, judged = session_factory(self.engine), 0
        while judged < BATCH:
            with sessions() as session, session.begin():
                if not softs.judge_next(session):
                    break
            judged += 1
        return judged

    def _harmless(self, session: Session, rows: Sequence[Row[Any]]) -> list[int]:
        """Apply what touches nothing but its delivery; return the ids of the others."""
        facts: dict[int, Fact] = {}
        done: dict[int, str] = {}
        apart = []
        for row in rows:
            fact = sendgrid.fact_of(row.body, row.received_at) if row.source == sendgrid.SOURCE else None
            if row.source != sendgrid.SOURCE or (fact is not None and not _is_harmless(fact)):
                apart.append(row.id)
            elif fact is None:
                done[row.id] = UNKNOWN
            elif fact.what is What.NOTHING:
                done[row.id] = What.NOTHING.value
            else:
                facts[row.id] = fact
        done |= settle(session, facts) if facts else {}
        _finish(session, done, {row.id: row.body for row in rows if row.source == sendgrid.SOURCE})
        return apart

    def _alone(self, event_id: int) -> None:
        """Apply one event in transactions of its own. Whatever goes wrong, it stays stored and comes again."""
        sessions = session_factory(self.engine)
        try:
            with sessions() as session, session.begin():
                row = session.execute(_ONE, {"id": event_id}).one_or_none()
                if row is None:
                    return
                read = self._read(session, row)
            # An opt-out is in force at once, by the same door as all others, whatever becomes of the rest.
            self._stop(sessions, read)
            with sessions() as session, session.begin():
                row = session.execute(_ONE, {"id": event_id}).one_or_none()
                if row is not None:
                    self._settle(session, row, read)
        except Exception:
            log.exception("event_failed", event_id=event_id)
            with sessions() as session, session.begin():
                session.execute(_LATER, {"ids": [event_id]})

    def _read(self, session: Session, row: Row[Any]) -> mails.Read:
        if row.source == sendgrid.SOURCE:
            fact = sendgrid.fact_of(row.body, row.received_at)
            return mails.Read((fact,) if fact is not None else ())
        mail = sort(bytes(row.raw or b""), str(row.body.get("sent_to", "")))
        return mails.read(session, self.keys, self.links, mail, row.received_at)

    def _stop(self, sessions: Any, read: mails.Read) -> None:
        for fact in read.facts:
            if fact.what in (What.COMPLAINED, What.UNSUBSCRIBED):
                with sessions() as session:
                    to = whose(session, fact.delivery_id)
                if to is not None and not to.erased:
                    scope = to.purpose if fact.what is What.UNSUBSCRIBED and fact.scope is None else ALL
                    source = "complaint" if fact.what is What.COMPLAINED else "provider_event"
                    optout.stop_person(self.engine, customer_id=to.customer_id, scope=scope, source=source)
        if read.stop_address is not None and _is_address(read.stop_address):
            optout.stop_address(self.engine, self.keys, address=read.stop_address, source="mail")

    def _settle(self, session: Session, row: Row[Any], read: mails.Read) -> None:
        with session.begin_nested() as all_or_nothing:
            outcomes = [self._one(session, row, fact) for fact in sorted(read.facts, key=lambda one: one.delivery_id)]
            if NOT_YET in outcomes:
                all_or_nothing.rollback()
        if NOT_YET in outcomes:
            session.execute(_LATER, {"ids": [row.id]})
            return
        unproved = row.source != sendgrid.SOURCE and bool(read.facts) and set(outcomes) == {UNKNOWN}
        keep = read.keep or ("unproved" if unproved and not read.stop_address else None)
        if keep is not None:
            self._keep(session, row, keep, read)
        elif read.stop_address is not None:
            # Believed by its sender alone: whoever asks later can see what was written, and that it was obeyed.
            self._keep(session, row, "letter", read, handled="opt_out")
        told = outcomes[0] if outcomes else (keep or ("opt_out" if read.stop_address else "automatic"))
        _finish(session, {row.id: told}, {row.id: row.body} if row.source == sendgrid.SOURCE else {})

    def _one(self, session: Session, row: Row[Any], fact: Fact) -> str:
        to = whose(session, fact.delivery_id)
        if to is None:
            return UNKNOWN
        if to.erased and row.source == sendgrid.SOURCE:
            _shrink(session, row.id, row.body)
        return settle_one(session, row.id, fact, to)

    def _keep(self, session: Session, row: Row[Any], kind: str, read: mails.Read, handled: str | None = None) -> None:
        mail = sort(bytes(row.raw or b""), str(row.body.get("sent_to", "")))
        to = whose(session, read.delivery_id) if read.delivery_id else None
        customer = to.customer_id if to is not None else self._writer(session, mail.sender)
        session.execute(
            _KEEP,
            {
                "event": row.id,
                "kind": kind,
                "customer": customer,
                "delivery": to.delivery_id if to is not None else None,
                "sender": mail.sender,
                "subject": mail.subject,
                "text": mail.text,
                "raw": bytes(row.raw or b""),
                "at": row.received_at,
                "handled": handled,
            },
        )

    def _writer(self, session: Session, sender: str) -> int | None:
        """The one person who has this address: a letter shows on their page. Believed for that, and for no more."""
        if not _is_address(sender):
            return None
        hashed = addresses.hash_address(self.keys, addresses.parse(sender).canonical)
        people = session.execute(_BY_ADDRESS, {"hash": hashed}).scalars().all()
        return people[0] if len(people) == 1 else None


def _is_harmless(fact: Fact) -> bool:
    return fact.what in HARMLESS or (fact.what is What.NOTHING and fact.cause is None)


def _is_address(written: str) -> bool:
    try:
        addresses.parse(written)
    except BadAddress:
        return False
    return True


def _finish(session: Session, outcomes: dict[int, str], bodies: dict[int, Any]) -> None:
    done = {event_id: outcome for event_id, outcome in outcomes.items() if outcome != NOT_YET}
    later = sorted(set(outcomes) - set(done))
    if done:
        session.execute(_DONE, {"ids": list(done), "outcomes": list(done.values())})
    if later:
        session.execute(_LATER, {"ids": later})
    for event_id in (one for one, outcome in done.items() if outcome == UNKNOWN and one in bodies):
        _shrink(session, event_id, bodies[event_id])


def _shrink(session: Session, event_id: int, body: dict[str, Any]) -> None:
    """Keep nothing personal of somebody unknown or erased (check 94)."""
    session.execute(_MINIMAL, {"id": event_id, "body": json.dumps(sendgrid.minimal(body))})
