"""How fast a campaign may go, over all workers on all machines: a place in line is reserved before the intent."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

BURST_SECONDS = 0.5
"""Slots that nobody used are kept for so long: a pause of a worker isn't made up for by a flood."""

_RESERVE = text("""
    UPDATE mandates
       SET next_slot_at = greatest(coalesce(next_slot_at, clock_timestamp()),
                                   clock_timestamp() - make_interval(secs => :burst))
                          + make_interval(secs => :messages / rate_per_second)
     WHERE campaign_id = :campaign AND rate_per_second > 0
       AND coalesce(next_slot_at, clock_timestamp()) <= clock_timestamp() + make_interval(secs => :patience)
    RETURNING extract(epoch FROM next_slot_at - clock_timestamp()) - :messages / rate_per_second AS wait
""")


def reserve(session: Session, campaign_id: int, messages: int, *, patience: float) -> float | None:
    """Reserve room for `messages` in a campaign with a rate; return the seconds to wait before handing them over.

    None: the next room is further away than `patience` seconds. Nothing is reserved then; a slow campaign holds
    no worker.
    """
    values = {"campaign": campaign_id, "messages": float(messages), "burst": BURST_SECONDS, "patience": patience}
    row = session.execute(_RESERVE, values).one_or_none()
    return max(0.0, float(row.wait)) if row is not None else None
