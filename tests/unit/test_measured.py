"""The JSON line of a benchmark."""

from __future__ import annotations

from workers.measured import Measured, line

KEYS = [
    "bench",
    "n",
    "unit",
    "ours",
    "limit",
    "naive",
    "ratio_to_limit",
    "times_naive",
    "cpu_s_per_1000",
    "peak_rss_mb",
    "growth",
]


def test_a_rate_is_compared_upwards_and_a_time_downwards() -> None:
    rate = Measured(100, "messages/s", ours=500.0, limit=1000.0, naive=50.0, cpu_s_per_1000=0.5)
    time = Measured(100, "s", ours=2.0, limit=1.0, naive=8.0, cpu_s_per_1000=0.5)
    told = line("send", rate, rate)
    assert list(told) == KEYS
    assert (told["ratio_to_limit"], told["times_naive"], told["growth"]) == (0.5, 10.0, 1.0)
    told = line("segment", time, time)
    assert (told["ratio_to_limit"], told["times_naive"]) == (2.0, 4.0)


def test_growth_is_the_cost_of_a_unit_against_the_smallest_size() -> None:
    small = Measured(100, "messages/s", 500.0, 1000.0, 50.0, 0.5)
    assert line("send", Measured(1000, "messages/s", 250.0, 1000.0, 50.0, 0.5), small)["growth"] == 2.0
    small = Measured(100, "s", 1.0, 1.0, 1.0, 0.5)
    assert line("segment", Measured(1000, "s", 30.0, 1.0, 1.0, 0.5), small)["growth"] == 3.0
