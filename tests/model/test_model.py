"""The protocol as built, explored exhaustively in small; every bug planted in it is found. `make model` goes on."""

from __future__ import annotations

import pytest

from tests.model.explore import explore
from tests.model.mutants import HURRIED, MUTANTS, PAIR, Mutant, controls
from tests.model.promises import LIMITS
from tests.model.state import Setup

WITHOUT_BUGS = list(controls())


@pytest.mark.parametrize("setup, ends", WITHOUT_BUGS, ids=range(len(WITHOUT_BUGS)))
def test_the_protocol_keeps_every_promise_wherever_a_bug_was_planted(setup: Setup, ends: bool):
    found = explore(setup, ends=ends)
    assert found.complete
    assert found.broken == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_a_planted_bug_is_found(mutant: Mutant):
    assert mutant.trace() is not None


def test_with_faults_off_nobody_is_lost_or_in_doubt_and_every_stop_is_folded():
    """S6: from every state there is a way to one where every row is final."""
    calm = Setup(outcomes="ARN", pauses=1, reap_only_dead=True, opt_out="link", workers=1, rows=((0, 1), (0, 0)))
    found = explore(calm)
    assert (found.complete, found.broken) == (True, {})


@pytest.mark.parametrize("fault", ["losses", "stops"])
def test_only_the_documented_limits_are_left_when_a_session_is_lost_or_a_worker_stopped(fault):
    """A byte after the answer needs a worker cut off or stopped exactly between its check and the write."""
    setup = Setup(**{**vars(HURRIED), "rows": ((0, 0),), "address": (0,), fault: 1})
    found = explore(setup)
    assert (found.complete, found.broken) == (True, {})
    late = [trace for name, trace in found.limits.items() if name.startswith("S2")]
    assert late
    assert all(name.endswith(LIMITS) for name in found.limits)
    assert all(any("check passes" in step for step in trace) for trace in late)


def test_a_kill_anywhere_leaves_rows_in_doubt_and_never_twice():
    found = explore(Setup(**{**vars(PAIR), "workers": 1, "kills": 2, "feedback": True}))
    assert (found.complete, found.broken) == (True, {})
