"""How each recipient domain takes our mail: left alone when it says "later", then brought a little more by and by.

A temporary refusal is no reason to knock again at once (RFC 5321 s.4.5.4.1; check 39), and one that is about the
sender's pace meets everybody at that domain. Its rows stay pending and nothing is written to them; other domains go
on at full speed. What is said about one mailbox stops nobody else. Pure, but for the functions with a session.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

STRIKES = 3
"""Refusals in a row before a domain is left alone. Afterwards the first one counts."""
FIRST_REST, LONGEST_REST = 60.0, 3600.0
TOP_LEVEL = 7
EASE_SECONDS = 10.0
"""How long mail must be taken at one pace before the pace is doubled."""
FULL_PACE = 64.0
"""Messages a second. Level 1 begins with half of it, and so on: whoever comes back doesn't flood."""
FORGOTTEN = timedelta(days=1)
"""What was last heard so long ago says nothing about today."""
BURST_SECONDS, AHEAD_SECONDS = 1.25, 0.25
"""A pace is kept over so long: a little more than the clock takes to wake a worker."""
REASON_LENGTH = 160


@dataclass(frozen=True, slots=True)
class State:
    """How a domain is doing. Without one in the database all is well."""

    domain: str
    rate: float | None = None
    level: int = 0
    strikes: int = 0
    since: datetime | None = None
    until: datetime | None = None
    eased_at: datetime | None = None
    reason: str | None = None

    @property
    def pace(self) -> float | None:
        """Messages a second that it may get when it isn't left alone; None for as fast as it goes."""
        slow = FULL_PACE / 2**self.level if self.level else None
        paces = [pace for pace in (self.rate, slow) if pace is not None]
        return min(paces) if paces else None

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to remember."""
        return self.level == 0 and self.strikes == 0

    def rests(self, now: datetime) -> float:
        """Return the seconds for which it is still left alone."""
        return max(0.0, (self.until - now).total_seconds()) if self.until is not None else 0.0


@dataclass(slots=True)
class Heard:
    """What one hand-over heard from a domain."""

    taken: int = 0
    busy: int = 0
    strikes: int = 0
    reason: str = field(default="")

    def refused(self, code: str, detail: str) -> None:
        """Count a temporary refusal, if it says anything about the domain."""
        weight = strikes_of(code, detail)
        if weight:
            self.busy, self.strikes, self.reason = self.busy + 1, self.strikes + weight, words_of(code, detail)


def strikes_of(code: str, detail: str = "") -> int:
    """Say how much a temporary refusal counts against the whole domain; 0 where it is about one mailbox.

    RFC 3463 s.3: the subjects 1 and 2 are address and mailbox (4.2.2 is full, 4.2.1 may be one busy mailbox at Gmail);
    RFC 5321 s.4.2.3: a plain 450 is "mailbox busy". Greylisting (RFC 6647) asks each of us to come again, and is not
    about how much we bring. 421 closes the connection: that is never about one mailbox.
    """
    number, _, enhanced = code.partition(" ")
    if not (number.isdigit() and 400 <= int(number) <= 499) or number == "429" or _GREY.search(detail):
        return 0
    if enhanced.startswith(("4.1.", "4.2.")) or (number == "450" and not enhanced):
        return 0
    return STRIKES if number == "421" else 1


def words_of(code: str, detail: str) -> str:
    """Return a refusal as it is shown: short, and without anybody's address."""
    said = _ADDRESS.sub("(address)", " ".join(f"{code} {detail}".split()))
    return said[:REASON_LENGTH]


_GREY = re.compile(r"gr[ae]y-?list", re.IGNORECASE)
_ADDRESS = re.compile(r"\S+@\S+")


def after(state: State, heard: Heard, now: datetime, jitter: float) -> State:
    """Return how a domain is doing after a hand-over; `jitter` between 0 and 1 keeps domains from coming in step."""
    if state.until is not None and now - state.until > FORGOTTEN:
        state = State(state.domain, state.rate)
    if heard.busy == 0 or heard.taken > heard.busy:
        return _eased(state, now) if heard.taken else state
    if state.rests(now) > 0:
        return state  # under way when the rest began: told already
    strikes = state.strikes + heard.strikes
    if strikes < STRIKES and state.level == 0:
        return replace(state, strikes=strikes, reason=heard.reason)
    level = min(state.level + 1, TOP_LEVEL)
    seconds = min(FIRST_REST * 2 ** (level - 1), LONGEST_REST) * (1 + 0.25 * jitter)
    until = now + timedelta(seconds=seconds)
    since = state.since or now
    return replace(state, level=level, strikes=0, since=since, until=until, eased_at=until, reason=heard.reason)


def _eased(state: State, now: datetime) -> State:
    if state.rests(now) > 0:
        return state
    if state.level and state.eased_at is not None and now - state.eased_at < timedelta(seconds=EASE_SECONDS):
        return replace(state, strikes=0)
    if state.level > 1:
        return replace(state, level=state.level - 1, strikes=0, eased_at=now)
    return State(state.domain, state.rate)


# -- shared by all workers ---------------------------------------------------------------------------------

_COLUMNS = "domain, rate_per_second, level, strikes, since, until, eased_at, reason"
_KNOWN = text(f"""
    SELECT {_COLUMNS}, clock_timestamp() AS now FROM domain_states
     WHERE provider = :provider AND (rate_per_second IS NOT NULL OR strikes > 0
                                     OR until > clock_timestamp() - CAST(:forgotten AS interval))
""")  # noqa: S608  (column names of ours)
_LOCK = text(f"""
    SELECT {_COLUMNS}, clock_timestamp() AS now FROM domain_states
     WHERE provider = :provider AND domain = ANY(:domains) ORDER BY domain FOR UPDATE
""")  # noqa: S608
_NOW = text("SELECT clock_timestamp()")
_KEEP = text("""
    INSERT INTO domain_states (provider, domain, level, strikes, since, until, eased_at, reason)
    SELECT :provider, w.domain, w.level, w.strikes, w.since, w.until, w.eased_at, w.reason
      FROM unnest(CAST(:domains AS text[]), CAST(:levels AS int[]), CAST(:strikes AS int[]),
                  CAST(:since AS timestamptz[]), CAST(:until AS timestamptz[]), CAST(:eased AS timestamptz[]),
                  CAST(:reasons AS text[])) AS w(domain, level, strikes, since, until, eased_at, reason)
     ORDER BY w.domain
    ON CONFLICT (provider, domain) DO UPDATE SET level = excluded.level, strikes = excluded.strikes,
       since = excluded.since, until = excluded.until, eased_at = excluded.eased_at, reason = excluded.reason
""")
_FORGET = text("""
    DELETE FROM domain_states WHERE provider = :provider AND domain = ANY(:domains) AND rate_per_second IS NULL
""")
_RESERVE = text("""
    WITH t AS MATERIALIZED (SELECT clock_timestamp() AS now),
    w AS (SELECT * FROM unnest(CAST(:domains AS text[]), CAST(:wanted AS int[]), CAST(:paces AS float8[]))
                        AS w(domain, wanted, pace)),
    base AS (
      SELECT d.domain, w.wanted, w.pace,
             greatest(coalesce(d.next_slot_at, t.now), t.now - make_interval(secs => :burst)) AS at
        FROM domain_states d JOIN w ON w.domain = d.domain, t
       WHERE d.provider = :provider ORDER BY d.domain FOR UPDATE OF d),
    room AS (
      SELECT domain, pace, at, CASE WHEN at > t.now THEN 0 ELSE
             greatest(1, least(wanted, floor((extract(epoch FROM t.now - at) + :ahead) * pace))) END AS granted
        FROM base, t)
    UPDATE domain_states d SET next_slot_at = r.at + make_interval(secs => r.granted / r.pace)
      FROM room r, t WHERE d.provider = :provider AND d.domain = r.domain
    RETURNING d.domain, r.granted::int AS granted, extract(epoch FROM d.next_slot_at - t.now) AS wait
""")
_ALLOW = text("""
    INSERT INTO domain_states (provider, domain, rate_per_second) VALUES (:provider, :domain, :rate)
    ON CONFLICT (provider, domain) DO UPDATE SET rate_per_second = excluded.rate_per_second
""")


@dataclass(frozen=True, slots=True)
class Room:
    """How many messages a domain may get now, and the seconds until it may get the next one."""

    granted: int
    wait: float


def known(session: Session, provider: str) -> tuple[dict[str, State], datetime]:
    """Return the domains that are slowed down or left alone, and the database's time."""
    rows = session.execute(_KNOWN, {"provider": provider, "forgotten": FORGOTTEN}).all()
    now: datetime = rows[0].now if rows else datetime.now(UTC)  # with none there is nothing to compare it with
    return {row.domain: _state(row) for row in rows}, now


def resting(session: Session, provider: str) -> frozenset[str]:
    """Return the domains that are left alone now."""
    states, now = known(session, provider)
    return frozenset(domain for domain, state in states.items() if state.rests(now) > 0)


def note(
    session: Session, provider: str, heard: Mapping[str, Heard], jitter: float
) -> tuple[dict[str, State], datetime]:
    """Keep what a hand-over heard from domains; return how they are doing, and the time. The caller commits."""
    rows = session.execute(_LOCK, {"provider": provider, "domains": sorted(heard)}).all()
    now: datetime = rows[0].now if rows else session.execute(_NOW).scalar_one()
    before = {row.domain: _state(row) for row in rows}
    found = {domain: after(before.get(domain, State(domain)), told, now, jitter) for domain, told in heard.items()}
    changed = [state for domain, state in found.items() if state != before.get(domain, State(domain))]
    if changed:
        _keep(session, provider, changed)
    if well := [state.domain for state in changed if state.is_well]:
        session.execute(_FORGET, {"provider": provider, "domains": well})
    return found, now


def reserve(session: Session, provider: str, wanted: Mapping[str, int], paces: Mapping[str, float]) -> dict[str, Room]:
    """Reserve room for so many messages to each of these domains, at these paces over all workers."""
    domains = sorted(wanted)
    values = {"provider": provider, "domains": domains, "burst": BURST_SECONDS, "ahead": AHEAD_SECONDS}
    values |= {"wanted": [wanted[d] for d in domains], "paces": [paces[d] for d in domains]}
    return {row.domain: Room(row.granted, float(row.wait)) for row in session.execute(_RESERVE, values)}


def allow(session: Session, provider: str, domain: str, rate: float | None) -> None:
    """Let a domain have at most so many messages a second from this provider; None lifts the limit."""
    session.execute(_ALLOW, {"provider": provider, "domain": domain, "rate": rate})


def _keep(session: Session, provider: str, states: Sequence[State]) -> None:
    session.execute(
        _KEEP,
        {
            "provider": provider,
            "domains": [state.domain for state in states],
            "levels": [state.level for state in states],
            "strikes": [state.strikes for state in states],
            "since": [state.since for state in states],
            "until": [state.until for state in states],
            "eased": [state.eased_at for state in states],
            "reasons": [state.reason for state in states],
        },
    )


def _state(row: Row[tuple[object, ...]]) -> State:
    return State(
        row.domain, row.rate_per_second, row.level, row.strikes, row.since, row.until, row.eased_at, row.reason
    )
