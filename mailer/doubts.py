"""Deliveries of which nobody knows whether they arrived: sent again only if two people want it, or closed.

Whole sets at once, yet each row on its own: a provider's event that comes in between settles its row, and what is
settled is not sent again. The gate runs once more for everybody. The database refuses any other way back to pending.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer.errors import InputProblem, NotAllowed, Refused
from mailer.models import ResendRequest

_COVER = text("""
    INSERT INTO resend_rows (customer_id, delivery_id, request_id, attempt_id)
    SELECT customer_id, id, :request, attempt_id FROM deliveries
     WHERE campaign_id = :campaign AND state = 'unconfirmed' AND attempt_id IS NOT NULL
       AND (CAST(:only AS uuid[]) IS NULL OR id = ANY(:only))
     ORDER BY customer_id
    ON CONFLICT DO NOTHING RETURNING delivery_id
""")
_DECIDE = text("""
    UPDATE resend_requests SET decision = :decision, decided_by = :operator, decided_at = clock_timestamp()
     WHERE id = :request AND decision IS NULL RETURNING id
""")
# Feedback may hold a row just now: then it has news, and the row is left to it.
_LOCK_COVERED = text("""
    SELECT d.id FROM resend_rows r JOIN deliveries d ON d.customer_id = r.customer_id AND d.id = r.delivery_id
     WHERE r.request_id = :request AND r.outcome IS NULL AND d.state = 'unconfirmed'
     ORDER BY d.id FOR UPDATE OF d SKIP LOCKED
""")
_SEND_AGAIN = text("""
    UPDATE deliveries d SET state = 'pending', reason = 'send_again', settled_at = NULL, resend_approved_by = :operator,
           maybe_mailed_at = d.intended_at
      FROM resend_rows r
     WHERE r.request_id = :request AND r.outcome IS NULL AND d.customer_id = r.customer_id AND d.id = r.delivery_id
       AND d.id = ANY(:ids) AND d.state = 'unconfirmed' AND d.attempt_id = r.attempt_id
    RETURNING d.id
""")
_END_ROWS = text("""
    UPDATE resend_rows SET outcome = CASE WHEN delivery_id = ANY(:again) THEN 'sent_again' ELSE :others END
     WHERE request_id = :request AND outcome IS NULL
""")
_LOCK_UNCONFIRMED = text("""
    SELECT id FROM deliveries WHERE campaign_id = :campaign AND state = 'unconfirmed'
       AND (CAST(:only AS uuid[]) IS NULL OR id = ANY(:only))
     ORDER BY id FOR UPDATE SKIP LOCKED
""")
_CLOSE = text("""
    WITH stated AS (
      UPDATE deliveries SET state = 'closed', settled_at = clock_timestamp()
       WHERE campaign_id = :campaign AND id = ANY(:ids) AND state = 'unconfirmed' RETURNING id, customer_id),
    ended AS (
      UPDATE resend_rows r SET outcome = 'closed' FROM stated s
       WHERE r.customer_id = s.customer_id AND r.delivery_id = s.id AND r.outcome IS NULL)
    SELECT count(*) FROM stated
""")


@dataclass(frozen=True, slots=True)
class Decided:
    """How many go out again, and of how many news came first (or was just coming)."""

    again: int
    settled: int


def propose(
    session: Session, campaign_id: int, operator_id: int, reason: str, only: Sequence[UUID] | None = None
) -> tuple[int, int]:
    """Ask to send again to those who are unconfirmed (of `only`, or all); return the request and how many it covers.

    Whoever is in an open request already stays in that one. Raises Refused when nobody is left. Nothing is sent.
    """
    asked = ResendRequest(campaign_id=campaign_id, proposed_by=operator_id, reason=reason)
    session.add(asked)
    session.flush()
    wanted = {"request": asked.id, "campaign": campaign_id, "only": None if only is None else list(only)}
    covered = len(session.execute(_COVER, wanted).all())
    if covered == 0:
        raise Refused("Nobody is left to ask for: somebody asked already, or news came meanwhile.")
    return asked.id, covered


def approve(session: Session, request_id: int, operator_id: int) -> Decided:
    """Say yes to a request of somebody else: whoever is still unconfirmed by the same attempt waits to leave again.

    Raises NotAllowed for whoever asked, Refused if it was decided already. Of two people at once one decides.
    """
    asked = _undecided(session, request_id)
    if asked.proposed_by == operator_id:
        raise NotAllowed("You asked for this, so somebody else decides it.")
    _decide(session, request_id, operator_id, "approved")
    wanted = {"request": request_id, "operator": operator_id}
    free = session.execute(_LOCK_COVERED, wanted).scalars().all()
    # In a later statement than the locks: what was settled meanwhile is seen, and stays settled.
    again = list(session.execute(_SEND_AGAIN, wanted | {"ids": list(free)}).scalars())
    return Decided(len(again), _end(session, request_id, again, "settled") - len(again))


def turn_down(session: Session, request_id: int, operator_id: int) -> str:
    """Say no to a request, or take one's own back; return which. Everybody of it stays unconfirmed."""
    asked = _undecided(session, request_id)
    decision = "withdrawn" if asked.proposed_by == operator_id else "declined"
    _decide(session, request_id, operator_id, decision)
    _end(session, request_id, [], "dropped")
    return decision


def close(session: Session, campaign_id: int, only: Sequence[UUID] | None = None) -> int:
    """End what is unconfirmed (of `only`, or all) for good, unknown as it is; return how many."""
    wanted = {"campaign": campaign_id, "only": None if only is None else list(only)}
    free = session.execute(_LOCK_UNCONFIRMED, wanted).scalars().all()
    return int(session.execute(_CLOSE, wanted | {"ids": list(free)}).scalar_one())


def _undecided(session: Session, request_id: int) -> ResendRequest:
    asked = session.get(ResendRequest, request_id, populate_existing=True)
    if asked is None:
        raise InputProblem("There is no such request.")
    return asked


def _decide(session: Session, request_id: int, operator_id: int, decision: str) -> None:
    decided = session.execute(_DECIDE, {"request": request_id, "operator": operator_id, "decision": decision})
    if decided.first() is None:
        raise Refused("It was decided already.")


def _end(session: Session, request_id: int, again: Sequence[UUID], others: str) -> int:
    ended = session.execute(_END_ROWS, {"request": request_id, "again": list(again), "others": others})
    return int(ended.rowcount)  # type: ignore[attr-defined]
