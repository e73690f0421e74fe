"""The benchmarks of sending, in small: the JSON they print, and the promises that hold in them at any size."""

from __future__ import annotations

import json

import pytest

from workers.commands.bench import found
from workers.measured import counted, line


@pytest.fixture
def place(committed, settings):
    """Settings of an empty database of the test's own."""
    return settings.replace(database_url=committed.url, database_owner_url=committed.owner_url)


def test_send_measures_ours_the_limit_and_the_naive_way_with_the_same_mails(place):
    result = found("send").run(place, 60, seed=1)
    told = json.loads(json.dumps(line("send", result, result)))
    assert (told["n"], told["unit"], told["growth"]) == (60, "messages/s", 1.0)
    assert min(told["ours"], told["limit"], told["naive"], told["cpu_s_per_1000"]) > 0
    assert 20 < told["peak_rss_mb"] < 200


def test_optout_is_never_followed_by_a_message_to_that_person(place):
    result = found("optout").run(place, 900, seed=1, provider="slow", trials=12)
    told = json.loads(json.dumps(counted("optout", result)))
    assert list(told)[:3] == ["bench", "n", "provider"]
    assert (told["late"], told["trials"]) == (0, 12)
    assert told["in_flight"] > 0
    assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]


def test_optout_is_measured_with_every_kind_of_provider_unless_one_is_named():
    """At least 2,000 opt-outs, and batches that a slow provider makes no smaller."""
    bench = found("optout")
    assert [chosen["provider"] for chosen in bench.each({"provider": None, "trials": 5})] == ["fast", "slow", "hung"]
    assert bench.each({"provider": "slow"}) == [{"provider": "slow"}]
    assert bench.CASES["fast"].trials >= 2_000
    assert bench.CASES["slow"].k == 64


def test_killstorm_loses_nobody_and_sends_nothing_twice(place):
    result = found("killstorm").run(place, 600, seed=1, every=0.2, delay=0.02, hurry=True)
    told = json.loads(json.dumps(counted("killstorm", result)))
    assert (told["duplicates"], told["lost"]) == (0, 0)
    assert told["kills"] > 0
    assert told["in_doubt"] <= told["kills"] * told["k"] == told["in_doubt_limit"]
