"""The gate: everything that may forbid a message, read under the person's lock in one statement, judged purely.

It runs in the transaction that hands over (T2), after the locks and in a later statement: what the locking
statement saw may be older than its locks. Whatever is unknown or unexpected is not sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from mailer import arrays, statements
from mailer.consent.policy import SHOP_ZONE, Allowed, Person, PurposeStanding, Refusal, decide
from mailer.pick import Candidate, Job, ids
from mailer.statements import Statement

SAID_NO = {Refusal.WITHDRAWN, Refusal.STOP_REQUESTED, Refusal.SUPPRESSED}


@dataclass(frozen=True, slots=True)
class Go:
    """It may leave, because of this grant."""

    event_id: int


@dataclass(frozen=True, slots=True)
class Withhold:
    """It will not leave: the person, or a limit that a later moment doesn't lift."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: it goes back to pending and comes again after `seconds`."""

    reason: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Cancel:
    """Its campaign was cancelled."""

    reason: str = "campaign_cancelled"


@dataclass(frozen=True, slots=True)
class NotMine:
    """Somebody else settled it, or has it now: leave the row alone."""


Verdict = Go | Withhold | Wait | Cancel | NotMine
_NOT_FOUND = Withhold("not_found")


class Facts(NamedTuple):
    """All that is known of one delivery at the moment of leaving, in the order of the statement."""

    id: UUID
    state: str
    attempt_id: UUID | None
    rendered_for: bytes
    consent_event_id: int | None
    ledger_seq_seen: int | None
    message_class: str
    now: datetime
    account: str
    birth_date: date | None
    declared_adult_at: datetime | None
    time_zone: str
    address_now: bytes | None
    ledger_seq: int
    granted: bool | None
    seq: int
    event_id: int
    policy_version_id: int | None
    suppressed: bool
    stop_requested: bool
    policy_floor: int
    pause_until: datetime | None
    mandate: str
    approved_hash: bytes
    same_purpose: bool
    quiet_from: time | None
    quiet_until: time | None
    cap_messages: int | None
    ends_at: datetime | None
    hold: bool
    recent: int
    too_soon: bool


# What is the same for a whole campaign is read once. The rows in hand come first, whatever the planner knows: a plan
# made while a campaign was small would else go through all of it, with people locked.
_FACTS = Statement("""
    WITH m AS MATERIALIZED (
      SELECT m.*, i.hold,
             (SELECT coalesce(max(p.policy_version_id), 0) FROM policy_changes p
                JOIN policy_versions v ON v.id = p.policy_version_id
               WHERE p.purpose = m.purpose AND v.effective_at <= clock_timestamp()) AS policy_floor
        FROM mandates m CROSS JOIN installation i WHERE m.campaign_id = :campaign),
    d AS MATERIALIZED (SELECT * FROM deliveries WHERE id = ANY(CAST(:ids AS uuid[])))
    SELECT d.id, d.state, d.attempt_id, d.address_hash AS rendered_for, d.consent_event_id, d.ledger_seq_seen,
           d.message_class, statement_timestamp() AS now,
           c.account, c.birth_date, c.declared_adult_at, c.time_zone,
           a.address_hash AS address_now, coalesce(h.seq, 0) AS ledger_seq,
           s.granted, s.seq, s.event_id, s.policy_version_id,
           EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = a.address_hash
                     AND x.scope IN ('all', d.purpose) AND x.lifted_at IS NULL) AS suppressed,
           EXISTS (SELECT 1 FROM stop_requests r WHERE r.folded_at IS NULL AND r.customer_id = d.customer_id
                     AND r.scope IN ('all', d.purpose))
             OR EXISTS (SELECT 1 FROM stop_requests r WHERE r.folded_at IS NULL AND r.address_hash = a.address_hash
                     AND r.scope IN ('all', d.purpose)) AS stop_requested,
           m.policy_floor, l.pause_until,
           m.state AS mandate, m.approved_hash, m.purpose = d.purpose AS same_purpose, m.quiet_from, m.quiet_until,
           m.cap_messages, m.ends_at, m.hold,
           CASE WHEN m.cap_messages IS NULL THEN 0 ELSE (
             SELECT count(*) FILTER (WHERE o.state IN ('accepted', 'in_doubt', 'unconfirmed', 'closed', 'handing_over')
                                       AND o.intended_at > clock_timestamp() - make_interval(days => m.cap_days))
                    + count(*) FILTER (WHERE o.maybe_mailed_at > clock_timestamp() - make_interval(days => m.cap_days))
               FROM deliveries o WHERE o.customer_id = d.customer_id AND o.id <> d.id
                AND o.message_class = 'marketing') END AS recent,
           CASE WHEN l.min_gap_days IS NULL THEN false ELSE EXISTS (
             SELECT 1 FROM deliveries o WHERE o.customer_id = d.customer_id AND o.id <> d.id
                AND o.message_class = 'marketing'
                AND (o.state IN ('accepted', 'in_doubt', 'unconfirmed', 'closed', 'handing_over')
                     AND o.intended_at > clock_timestamp() - make_interval(days => l.min_gap_days)
                     OR o.maybe_mailed_at > clock_timestamp() - make_interval(days => l.min_gap_days))) END AS too_soon
      FROM d
      JOIN m ON m.campaign_id = d.campaign_id
      CROSS JOIN LATERAL (SELECT * FROM customers WHERE id = d.customer_id OFFSET 0) AS c
      LEFT JOIN addresses a ON a.customer_id = d.customer_id
      LEFT JOIN consent_heads h ON h.customer_id = d.customer_id
      LEFT JOIN consent_state s ON s.customer_id = d.customer_id AND s.purpose = d.purpose
      LEFT JOIN customer_limits l ON l.customer_id = d.customer_id
""")


def ask(session: Session, job: Job, candidates: Sequence[Candidate], attempt_id: UUID) -> list[Verdict]:
    """Return a verdict for each of `candidates`, in their order. This transaction has locked their people."""
    verdicts = {
        facts.id: judge(facts, job, attempt_id) for facts in facts_of(session, job.campaign_id, ids(candidates))
    }
    # A row that the join lost (no customer, no mandate) is not a reason to send.
    return [verdicts.get(candidate.delivery_id, _NOT_FOUND) for candidate in candidates]


def facts_of(session: Session, campaign_id: int, delivery_ids: Iterable[UUID]) -> list[Facts]:
    """Read what there is to know of these deliveries of one campaign."""
    values = {"campaign": campaign_id, "ids": arrays.uuids(delivery_ids)}
    return [Facts._make(row) for row in statements.run(session, _FACTS, values)]


def judge(facts: Facts, job: Job, attempt_id: UUID) -> Verdict:
    """Return the verdict on one delivery from its facts. Pure; the order of the reasons is the gate's order."""
    if facts.state != "handing_over" or facts.attempt_id != attempt_id:
        return NotMine()
    answer = _consent(facts)
    if isinstance(answer, Refusal):
        return Withhold(answer.value)
    return _changed_since_intent(facts, answer) or _mandate(facts, job) or _limits(facts) or Go(answer.event_id)


def _consent(facts: Facts) -> Allowed | Refusal:
    standing = None
    if facts.granted is not None:
        standing = PurposeStanding(facts.granted, facts.seq, facts.event_id, facts.policy_version_id)
    person = Person(
        account=facts.account,
        birth_date=facts.birth_date,
        declared_adult=facts.declared_adult_at is not None,
        has_address=facts.address_now is not None,
        suppressed=facts.suppressed,
        stop_requested=facts.stop_requested,
    )
    return decide(standing, person, policy_floor=facts.policy_floor, today=_at_the_shop(facts.now))


@lru_cache(1)  # everybody in a batch is asked about at the same moment
def _at_the_shop(now: datetime) -> date:
    return now.astimezone(SHOP_ZONE).date()


def _changed_since_intent(facts: Facts, allowed: Allowed) -> Verdict | None:
    if facts.ledger_seq != facts.ledger_seq_seen or allowed.event_id != facts.consent_event_id:
        return Wait("ledger_changed")
    if facts.address_now != facts.rendered_for:
        return Wait("address_changed")
    return None


def _mandate(facts: Facts, job: Job) -> Verdict | None:
    if facts.mandate == "cancelled":
        return Cancel()
    if facts.message_class != "marketing" or not facts.same_purpose:
        return Withhold("no_gate_for_this_message")
    if facts.approved_hash != job.approved_hash:
        return Wait("approval_changed", 60)
    if facts.hold or facts.mandate != "sending":
        return Wait("on_hold" if facts.hold else "campaign_paused")
    if facts.ends_at is not None and facts.ends_at <= facts.now:
        return Wait("campaign_over", 60)
    return None


def _limits(facts: Facts) -> Verdict | None:
    if facts.pause_until is not None and facts.pause_until > facts.now:
        return Wait("pause_until", (facts.pause_until - facts.now).total_seconds())
    if facts.too_soon:
        return Withhold("less_often")
    if facts.cap_messages is not None and facts.recent >= facts.cap_messages:
        return Withhold("capped")
    quiet = seconds_of_quiet(facts.now, facts.time_zone, facts.quiet_from, facts.quiet_until)
    return Wait("quiet_hours", quiet) if quiet else None


def seconds_of_quiet(now: datetime, zone: str, start: time | None, end: time | None) -> float:
    """Return how long the quiet hours at the person's place still last; 0 outside them. They may span midnight."""
    if start is None or end is None or start == end:
        return 0.0
    local = now.astimezone(_zone(zone))
    clock = local.time().replace(tzinfo=None)
    quiet = start <= clock < end if start < end else clock >= start or clock < end
    if not quiet:
        return 0.0
    until = local.replace(hour=end.hour, minute=end.minute, second=end.second, microsecond=0)
    return ((until if until > local else until + timedelta(days=1)) - local).total_seconds()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return SHOP_ZONE
