"""How every part is, in one line each. A line that can't be read says so, and hides none of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

T = TypeVar("T")
Level: TypeAlias = Literal["ok", "warn", "bad", "unknown"]
PATIENCE = "2s"
"""No figure is worth more of the database's time."""
CLOCK_LATE, CLOCK_GONE = 10.0, 60.0
FEEDBACK_LATE = 300.0
STOP_LATE = 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """A part's name, how it is, and what to know about it."""

    key: str
    name: str
    level: Level
    words: str
    figures: Mapping[str, float]
    """For machines: the same in numbers."""


Reader: TypeAlias = Callable[[Session], tuple[Level, str, Mapping[str, float]]]


def lines(session: Session) -> list[Line]:
    """Ask about every part. Takes no lock and changes nothing."""
    return [_line(session, key, name, reader) for key, (name, reader) in PARTS.items()]


def _line(session: Session, key: str, name: str, reader: Reader) -> Line:
    said = patiently(session, lambda: reader(session))
    if said is None:
        return Line(key, name, "unknown", "Not known: the database did not answer this.", {})
    return Line(key, name, *said)


def patiently(session: Session, ask: Callable[[], T]) -> T | None:
    """Return what `ask` says, or None where the database doesn't answer in two seconds, or says no."""
    try:
        with session.begin_nested():
            session.execute(text("SELECT set_config('statement_timeout', :patience, true)"), {"patience": PATIENCE})
            return ask()
    except DBAPIError as trouble:
        if trouble.connection_invalidated:
            raise  # then the page itself can't be made, and that is said elsewhere
        return None


def _one(session: Session, statement: str) -> Any:
    return session.execute(text(statement)).one()


def _database(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    version, copy = _one(session, "SELECT current_setting('server_version'), pg_is_in_recovery()")
    if copy:
        return "bad", f"PostgreSQL {version} answers, but only as a copy that can't be written to.", {}
    return "ok", f"PostgreSQL {version} answers.", {}


def _hold(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    row = _one(session, "SELECT hold, hold_reason FROM installation")
    if row.hold:
        return "bad", f"Nothing is sent: {row.hold_reason or 'on hold'}", {"hold": 1}
    return "ok", "Campaigns that were started are sent.", {"hold": 0}


def _clock(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    age = session.scalar(text("SELECT extract(epoch FROM clock_timestamp() - at) FROM heartbeats WHERE part = 'clock'"))
    if age is None:
        return "bad", "It never ticked. Without it nothing is started, stopped or tidied up.", {}
    seconds = float(age)
    level: Level = "ok" if seconds < CLOCK_LATE else "warn" if seconds < CLOCK_GONE else "bad"
    what = (
        "It ticks."
        if level == "ok"
        else f"Its last tick was {_ago(seconds)}. Without it nothing is started or stopped."
    )
    return level, what, {"clock_age_seconds": seconds}


def _queue(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    found = session.execute(
        text("""SELECT document->'queue' AS length, at > clock_timestamp() - interval '1 minute' AS fresh
                  FROM heartbeats WHERE part = 'clock'""")
    ).one_or_none()
    if found is None or not found.fresh:
        return "unknown", "Not known: only the clock sees it, and the clock is silent.", {}
    if found.length is None:
        return "warn", "It does not answer. Workers find what is due by themselves, only later.", {}
    return (
        "ok",
        f"It answers; {_count(int(found.length), 'call')} to workers in it.",
        {"queue_length": int(found.length)},
    )


def _workers(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    row = _one(
        session,
        """SELECT (SELECT count(DISTINCT application_name) FROM pg_stat_activity WHERE datname = current_database()
                      AND application_name LIKE 'askfirst worker %') AS workers,
                  (SELECT count(*) FROM mandates WHERE state = 'sending') AS sending""",
    )
    figures = {"workers": row.workers, "campaigns_sending": row.sending}
    if row.workers:
        return (
            "ok",
            f"{_count(row.workers, 'worker')} connected, {_count(row.sending, 'campaign')} being sent.",
            figures,
        )
    if row.sending:
        return "bad", f"None is connected, and {_count(row.sending, 'campaign')} should be sent.", figures
    return "warn", "None is connected. Nothing is to be sent now either.", figures


def _handovers(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    row = _one(
        session,
        """SELECT count(*) AS open, count(*) FILTER (WHERE deadline < clock_timestamp() - interval '5 s') AS overdue
             FROM open_handovers""",
    )
    figures = {"open_handovers": row.open, "overdue_handovers": row.overdue}
    if row.overdue:
        words = f"{row.overdue} of {row.open} past their deadline: a worker may hang, or the clock does not tick."
        return "warn", words, figures
    return "ok", f"{_count(row.open, 'message')} being handed over right now.", figures


def _stops(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    row = _one(
        session,
        """SELECT count(*) AS open, coalesce(extract(epoch FROM clock_timestamp() - min(requested_at)), 0) AS age
             FROM stop_requests WHERE folded_at IS NULL""",
    )
    figures = {"stop_requests_open": row.open, "stop_requests_oldest_seconds": float(row.age)}
    if row.open == 0:
        return "ok", "All are in the ledger.", figures
    words = f"{_count(row.open, 'opt-out')} in force and not in the ledger yet, the oldest {_ago(float(row.age))}."
    return ("warn" if row.age > STOP_LATE else "ok"), words, figures


def _feedback(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    row = _one(
        session,
        """SELECT count(*) AS waiting, coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0) AS age
             FROM provider_events WHERE applied_at IS NULL""",
    )
    figures = {"feedback_waiting": row.waiting, "feedback_oldest_seconds": float(row.age)}
    if row.waiting == 0:
        return "ok", "Everything that came back is applied.", figures
    words = f"{_count(row.waiting, 'report')} not applied yet, the oldest {_ago(float(row.age))}."
    return ("warn" if row.age > FEEDBACK_LATE else "ok"), words, figures


def _notices(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    row = _one(
        session,
        """SELECT count(*) AS waiting, max(tries) AS tries, max(problem) AS problem FROM provider_notices
            WHERE told_at IS NULL""",
    )
    figures = {"provider_notices_waiting": row.waiting}
    if row.waiting == 0:
        return "ok", "Providers know of every opt-out and erasure.", figures
    why = f" It said: {row.problem}." if row.problem else ""
    words = f"{_count(row.waiting, 'notice')} not heard yet.{why} They are in force here all the same."
    return ("warn" if row.tries else "ok"), words, figures


def _providers(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    found = session.execute(
        text("""SELECT what, reason, extract(epoch FROM until - clock_timestamp()) AS left FROM (
                  SELECT provider AS what, until, reason FROM provider_rests
                  UNION ALL SELECT provider, until, reason FROM provider_circuits
                  UNION ALL SELECT domain || ' by ' || provider, until, reason FROM domain_states) s
                 WHERE until > clock_timestamp() ORDER BY what LIMIT 20""")
    ).all()
    figures = {"left_alone": len(found)}
    if not found:
        return "ok", "None asked to be left alone.", figures
    who = "; ".join(f"{row.what} for {_span(float(row.left))} more ({row.reason or 'asked to wait'})" for row in found)
    return "warn", f"Left alone for now: {who}. Everybody else gets theirs.", figures


def _digest(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    day, late = _one(
        session,
        """SELECT max(day), coalesce(max(day) < CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date) - 1, true)
             FROM ledger_digests""",
    )
    if day is None:
        return "warn", "None was taken yet. The clock takes one a day.", {}
    return ("warn" if late else "ok"), f"The last one is of {day.day} {day:%B %Y}.", {}


def _journal(session: Session) -> tuple[Level, str, Mapping[str, float]]:
    said = session.scalar(
        text("""SELECT document->>'journal' FROM heartbeats
                 WHERE part = 'clock' AND at > clock_timestamp() - interval '1 minute'""")
    )
    words: dict[str | None, tuple[Level, str]] = {
        "written": ("ok", "Every no is outside the database too, within seconds."),
        "by another": ("ok", "Another clock writes it."),
        "in doubt": ("bad", "Not written: this database may not be the one that ran here last. Sending says why."),
        "failed": ("bad", "It can’t be written. Look at the data folder and at JOURNAL_COPY: is a disk full, or gone?"),
    }
    return (*words.get(said, ("unknown", "Not known: only the clock writes it, and the clock is silent.")), {})


PARTS: Mapping[str, tuple[str, Reader]] = {
    "hold": ("Sending", _hold),
    "database": ("Database", _database),
    "clock": ("Clock", _clock),
    "workers": ("Workers", _workers),
    "queue": ("Queue", _queue),
    "providers": ("Providers and domains", _providers),
    "handovers": ("Hand-overs", _handovers),
    "stops": ("Opt-outs", _stops),
    "feedback": ("What comes back", _feedback),
    "notices": ("Told to providers", _notices),
    "journal": ("Journal", _journal),
    "digest": ("Daily digest", _digest),
}
"""In the order in which somebody looks when nothing is sent."""


def worst(found: Sequence[Line]) -> Level:
    """Return the worst of the levels; what is not known is worth a look."""
    order: tuple[Level, ...] = ("bad", "unknown", "warn")
    return next((level for level in order if any(line.level == level for line in found)), "ok")


def _count(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _ago(seconds: float) -> str:
    return f"{_span(seconds)} ago"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
