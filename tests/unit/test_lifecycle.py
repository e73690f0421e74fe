from __future__ import annotations

import itertools

import pytest

from campaigns.lifecycle import EVENTS, MANDATES, STATES, TABLE, after, possible
from mailer.errors import WrongState

PAIRS = list(itertools.product(STATES, EVENTS))


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_what_is_not_in_the_table_is_refused_with_what_can_be_done(state, event):
    if (state, event) in TABLE:
        assert after(state, event) == TABLE[state, event]
    else:
        with pytest.raises(WrongState) as refused:
            after(state, event)
        assert all(instead in str(refused.value) for instead in possible(state))


def test_the_table_speaks_only_of_known_states_and_events():
    assert {state for state, _ in TABLE} | set(TABLE.values()) == set(STATES)
    assert {event for _, event in TABLE} == set(EVENTS)


def test_the_only_way_to_sending_is_an_approval():
    ways_in = {(state, event) for (state, event), to in TABLE.items() if to == "sending"}
    again = {("sending", "resend"), ("sent", "resend")}
    assert ways_in - again == {("approved", "start"), ("paused", "resume")}
    assert {state for (state, _), to in TABLE.items() if to == "approved"} == {"waiting"}
    assert {state for (state, _), to in TABLE.items() if to == "paused"} == {"sending", "paused"}


def test_an_edit_always_ends_in_a_draft():
    assert {to for (_, event), to in TABLE.items() if event == "edit"} == {"draft"}


def test_nothing_is_edited_once_it_was_started():
    assert not {"edit", "submit", "approve"} & {event for s in ("sending", "paused") for event in possible(s)}


def test_nothing_leads_out_of_an_end_but_a_second_message_that_two_people_want():
    assert (possible("sent"), possible("cancelled")) == (("resend",), ())


def test_everything_that_has_not_ended_can_be_cancelled():
    assert {state for state in STATES if "cancel" in possible(state)} == set(STATES) - {"sent", "cancelled"}


def test_a_mandate_exists_from_approval_on():
    assert set(MANDATES) == set(STATES) - {"draft", "waiting"}
