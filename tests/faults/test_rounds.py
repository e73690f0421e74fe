"""A few rounds of `make faults`: real processes killed, stopped and lied to, judged by what the post office took."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.conftest import ground
from tests.faults import disk, mishaps
from tests.faults.rounds import PROMISES, rounds

SEED = 20261108


@pytest.fixture(scope="module")
def played():
    with tempfile.TemporaryDirectory(prefix="askfirst-faults-", dir=ground()) as folder:
        Path(folder).chmod(0o711)
        with rounds(SEED, Path(folder)) as played:
            yield played


def killed_at(step):
    def killed(it):
        mishaps.killed_at_a_step(it, step)

    return killed


@pytest.mark.parametrize(
    "harm",
    [
        [killed_at("TAKEN"), mishaps.queue_lost],
        [mishaps.stopped_past_its_deadlines, mishaps.commit_unknown, mishaps.sessions_ended],
        [mishaps.provider_lies, mishaps.left_between_intent_and_gate, mishaps.database_killed],
        *([[mishaps.disk_full]] if disk.MAY_MOUNT else []),
    ],
    ids=lambda harm: "-".join(mishap.__name__ for mishap in harm),
)
def test_every_promise_is_kept_through_it(played, harm):
    """Duplicates, lost, after an opt-out, without consent: none. With a full disk only where root may mount one."""
    verdict = played.one(harm)
    assert verdict.words == [], played.last


def test_the_numbers_are_those_of_all_rounds(played):
    """The audit of everything is part of them."""
    verdict = played.one([mishaps.killed_at_any_moment])
    before = dict(played.totals)
    numbers = played.finish()
    assert list(numbers) == ["rounds", "kills", *PROMISES, "in_doubt", "seed"]
    assert numbers["rounds"] == played.done
    assert (numbers["in_doubt"], numbers["lost"]) == (before["in_doubt"], before["lost"]), played.words
    assert verdict.words == []


@pytest.mark.parametrize(
    "bug, kind, harm, promise, patience",
    [
        ("in_doubt_requeued", "clock", killed_at("TAKEN"), "duplicates: ", 25.0),
        ("recorded_before_the_call", "worker", killed_at("DATA"), "is accepted and was not taken", 1.0),
        ("no_gate", "worker", mishaps.left_between_intent_and_gate, "after_opt_out: ", 1.0),
        ("claims_outlive_their_worker", "worker", killed_at("DATA"), "is still pending", 5.0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_planted_bug_is_seen(played, bug, kind, harm, promise, patience):
    """Without this a harness that sees nothing would look like a program without a fault."""
    played.installation.plant(bug, kind)
    verdict = played.one([harm], patience=patience)
    assert any(promise in word for word in verdict.words), played.last
