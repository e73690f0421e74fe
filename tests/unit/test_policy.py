"""The rule, without a database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from mailer.consent.policy import (
    Action,
    Allowed,
    Event,
    Person,
    PurposeStanding,
    Refusal,
    decide,
    fold,
    is_adult,
)

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
TODAY = date(2026, 10, 1)
ADULT = Person("active", date(1990, 1, 1), False, True, False, False)
YES = PurposeStanding(granted=True, seq=1, event_id=7, policy_version_id=3)


def event(seq, action, purpose="festive", happened=0.0, recorded=None, version=3):
    return Event(
        seq,
        seq * 10,
        action,
        purpose,
        NOON + timedelta(hours=happened),
        NOON + timedelta(hours=recorded if recorded is not None else seq),
        version if action is Action.GRANT else None,
    )


def granted(*events):
    standing = fold(events).purposes.get("festive")
    return standing is not None and standing.granted


def test_a_grant_allows_its_purpose_and_no_other():
    standing = fold([event(1, Action.GRANT)])
    assert standing.purposes["festive"].event_id == 10
    assert "offer" not in standing.purposes


def test_a_withdrawal_ends_it():
    assert not granted(event(1, Action.GRANT), event(2, Action.WITHDRAW, happened=1))


def test_a_withdrawal_dated_before_the_grant_still_ends_it():
    assert not granted(event(1, Action.GRANT, happened=5), event(2, Action.WITHDRAW, happened=1))


def test_a_late_grant_that_happened_before_the_withdrawal_has_no_effect():
    late = event(3, Action.GRANT, happened=1, recorded=9)
    assert not granted(event(1, Action.GRANT), event(2, Action.WITHDRAW, recorded=2), late)


def test_importing_the_same_yes_again_after_a_late_withdrawal_has_no_effect():
    yes = event(1, Action.GRANT, happened=5, recorded=6)
    no = event(2, Action.WITHDRAW, happened=1, recorded=7)
    again = event(3, Action.GRANT, happened=5, recorded=8)
    assert not granted(yes, no, again)


def test_a_new_yes_after_the_no_counts():
    assert granted(
        event(1, Action.GRANT), event(2, Action.WITHDRAW, recorded=2), event(3, Action.GRANT, happened=2.5, recorded=3)
    )


def test_withdrawing_everything_also_blocks_old_grants_for_purposes_never_asked():
    assert not granted(event(1, Action.WITHDRAW_ALL, None, recorded=4), event(2, Action.GRANT, happened=3, recorded=5))


def test_order_is_by_sequence_never_by_time():
    assert not granted(event(2, Action.WITHDRAW, happened=-50, recorded=2), event(1, Action.GRANT))


def test_a_grant_under_an_older_version_does_not_replace_a_newer_one():
    standing = fold([event(1, Action.GRANT, version=3), event(2, Action.GRANT, happened=1, version=2)])
    assert standing.purposes["festive"].policy_version_id == 3


@pytest.mark.parametrize(
    "change, refusal",
    [
        ({"account": "erased"}, Refusal.ERASED),
        ({"account": "deactivated"}, Refusal.DEACTIVATED),
        ({"has_address": False}, Refusal.NO_ADDRESS),
        ({"birth_date": date(2010, 1, 1), "declared_adult": True}, Refusal.MINOR),
        ({"birth_date": None}, Refusal.AGE_UNKNOWN),
        ({"suppressed": True}, Refusal.SUPPRESSED),
        ({"stop_requested": True}, Refusal.STOP_REQUESTED),
    ],
)
def test_each_fact_about_the_person_forbids_alone(change, refusal):
    facts = {name: getattr(ADULT, name) for name in Person.__dataclass_fields__} | change
    assert decide(YES, Person(**facts), policy_floor=0, today=TODAY) is refusal


@pytest.mark.parametrize(
    "standing, floor, answer",
    [
        (None, 0, Refusal.NEVER_ASKED),
        (PurposeStanding(granted=False, seq=2, event_id=8), 0, Refusal.WITHDRAWN),
        (YES, 4, Refusal.POLICY_CHANGED),
        (YES, 3, Allowed(7, 3)),
    ],
)
def test_each_standing_has_its_answer(standing, floor, answer):
    """Check 98: no mail without a yes to that purpose under the policy in force."""
    assert decide(standing, ADULT, policy_floor=floor, today=TODAY) == answer


@pytest.mark.parametrize(
    "birth, day, adult",
    [
        (date(2008, 10, 1), date(2026, 10, 1), True),
        (date(2008, 10, 2), date(2026, 10, 1), False),
        (date(2008, 2, 29), date(2026, 2, 28), False),
        (date(2008, 2, 29), date(2026, 3, 1), True),
        (date(2006, 3, 1), date(2024, 2, 29), False),
        (date(2006, 2, 28), date(2024, 2, 29), True),
    ],
)
def test_eighteen_begins_on_the_birthday(birth, day, adult):
    """Check 117: the boundary, with 29 February."""
    assert is_adult(birth, day) is adult
