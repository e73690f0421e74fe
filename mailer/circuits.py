"""The circuit breaker of a provider: when nobody is home several times in a row, all workers leave it alone a while.

Then one of them tries with a few messages, and the others wait for what it finds. Each trial that fails doubles the
while, up to a bound. Nobody is home: no connection, no greeting, or no answer to anything that was handed over.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

FAILURES = 3
"""Hand-overs in a row."""
FIRST_REST, LONGEST_REST = 5.0, 300.0
TRIAL_SECONDS = 15.0
"""Longer than a hand-over lasts: a worker that died while trying holds nobody up for longer."""
TRIAL_MESSAGES = 4

_LOOK = text("""
    SELECT extract(epoch FROM r.until - clock_timestamp()) AS asked, c.failures, c.level,
           extract(epoch FROM c.until - clock_timestamp()) AS open,
           extract(epoch FROM c.trial_until - clock_timestamp()) AS trial
      FROM (VALUES (CAST(:provider AS text))) AS p(name)
      LEFT JOIN provider_rests r ON r.provider = p.name
      LEFT JOIN provider_circuits c ON c.provider = p.name
""")
_TRY = text("""
    UPDATE provider_circuits SET trial_until = clock_timestamp() + make_interval(secs => :seconds)
     WHERE provider = :provider AND until <= clock_timestamp()
       AND (trial_until IS NULL OR trial_until <= clock_timestamp())
    RETURNING 1
""")
_NOT_TRIED = text("UPDATE provider_circuits SET trial_until = NULL WHERE provider = :provider")
_FAILED = text("""
    INSERT INTO provider_circuits AS c (provider, failures, reason) VALUES (:provider, 1, :reason)
    ON CONFLICT (provider) DO UPDATE SET
       failures = c.failures + 1, reason = excluded.reason, trial_until = NULL,
       (level, since, until) = (
         SELECT CASE WHEN t.opens THEN least(c.level + 1, 16) ELSE c.level END,
                CASE WHEN t.opens THEN coalesce(c.since, clock_timestamp()) ELSE c.since END,
                CASE WHEN t.opens THEN clock_timestamp() + make_interval(
                            secs => least(:first * 2.0 ^ c.level, :longest) * (1 + 0.25 * :jitter)) ELSE c.until END
           FROM (SELECT c.failures + 1 >= :limit AND (c.until IS NULL OR c.until <= clock_timestamp())) AS t(opens))
    RETURNING c.level, extract(epoch FROM c.until - clock_timestamp()) AS open
""")
_TRY_NOW = text("""
    UPDATE provider_circuits SET until = clock_timestamp()
     WHERE provider = :provider AND until > clock_timestamp() RETURNING 1
""")
_ANSWERED = text("DELETE FROM provider_circuits WHERE provider = :provider")


@dataclass(frozen=True, slots=True)
class Circuit:
    """What holds a provider's mail back, in seconds from now; all 0 while it works."""

    asked: float = 0.0
    """It asked for a rest itself."""
    open: float = 0.0
    """Nobody was home."""
    trial: float = 0.0
    """Somebody is trying."""
    failures: int = 0
    level: int = 0


def look(session: Session, provider: str) -> Circuit:
    """Return how a provider is doing."""
    row = session.execute(_LOOK, {"provider": provider}).one()
    left = [max(0.0, float(seconds or 0)) for seconds in (row.asked, row.open, row.trial)]
    return Circuit(left[0], left[1], left[2], row.failures or 0, row.level or 0)


def attempt(session: Session, provider: str) -> bool:
    """Be the one who tries. False: somebody else is, or it is too early. The caller commits at once."""
    found = session.execute(_TRY, {"provider": provider, "seconds": TRIAL_SECONDS})
    return found.scalar() is not None


def failed(session: Session, provider: str, reason: str, jitter: float) -> Circuit:
    """Count a hand-over in which nobody was home; return what that comes to. The caller commits."""
    values = {"provider": provider, "reason": reason, "limit": FAILURES, "jitter": jitter}
    values |= {"first": FIRST_REST, "longest": LONGEST_REST}
    session.execute(_FAILED, values)
    return look(session, provider)


def try_now(session: Session, provider: str) -> bool:
    """End the while now, because a person says so; return whether one was running.

    One worker tries with a few messages and the others wait for what it finds, as ever. The caller commits.
    """
    return session.execute(_TRY_NOW, {"provider": provider}).scalar() is not None


def not_tried(session: Session, provider: str) -> None:
    """The trial came to nothing: the window closed before it. Whoever comes next tries. The caller commits."""
    session.execute(_NOT_TRIED, {"provider": provider})


def answered(session: Session, provider: str) -> None:
    """Somebody is home again: all may send. The caller commits."""
    session.execute(_ANSWERED, {"provider": provider})
