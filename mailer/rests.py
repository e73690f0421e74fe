"""Until when a provider asked to be left alone, for all workers on all machines: one hears it, all obey."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

# A later end wins: a worker that heard of a shorter rest must not end a longer one.
_ASK = text("""
    INSERT INTO provider_rests (provider, until, reason)
    VALUES (:provider, clock_timestamp() + make_interval(secs => :seconds), :reason)
    ON CONFLICT (provider) DO UPDATE
       SET until = greatest(provider_rests.until, excluded.until), reason = excluded.reason
""")
_LEFT = text("""
    SELECT extract(epoch FROM until - clock_timestamp()) FROM provider_rests
     WHERE provider = :provider AND until > clock_timestamp()
""")


def ask(session: Session, provider: str, seconds: float, reason: str) -> None:
    """Leave `provider` alone for so many seconds. The caller commits."""
    session.execute(_ASK, {"provider": provider, "seconds": seconds, "reason": reason})


def left(session: Session, provider: str) -> float:
    """Return the seconds for which `provider` is still to be left alone; 0 when it may be asked."""
    return float(session.execute(_LEFT, {"provider": provider}).scalar() or 0.0)
