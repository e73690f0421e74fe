"""T2 (d): what became of each message, all in one transaction, repeatable from memory.

Every multi-row change first locks its rows by id. A row that feedback settled meanwhile is accepted as it is; a row
that the reaper put in doubt may still become accepted or refused, for that is now known, but never pending again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import TupleRow
from sqlalchemy.orm import Session

from mailer import arrays, refusals, statements
from mailer.pick import Job
from mailer.statements import Statement

BACK = ("pending", "withheld", "cancelled")
"""States in which nothing was taken: the attempt that inserted the address key deletes it again."""


@dataclass(frozen=True, slots=True)
class Result:
    """The state a delivery ends its attempt in, and why. `wait` in seconds for those that come again."""

    delivery_id: UUID
    state: str
    reason: str | None = None
    code: str | None = None
    provider_message_id: str | None = None
    wait: float = 0.0


PAUSING = ("misconfigured", "approval_changed")
"""Reasons that pause the whole campaign: the next message would fare no better."""

_LOCK = Statement("SELECT id FROM deliveries WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE")
# Feedback may have settled a row and the reaper may have put it in doubt: the hand-over is closed all the same.
_SETTLE = Statement("""
    WITH closed AS (
      DELETE FROM open_handovers o WHERE o.customer_id = ANY(CAST(:customers AS bigint[])) AND o.attempt_id = :attempt),
    w AS (
      SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:reasons AS text[]),
                           CAST(:codes AS text[]), CAST(:messages AS text[]))
                    AS w(id, state, reason, code, message)),
    stated AS (
      UPDATE deliveries d SET state = w.state, reason = w.reason,
             provider_message_id = coalesce(w.message, d.provider_message_id),
             settled_at = CASE WHEN w.state = 'pending' THEN NULL ELSE clock_timestamp() END
        FROM w WHERE d.id = w.id AND d.attempt_id = :attempt
             AND (d.state = 'handing_over'
                  OR (d.state = 'in_doubt' AND w.state IN ('accepted', 'refused_by_provider')))
      RETURNING d.id, d.customer_id, w.state, w.reason, w.code)
    INSERT INTO delivery_attempts (customer_id, delivery_id, attempt_id, outcome, code, worker)
    SELECT customer_id, id, :attempt, state, coalesce(code, reason), :worker FROM stated ORDER BY id
    RETURNING delivery_id
""")
# By hash: there is no other way to a key than through all of its campaign.
_RELEASE = Statement("""
    DELETE FROM campaign_addresses
     WHERE campaign_id = :campaign
       AND address_hash = ANY(ARRAY(SELECT address_hash FROM deliveries WHERE id = ANY(CAST(:ids AS uuid[]))))
       AND attempt_id = :attempt AND delivery_id = ANY(CAST(:ids AS uuid[]))
""")
_COME_BACK = Statement("""
    INSERT INTO come_back (delivery_id, customer_id, campaign_id, not_before)
    SELECT w.id, w.customer, :campaign, clock_timestamp() + make_interval(secs => w.wait)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:customers AS bigint[]), CAST(:waits AS float8[]))
           AS w(id, customer, wait)
    ON CONFLICT (delivery_id, customer_id) DO UPDATE SET not_before = excluded.not_before
""")
_PAUSE = Statement("""
    UPDATE mandates SET state = 'paused', state_reason = :reason WHERE campaign_id = :campaign AND state = 'sending'
""")

_LOCK_PENDING = Statement("""
    SELECT id FROM deliveries WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'pending' ORDER BY id FOR UPDATE
""")
_FAIL = Statement("""
    UPDATE deliveries d SET state = 'render_failed', reason = w.reason, settled_at = clock_timestamp()
      FROM unnest(CAST(:ids AS uuid[]), CAST(:reasons AS text[])) AS w(id, reason)
     WHERE d.id = w.id AND d.state = 'pending'
""")


def settle(
    session: Session,
    job: Job,
    results: Sequence[Result],
    *,
    customers: Mapping[UUID, int],
    attempt_id: UUID,
    worker: str,
) -> None:
    """Record `results` of one attempt and close its hand-overs. Saying it twice changes nothing.

    `customers` gives the person of each delivery. The caller commits.
    """
    common = {"attempt": attempt_id, "campaign": job.campaign_id, "worker": worker, "ids": _ids(results)}
    statements.run(session, _LOCK, {"ids": common["ids"]})
    values = {
        **common,
        "customers": _people(results, customers),
        "states": arrays.texts(result.state for result in results),
        "reasons": arrays.texts(result.reason for result in results),
        "codes": arrays.texts(result.code for result in results),
        "messages": arrays.texts(result.provider_message_id for result in results),
    }
    done = _those(results, statements.run(session, _SETTLE, values))
    back = [result for result in done if result.state in BACK]
    if back:
        statements.run(session, _RELEASE, {**common, "ids": _ids(back)})
    if waiting := [result for result in back if result.state == "pending"]:
        waits = arrays.numbers(result.wait for result in waiting)
        people = _people(waiting, customers)
        statements.run(session, _COME_BACK, {**common, "ids": _ids(waiting), "customers": people, "waits": waits})
    if refused := [(r.delivery_id, r.code) for r in done if r.state == "refused_by_provider"]:
        refusals.keep(session, attempt_id, refused)


def _those(results: Sequence[Result], found: Cursor[TupleRow]) -> Sequence[Result]:
    """Return the results whose ids were found."""
    if found.rowcount == len(results):
        return results
    known = {row[0] for row in found}
    return [result for result in results if result.delivery_id in known]


def _ids(results: Sequence[Result]) -> str:
    return arrays.uuids(result.delivery_id for result in results)


def _people(results: Sequence[Result], customers: Mapping[UUID, int]) -> str:
    return arrays.numbers(customers[result.delivery_id] for result in results)


def pause(session: Session, campaign_id: int, reason: str) -> None:
    """Pause a campaign because of us: sender, sign-in or an approval that no longer fits."""
    statements.run(session, _PAUSE, {"campaign": campaign_id, "reason": reason})


def fail(session: Session, broken: Sequence[tuple[UUID, str]]) -> None:
    """End deliveries whose message can't be made: tried again, it would fail again. Nobody else is held up."""
    ids = arrays.uuids(delivery_id for delivery_id, _ in broken)
    statements.run(session, _LOCK_PENDING, {"ids": ids})
    statements.run(session, _FAIL, {"ids": ids, "reasons": arrays.texts(why[:200] for _, why in broken)})
