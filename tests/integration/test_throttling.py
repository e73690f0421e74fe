"""Domains that say "later" and providers at which nobody is home: who waits, and that nobody else does."""

from __future__ import annotations

import threading

import pytest

from mailer import circuits, domains
from mailer.compose import Composer
from mailer.consent.links import Links
from mailer.domains import Heard
from mailer.providers.base import Outcome, Receipt
from mailer.providers.memory import Act, Behaviour, MemoryProvider
from tests.integration.envelopes import Open, envelope
from workers.carriers import Carrier, Carriers
from workers.dispatch import Dispatcher
from workers.pacing import RESTING, Paced, nobody_home
from workers.traffic import Traffic

BUSY = Act(Behaviour.NOT_TAKEN, code="421 4.7.0", detail="RCPT: too much from you, priya@example.com")


class ByDomain(MemoryProvider):
    """Takes everything but what goes to a busy domain; remembers what was asked for."""

    def __init__(self, *busy):
        super().__init__()
        self.busy, self.asked, self.rounds = set(busy), [], 0

    def hand_over(self, envelopes, window):
        here = [one.recipient.rpartition("@")[2] for one in envelopes]
        self.asked += here
        self.rounds += bool(self.busy & set(here))
        self.script = {one.recipient: BUSY for one in envelopes if one.recipient.rpartition("@")[2] in self.busy}
        return super().hand_over(envelopes, window)


@pytest.fixture
def worker(sends, keys):
    """A dispatcher over a provider, for one campaign at a time."""
    composer = Composer(Links(keys, "https://mail.example.com"))

    def work(provider):
        carriers = Carriers.only(Carrier(Paced(provider, sends.sessions), composer))
        Dispatcher(sends.sessions, carriers, "test:1", threading.Event()).run(sends.campaign_id)

    return work


def people_at(sends, domain, count):
    people = sends.people(count)
    sends.run(
        """UPDATE addresses SET domain = CAST(:domain AS text),
                  address = replace(address, split_part(address, '@', 2), CAST(:domain AS text))
            WHERE customer_id = ANY(:people)""",
        domain=domain,
        people=people,
    )
    return people


@pytest.fixture
def mixed(sends):
    """Sixteen people at a domain that is busy and sixteen at one that isn't."""
    sends.run("ALTER TABLE addresses DISABLE TRIGGER USER")
    busy, fine = people_at(sends, "busy.example", 16), people_at(sends, "fine.example", 16)
    sends.run("ALTER TABLE addresses ENABLE TRIGGER USER")
    sends.campaign(busy + fine)
    return busy, fine


def domain_states(sends):
    with sends.sessions() as session:
        return domains.known(session, "memory")


def test_a_domain_that_says_later_holds_nobody_else_up(sends, worker, mixed):
    busy, fine = mixed
    provider = ByDomain("busy.example")
    worker(provider)
    states = sends.states()
    assert {states[person] for person in fine} == {("accepted", None)}
    assert {states[person][0] for person in busy} == {"pending"}
    # One batch heard it; of all the others no row was touched, nor was the domain asked again.
    asked = provider.asked.count("busy.example")
    assert provider.rounds == 1
    touched = sends.query("SELECT 1 FROM delivery_attempts WHERE customer_id = ANY(:p) AND outcome = 'intent'", p=busy)
    assert len(touched) == asked
    state = domain_states(sends)[0]["busy.example"]
    assert (state.level, state.reason) == (1, "421 4.7.0 RCPT: too much from you, (address)")


def test_a_second_worker_knows_of_it_without_asking(sends, worker, mixed):
    busy, fine = mixed
    with sends.sessions() as session, session.begin():
        heard = Heard()
        heard.refused("421", "DATA: closing")
        domains.note(session, "memory", {"busy.example": heard}, 0)
        assert domains.resting(session, "memory") == {"busy.example"}
    provider = ByDomain("busy.example")
    worker(provider)
    assert "busy.example" not in provider.asked
    assert len(provider.taken) == len(fine)
    assert {sends.states()[person] for person in busy} == {("pending", None)}


def test_who_comes_back_gets_a_little_first(sends, worker, mixed):
    sends.run(
        """INSERT INTO domain_states (provider, domain, level, since, until, eased_at)
           VALUES ('memory', 'busy.example', 5, now(), now(), now())"""
    )
    provider = ByDomain()
    worker(provider)
    # Level 5 is two a second; whoever just came back gets no burst.
    assert 0 < provider.asked.count("busy.example") < 8
    assert provider.asked.count("fine.example") == 16


def test_good_news_ends_it(sends, worker, mixed):
    sends.run(
        """INSERT INTO domain_states (provider, domain, level, since, until, eased_at)
           VALUES ('memory', 'busy.example', 1, now(), now() - interval '1 min', now() - interval '1 min')"""
    )
    worker(ByDomain())
    assert sends.query("SELECT * FROM domain_states") == []


def test_a_pace_is_shared_by_all_workers(sends):
    with sends.sessions() as session, session.begin():
        domains.allow(session, "memory", "slow.example", 4.0)
    granted = []
    for _ in range(5):
        with sends.sessions() as session, session.begin():
            room = domains.reserve(session, "memory", {"slow.example": 50}, {"slow.example": 4.0})["slow.example"]
            granted.append(room.granted)
    assert granted[0] == 1
    assert sum(granted) <= 2
    assert room.wait > 0


def test_an_operators_limit_outlives_good_and_bad_days(sends):
    with sends.sessions() as session, session.begin():
        domains.allow(session, "memory", "slow.example", 4.0)
        heard = Heard()
        heard.refused("421", "")
        domains.note(session, "memory", {"slow.example": heard}, 0)
        domains.allow(session, "memory", "slow.example", 3.0)
    state = domain_states(sends)[0]["slow.example"]
    assert (state.rate, state.level) == (3.0, 1)


def test_two_workers_that_hear_it_at_once_make_it_one_rest(sends):
    heard = Heard()
    heard.refused("421", "")
    for _ in range(2):
        with sends.sessions() as session, session.begin():
            domains.note(session, "memory", {"busy.example": heard}, 0)
    assert domain_states(sends)[0]["busy.example"].level == 1


# -- the circuit ---------------------------------------------------------------------------------------------


def hand_over(paced, *addresses):
    return list(paced.hand_over([envelope(address) for address in addresses or ("a@example.com",)], Open()))


def circuit(sends):
    with sends.sessions() as session:
        return circuits.look(session, "memory")


@pytest.fixture
def away(sends):
    provider = MemoryProvider(usually=Act(Behaviour.AWAY, detail="CONNECT: refused"))
    return Paced(provider, sends.sessions), provider


def pass_time(sends):
    """The rest of the circuit is over, and so is anybody's trial."""
    sends.run("UPDATE provider_circuits SET until = clock_timestamp(), trial_until = NULL")


def test_a_provider_at_which_nobody_is_home_is_left_alone_after_three_hand_overs(sends, away):
    paced, _ = away
    for _ in range(circuits.FAILURES - 1):
        hand_over(paced)
        assert circuit(sends).open == 0
    hand_over(paced)
    assert 4 < circuit(sends).open <= circuits.FIRST_REST * 1.25
    another = Paced(MemoryProvider(), sends.sessions)
    (receipt,) = hand_over(another)
    assert (receipt.outcome, receipt.code) == (Outcome.NOT_TAKEN, RESTING)
    assert sends.query("SELECT reason FROM provider_circuits")[0].reason == "CONNECT: refused"


def test_one_worker_tries_and_the_others_wait_for_what_it_finds(sends, away):
    for _ in range(circuits.FAILURES):
        hand_over(away[0])
    pass_time(sends)
    with sends.sessions() as session, session.begin():
        assert circuits.attempt(session, "memory")
    with sends.sessions() as session, session.begin():
        assert not circuits.attempt(session, "memory")
    (receipt,) = hand_over(Paced(MemoryProvider(), sends.sessions))
    assert (receipt.code, receipt.retry_after > 1) == (RESTING, True)


def test_of_two_who_see_at_once_that_the_time_is_up_one_tries(sends, away):
    for _ in range(circuits.FAILURES):
        hand_over(away[0])
    pass_time(sends)
    both = Traffic("memory"), Traffic("memory")
    for traffic in both:
        with sends.sessions() as session:
            traffic.look(session)
        assert (traffic.left(), traffic.most) == (0, circuits.TRIAL_MESSAGES)
    may = []
    for traffic in both:
        with sends.sessions() as session, session.begin():
            may.append(traffic.may_try(session))
    assert may == [True, False]
    assert both[1].left() > 0


def test_a_trial_that_fails_doubles_the_rest_and_one_that_works_ends_it(sends, away):
    paced, provider = away
    for _ in range(circuits.FAILURES):
        hand_over(paced)
    pass_time(sends)
    paced.traffic.look(sends.sessions())
    assert paced.traffic.most == circuits.TRIAL_MESSAGES
    hand_over(paced)
    assert 2 * circuits.FIRST_REST - 1 < circuit(sends).open <= 2 * circuits.FIRST_REST * 1.25
    pass_time(sends)
    provider.usually = Act()
    (receipt,) = hand_over(Paced(provider, sends.sessions))
    assert receipt.outcome is Outcome.TAKEN
    assert circuit(sends) == circuits.Circuit()


def test_a_trial_in_which_nothing_was_begun_is_no_trial(sends, away):
    """Where a greeting takes longer than the window, the next hand-over goes on with the connection, and at once."""
    for _ in range(circuits.FAILURES):
        hand_over(away[0])
    pass_time(sends)
    paced = Paced(MemoryProvider(), sends.sessions)
    assert [r.outcome for r in paced.hand_over([envelope()], Open(0))] == [Outcome.NOT_STARTED]
    assert circuit(sends).trial == 0
    (receipt,) = hand_over(paced)
    assert receipt.outcome is Outcome.TAKEN


def test_one_answer_in_between_begins_the_count_anew(sends, away):
    paced, provider = away
    hand_over(paced)
    hand_over(paced)
    provider.script = {"b@example.com": Act()}
    hand_over(paced, "a@example.com", "b@example.com")
    hand_over(paced)
    assert (circuit(sends).failures, circuit(sends).open) == (1, 0)


def test_the_rest_of_a_circuit_is_bounded(sends, away):
    for _ in range(circuits.FAILURES):
        hand_over(away[0])
    sends.run("UPDATE provider_circuits SET level = 16, until = clock_timestamp()")
    hand_over(Paced(away[1], sends.sessions))
    assert circuits.LONGEST_REST - 1 < circuit(sends).open <= circuits.LONGEST_REST * 1.25


def test_another_provider_goes_on(sends, away):
    for _ in range(circuits.FAILURES):
        hand_over(away[0])
    other = MemoryProvider()
    other.name = "smtp-other"
    (receipt,) = hand_over(Paced(other, sends.sessions))
    assert receipt.outcome is Outcome.TAKEN


def test_a_worker_sends_nobody_round_while_nobody_is_home(sends, worker, away):
    sends.campaign(sends.people(20))
    hand_over(away[0])
    hand_over(away[0])
    worker(away[1])
    tried = sends.query("SELECT count(*) AS n FROM delivery_attempts WHERE outcome = 'intent'")[0].n
    assert tried < 20
    worker(away[1])
    assert sends.query("SELECT count(*) AS n FROM delivery_attempts WHERE outcome = 'intent'")[0].n == tried
    assert {state for state, _ in sends.states().values()} == {"pending"}


@pytest.mark.parametrize(
    "outcome, code, detail, home",
    [
        (Outcome.TAKEN, "250", "", True),
        (Outcome.REFUSED, "550", "RCPT: no", True),
        (Outcome.MISCONFIGURED, "535", "AUTH: no", True),
        (Outcome.NOT_TAKEN, "451", "RCPT: later", True),
        (Outcome.NOT_TAKEN, "421", "GREETING: too busy", False),
        (Outcome.NOT_TAKEN, "", "CONNECT: refused", False),
        (Outcome.IN_DOUBT, "", "DOT: silence", False),
        (Outcome.NOT_STARTED, "", "", True),
    ],
)
def test_who_answered_was_home(outcome, code, detail, home):
    receipt = Receipt(envelope().delivery_id, outcome, code, detail)
    assert (nobody_home([receipt]) is None) == home


def test_domains_are_told_apart_by_their_a_labels(sends):
    traffic = Traffic("memory")
    provider = MemoryProvider(usually=BUSY)
    hand_over(Paced(provider, sends.sessions, traffic), "a@उदाहरण.example")
    assert traffic.avoid() == ["xn--p1b6ci4b4b3a.example"]
