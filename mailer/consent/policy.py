"""The rule: may this person be mailed about this purpose, and because of which yes?

Pure: no clock, no database. `fold` turns a person's events into their standing, `decide` answers for one message.
`mailer.consent.ledger.first_refusal` says the same in SQL for a million people; a property test ties the two.
Sources: DPDP Act 2023 s.6(1), 6(4) and 9; GDPR Art. 7; shared order of reasons in docs/sending.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

ADULT_AGE = 18
ALL = "all"
"""The scope of an opt-out from everything."""
SHOP_ZONE = ZoneInfo("Asia/Kolkata")
"""Whose day decides that somebody is 18: the law is India's."""


class Action(StrEnum):
    """What a person did."""

    GRANT = "grant"
    WITHDRAW = "withdraw"
    WITHDRAW_ALL = "withdraw_all"


class Refusal(StrEnum):
    """Why a message may not leave, in the order in which the gate asks. Stored, counted and shown."""

    ERASED = "erased"
    DEACTIVATED = "deactivated"
    NO_ADDRESS = "no_address"
    MINOR = "minor"
    AGE_UNKNOWN = "age_unknown"
    NEVER_ASKED = "never_asked"
    WITHDRAWN = "withdrawn"
    POLICY_CHANGED = "policy_changed"
    SUPPRESSED = "suppressed"
    STOP_REQUESTED = "stop_requested"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a person's ledger, as far as the rule needs it."""

    seq: int
    id: int
    action: Action
    purpose: str | None
    occurred_at: datetime
    recorded_at: datetime
    policy_version_id: int | None = None


@dataclass(frozen=True, slots=True)
class PurposeStanding:
    """What the events come to for one purpose; `event_id` is the one that decides."""

    granted: bool
    seq: int
    event_id: int
    policy_version_id: int | None = None
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person's events come to."""

    seq: int = 0
    purposes: Mapping[str, PurposeStanding] = field(default_factory=dict)
    withdrawn_all_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Everything about a person, besides their consent, that can forbid a message."""

    account: str
    birth_date: date | None
    declared_adult: bool
    has_address: bool
    suppressed: bool
    stop_requested: bool


@dataclass(frozen=True, slots=True)
class Allowed:
    """Yes, because of this grant."""

    event_id: int
    policy_version_id: int


def fold(events: Iterable[Event]) -> Standing:
    """Return what `events` of one person come to, read by sequence, never by time.

    A withdrawal always counts. A grant counts only if it happened after the last withdrawal was recorded: a late
    import of an old yes never undoes a no. A grant under an older policy version never replaces a newer one.
    """
    standing = Standing()
    for event in sorted(events, key=lambda e: e.seq):
        standing = _apply(standing, event)
    return standing


def decide(standing: PurposeStanding | None, person: Person, *, policy_floor: int, today: date) -> Allowed | Refusal:
    """Return the grant that allows a marketing message about a purpose, or the first reason against it.

    `standing` is the person's for that purpose (None: never asked), `policy_floor` the oldest policy version under
    which a yes still covers the purpose, `today` the date at the shop. Whatever is not known counts as no.
    """
    refusal = (
        _against_person(person, today)
        or _against_standing(standing, policy_floor)
        or (Refusal.SUPPRESSED if person.suppressed else None)
        or (Refusal.STOP_REQUESTED if person.stop_requested else None)
    )
    if refusal is not None or standing is None or standing.policy_version_id is None:
        return refusal or Refusal.POLICY_CHANGED
    return Allowed(standing.event_id, standing.policy_version_id)


def _against_person(person: Person, today: date) -> Refusal | None:
    if person.account != "active":
        return Refusal.ERASED if person.account == "erased" else Refusal.DEACTIVATED
    if not person.has_address:
        return Refusal.NO_ADDRESS
    if person.birth_date is None:
        return None if person.declared_adult else Refusal.AGE_UNKNOWN
    return None if is_adult(person.birth_date, today) else Refusal.MINOR


def _against_standing(standing: PurposeStanding | None, policy_floor: int) -> Refusal | None:
    if standing is None:
        return Refusal.NEVER_ASKED
    if not standing.granted:
        return Refusal.WITHDRAWN
    return None if (standing.policy_version_id or 0) >= policy_floor else Refusal.POLICY_CHANGED


def is_adult(birth_date: date, today: date) -> bool:
    """Say whether somebody born on `birth_date` is 18 on `today`; born on 29 February, from 1 March on."""
    return birth_date <= eighteen_years_before(today)


@lru_cache(8)
def eighteen_years_before(today: date) -> date:
    """Return the latest birth date of an adult; 28 February stands in for a missing 29th, as in PostgreSQL."""
    try:
        return today.replace(year=today.year - ADULT_AGE)
    except ValueError:
        return today.replace(year=today.year - ADULT_AGE, day=28)


def _apply(standing: Standing, event: Event) -> Standing:
    purposes = dict(standing.purposes)
    if event.action is Action.WITHDRAW_ALL:
        ended = {purpose: _ended_by(event) for purpose in purposes}
        return Standing(event.seq, ended, event.recorded_at)
    if event.purpose is None:
        raise ValueError(f"Event {event.id} is about no purpose.")
    before = purposes.get(event.purpose)
    if event.action is Action.WITHDRAW:
        purposes[event.purpose] = _ended_by(event)
    elif _counts(event, before, standing.withdrawn_all_at):
        purposes[event.purpose] = PurposeStanding(
            granted=True,
            seq=event.seq,
            event_id=event.id,
            policy_version_id=event.policy_version_id,
            withdrawn_at=before.withdrawn_at if before else None,
        )
    return replace(standing, seq=event.seq, purposes=purposes)


def _ended_by(event: Event) -> PurposeStanding:
    return PurposeStanding(granted=False, seq=event.seq, event_id=event.id, withdrawn_at=event.recorded_at)


def _counts(grant: Event, before: PurposeStanding | None, withdrawn_all_at: datetime | None) -> bool:
    ends = [at for at in (before.withdrawn_at if before else None, withdrawn_all_at) if at is not None]
    if ends and grant.occurred_at <= max(ends):
        return False
    if before is None or not before.granted:
        return True
    return (grant.policy_version_id or 0) >= (before.policy_version_id or 0)
