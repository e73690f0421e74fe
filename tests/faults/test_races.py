"""Two at once, with real commits and forced interleavings: load alone does not find these."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from config.keys import Keys
from mailer import optout
from mailer.consent import ledger
from mailer.customers import change_address
from mailer.errors import AddressMoved, Unavailable
from mailer.providers.memory import Act, Behaviour, MemoryProvider
from workers.startup import check_root_key


def address_of(sends, person):
    return sends.query("SELECT address FROM addresses WHERE customer_id = :p", p=person)[0].address


@pytest.mark.parametrize("door", ["link", "typed address"])
def test_an_opt_out_during_a_batch_waits_for_it_and_nothing_starts_after_its_answer(sends, door):
    """S2, the opt-out against a batch that holds the person."""
    person = sends.people(1)[0]
    first, second = sends.campaign([person]), sends.campaign([person])
    started, answered = threading.Event(), []
    provider = MemoryProvider(on_first_byte=lambda _: started.set(), usually=Act(seconds=0.3))
    with ThreadPoolExecutor() as pool:
        batch = pool.submit(sends.deliver, provider, first)
        assert started.wait(60)
        answer = stop(sends, person, door)
        answered.append(time.monotonic())
        assert batch.result() == {"accepted": 1}
    assert answer.via == "ledger"
    assert all(taken.first_byte < answered[0] for taken in provider.taken)
    sends.deliver(provider, second)
    assert len(provider.taken) == 1
    assert sends.states(second)[person][0] == "withheld"


def stop(sends, person, door="link"):
    if door == "link":
        return optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    return optout.stop_address(sends.engine, sends.keys, address=address_of(sends, person), source="typed_address")


def test_with_a_hung_provider_the_opt_out_answers_in_about_a_second_from_its_stop_request(sends):
    """W and the stop row: everything not begun by then goes back to pending, and is withheld."""
    people = sends.people(3)
    sends.campaign(people)
    started = threading.Event()
    provider = MemoryProvider(usually=Act(Behaviour.HANG, seconds=60.0), on_first_byte=lambda _: started.set())
    with ThreadPoolExecutor() as pool:
        batch = pool.submit(sends.deliver, provider)
        assert started.wait(60)
        begun = time.monotonic()
        last = sends.due()  # nothing is pending now: all three are being handed over
        answer = stop(sends, people[2])
        answered = time.monotonic()
        provider.release.set()
        states = batch.result()
    assert last == []
    assert (answer.via, answer.in_flight) == ("stop_request", True)
    assert answered - begun > 0.8
    assert len(provider.taken) == 1
    assert all(taken.first_byte < answered for taken in provider.taken)
    assert states == {"in_doubt": 1, "pending": 2}
    sends.fold()
    sends.deliver(MemoryProvider())
    assert sends.states()[people[2]] == ("withheld", "withdrawn")
    assert sends.query("SELECT count(*) AS n FROM stop_requests WHERE folded_at IS NULL")[0].n == 0


def test_with_a_slow_provider_no_first_byte_is_later_than_the_window(sends):
    """Progress does not extend the window."""
    people = sends.people(16)
    sends.campaign(people)
    provider = MemoryProvider(usually=Act(seconds=0.1))
    states = sends.deliver(provider)
    assert states["pending"] >= 4
    assert states["accepted"] + states["pending"] == 16
    first_bytes = [taken.first_byte for taken in provider.taken]
    assert max(first_bytes) - min(first_bytes) < 1.2
    while sends.due():
        sends.deliver(MemoryProvider())
    assert {state for state, _ in sends.states().values()} == {"accepted"}


def test_opt_outs_under_full_sending_are_never_followed_by_a_first_byte(sends):
    """S2 under load: four workers, three campaigns that share their people, doors of both kinds at once."""
    people = sends.people(120)
    campaigns = [sends.campaign(people) for _ in range(3)]
    provider = MemoryProvider(usually=Act(seconds=0.002))
    answers: dict[str, float] = {}
    done = threading.Event()

    def work(seed):
        order = random.Random(seed)
        while not done.is_set():
            campaign = order.choice(campaigns)
            candidates = sends.due(campaign)
            order.shuffle(candidates)
            sends.deliver(provider, campaign, candidates[:12])

    def leave(person):
        address = address_of(sends, person)
        stop(sends, person, "link" if person % 2 else "typed address")
        answers[address] = time.monotonic()

    with ThreadPoolExecutor(12) as pool:
        workers = [pool.submit(work, seed) for seed in range(4)]
        leavers = random.Random(7).sample(people, 60)
        for leaver in [pool.submit(leave, person) for person in leavers]:
            leaver.result()
        until = time.monotonic() + 120
        while any(sends.due(campaign) for campaign in campaigns) and time.monotonic() < until:
            time.sleep(0.05)
        done.set()
        for worker in workers:
            worker.result()
    assert len(answers) == 60
    late = [t for t in provider.taken if t.recipient in answers and t.first_byte > answers[t.recipient]]
    assert late == []
    seen = [(taken.recipient, taken.campaign_id) for taken in provider.taken]
    assert len(seen) == len(set(seen))
    stayed = len(people) - 60
    assert sum(t.recipient not in answers for t in provider.taken) == 3 * stayed


def test_a_stop_by_typed_address_during_a_change_of_address_stops_that_address(sends):
    """Whoever has the address when the stop commits is withdrawn; whoever gets it later meets the suppression."""
    leaving, arriving = sends.people(2)
    typed = address_of(sends, leaving)
    campaign = sends.campaign([leaving, arriving])
    gate = threading.Barrier(2)

    def move():
        gate.wait()
        with sends.sessions() as session, session.begin():
            change_address(session, sends.keys, leaving, "fresh@example.com")
        with sends.sessions() as session, session.begin():
            change_address(session, sends.keys, arriving, typed)

    def leave():
        gate.wait()
        return optout.stop_address(sends.engine, sends.keys, address=typed, source="typed_address")

    with ThreadPoolExecutor() as pool:
        moving, leaving_now = pool.submit(move), pool.submit(leave)
        leaving_now.result()
        try:
            moving.result()
        except AddressMoved:
            pytest.fail("only this thread moves addresses")
    provider = MemoryProvider()
    sends.deliver(provider, campaign)
    sends.deliver(provider, campaign)
    assert typed not in {taken.recipient for taken in provider.taken}


def test_an_opt_out_reaches_every_record_with_the_same_address(sends):
    """Two records, one address, one no."""
    first, second = sends.people(1, address="two@example.com") + sends.people(1, address="two@example.com")
    sends.campaign([second])
    stop(sends, first)
    provider = MemoryProvider()
    sends.deliver(provider)
    assert provider.taken == []
    assert sends.states()[second] == ("withheld", "withdrawn")
    with sends.sessions() as session:
        assert ledger.events_of(session, second)[-1].action == "withdraw_all"


def test_an_import_in_file_order_and_batches_never_deadlock(sends):
    """Imports take whom they get and come back for the rest."""
    people = sends.people(60)
    sends.campaign(people)
    provider = MemoryProvider(usually=Act(seconds=0.003))
    shuffled = random.Random(3).sample(people, 60)

    def bring_in():
        acts = [ledger.withdrawal(person, "offer", "import") for person in shuffled]
        rounds = 0
        while acts:
            rounds += 1
            with sends.sessions() as session, session.begin():
                acts = ledger.record_many(session, acts)
        return rounds

    with ThreadPoolExecutor() as pool:
        imported = pool.submit(bring_in)
        while sends.due():
            sends.deliver(provider, candidates=random.Random(5).sample(sends.due(), min(8, len(sends.due()))))
        assert imported.result(30) >= 1
    assert {state for state, _ in sends.states().values()} == {"accepted"}
    assert sends.query("SELECT count(*) AS n FROM consent_events WHERE action = 'withdraw'")[0].n == 60


def test_a_backend_terminated_mid_batch_stops_the_batch_and_repeats_nothing(sends):
    """The socket is watched: no message starts once the locks may be somebody else's, and what is known is recorded."""
    people = sends.people(6)
    sends.campaign(people)

    def terminate(_envelope):
        if len(provider.taken) == 2:
            sends.run("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                          WHERE datname = current_database() AND state = 'idle in transaction'""")

    provider = MemoryProvider(on_first_byte=terminate, usually=Act(seconds=0.05))
    states = sends.deliver(provider)
    assert len(provider.taken) == 3
    assert states == {"accepted": 3, "pending": 3}
    assert sends.deliver(provider) == {"accepted": 3}
    assert len({taken.recipient for taken in provider.taken}) == len(provider.taken) == 6


def test_twenty_parallel_opt_outs_of_one_person_are_one_no(sends):
    """Check 12."""
    person = sends.people(1)[0]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: stop(sends, person), range(20)))
    assert {answer.scope for answer in answers} == {"all"}
    sends.fold()
    with sends.sessions() as session:
        assert [event.action for event in ledger.events_of(session, person)] == ["grant", "withdraw_all"]
    assert sends.query("SELECT count(*) AS n FROM suppressions")[0].n == 1


def test_a_stop_that_can_not_be_folded_just_now_keeps_no_later_one_waiting(sends):
    """The clock takes a few at a time, and not always the same ones: the oldest may belong to somebody who is held."""
    held, other = sends.people(2)
    sends.run(
        "INSERT INTO stop_requests (customer_id, scope, source) VALUES (:a, 'all', 'x'), (:b, 'all', 'x')",
        a=held,
        b=other,
    )
    with sends.sessions() as holding, holding.begin():
        ledger.lock_customers(holding, [held])
        until = time.monotonic() + 120
        while not optout.fold_waiting(sends.engine, limit=1):  # one of two by chance each time
            assert time.monotonic() < until
    assert [row.customer_id for row in sends.query("SELECT * FROM stop_requests WHERE folded_at IS NULL")] == [held]


def test_a_new_yes_is_not_wiped_out_by_an_old_stop_of_the_same_address(sends):
    """The stop is folded before the yes; the clock that folds the rest later finds it already said."""
    person = sends.people(1)[0]
    sends.run(
        """INSERT INTO stop_requests (address_hash, scope, source)
           SELECT address_hash, 'all', 'typed_address' FROM addresses WHERE customer_id = :p""",
        p=person,
    )
    with sends.sessions() as session, session.begin():
        words = session.scalar(text("SELECT id FROM wordings LIMIT 1"))
        ledger.grant(session, person, words, source="signup")
    sends.fold()
    with sends.sessions() as session:
        assert [event.action for event in ledger.events_of(session, person)] == ["grant", "withdraw_all", "grant"]


def test_a_stop_by_link_during_a_change_of_address_stops_the_new_one_too(sends):
    """The address is read again under the locks: who opts out is stopped where they are, not where they were."""
    me, other = sends.people(2)
    address = "shared@example.com"
    with sends.sessions() as session, session.begin():
        change_address(session, sends.keys, other, address)
    campaign = sends.campaign([other])
    with sends.sessions() as moving, ThreadPoolExecutor() as pool:
        change_address(moving, sends.keys, me, address)
        leaving = pool.submit(stop, sends, me)
        wait_for_a_waiter(sends)
        moving.commit()
        answer = leaving.result()
    provider = MemoryProvider()
    sends.deliver(provider, campaign)
    assert answer.via == "ledger"
    assert provider.taken == []
    assert sends.states(campaign)[other] == ("withheld", "withdrawn")


def wait_for_a_waiter(sends):
    until = time.monotonic() + 60
    waiting = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    while sends.query(waiting)[0].n == 0:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_clock_that_steps_back_does_not_swallow_a_no(sends):
    """Order is by sequence: a stop asked for after a yes ends it, whatever the times say."""
    person = sends.people(1)[0]
    with sends.sessions() as session, session.begin():
        ledger.withdraw(session, person, "all", source="helpline")
        ledger.grant(session, person, session.scalar(text("SELECT id FROM wordings LIMIT 1")), source="signup")
    sends.run(
        """INSERT INTO stop_requests (customer_id, scope, source, requested_at)
           VALUES (:p, 'all', 'one_click', clock_timestamp() - interval '1 hour')""",
        p=person,
    )
    sends.fold()
    with sends.sessions() as session:
        assert ledger.events_of(session, person)[-1].action == "withdraw_all"


def test_one_stop_that_cannot_be_folded_holds_up_no_other(sends):
    """The clock logs it and goes on; the gate reads the open request all the same."""
    broken, person = sends.people(2)
    sends.run("INSERT INTO stop_requests (customer_id, scope, source) VALUES (:p, 'newsletter', 'import')", p=broken)
    sends.run("INSERT INTO stop_requests (customer_id, scope, source) VALUES (:p, 'all', 'import')", p=person)
    sends.fold(leaving=1)
    with sends.sessions() as session:
        assert ledger.events_of(session, person)[-1].action == "withdraw_all"


def test_under_another_root_key_a_typed_stop_never_says_done(sends):
    """The hash would match nobody: the answer is 503, said plainly, and not a promise."""
    person = sends.people(1)[0]
    check_root_key(sends.engine, sends.keys)
    with pytest.raises(Unavailable, match="root key"):
        optout.stop_address(sends.engine, Keys(b"w" * 32), address=address_of(sends, person), source="typed_address")


def test_a_changed_sender_stops_what_goes_out_under_it(sends):
    """S3: it is not what somebody else approved any more."""
    person = sends.people(1)[0]
    sends.campaign([person])
    attempt = sends.intend()
    sends.run("UPDATE senders SET from_address = 'else@mail.example.com'")
    provider = MemoryProvider()
    sends.hand_over(provider, attempt)
    assert provider.taken == []
    assert sends.query("SELECT state FROM campaigns")[0].state == "paused"
