from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from campaigns.options import OptionProblems, Options, parse, to_json

ALL = Options(
    rate_per_second=2.5,
    cap_messages=3,
    cap_days=7,
    quiet_from=time(21),
    quiet_until=time(9, 30),
    ends_at=datetime(2026, 11, 9, tzinfo=UTC),
)


@pytest.mark.parametrize("options", [Options(), ALL])
def test_what_is_written_is_read_back_equal(options):
    assert parse(to_json(options)) == options


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"rate_per_second": 0}, "rate_per_second must be a number of messages a second"),
        ({"rate_per_second": True}, "rate_per_second must be a number"),
        ({"cap_messages": 1.5, "cap_days": 7}, "cap_messages must be a whole number of 1 to 1000"),
        ({"cap_messages": 3}, "cap_messages and cap_days go together"),
        ({"quiet_until": "09:00"}, "quiet_from and quiet_until go together"),
        ({"quiet_from": "9 pm", "quiet_until": "09:00"}, "quiet_from must be a time like 21:00"),
        ({"ends_at": "tomorrow"}, "ends_at must be a date and time"),
        ({"ends_at": "2026-11-09T18:00:00"}, "must name its time zone"),
        ({"colour": "red"}, "colour is not an option; these exist: rate_per_second"),
    ],
)
def test_what_can_not_be_used_is_said_in_words(document, words):
    with pytest.raises(OptionProblems) as refused:
        parse(document)
    assert words in str(refused.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(OptionProblems) as refused:
        parse({"rate_per_second": -1, "ends_at": 7, "colour": 1})
    assert len(refused.value.problems) == 3
