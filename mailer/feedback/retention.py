"""How long is kept what came back, and its end: in batches, by the clock.

Deliveries keep their own times and attempts what was said; here only the raw material goes. An event is kept for as
long as it could be told again, and much longer: SendGrid repeats for a day, mail servers for five (RFC 5321 4.5.4.1).
A request that was signed longer ago than its events are kept is refused at the door (`mailer.web.webhooks`).
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer.feedback.softs import WINDOW_DAYS

EVENT_DAYS = 90
HANDLED_DAYS, UNHANDLED_DAYS = 180, 365
"""Letters and other kept mails: after they came in, handled or sent on; and if nobody ever looked."""
ALERT_DAYS = 400
"""More than a year: the same feast a year ago is what one compares with."""
AT_ONCE = 1000

# The oldest have the lowest ids, so only the head of each table is read, however large it is.
_PURGES = (
    text("""
        DELETE FROM provider_events WHERE id IN (
          SELECT id FROM (SELECT id, received_at FROM provider_events ORDER BY id LIMIT :most) head
           WHERE received_at < clock_timestamp() - make_interval(days => :events))
        RETURNING 1
    """),
    text("""
        DELETE FROM kept_mails WHERE id IN (
          SELECT id FROM kept_mails
           WHERE received_at < clock_timestamp() - make_interval(days => CASE
                   WHEN handled_at IS NULL AND forwarded_at IS NULL THEN :unhandled ELSE :handled END)
           ORDER BY id LIMIT :most)
        RETURNING 1
    """),
    text("""
        DELETE FROM soft_bounces WHERE (address_hash, delivery_id) IN (
          SELECT address_hash, delivery_id FROM soft_bounces
           WHERE at < clock_timestamp() - make_interval(days => :window) LIMIT :most)
        RETURNING 1
    """),
    text("""
        DELETE FROM alerts WHERE (cause, domain, day) IN (
          SELECT cause, domain, day FROM alerts WHERE last_at < clock_timestamp() - make_interval(days => :alerts)
           LIMIT :most)
        RETURNING 1
    """),
)


def purge(session: Session, most: int = AT_ONCE) -> int:
    """Remove the next batch of what is too old, `most` of each kind; return how many rows went. The caller commits."""
    values = {
        "most": most,
        "events": EVENT_DAYS,
        "handled": HANDLED_DAYS,
        "unhandled": UNHANDLED_DAYS,
        "window": WINDOW_DAYS,
        "alerts": ALERT_DAYS,
    }
    return sum(len(session.execute(one, values).all()) for one in _PURGES)
