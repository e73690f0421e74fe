"""The first N of a campaign go out, the rest waits for the numbers: then it goes on by itself, or a person lets it.

A place is an address key (`campaign_addresses`): T1 puts it in with the intent, and it goes away again only when
nothing was taken. So a killed worker's places stay taken, and who was withheld gives theirs back: no more than N
intents are ever open or handed over before the rest is released, and N are reached if there are as many people.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer import guard_limits
from mailer.guards import CANARY_FEWEST, WHOLE, Finding, reaches, reports_of

_LOCK = text("""
    SELECT canary_messages FROM mandates
     WHERE campaign_id = :campaign AND canary_messages IS NOT NULL AND canary_released_at IS NULL FOR NO KEY UPDATE
""")
_LOOK = text("""
    SELECT canary_messages, canary_minutes, canary_full_at, canary_released_at, canary_held,
           canary_full_at + make_interval(mins => coalesce(canary_minutes, 0)) AS until,
           canary_full_at + make_interval(mins => coalesce(canary_minutes, 0)) <= clock_timestamp() AS waited
      FROM mandates WHERE campaign_id = :campaign AND canary_messages IS NOT NULL
""")
_TAKEN = text("SELECT count(*) FROM campaign_addresses WHERE campaign_id = :campaign")
_OPEN = text("SELECT EXISTS (SELECT 1 FROM open_handovers WHERE campaign_id = :campaign)")
_SINGING = text("""
    SELECT campaign_id FROM mandates
     WHERE state = 'sending' AND canary_messages IS NOT NULL AND canary_released_at IS NULL AND canary_held IS NULL
     ORDER BY campaign_id
""")


@dataclass(frozen=True, slots=True)
class Canary:
    """Where a campaign's canary is. `until`: when the waiting ends, once all of the first are handed over."""

    messages: int
    taken: int
    until: datetime | None
    waited: bool
    held: str | None
    released_at: datetime | None

    @property
    def stage(self) -> str:
        """`first`, `waiting`, `held` or `released`."""
        if self.released_at is not None:
            return "released"
        if self.held is not None:
            return "held"
        return "first" if self.until is None else "waiting"


def room(session: Session, campaign_id: int) -> int:
    """Return how many places are left, as it looks without a lock: what isn't worth picking now."""
    messages = session.scalar(
        text("SELECT canary_messages FROM mandates WHERE campaign_id = :c AND canary_released_at IS NULL"),
        {"c": campaign_id},
    )
    return max(0, (messages or 0) - _taken(session, campaign_id))


def release(session: Session, campaign_id: int, wanted: int) -> int:
    """Return how many of `wanted` may get an intent in this transaction, which other intents then wait for."""
    messages: int | None = session.scalar(_LOCK, {"campaign": campaign_id})
    if messages is None:
        return wanted  # released a moment ago
    # In a later statement than the lock: whoever had it before has committed its places.
    return max(0, min(wanted, messages - _taken(session, campaign_id)))


def look(session: Session, campaign_id: int) -> Canary | None:
    """Return where a campaign's canary is, or None if it has none."""
    row = session.execute(_LOOK, {"campaign": campaign_id}).one_or_none()
    if row is None:
        return None
    taken = _taken(session, campaign_id)
    return Canary(row.canary_messages, taken, row.until, bool(row.waited), row.canary_held, row.canary_released_at)


def singing(session: Session) -> list[int]:
    """Return the campaigns whose canary the clock must look at."""
    return list(session.execute(_SINGING).scalars())


def tend(session: Session, campaign_id: int) -> str | None:
    """Take a canary one step further; return `released`, `held`, or None when there is nothing to tell.

    The mandate must be locked. The caller commits.
    """
    canary = look(session, campaign_id)
    if canary is None or canary.stage in ("released", "held"):
        return None
    if canary.stage == "first":
        if canary.taken >= canary.messages and not session.scalar(_OPEN, {"campaign": campaign_id}):
            _set(session, campaign_id, "canary_full_at = clock_timestamp()")
        return None
    if not canary.waited:
        return None
    reached = against(session, campaign_id, canary.taken)
    if reached is None:
        let_go(session, campaign_id)
        return "released"
    _set(session, campaign_id, "canary_held = :why", why=reached.words)
    return "held"


def let_go(session: Session, campaign_id: int) -> bool:
    """Let the rest go; return whether it was waiting."""
    done = text("""UPDATE mandates SET canary_released_at = clock_timestamp(), canary_held = NULL
                    WHERE campaign_id = :campaign AND canary_messages IS NOT NULL AND canary_released_at IS NULL
                RETURNING 1""")
    return session.execute(done, {"campaign": campaign_id}).first() is not None


def against(session: Session, campaign_id: int, handed_over: int) -> Finding | None:
    """Return what speaks against going on, if anything does."""
    reports = reports_of(session, campaign_id)
    for what, limit in guard_limits.read(session).items():
        count = reports.get((WHOLE, what), 0)
        if count >= CANARY_FEWEST and reaches(count, handed_over, limit.stop):
            return Finding(WHOLE, what, "stop", count, handed_over, limit.stop)
    return None


def _taken(session: Session, campaign_id: int) -> int:
    return int(session.execute(_TAKEN, {"campaign": campaign_id}).scalar_one())


def _set(session: Session, campaign_id: int, change: str, **values: object) -> None:
    statement = f"UPDATE mandates SET {change} WHERE campaign_id = :campaign"  # noqa: S608  (constants of ours)
    session.execute(text(statement), {"campaign": campaign_id, **values})
