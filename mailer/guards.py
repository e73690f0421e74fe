"""What stops a campaign by itself: too many complaints or bounces, and a canary whose numbers aren't in yet.

Reports are rare, so they are counted at every tick by indexes that hold nothing else. What they are a share of is
counted only when a limit could have been reached: it never shrinks, so an old count never hides a high rate.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer import guard_limits
from mailer.guard_limits import USUAL, Limit, Limits, What, percent_of

Level: TypeAlias = Literal["ok", "warn", "stop"]
Key: TypeAlias = tuple[str, What]
"""A recipient domain ('' for the whole campaign), and what is counted."""

WHOLE = ""
FEWEST: Mapping[Level, int] = {"warn": 3, "stop": 5}
"""One complaint of fifty says nothing. With five reports at 0.3 % the true rate is above 0.1 % with 97.5 % certainty
(Poisson: the lower limit of five is 1.6)."""
CANARY_FEWEST = 2
"""A canary is small and a person is at hand: a second report is enough to ask them."""
BREATHER = 10
"""Between two counts of a large audience lies so many times what the last one took."""

_REPORTS = text("""
    SELECT recipient_domain AS domain, 'complaints' AS what, count(*) AS reports FROM deliveries
     WHERE campaign_id = :campaign AND complained_at IS NOT NULL GROUP BY 1
    UNION ALL
    SELECT recipient_domain, 'bounces', count(*) FROM deliveries
     WHERE campaign_id = :campaign AND bounced_at IS NOT NULL GROUP BY 1
""")
_BASES = text("""
    SELECT recipient_domain AS domain, count(*) FILTER (WHERE bounced_at IS NULL) AS complaints, count(*) AS bounces
      FROM deliveries WHERE campaign_id = :campaign AND (state = 'accepted' OR bounced_at IS NOT NULL) GROUP BY 1
""")
_ALONE = text("SELECT pg_try_advisory_xact_lock(722065, CAST(:campaign % 2147483647 AS int))")
_KNOWN = text("SELECT domain, what, base, level, acknowledged FROM guard_counts WHERE campaign_id = :campaign")
_REMEMBER = text("""
    INSERT INTO guard_counts (campaign_id, domain, what, reports, base, level)
    VALUES (:campaign, :domain, :what, :reports, :base, :level)
    ON CONFLICT (campaign_id, domain, what) DO UPDATE
       SET reports = excluded.reports, base = excluded.base, level = excluded.level, at = clock_timestamp()
""")
_ACKNOWLEDGE = text("""
    UPDATE guard_counts SET acknowledged = reports, level = 'ok', at = clock_timestamp()
     WHERE campaign_id = :campaign AND (CAST(:domain AS text) IS NULL OR domain = :domain)
       AND (level = 'stop' OR :all)
    RETURNING domain
""")
_STOPPED = text("SELECT domain FROM guard_counts WHERE campaign_id = :campaign AND domain <> '' AND level = 'stop'")


@dataclass(frozen=True, slots=True)
class Finding:
    """A limit that was reached: of a campaign, or of one recipient domain in it."""

    domain: str
    what: What
    level: Level
    reports: int
    base: int
    limit: float = USUAL.stop
    """At which share it stops."""

    @property
    def allowed(self) -> str:
        """The limit, in words."""
        return percent_of(self.limit)

    @property
    def words(self) -> str:
        """The finding as a sentence without an end."""
        whom = f" at {self.domain}" if self.domain else ""
        verb = "complained" if self.what == "complaints" else "bounced"
        return f"{self.reports} of {self.base}{whom} {verb} ({percent(self.reports, self.base)})"


@dataclass(frozen=True, slots=True)
class Known:
    """What was remembered of one key."""

    base: int = 0
    level: Level = "ok"
    acknowledged: int = 0


@dataclass
class Watch:
    """What a clock remembers between its ticks: when each campaign's audience was counted, and how long that took."""

    counted: dict[int, tuple[float, float]] = field(default_factory=dict)

    def may_count(self, campaign_id: int) -> bool:
        """Whether counting now leaves the database time for other things."""
        at, took = self.counted.get(campaign_id, (float("-inf"), 0.0))
        return time.monotonic() - at > BREATHER * took


def percent(part: int, whole: int) -> str:
    """3 of 1000 -> 0.30%."""
    return f"{100 * part / whole:.2f}%" if whole else "no base"


def reaches(reports: int, base: int, share: float) -> bool:
    """Whether `reports` of `base` are `share` or more. Pure; in millionths: 0.07 times 100 is a little more than 7."""
    return reports * 1_000_000 >= round(share * 1_000_000) * base


def level_of(reports: int, base: int, known: Known, limit: Limit = USUAL) -> Level:
    """Return what `reports` of `base` come to. Pure. What a person has seen and let go on counts only once it grew."""
    shares: Mapping[Level, float] = {"stop": limit.stop, "warn": limit.warn}
    for level, share in shares.items():
        if reports >= enough(level, known.acknowledged) and reaches(reports, base, share):
            return level
    return "ok"


def enough(level: Level, acknowledged: int) -> int:
    """Return how many reports it takes: after a person let it go on, as many more, and half as many again."""
    fewest = FEWEST[level]
    return fewest if not acknowledged else acknowledged + max(fewest, (acknowledged + 1) // 2)


def watch(session: Session, campaign_id: int, memory: Watch) -> list[Finding]:
    """Count what came back, remember it, and return the limits reached since the last look, the whole campaign first.

    A domain is stopped here: its people are not picked any more. A campaign is for the caller to pause. Two clocks
    at once find the same; the caller commits.
    """
    reports = reports_of(session, campaign_id)
    if not any(count >= min(FEWEST.values()) for count in reports.values()):
        return []
    known, limits = _known(session, campaign_id), guard_limits.read(session)
    if not any(_could_rise(count, known.get(key, Known()), limits[key[1]]) for key, count in reports.items()):
        return []
    if not memory.may_count(campaign_id) or not session.scalar(_ALONE, {"campaign": campaign_id}):
        return []
    began = time.monotonic()
    bases = bases_of(session, campaign_id)
    memory.counted[campaign_id] = began, time.monotonic() - began
    # Read again, behind the lock: another clock may have judged meanwhile.
    return _judge(session, campaign_id, reports, bases, _known(session, campaign_id), limits)


def _known(session: Session, campaign_id: int) -> dict[Key, Known]:
    rows = session.execute(_KNOWN, {"campaign": campaign_id})
    return {(row.domain, row.what): Known(row.base, row.level, row.acknowledged) for row in rows}


def _judge(
    session: Session,
    campaign_id: int,
    reports: Mapping[Key, int],
    bases: Mapping[Key, int],
    known: Mapping[Key, Known],
    limits: Limits,
) -> list[Finding]:
    findings = []
    whole: dict[What, Level] = {}
    for key in sorted(reports):  # the whole campaign, '', comes first
        before = known.get(key, Known())
        if reports[key] < min(FEWEST.values()):
            continue
        level = level_of(reports[key], bases.get(key, 0), before, limits[key[1]])
        if key[0] != WHOLE and "stop" in whole.values() and level == "stop":
            level = "warn"  # all of it is paused: whoever resumes it has seen the domains too
        if _RANK[level] < _RANK[before.level]:
            level = before.level  # only a person takes a stop back
        found = Finding(*key, level, reports[key], bases.get(key, 0), limits[key[1]].stop)
        values = {"campaign": campaign_id, "domain": found.domain, "what": found.what, "level": level}
        session.execute(_REMEMBER, {**values, "reports": found.reports, "base": found.base})
        if key[0] == WHOLE:
            whole[found.what] = level
        told = key[0] != WHOLE and _RANK[whole.get(found.what, "ok")] >= _RANK[level]
        if _RANK[level] > _RANK[before.level] and not told:
            findings.append(found)
    return findings


_RANK: Mapping[Level, int] = {"ok": 0, "warn": 1, "stop": 2}


def _could_rise(reports: int, known: Known, limit: Limit) -> bool:
    # The base only grows: below a limit of the old one is below the limit of today's.
    return _RANK[level_of(reports, known.base, known, limit)] > _RANK[known.level]


def reports_of(session: Session, campaign_id: int) -> dict[Key, int]:
    """Count complaints and bounces of a campaign, in all and by domain."""
    found: dict[Key, int] = defaultdict(int)
    for row in session.execute(_REPORTS, {"campaign": campaign_id}):
        found[row.domain, row.what] += row.reports
        found[WHOLE, row.what] += row.reports
    return dict(found)


def bases_of(session: Session, campaign_id: int) -> dict[Key, int]:
    """Count what was handed over (for bounces), and what of it did not come back (for complaints)."""
    found: dict[Key, int] = defaultdict(int)
    for row in session.execute(_BASES, {"campaign": campaign_id}):
        whats: dict[What, int] = {"complaints": row.complaints, "bounces": row.bounces}
        for what, count in whats.items():
            found[row.domain, what] += count
            found[WHOLE, what] += count
    return dict(found)


def acknowledge(session: Session, campaign_id: int, domain: str | None = None) -> list[str]:
    """A person has looked: what was counted so far stops nothing more. Return the domains that go on.

    `domain` None: the campaign and all its domains.
    """
    values = {"campaign": campaign_id, "domain": domain, "all": domain is None}
    return sorted(set(session.execute(_ACKNOWLEDGE, values).scalars()))


def stopped(session: Session, campaign_id: int) -> bool:
    """Whether the guard stopped the whole campaign and nobody has said to go on."""
    found = text("SELECT 1 FROM guard_counts WHERE campaign_id = :c AND domain = '' AND level = 'stop' LIMIT 1")
    return session.execute(found, {"c": campaign_id}).first() is not None


def stopped_domains(session: Session, campaign_id: int) -> frozenset[str]:
    """Return the recipient domains to which this campaign sends nothing until a person lets it."""
    return frozenset(session.execute(_STOPPED, {"campaign": campaign_id}).scalars())
