"""T2 (d): what became of each message, all in one transaction, repeatable from memory.

Every multi-row change first locks its rows by id. A row that feedback settled meanwhile is accepted as it is; a row
that the reaper put in doubt may still become accepted or refused, for that is now known, but never pending again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer import refusals
from mailer.pick import Job

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

_LOCK = text("SELECT id FROM deliveries WHERE id = ANY(:ids) ORDER BY id FOR UPDATE")
# Feedback may have settled a row and the reaper may have put it in doubt: the hand-over is closed all the same.
_SETTLE = text("""
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
_RELEASE = text("""
    DELETE FROM campaign_addresses WHERE campaign_id = :campaign AND attempt_id = :attempt AND delivery_id = ANY(:ids)
""")
_COME_BACK = text("""
    INSERT INTO come_back (delivery_id, customer_id, campaign_id, not_before)
    SELECT w.id, w.customer, :campaign, clock_timestamp() + make_interval(secs => w.wait)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:customers AS bigint[]), CAST(:waits AS float8[]))
           AS w(id, customer, wait)
    ON CONFLICT (delivery_id, customer_id) DO UPDATE SET not_before = excluded.not_before
""")
_PAUSE = text("""
    UPDATE mandates SET state = 'paused', state_reason = :reason WHERE campaign_id = :campaign AND state = 'sending'
""")

_LOCK_PENDING = text("SELECT id FROM deliveries WHERE id = ANY(:ids) AND state = 'pending' ORDER BY id FOR UPDATE")
_FAIL = text("""
    UPDATE deliveries d SET state = 'render_failed', reason = w.reason, settled_at = clock_timestamp()
      FROM unnest(CAST(:ids AS uuid[]), CAST(:reasons AS text[])) AS w(id, reason)
     WHERE d.id = w.id AND d.state = 'pending'
""")


def settle(
    session: Session,
    job: Job,
    results: Sequence[Result],
    *,
    customers: dict[UUID, int],
    attempt_id: UUID,
    worker: str,
) -> None:
    """Record `results` of one attempt and close its hand-overs. Saying it twice changes nothing.

    `customers` gives the person of each delivery. The caller commits.
    """
    wanted = [result.delivery_id for result in results]
    common = {"attempt": attempt_id, "campaign": job.campaign_id, "worker": worker, "ids": wanted}
    session.execute(_LOCK, {"ids": wanted})
    done = set(
        session.execute(
            _SETTLE,
            {
                **common,
                "customers": [customers[result.delivery_id] for result in results],
                "states": [result.state for result in results],
                "reasons": [result.reason for result in results],
                "codes": [result.code for result in results],
                "messages": [result.provider_message_id for result in results],
            },
        )
        .scalars()
        .all()
    )
    back = [r for r in results if r.delivery_id in done and r.state in BACK]
    waiting = [r for r in back if r.state == "pending"]
    if back:
        session.execute(_RELEASE, {**common, "ids": [result.delivery_id for result in back]})
    if waiting:
        session.execute(
            _COME_BACK,
            {
                "campaign": job.campaign_id,
                "ids": [result.delivery_id for result in waiting],
                "customers": [customers[result.delivery_id] for result in waiting],
                "waits": [result.wait for result in waiting],
            },
        )
    refused = [(r.delivery_id, r.code) for r in results if r.delivery_id in done and r.state == "refused_by_provider"]
    if refused:
        refusals.keep(session, attempt_id, refused)


def pause(session: Session, campaign_id: int, reason: str) -> None:
    """Pause a campaign because of us: sender, sign-in or an approval that no longer fits."""
    session.execute(_PAUSE, {"campaign": campaign_id, "reason": reason})


def fail(session: Session, broken: Sequence[tuple[UUID, str]]) -> None:
    """End deliveries whose message can't be made: tried again, it would fail again. Nobody else is held up."""
    session.execute(_LOCK_PENDING, {"ids": [delivery_id for delivery_id, _ in broken]})
    session.execute(
        _FAIL, {"ids": [delivery_id for delivery_id, _ in broken], "reasons": [why[:200] for _, why in broken]}
    )
