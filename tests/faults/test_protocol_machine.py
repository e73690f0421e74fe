"""The real delivery code on a real database, stepped in every order: no order breaks a promise, and planted bugs do.

`step(worker, n, outcome)` takes one worker `n` statements or checks further. The stories are the orders in which each
planted bug bites, so that each is found in every run; the machine looks for orders nobody thought of.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mailer import optout
from mailer.consent import ledger
from mailer.providers.memory import Act, Behaviour, MemoryProvider
from tests.faults.planted import BUGS, only_handed_over_holders_count
from tests.faults.protocol_world import Broken, World, engine_for, substituted

TAKE, RESET, NOT_TAKEN = Behaviour.TAKE, Behaviour.RESET_AFTER_ACCEPT, Behaviour.NOT_TAKEN
KILLED, CUT_OFF = "killed", "cut off"
OUTCOMES = [TAKE, TAKE, TAKE, Behaviour.REFUSE, NOT_TAKEN, RESET, Behaviour.RAISE, KILLED, KILLED, CUT_OFF]
ALL = 1000
TO_THE_INTENT = 6
"""Steps of a worker from nothing to the end of T1: pick, four statements (two people share an address), commit."""


@pytest.fixture
def impatient(committed):
    engine = engine_for(committed)
    yield engine
    engine.dispose()


@pytest.fixture
def world(committed, impatient, keys):
    def make():
        return World(committed, impatient, keys)

    return make


def machine(make):
    class Protocol(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.world = make().__enter__()

        @rule(
            worker=st.integers(0, 1),
            n=st.integers(1, 14),
            outcome=st.sampled_from(OUTCOMES),
            campaign=st.integers(0, 2),
        )
        def step(self, worker, n, outcome, campaign):
            self.world.step(worker, n, outcome if isinstance(outcome, Behaviour) else TAKE, campaign)
            if outcome == KILLED:
                self.world.kill(worker)
            if outcome == CUT_OFF:
                self.world.cut()

        @rule(person=st.integers(0, 3), door=st.sampled_from(["link", "typed"]), n=st.sampled_from([ALL, ALL, 4, 8]))
        def leave(self, person, door, n):
            self.world.leave(person, door, n)

        @rule(n=st.sampled_from([ALL, ALL, 1, 2]))
        def reap(self, n):
            self.world.pass_deadlines()
            self.world.reap(n)

        @rule(person=st.integers(0, 3), from_whom=st.none() | st.integers(0, 3))
        def agree_or_take_an_address(self, person, from_whom):
            if from_whom is None:
                self.world.agree(person)
            else:
                self.world.move(person, from_whom)

        @rule(what=st.sampled_from(["lull", "fold", "paused", "sending", "sending"]), n=st.integers(0, 1))
        def meanwhile(self, what, n):
            if what == "lull":
                self.world.lull(0.3 * (n + 1))
            elif what == "fold":
                self.world.fold()
            else:
                self.world.mandate(n, what)

        @invariant()
        def every_promise_holds(self):
            self.world.check()

        def teardown(self):
            try:
                self.world.come_to_an_end()
            finally:
                self.world.__exit__()

    return Protocol


def run(make, examples, steps=25):
    run_state_machine_as_test(
        machine(make),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_order_of_steps_breaks_a_promise(world):
    run(world, examples=12)


@pytest.mark.parametrize("bug", ["no gate", "no lock", "recorded before the call", "no address key"])
def test_the_machine_finds_bugs_that_break_a_promise_in_many_orders(world, bug):
    """The others need one order among very many: they have their stories below."""
    with pytest.raises(Broken), BUGS[bug]():
        run(world, examples=60)


# -- the orders in which each bug bites --------------------------------------------------------------


def a_no_before_the_gate(world):
    world.step(0, TO_THE_INTENT, TAKE)
    world.leave(0, "link", ALL)
    world.step(0, ALL, TAKE)


def a_no_between_the_gate_and_the_first_byte(world):
    world.step(0, TO_THE_INTENT + 3, TAKE)
    world.leave(1, "link", ALL)
    world.step(0, ALL, TAKE)


def a_no_between_reading_and_locking(world):
    world.step(0, TO_THE_INTENT + 2, TAKE)
    with substituted(optout, "PATIENCE", 30.0):  # nobody holds them: only this machine may be slow
        world.leave(0, "typed", ALL)
    world.step(0, ALL, TAKE)


def a_no_while_a_slow_provider_makes_progress(world):
    """The second of four is being handed over; the third is the one who leaves."""
    world.step(0, TO_THE_INTENT + 4, TAKE)
    world.leave(2, "link", 4)
    world.lull(0.5)
    world.step(0, 2, TAKE)
    world.leave(2, "link", ALL)
    world.step(0, ALL, TAKE)


def a_no_during_a_long_batch_and_another_batch_after_it(world):
    world.step(0, TO_THE_INTENT + 4, TAKE)
    world.leave(2, "link", ALL)
    world.step(0, ALL, TAKE)
    world.step(0, ALL, TAKE, 1)


def a_newer_yes_between_intent_and_gate(world):
    world.step(0, TO_THE_INTENT, TAKE)
    world.agree(0)
    world.step(0, ALL, TAKE)


def a_kill_in_the_middle_of_a_hand_over(world):
    world.step(0, TO_THE_INTENT + 6, TAKE)
    world.kill(0)
    world.check()
    world.pass_deadlines()
    world.reap(ALL)
    world.check()
    world.step(1, ALL, TAKE)


def a_kill_after_the_intent(world):
    world.step(0, TO_THE_INTENT + 2, TAKE)
    world.kill(0)
    world.check()


def one_address_in_two_records(world):
    world.step(0, ALL, TAKE)
    world.step(1, ALL, TAKE)


def two_campaigns_at_once(world):
    world.step(0, TO_THE_INTENT, TAKE, 0)
    world.step(1, TO_THE_INTENT, TAKE, 1)
    world.check()


def a_pause_after_the_intent(world):
    world.step(0, TO_THE_INTENT, TAKE)
    world.mandate(0, "paused")
    world.step(0, ALL, TAKE)


def a_reaper_that_looked_before_the_outcome_was_recorded(world):
    world.step(0, TO_THE_INTENT, TAKE)
    world.pass_deadlines()
    world.reap(1)
    world.step(0, ALL, TAKE)
    world.check()
    world.reap(ALL)


STORIES = {
    "no gate": a_no_before_the_gate,
    "no lock": a_no_between_the_gate_and_the_first_byte,
    "in-doubt re-queued": a_kill_in_the_middle_of_a_hand_over,
    "recorded before the call": a_kill_after_the_intent,
    "no address key": one_address_in_two_records,
    "no open hand-overs": two_campaigns_at_once,
    "pause withholds": a_pause_after_the_intent,
    "gate joined into the locking statement": a_no_between_reading_and_locking,
    "window restarted by progress": a_no_while_a_slow_provider_makes_progress,
    "reaper without the later check": a_reaper_that_looked_before_the_outcome_was_recorded,
    "opt-out without the stop row": a_no_during_a_long_batch_and_another_batch_after_it,
    "opt-out answers without its wait": a_no_while_a_slow_provider_makes_progress,
    "ledger not compared": a_newer_yes_between_intent_and_gate,
}


def tell(story, make, bug=None):
    with make() as world, BUGS[bug]() if bug else nullcontext():
        story(world)
        world.check()
        world.come_to_an_end()


def test_every_planted_bug_has_its_story():
    assert STORIES.keys() == BUGS.keys()


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_breaks_a_promise_in_its_story(world, bug):
    with pytest.raises(Broken):
        tell(STORIES[bug], world, bug)


@pytest.mark.parametrize("story", dict.fromkeys(STORIES.values()), ids=lambda story: story.__name__)
def test_the_same_story_without_the_bug_breaks_none(world, story):
    tell(story, world)


# -- a flaw that the explorer found ------------------------------------------------------------------


@pytest.mark.parametrize(
    "bug, end", [(None, ("withheld", "duplicate_address")), (only_handed_over_holders_count, ("pending", None))]
)
def test_who_shares_the_address_of_somebody_sent_again_and_then_withheld_reaches_an_end(sends, bug, end):
    """S6: the key stays with a row whose first message may have arrived, also when its second attempt is withheld."""
    first, second = sends.people(1, address="two@example.com") + sends.people(1, address="two@example.com")
    sends.campaign([first, second])
    sends.deliver(MemoryProvider(usually=Act(RESET)), candidates=sends.due()[:1])
    assert sends.states()[first][0] == "in_doubt"
    sends.send_again(first)
    with sends.sessions() as session, session.begin():
        ledger.withdraw(session, first, "festive", source="helpline")
    provider = MemoryProvider()
    with bug() if bug else nullcontext():
        sends.deliver(provider)
        sends.deliver(provider)
    assert (sends.states()[first], sends.states()[second]) == (("withheld", "withdrawn"), end)
    assert provider.taken == []
