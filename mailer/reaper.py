"""What the clock does for deliveries: hand-overs that outlived their deadline, campaigns that were cancelled or ended.

A held lock is a live hand-over and is left alone. What was being handed over goes in doubt, never back to pending.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer.consent.ledger import lock_available

_OVERDUE = text("""
    SELECT customer_id, delivery_id, attempt_id FROM open_handovers
     WHERE deadline < clock_timestamp() ORDER BY deadline LIMIT :limit
""")
_LOCK = text("SELECT id FROM deliveries WHERE id = ANY(:ids) ORDER BY id FOR UPDATE SKIP LOCKED")
_REAP = text("""
    WITH gone AS (
      DELETE FROM open_handovers o USING unnest(CAST(:ids AS uuid[]), CAST(:attempts AS uuid[])) AS w(id, attempt)
       WHERE o.delivery_id = w.id AND o.attempt_id = w.attempt AND o.deadline < clock_timestamp()
      RETURNING o.delivery_id, o.attempt_id),
    stated AS (
      UPDATE deliveries d SET state = 'in_doubt', reason = 'worker_lost', settled_at = clock_timestamp()
        FROM gone g WHERE d.id = g.delivery_id AND d.state = 'handing_over' AND d.attempt_id = g.attempt_id
      RETURNING d.id, d.customer_id, d.attempt_id)
    INSERT INTO delivery_attempts (customer_id, delivery_id, attempt_id, outcome, code)
    SELECT customer_id, id, attempt_id, 'in_doubt', 'worker_lost' FROM stated RETURNING delivery_id
""")
_SWEEP = text("""
    WITH swept AS (
      SELECT d.id FROM deliveries d JOIN mandates m ON m.campaign_id = d.campaign_id
       WHERE d.state = 'pending' AND m.campaign_id = :campaign
         AND (m.state = 'cancelled' OR (m.state IN ('sending', 'paused') AND m.ends_at <= clock_timestamp()))
       ORDER BY d.id LIMIT :limit FOR UPDATE OF d SKIP LOCKED),
    gone AS (DELETE FROM come_back b USING swept s WHERE b.delivery_id = s.id)
    UPDATE deliveries d SET state = CASE m.state WHEN 'cancelled' THEN 'cancelled' ELSE 'expired' END,
           reason = CASE m.state WHEN 'cancelled' THEN 'campaign_cancelled' ELSE 'campaign_over' END,
           settled_at = clock_timestamp()
      FROM swept s, mandates m WHERE d.id = s.id AND m.campaign_id = d.campaign_id RETURNING d.id
""")
_IS_OVER = text("""
    SELECT (m.state = 'cancelled' OR (m.state = 'paused' AND m.ends_at <= clock_timestamp()))
           AND NOT EXISTS (SELECT 1 FROM open_handovers o WHERE o.campaign_id = m.campaign_id)
      FROM mandates m WHERE m.campaign_id = :campaign
""")
_GIVE_UP = text("""
    WITH tired AS (
      SELECT d.id, d.customer_id FROM come_back b
        JOIN deliveries d ON d.id = b.delivery_id AND d.customer_id = b.customer_id
       WHERE d.state = 'pending' AND d.reason = 'not_taken'
         AND d.created_at < clock_timestamp() - interval '4 days'
         -- Since the first time that it was put off: how long it waited for us is no reason.
         AND EXISTS (SELECT 1 FROM delivery_attempts a WHERE a.customer_id = d.customer_id AND a.delivery_id = d.id
                        AND a.outcome = 'pending' AND a.at < clock_timestamp() - interval '4 days'
                        AND (a.code = 'not_taken' OR a.code !~ '^(5|[a-z_]+$)'))
       ORDER BY d.id LIMIT :limit FOR UPDATE OF d SKIP LOCKED),
    gone AS (DELETE FROM come_back b USING tired t WHERE b.delivery_id = t.id AND b.customer_id = t.customer_id)
    UPDATE deliveries d SET state = 'expired', reason = 'gave_up', settled_at = clock_timestamp()
      FROM tired t WHERE d.customer_id = t.customer_id AND d.id = t.id RETURNING d.id
""")
_UNCONFIRMED = text("""
    WITH old AS (
      SELECT id FROM deliveries WHERE campaign_id = :campaign AND state = 'in_doubt'
         AND settled_at < clock_timestamp() - interval '24 hours'
       ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
    UPDATE deliveries d SET state = 'unconfirmed' FROM old WHERE d.id = old.id RETURNING d.id
""")


def reap(session: Session, limit: int = 500) -> int:
    """Put hand-overs past their deadline in doubt; return how many. The caller commits."""
    overdue = session.execute(_OVERDUE, {"limit": limit}).all()
    obtained = lock_available(session, [row.customer_id for row in overdue]) if overdue else set()
    # In a later statement than the locks, and only the attempt that was seen: T2 may just have recorded it.
    ours = [row for row in overdue if row.customer_id in obtained]
    if not ours:
        return 0
    free = set(session.execute(_LOCK, {"ids": [row.delivery_id for row in ours]}).scalars())
    ours = [row for row in ours if row.delivery_id in free]
    found = session.execute(
        _REAP, {"ids": [row.delivery_id for row in ours], "attempts": [row.attempt_id for row in ours]}
    )
    return len(found.all())


def sweep(session: Session, campaign_id: int, limit: int = 1000) -> int:
    """End what is pending of a cancelled or ended campaign, `limit` at a time; return how many. The caller commits."""
    return len(session.execute(_SWEEP, {"campaign": campaign_id, "limit": limit}).all())


def is_over(session: Session, campaign_id: int) -> bool:
    """Whether nothing can come back to pending: cancelled, or paused past its end, and no hand-over of it is open."""
    return bool(session.execute(_IS_OVER, {"campaign": campaign_id}).scalar())


def give_up_trying(session: Session, limit: int = 1000) -> int:
    """End what the provider has not taken for four days (RFC 5321 4.5.4.1); return how many. The caller commits."""
    return len(session.execute(_GIVE_UP, {"limit": limit}).all())


def give_up_waiting(session: Session, campaign_id: int, limit: int = 1000) -> int:
    """Call what is in doubt for 24 hours unconfirmed: a person decides then. The caller commits."""
    return len(session.execute(_UNCONFIRMED, {"campaign": campaign_id, "limit": limit}).all())
