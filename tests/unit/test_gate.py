"""The gate's judgement without a database: each fact, in its order, and hours that span midnight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest

from mailer.gate import Cancel, Go, NotMine, Wait, Withhold, judge, seconds_of_quiet
from mailer.outcomes import result_of, withheld
from mailer.pick import Candidate, Job
from mailer.providers.base import Outcome, Receipt

NOW = datetime(2026, 11, 5, 6, 30, tzinfo=UTC)  # noon in Kolkata
MINE, ID = UUID(int=1), UUID(int=9)
JOB = Job(1, "festive", "marketing", 1, 1, b"h", "mail.example.com")


@dataclass(frozen=True)
class Facts:
    state: str = "handing_over"
    attempt_id: UUID = MINE
    rendered_for: bytes = b"a"
    address_now: bytes | None = b"a"
    consent_event_id: int = 7
    ledger_seq_seen: int = 1
    ledger_seq: int = 1
    message_class: str = "marketing"
    now: datetime = NOW
    account: str = "active"
    birth_date: date | None = date(1990, 1, 1)
    declared_adult_at: datetime | None = None
    time_zone: str = "Asia/Kolkata"
    granted: bool | None = True
    seq: int = 1
    event_id: int = 7
    policy_version_id: int = 3
    withdrawn_at: datetime | None = None
    suppressed: bool = False
    stop_requested: bool = False
    policy_floor: int = 0
    pause_until: datetime | None = None
    mandate: str = "sending"
    approved_hash: bytes = b"h"
    same_purpose: bool = True
    quiet_from: time | None = None
    quiet_until: time | None = None
    cap_messages: int | None = None
    recent: int = 0
    too_soon: bool = False
    ends_at: datetime | None = None
    hold: bool = False


def test_nothing_against_it_is_the_only_way_to_go():
    assert judge(Facts(), JOB, MINE) == Go(7)


@pytest.mark.parametrize(
    "change, verdict",
    [
        ({"state": "in_doubt"}, NotMine()),
        ({"attempt_id": UUID(int=2)}, NotMine()),
        ({"granted": None}, Withhold("never_asked")),
        ({"granted": False}, Withhold("withdrawn")),
        ({"policy_floor": 4}, Withhold("policy_changed")),
        ({"birth_date": date(2010, 1, 1)}, Withhold("minor")),
        ({"birth_date": None}, Withhold("age_unknown")),
        ({"address_now": None}, Withhold("no_address")),
        ({"suppressed": True}, Withhold("suppressed")),
        ({"stop_requested": True}, Withhold("stop_requested")),
        ({"ledger_seq": 2}, Wait("ledger_changed")),
        ({"event_id": 8}, Wait("ledger_changed")),
        ({"address_now": b"b"}, Wait("address_changed")),
        ({"mandate": "cancelled"}, Cancel()),
        ({"message_class": "notice"}, Withhold("no_gate_for_this_message")),
        ({"same_purpose": False}, Withhold("no_gate_for_this_message")),
        ({"approved_hash": b"x"}, Wait("approval_changed", 60)),
        ({"hold": True}, Wait("on_hold")),
        ({"mandate": "paused"}, Wait("campaign_paused")),
        ({"ends_at": NOW}, Wait("campaign_over", 60)),
        ({"pause_until": NOW + timedelta(hours=1)}, Wait("pause_until", 3600)),
        ({"too_soon": True}, Withhold("less_often")),
        ({"cap_messages": 2, "recent": 2}, Withhold("capped")),
        ({"quiet_from": time(11), "quiet_until": time(13)}, Wait("quiet_hours", 3600)),
    ],
)
def test_each_fact_alone_forbids(change, verdict):
    assert judge(replace(Facts(), **change), JOB, MINE) == verdict


def test_a_no_of_the_person_is_told_before_anything_about_the_campaign():
    assert judge(replace(Facts(), granted=False, mandate="paused", hold=True), JOB, MINE) == Withhold("withdrawn")


@pytest.mark.parametrize(
    "clock, start, end, hours",
    [
        (datetime(2026, 11, 5, 18, 0, tzinfo=UTC), time(21), time(9), 9.5),
        (datetime(2026, 11, 5, 3, 0, tzinfo=UTC), time(21), time(9), 0.5),
        (datetime(2026, 11, 5, 3, 30, tzinfo=UTC), time(21), time(9), 0),
        (datetime(2026, 11, 5, 12, 0, tzinfo=UTC), time(21), time(9), 0),
        (NOW, time(9), time(9), 0),
        (NOW, None, time(9), 0),
    ],
)
def test_quiet_hours_are_those_at_the_persons_place(clock, start, end, hours):
    assert seconds_of_quiet(clock, "Asia/Kolkata", start, end) == hours * 3600


def test_an_unknown_zone_is_the_shops():
    assert seconds_of_quiet(NOW, "Nowhere/At_All", time(11), time(13)) == 3600


@pytest.mark.parametrize(
    "receipt, state, wait",
    [
        (None, "in_doubt", 0),
        (Receipt(ID, Outcome.TAKEN, "250"), "accepted", 0),
        (Receipt(ID, Outcome.IN_DOUBT), "in_doubt", 0),
        (Receipt(ID, Outcome.REFUSED, "550 5.1.1"), "refused_by_provider", 0),
        (Receipt(ID, Outcome.NOT_STARTED), "pending", 0),
        (Receipt(ID, Outcome.MISCONFIGURED, "535"), "pending", 0),
        (Receipt(ID, Outcome.NOT_TAKEN, "451"), "pending", 900),
        (Receipt(ID, Outcome.NOT_TAKEN, ""), "pending", 10),
        (Receipt(ID, Outcome.NOT_TAKEN, "429", retry_after=33), "pending", 33),
        (Receipt(ID, Outcome.NOT_TAKEN, "429", retry_after=0), "pending", 1),
    ],
)
def test_each_receipt_has_its_state_and_its_wait(receipt, state, wait):
    """Check 39: a temporary failure is tried again after a quarter of an hour, never at once."""
    result = result_of(ID, receipt)
    assert (result.state, result.wait) == (state, wait)


def test_rows_that_are_not_ours_are_left_alone():
    candidates = [Candidate(ID, 1, "a@example.com", b"a", "example.com", 1, 7, 3)] * 2
    assert withheld(candidates, [NotMine(), Go(7)]) == []
