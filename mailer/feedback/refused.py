"""What servers refused in our face, read by the table of causes: set by set, each refusal once.

The deliveries stay refused, as they are recorded. What follows is the same as for a mail that came back: it is a
bounce of its campaign (check 45: a rate that jumps stops it), an address that is gone is suppressed, what may pass is
counted, what is held against the sender is told to the operators.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from mailer.bounces.causes import Act, Cause, cause_of
from mailer.bounces.reports import status_in
from mailer.consent.ledger import lock_available
from mailer.consent.policy import ALL
from mailer.feedback.settling import without_addresses
from mailer.suppression import HARD_BOUNCE, lock_addresses, suppress

AT_ONCE = 200
"""People locked together at most: an opt-out waits no longer than it takes to write this many rows."""

_WAITING = text("""
    SELECT e.id, e.body ->> 'said' AS said, e.received_at, d.id AS delivery_id, d.customer_id, d.address_hash,
           d.recipient_domain
      FROM (SELECT id, body, received_at, (body ->> 'delivery_id')::uuid AS delivery_id FROM provider_events
             WHERE applied_at IS NULL AND source = 'handover' ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED) e
      LEFT JOIN deliveries d ON d.id = e.delivery_id
     ORDER BY e.id
""")
_HOLDERS = text("SELECT address_hash, customer_id FROM addresses WHERE address_hash = ANY(:hashes)")
_SOFT = text("""
    INSERT INTO soft_bounces (address_hash, delivery_id, customer_id, cause, at)
    SELECT DISTINCT ON (w.hash, w.delivery) * FROM unnest(
             CAST(:hashes AS bytea[]), CAST(:deliveries AS uuid[]), CAST(:customers AS bigint[]),
             CAST(:causes AS text[]), CAST(:times AS timestamptz[])) AS w(hash, delivery, customer, cause, at)
     ORDER BY w.hash, w.delivery, w.at, w.cause
    ON CONFLICT (address_hash, delivery_id) DO UPDATE
       SET at = least(soft_bounces.at, excluded.at), cause = least(soft_bounces.cause, excluded.cause)
""")
_ALERT = text("""
    INSERT INTO alerts (cause, domain, day, count, sample, first_at, last_at)
    SELECT cause, domain, CAST(at AT TIME ZONE 'UTC' AS date), count(*), min(sample), min(at), max(at)
      FROM unnest(CAST(:causes AS text[]), CAST(:domains AS text[]), CAST(:samples AS text[]),
                  CAST(:times AS timestamptz[])) AS w(cause, domain, sample, at)
     GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (cause, domain, day) DO UPDATE
       SET count = alerts.count + excluded.count, sample = least(alerts.sample, excluded.sample),
           first_at = least(alerts.first_at, excluded.first_at), last_at = greatest(alerts.last_at, excluded.last_at),
           seen_at = NULL, seen_by = NULL
""")
_LOCK = text("SELECT id FROM deliveries WHERE id = ANY(:ids) ORDER BY id FOR UPDATE SKIP LOCKED")
_BOUNCED = text("""
    UPDATE deliveries d SET bounced_at = least(d.bounced_at, w.at)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:times AS timestamptz[])) AS w(id, at)
     WHERE d.id = w.id AND d.state = 'refused_by_provider'
""")
_DONE = text("""
    UPDATE provider_events e SET applied_at = clock_timestamp(), outcome = w.outcome, body = CAST(w.body AS jsonb)
      FROM unnest(CAST(:ids AS bigint[]), CAST(:outcomes AS text[]), CAST(:bodies AS text[])) AS w(id, outcome, body)
     WHERE e.id = w.id
""")
_OUTCOMES = {Act.SUPPRESS: "suppressed", Act.COUNT: "counted", Act.ALERT: "alerted", Act.NOTHING: "nothing"}

Refused = Row[Any]


def cause_of_refusal(said: str) -> Cause:
    """Return why a server refused: `550 5.1.1 User unknown`, as it was recorded."""
    return cause_of(said, status_in(said, "45"))


def apply_next(session: Session) -> int:
    """Read the next refusals, in one transaction that the caller commits; return how many were done.

    Those of people whom somebody else holds stay for the next round.
    """
    rows = session.execute(_WAITING, {"limit": AT_ONCE}).all()
    known = [(row, cause_of_refusal(row.said or "")) for row in rows if row.delivery_id is not None]
    held = _suppress(session, {bytes(row.address_hash) for row, cause in known if cause.act is Act.SUPPRESS})
    done = [(row, cause) for row, cause in known if cause.act is not Act.SUPPRESS or row.address_hash not in held]
    free = _bounced(session, [row for row, _ in done])
    done = [(row, cause) for row, cause in done if row.delivery_id in free]
    _count(session, [one for one in done if one[1].act is Act.COUNT])
    _alert(session, [one for one in done if one[1].act is Act.ALERT])
    ends: list[tuple[int, str, str | None]] = [(row.id, "unknown", None) for row in rows if row.delivery_id is None]
    ends += [(row.id, _OUTCOMES[cause.act], cause.name) for row, cause in done]
    if ends:
        ids, outcomes, causes = zip(*ends, strict=True)
        # What was said stays with the attempt; here it has done its work.
        bodies = [json.dumps({"cause": cause}) for cause in causes]
        session.execute(_DONE, {"ids": list(ids), "outcomes": list(outcomes), "bodies": bodies})
    return len(ends)


def _suppress(session: Session, hashes: set[bytes]) -> set[bytes]:
    """Suppress these addresses; return those that must wait, because somebody holds a person who has one."""
    if not hashes:
        return set()
    lock_addresses(session, hashes)
    holders = session.execute(_HOLDERS, {"hashes": sorted(hashes)}).all()
    obtained = lock_available(session, [row.customer_id for row in holders])
    held = {bytes(row.address_hash) for row in holders if row.customer_id not in obtained}
    for address_hash in sorted(hashes - held):
        suppress(session, address_hash, ALL, HARD_BOUNCE)
    return held


def _bounced(session: Session, rows: Sequence[Refused]) -> set[UUID]:
    """Let these count as bounces of their campaigns; return which deliveries nobody else held."""
    if not rows:
        return set()
    free = set(session.execute(_LOCK, {"ids": [row.delivery_id for row in rows]}).scalars())
    mine = [row for row in rows if row.delivery_id in free]
    told = {"ids": [row.delivery_id for row in mine], "times": [row.received_at for row in mine]}
    session.execute(_BOUNCED, told)
    return free


def _count(session: Session, found: Sequence[tuple[Refused, Cause]]) -> None:
    if found:
        session.execute(
            _SOFT,
            {
                "hashes": [bytes(row.address_hash) for row, _ in found],
                "deliveries": [row.delivery_id for row, _ in found],
                "customers": [row.customer_id for row, _ in found],
                "causes": [cause.name for _, cause in found],
                "times": [row.received_at for row, _ in found],
            },
        )


def _alert(session: Session, found: Sequence[tuple[Refused, Cause]]) -> None:
    if found:
        session.execute(
            _ALERT,
            {
                "causes": [cause.name for _, cause in found],
                "domains": [row.recipient_domain or "" for row, _ in found],
                "samples": [without_addresses(row.said)[:300] for row, _ in found],
                "times": [row.received_at for row, _ in found],
            },
        )
