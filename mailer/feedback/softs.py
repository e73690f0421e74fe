"""Failures that may pass: when they don't, the address has had its chances.

Judged by the clock and not event by event, a day and more after the last of them: events come up to 24 hours late
and in any order, and a success that is still on its way must count (S8).
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer.consent.ledger import lock_available
from mailer.consent.policy import ALL
from mailer.suppression import SOFT_BOUNCES, lock_addresses, suppress

CHANCES = 5
"""Messages that came back one after the other, none in between that arrived."""
WINDOW_DAYS = 90
APART_DAYS = 7
"""A full mailbox over one weekend of many mails is one reason, not five."""
SETTLED_HOURS = 26
SILENT_DAYS = 5
"""A mail server that took a message and sent no bounce for so long has delivered it (RFC 5321 4.5.4.1)."""

_WORN_OUT = text("""
    SELECT s.address_hash, array_agg(DISTINCT a.customer_id) FILTER (WHERE a.customer_id IS NOT NULL) AS people
      FROM soft_bounces s LEFT JOIN addresses a ON a.address_hash = s.address_hash
     WHERE s.at > clock_timestamp() - make_interval(days => :window)
       AND NOT EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = s.address_hash AND x.scope = 'all'
                          AND x.lifted_at IS NULL)
       AND NOT EXISTS (
         SELECT 1 FROM deliveries d
          WHERE d.customer_id = s.customer_id AND d.address_hash = s.address_hash AND d.bounced_at IS NULL
            AND (d.delivered_at > s.at
                 OR (d.state = 'accepted' AND d.provider = 'smtp' AND d.settled_at > s.at
                     AND d.settled_at < clock_timestamp() - make_interval(days => :silent))))
     GROUP BY s.address_hash
    HAVING count(DISTINCT s.delivery_id) >= :chances AND max(s.at) - min(s.at) >= make_interval(days => :apart)
       AND max(s.at) < clock_timestamp() - make_interval(hours => :settled)
     ORDER BY s.address_hash LIMIT 1
""")


def judge_next(session: Session) -> bool:
    """Suppress one address that has had its chances; return whether there was one. The caller commits."""
    worn_out = session.execute(
        _WORN_OUT,
        {
            "chances": CHANCES,
            "window": WINDOW_DAYS,
            "apart": APART_DAYS,
            "settled": SETTLED_HOURS,
            "silent": SILENT_DAYS,
        },
    ).one_or_none()
    if worn_out is None:
        return False
    lock_addresses(session, [worn_out.address_hash])
    people = worn_out.people or []
    if lock_available(session, people) != set(people):
        return False  # somebody is being written to: the next tick
    suppress(session, worn_out.address_hash, ALL, SOFT_BOUNCES)
    return True
