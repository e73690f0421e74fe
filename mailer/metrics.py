"""The figures that we publish of ourselves: how fast a no is answered, and that nothing is handed over after it.

A message is late if its intent (T1) came after the answer, it was handed over, and the yes it relies on is older
than the no. One whose first byte was out before the answer is no such message; the answer said that it may arrive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from mailer.models.deliveries import HANDED_OVER

_ASKED = """
    WITH asked AS (
      SELECT id, customer_id, address_hash, scope, event_id_seen, requested_at, folded_at,
             coalesce(answered_at, folded_at) AS answered,
             1000 * extract(epoch FROM answered_at - requested_at) AS took,
             CAST(requested_at AT TIME ZONE :zone AS date) AS day
        FROM stop_requests WHERE requested_at > clock_timestamp() - make_interval(hours => :hours)),
    whom AS (
      SELECT id, customer_id FROM asked WHERE customer_id IS NOT NULL
       UNION SELECT k.id, a.customer_id FROM asked k JOIN addresses a ON a.address_hash = k.address_hash),
    handed AS (
      SELECT k.id, max(d.intended_at) AS last
        FROM asked k JOIN whom w ON w.id = k.id
        JOIN deliveries d ON d.customer_id = w.customer_id AND d.message_class = 'marketing'
         AND (k.scope = 'all' OR d.purpose = k.scope) AND d.consent_event_id <= k.event_id_seen
         AND d.state = ANY(:handed_over)
       GROUP BY k.id)
    SELECT {day} AS day, count(*) AS asked, count(*) FILTER (WHERE k.folded_at IS NULL) AS open,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY k.took) AS p50,
           percentile_cont(0.99) WITHIN GROUP (ORDER BY k.took) AS p99, max(k.took) AS slowest,
           count(*) FILTER (WHERE h.last > k.answered) AS late,
           max(extract(epoch FROM h.last - k.answered)) AS nearest
      FROM asked k LEFT JOIN handed h ON h.id = k.id {group}
"""
_BY_DAY = text(_ASKED.format(day="k.day", group="GROUP BY 1 ORDER BY 1 DESC"))
_IN_ALL = text(_ASKED.format(day="NULL", group=""))


@dataclass(frozen=True, slots=True)
class OptOuts:
    """The opt-outs of one day, or of all of a span (`day` None). Milliseconds; None where there was nothing."""

    day: date | None
    asked: int
    open: int
    """Answered, in force, and not in the ledger yet."""
    p50: float | None
    p99: float | None
    slowest: float | None
    late: int
    nearest: float | None
    """Seconds from an answer to the last hand-over to that person; below zero: before it. The largest of all."""


def by_day(session: Session, zone: str, days: int = 7) -> Sequence[OptOuts]:
    """Return the opt-outs of the last days, by the shop's day, the newest first."""
    return [_read(row) for row in session.execute(_BY_DAY, _values(zone, 24 * days))]


def in_all(session: Session, hours: int = 24) -> OptOuts:
    """Return the opt-outs of the last hours together."""
    return _read(session.execute(_IN_ALL, _values("UTC", hours)).one())


def _values(zone: str, hours: int) -> Mapping[str, Any]:
    return {"zone": zone, "hours": hours, "handed_over": list(HANDED_OVER)}


def _read(row: Row[Any]) -> OptOuts:
    figures = {name: _figure(getattr(row, name)) for name in ("p50", "p99", "slowest", "nearest")}
    return OptOuts(row.day, row.asked, row.open, late=row.late, **figures)


def _figure(value: Any) -> float | None:
    return None if value is None else float(value)
