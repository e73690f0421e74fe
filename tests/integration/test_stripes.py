"""Workers share a campaign by stripes of customers: nobody twice, nobody forgotten, whoever dies."""

from __future__ import annotations

import pytest

from mailer import stripes
from mailer.stripes import WIDTH, Claims
from tests import factories
from workers.cursors import NOTHING_DUE_SECONDS, PATIENCE_SECONDS, Cursor

STRIPES = 6


@pytest.fixture
def crowd(sends):
    """A campaign to three people in each of six stripes, and one far away."""
    with sends.sessions() as session, session.begin():
        numbers = [stripe * WIDTH + n for stripe in range(1, STRIPES + 1) for n in (1, 2, WIDTH - 1)] + [90 * WIDTH]
        people = [factories.agreeing(session, sends.keys, id=number).id for number in numbers]
    sends.campaign(people)
    return people


class Worker:
    """One that picks and does nothing about it, by a clock that stands still until it is set."""

    def __init__(self, sends, after=0) -> None:
        self.sends, self.time = sends, 1000.0
        self.claims = Claims(sends.sessions)
        self.cursor = Cursor(sends.campaign_id, self.claims, after, lambda: self.time)

    def pick(self, limit=500):
        with self.sends.sessions() as session, session.begin():
            return [candidate.customer_id for candidate in self.cursor.next(session, limit)]

    def round(self, limit=500):
        found = []
        while some := self.pick(limit):
            found += some
        return found


@pytest.fixture
def workers(sends, crowd):
    made = [Worker(sends), Worker(sends, after=3 * WIDTH)]
    yield made
    for worker in made:
        worker.claims.close()


def test_one_worker_finds_everybody_once_a_round_wherever_it_begins(workers, crowd):
    for worker in workers:
        assert sorted(set(worker.round(limit=2))) == crowd
        worker.cursor.claims.give_back(worker.cursor.campaign_id)


def test_two_workers_never_have_the_same_people_in_hand(workers, crowd):
    first, second = workers
    mine, theirs = [], []
    for _ in range(4):
        mine.append(set(first.pick(limit=2)))
        theirs.append(set(second.pick(limit=2)))
        assert not mine[-1] & theirs[-1]
        assert mine[-1]
        assert theirs[-1]


def test_a_worker_that_dies_gives_back_what_it_had(workers, crowd):
    first, second = workers
    held = first.pick()
    assert not set(held) & set(second.round())
    first.claims.close()  # as the end of a process does
    second.time += NOTHING_DUE_SECONDS
    assert set(held) <= set(second.round())


def test_what_a_stopped_worker_keeps_is_taken_when_nothing_else_is_left_for_long(sends, workers, crowd):
    """Without a claim; it only costs work if the other goes on: T1 decides who has a row."""
    first, second = workers
    held = first.pick()
    assert not set(held) & set(second.round())
    sends.run("UPDATE deliveries SET state = 'accepted' WHERE NOT customer_id = ANY(:held)", held=held)
    second.time += NOTHING_DUE_SECONDS
    assert not set(held) & set(second.round())
    second.time += PATIENCE_SECONDS
    assert set(held) <= set(second.round())


def test_an_empty_round_rests_longer_each_time_and_a_round_with_somebody_does_not(sends, workers, crowd):
    worker = workers[0]
    worker.round()
    assert worker.pick() == []
    worker.time += NOTHING_DUE_SECONDS
    assert worker.pick() != []
    worker.round()
    sends.run("UPDATE deliveries SET state = 'accepted'")
    rests = []
    for _ in range(7):
        worker.time = worker.cursor._rest_until
        assert worker.pick() == []
        rests.append(worker.cursor._rest_until - worker.time)
    assert rests == sorted(rests)
    assert (rests[0], rests[-1]) == (4.0, 60.0)


def test_who_was_picked_and_not_worked_on_comes_first_again(sends, workers, crowd):
    worker = workers[0]
    with sends.sessions() as session, session.begin():
        picked = worker.cursor.next(session, 10)
    worker.cursor.leave(picked[1:])
    assert worker.pick()[: len(picked) - 1] == [candidate.customer_id for candidate in picked[1:]]


def test_few_people_a_stripe_are_picked_many_stripes_at_a_time(workers, crowd):
    """The more it finds empty, the more it takes, up to a limit: the lock table is shared by all."""
    worker = workers[0]
    assert [len(worker.pick(limit=500)) for _ in range(4)] == [3, 6, 9, 1]
    assert len(worker.claims.take(worker.cursor.campaign_id, 0, 1000)) == stripes.MOST


def test_who_meets_another_worker_takes_less_at_a_time(workers, crowd):
    """Else one of them has all that is left, and the other nothing to do."""
    first, second = workers
    assert len(second.pick()) == 3
    assert [len(first.pick()) for _ in range(4)] == [3, 3, 3, 6]


@pytest.mark.parametrize("first", [32_700, 2**31 - 1_000])
def test_customers_of_any_number_are_claimed(workers, crowd, first):
    """Numbers go to the database as small as they are: their sum may be larger."""
    worker = workers[0]
    assert worker.claims.take(worker.cursor.campaign_id, first, 128) == range(first, first + 128)
    assert list(worker.claims._held.values()) == [range(first, first + 128)]


def lose_sessions(sends):
    sends.run("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
                   AND pid <> pg_backend_pid()""")
    sends.engine.dispose()


def test_claims_that_the_database_lost_stop_nobody(sends, workers, crowd):
    worker = workers[0]
    worker.pick()
    lose_sessions(sends)
    assert worker.claims.take(worker.cursor.campaign_id, 3, 2) == range(3, 5)
    assert worker.claims.take(worker.cursor.campaign_id, 3, 2) == range(3, 5)


def test_a_worker_whose_claims_are_lost_at_the_end_of_a_round_finds_everybody_in_the_next(sends, workers, crowd):
    """It would never send again: each further slice would end with the error of the session that is gone."""
    worker = workers[0]
    with worker.claims.at_hand():
        while not (crowd[-1] in worker.pick() and worker.cursor._wrapped):
            pass
        lose_sessions(sends)
        assert worker.pick() == []
    worker.time = worker.cursor._rest_until
    with worker.claims.at_hand():
        assert sorted(set(worker.round())) == crowd
