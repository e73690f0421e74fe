"""What the hashes of a person's ledger, and its projection, must be: derived anew, apart from the triggers.

Each link is SHA-256 over the hash before it and the entry's fields as a JSON array, so that no value can run into
the next one. `mailer.audit` feeds it rows; nothing here reads any.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mailer.consent.evidence import evidence_digest
from mailer.consent.policy import Action, Event, fold

GENESIS = hashlib.sha256(b"askfirst").digest()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Standings = Mapping[str, tuple[Any, Any]]
"""By purpose: what the ledger comes to, and what is stored."""


def broken(customer_id: int, events: Sequence[Any], heads: Sequence[Any]) -> Iterator[str]:
    """Say where a person's chain is not what it must be."""
    before = GENESIS
    for place, event in enumerate(events, start=1):
        name = f"consent event {event.id} of customer {customer_id}"
        if event.seq != place:
            yield f"{name}: sequence {event.seq} where {place} belongs"
        if bytes(event.prev_hash) != before or bytes(event.hash) != consent_hash(event):
            yield f"{name}: the chain is broken here"
        if event.wording_id is not None and _sha(event.words or "") != _bytes(event.wording_digest):
            yield f"{name}: the stored words are not those that were agreed to"
        if event.salt is not None and evidence_digest(bytes(event.salt), event.document) != _bytes(
            event.evidence_digest
        ):
            yield f"{name}: its evidence is not what was recorded"
        before = bytes(event.hash)
    head = heads[0] if heads else None
    ends = (0, GENESIS) if head is None else (head.seq, bytes(head.hash))
    if ends != (len(events), before):
        yield f"customer {customer_id}: the head of the chain is not its last event"


def standings(events: Sequence[Any], states: Sequence[Any]) -> Standings:
    """Return what a person's ledger comes to beside what is stored, by purpose."""
    derived = {
        purpose: (s.granted, s.seq, s.event_id, s.policy_version_id, s.withdrawn_at)
        for purpose, s in fold(map(as_event, events)).purposes.items()
    }
    stored = {s.purpose: (s.granted, s.seq, s.event_id, s.policy_version_id, s.withdrawn_at) for s in states}
    return {purpose: (derived.get(purpose), stored.get(purpose)) for purpose in sorted(derived.keys() | stored.keys())}


def misread(customer_id: int, compared: Standings) -> Iterator[str]:
    """Say which stored standings are not what the ledger comes to."""
    for purpose, (derived, stored) in compared.items():
        if derived != stored:
            yield f"customer {customer_id}, {purpose}: the stored standing is not what the ledger comes to"


def consent_hash(event: Any) -> bytes:
    """Return the hash that a ledger entry must have: SHA-256 over the hash before it and its fields as JSON."""
    fields = [
        event.customer_id,
        event.seq,
        event.id,
        event.action,
        event.purpose,
        event.channel,
        _micros(event.occurred_at),
        _micros(event.recorded_at),
        event.source,
        event.policy_version_id,
        event.wording_id,
        _hex(event.wording_digest),
        _hex(event.evidence_digest),
    ]
    return _link(event.prev_hash, fields)


def act_hash(act: Any) -> bytes:
    """Return the hash that an operator's act must have; `act.told` is its document as text."""
    return _link(act.prev_hash, [act.seq, act.operator_id, act.act, act.subject, act.told, _micros(act.at)])


def as_event(row: Any) -> Event:
    """Return a ledger entry as the policy reads it."""
    return Event(
        row.seq, row.id, Action(row.action), row.purpose, row.occurred_at, row.recorded_at, row.policy_version_id
    )


def _link(before: bytes, fields: Sequence[object]) -> bytes:
    return hashlib.sha256(bytes(before) + json.dumps(fields, ensure_ascii=False).encode()).digest()


def _micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def _sha(words: str) -> bytes:
    return hashlib.sha256(words.encode()).digest()


def _bytes(value: bytes | None) -> bytes | None:
    return None if value is None else bytes(value)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).hex()
