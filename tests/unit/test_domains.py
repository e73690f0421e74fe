"""When a recipient domain is left alone, for how long, and how it is brought mail again (checks 39, 45)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mailer.domains import FULL_PACE, LONGEST_REST, STRIKES, TOP_LEVEL, Heard, State, after, strikes_of, words_of

NOW = datetime(2026, 11, 2, 10, tzinfo=UTC)


def busy(times=1, code="451 4.7.1", detail="DATA: slow down"):
    heard = Heard()
    for _ in range(times):
        heard.refused(code, detail)
    return heard


def well(times=1):
    return Heard(taken=times)


@pytest.mark.parametrize(
    "code, detail, strikes",
    [
        ("421 4.7.0", "RCPT: rate limited", STRIKES),
        ("421", "DATA: closing", STRIKES),
        ("451 4.7.650", "RCPT: the mail server has been temporarily rate limited", 1),
        ("451 4.3.2", "DATA: try again later", 1),
        ("451", "DATA: local error", 1),
        ("452", "RCPT: insufficient storage", 1),
        ("452 4.2.2", "RCPT: the mailbox is over quota", 0),
        ("450 4.2.1", "RCPT: the user is receiving mail too quickly", 0),
        ("450 4.1.1", "RCPT: unverified address", 0),
        ("450", "RCPT: mailbox busy", 0),
        ("450 4.7.1", "RCPT: Greylisted, come back in 5 minutes", 0),
        ("451 4.7.1", "RCPT: graylisting in action", 0),
        ("429", "asked to wait", 0),
        ("needs SMTPUTF8", "", 0),
        ("", "no time left", 0),
    ],
)
def test_what_is_about_one_mailbox_counts_against_nobody_else(code, detail, strikes):
    assert strikes_of(code, detail) == strikes


def test_a_few_refusals_among_much_that_is_taken_mean_nothing():
    heard = busy(5)
    heard.taken = 59
    assert after(State("example.com"), heard, NOW, 0) == State("example.com")


def test_it_takes_three_in_a_row_over_several_hand_overs():
    state = State("example.com")
    for times in range(1, STRIKES):
        state = after(state, busy(), NOW, 0)
        assert (state.strikes, state.rests(NOW)) == (times, 0)
    state = after(state, busy(), NOW, 0)
    assert (state.level, state.rests(NOW), state.since) == (1, 60, NOW)
    assert state.reason == "451 4.7.1 DATA: slow down"


def test_one_message_taken_in_between_begins_the_count_anew():
    state = after(after(State("example.com"), busy(2), NOW, 0), well(), NOW, 0)
    assert state == State("example.com")


def test_each_rest_is_twice_the_last_up_to_an_hour():
    state, now, rests = State("example.com"), NOW, []
    for _ in range(9):
        state = after(state, busy(STRIKES), now, 0)
        rests.append(state.rests(now))
        now = state.until
    assert rests == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert (state.level, state.since) == (TOP_LEVEL, NOW)
    assert after(state, busy(), now, 1).rests(now) == LONGEST_REST * 1.25


def test_what_was_under_way_when_the_rest_began_adds_nothing():
    resting = after(State("example.com"), busy(STRIKES), NOW, 0)
    assert after(resting, busy(30), NOW + timedelta(seconds=5), 0) == resting
    assert after(resting, well(3), NOW + timedelta(seconds=5), 0) == resting


def test_who_comes_back_begins_slowly_and_doubles_while_mail_is_taken():
    state = State("example.com", level=3, since=NOW, until=NOW, eased_at=NOW)
    paces = [state.pace]
    for seconds in range(0, 41, 5):
        state = after(state, well(), NOW + timedelta(seconds=seconds), 0)
        paces.append(state.pace)
    assert paces == [8, 8, 8, 16, 16, FULL_PACE / 2, FULL_PACE / 2, None, None, None]
    assert state == State("example.com")


def test_one_refusal_of_who_comes_back_is_enough():
    state = State("example.com", level=2, since=NOW, until=NOW, eased_at=NOW)
    assert after(state, busy(), NOW, 0).rests(NOW) == 240


def test_what_was_heard_days_ago_is_forgotten():
    old = State("example.com", rate=5.0, level=6, since=NOW, until=NOW, eased_at=NOW)
    assert after(old, busy(), NOW + timedelta(days=2), 0) == State(
        "example.com", rate=5.0, strikes=1, reason="451 4.7.1 DATA: slow down"
    )


def test_an_operators_limit_stays_and_the_slower_of_both_holds():
    limited = State("example.com", rate=5.0)
    assert limited.pace == 5
    assert State("example.com", rate=5.0, level=6).pace == 1
    state = State("example.com", rate=5.0, level=1, since=NOW, until=NOW, eased_at=NOW)
    assert after(state, well(), NOW + timedelta(seconds=10), 0) == limited


def test_what_is_shown_is_short_and_names_nobody():
    said = words_of("451 4.7.1", "RCPT: <priya@example.com>: sender hello@mail.example.com\r\n deferred " + "x" * 400)
    assert "@" not in said
    assert len(said) <= 160
    assert said.startswith("451 4.7.1 RCPT: (address)")
