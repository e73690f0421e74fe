"""From which share of complaints or bounces on a campaign is warned of and stopped.

The usual limits are those of the large mailbox providers for complaints: stay below 0.1 %, never reach 0.3 %. A list
that was mailed last a year ago bounces more, and is fine; so an administrator may set both, within bounds that the
database keeps too. How few reports say nothing at all is not for setting (`mailer.guards.FEWEST`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer import acts
from mailer.errors import InputProblem

What: TypeAlias = Literal["complaints", "bounces"]
WHATS: tuple[What, ...] = ("complaints", "bounces")


@dataclass(frozen=True, slots=True)
class Limit:
    """Shares, between 0 and 1, and who set them when; nobody for the usual ones."""

    warn: float
    stop: float
    set_by: str | None = None
    set_at: datetime | None = None


Limits: TypeAlias = Mapping[What, Limit]

USUAL = Limit(0.001, 0.003)
"""Gmail and Yahoo: stay below 0.1 %, never reach 0.3 % of what was delivered (sender guidelines, 2024; check 53)."""
MOST: Mapping[What, float] = {"complaints": 0.01, "bounces": 0.1}
"""Nobody can let more than that pass: whoever reaches it has a list that nobody should write to."""

_READ = text("""
    SELECT l.what, l.warn, l.stop, l.set_at, o.name FROM guard_limits l JOIN operators o ON o.id = l.set_by
""")
_SET = text("""
    INSERT INTO guard_limits (what, warn, stop, set_by) VALUES (:what, :warn, :stop, :by)
    ON CONFLICT (what) DO UPDATE
       SET warn = excluded.warn, stop = excluded.stop, set_by = excluded.set_by, set_at = clock_timestamp()
     WHERE (guard_limits.warn, guard_limits.stop) <> (excluded.warn, excluded.stop)
    RETURNING 1
""")


def read(session: Session) -> dict[What, Limit]:
    """Return the limits that hold now, for complaints and for bounces."""
    found = {row.what: Limit(row.warn, row.stop, row.name, row.set_at) for row in session.execute(_READ)}
    return {what: found.get(what, USUAL) for what in WHATS}


def change(session: Session, operator_id: int, what: What, warn: float, stop: float) -> bool:
    """Set what holds from now on, for campaigns under way too; return whether it was another limit before.

    What was stopped stays so until a person lets it go on. Raises InputProblem outside the bounds. The caller commits.
    """
    if not 0 < warn <= stop:
        raise InputProblem("The warning comes first: more than 0, and no more than what stops.")
    if stop > MOST[what]:
        raise InputProblem(f"At most {percent_of(MOST[what])} may pass.")
    was = read(session)[what]
    if (was.warn, was.stop) == (warn, stop):
        return False
    if session.execute(_SET, {"what": what, "warn": warn, "stop": stop, "by": operator_id}).first() is None:
        return False
    before = [percent_of(was.warn), percent_of(was.stop)]
    acts.record(session, operator_id, "set_limit", f"limit:{what}", warn=warn, stop=stop, before=before)
    return True


def percent_of(share: float) -> str:
    """0.003 -> 0.3%."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + "%"
