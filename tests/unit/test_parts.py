from pathlib import Path

import pytest

from workers.parts import LONGEST_DELAY, Group, Part, ending, restart_delay
from workers.up import STOP_SECONDS, WORKER_SECONDS, groups


def test_a_part_that_keeps_dying_is_started_ever_more_slowly_but_always_again():
    delays = [restart_delay(deaths) for deaths in range(1, 100)]
    assert delays == sorted(delays)
    assert delays[0] < 0.5
    assert delays[-1] == LONGEST_DELAY


def test_a_worker_may_finish_the_longest_hand_over_before_it_is_killed():
    """W (0.8 s) + D (10 s) of the send protocol, and the whole stop in 12 s."""
    assert WORKER_SECONDS >= 10.8
    assert STOP_SECONDS < 12


@pytest.mark.parametrize(("code", "words"), [(0, "status 0"), (3, "status 3"), (-9, "SIGKILL"), (-99, "signal 99")])
def test_how_a_process_ended_is_said_in_words(code, words):
    assert ending(code) == words


def test_a_part_that_was_never_started_has_no_pid_and_is_left_alone():
    part = Part("idle", lambda: pytest.fail("started"), Path("idle.log"))
    assert part.pid is None
    assert part.look(0.0) is None


def test_what_is_kept_back_for_later_groups_leaves_the_workers_their_time():
    order: list[Group] = groups(["worker-1"])
    place = next(number for number, group in enumerate(order) if group.seconds == WORKER_SECONDS)
    kept = sum(group.reserve for group in order[place + 1 :])
    assert STOP_SECONDS - kept >= 10.7
