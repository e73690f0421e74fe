"""A canary: never more than N intents before the rest is released, over all workers and through kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from campaigns import guarding, operations
from campaigns.approval import approval_hash
from campaigns.options import Options
from mailer import canary, delivery, guard_limits, intents, reaper
from mailer.delivery import Prepared
from mailer.providers.memory import MemoryProvider
from tests import campaigns_ready
from tests.conftest import ROOT

FIRST = {"canary_messages": 5, "canary_minutes": 30}


@pytest.fixture
def provider():
    return MemoryProvider()


def taken(sends):
    return len([state for state, _ in sends.states().values() if state == "accepted"])


def tick(sends):
    with sends.sessions() as session, session.begin():
        return guarding.look_at_canary(session, sends.campaign_id)


def rounds(sends, provider, count=4):
    for _ in range(count):
        sends.deliver(provider)


def begin(sends, people, **more):
    sends.campaign(people, **(FIRST | more))
    sends.run("UPDATE campaigns SET state = 'sending'")


def test_the_first_go_and_the_rest_waits(sends, provider):
    begin(sends, sends.people(12))
    rounds(sends, provider)
    assert taken(sends) == 5
    assert tick(sends) is None, "full now: the waiting begins"
    rounds(sends, provider)
    assert tick(sends) is None
    assert taken(sends) == 5


def test_after_the_wait_and_with_good_numbers_the_rest_goes_by_itself(sends, provider):
    begin(sends, sends.people(12))
    rounds(sends, provider)
    tick(sends)
    sends.run("UPDATE mandates SET canary_full_at = canary_full_at - interval '29 minutes'")
    assert tick(sends) is None
    sends.run("UPDATE mandates SET canary_full_at = canary_full_at - interval '2 minutes'")
    assert tick(sends) == "released"
    assert tick(sends) is None
    rounds(sends, provider)
    assert taken(sends) == 12
    assert "The first 5 went well, the rest goes" in [
        row.what for row in sends.query("SELECT what FROM campaign_events")
    ]


@pytest.mark.parametrize("what", ["complained", "bounced"])
def test_with_bad_numbers_the_rest_waits_for_a_person(sends, provider, what):
    begin(sends, sends.people(12))
    rounds(sends, provider)
    tick(sends)
    sends.run(f"""UPDATE deliveries SET {what}_at = now() WHERE id IN
                  (SELECT id FROM deliveries WHERE state = 'accepted' LIMIT 2)""")
    sends.run("UPDATE mandates SET canary_full_at = canary_full_at - interval '31 minutes'")
    assert [tick(sends), tick(sends)] == ["held", None], "said once"
    rounds(sends, provider)
    assert taken(sends) == 5
    with sends.sessions() as session, session.begin():
        somebody = session.scalar(text("SELECT id FROM operators LIMIT 1"))
        assert guarding.let_canary_go(session, sends.campaign_id, somebody, "two who share one mailbox")
        assert not guarding.let_canary_go(session, sends.campaign_id, somebody, "again")
    rounds(sends, provider)
    assert taken(sends) == 12


def test_one_report_among_the_first_is_no_rate(sends, provider):
    begin(sends, sends.people(6))
    rounds(sends, provider)
    tick(sends)
    sends.run(
        "UPDATE deliveries SET complained_at = now() WHERE id IN "
        "(SELECT id FROM deliveries WHERE state = 'accepted' LIMIT 1)"
    )
    sends.run("UPDATE mandates SET canary_full_at = canary_full_at - interval '31 minutes'")
    assert tick(sends) == "released"


def test_a_limit_that_is_just_reached_holds_the_rest(sends):
    """7 % of a hundred is seven, whatever 0.07 times a hundred is to a machine."""
    sends.campaign(sends.people(7))
    sends.run(
        "UPDATE deliveries SET state = 'accepted', bounced_at = now() WHERE campaign_id = :c", c=sends.campaign_id
    )
    with sends.sessions() as session, session.begin():
        somebody = session.scalar(text("SELECT id FROM operators LIMIT 1"))
        guard_limits.change(session, somebody, "bounces", 0.02, 0.07)
        assert canary.against(session, sends.campaign_id, 100).words == "7 of 100 bounced (7.00%)"
        assert canary.against(session, sends.campaign_id, 101) is None


def test_who_was_withheld_gives_the_place_back(sends, provider):
    """The canary means N handed over, so it never hangs on people who said no meanwhile."""
    people = sends.people(12)
    begin(sends, people)
    candidates = sends.due()
    with sends.sessions() as session, session.begin():
        for person in people[:4]:
            campaigns_ready.factories.ledger.withdraw(session, person, "all", source="helpline")
    sends.deliver(provider, candidates=candidates)
    assert taken(sends) == 1
    rounds(sends, provider)
    assert taken(sends) == 5


def test_a_campaign_smaller_than_its_canary_is_simply_sent(sends, provider):
    begin(sends, sends.people(3))
    rounds(sends, provider)
    assert taken(sends) == 3
    assert tick(sends) is None


def test_a_pause_stops_the_waiting_clock_from_deciding(sends, provider):
    begin(sends, sends.people(6))
    rounds(sends, provider)
    tick(sends)
    sends.run("UPDATE mandates SET state = 'paused', canary_full_at = now() - interval '1 day'")
    assert tick(sends) is None


def test_never_more_than_n_over_many_workers_at_once(sends, provider):
    begin(sends, sends.people(60), canary_messages=17)

    def work(_):
        with sends.sessions() as session:
            found = canary.room(session, sends.campaign_id)
        candidates = sends.due() if found else []
        prepared = [Prepared(c, b"mail") for c in candidates]
        for start in range(0, len(prepared), 7):
            delivery.deliver(
                sends.sessions, provider, sends.job(), prepared[start : start + 7], worker=f"test:{uuid4()}"
            )

    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            list(pool.map(work, range(6)))
    intents = sends.query("SELECT count(DISTINCT delivery_id) AS n FROM delivery_attempts WHERE outcome = 'intent'")
    assert (taken(sends), intents[0].n) == (17, 17)


def test_two_intents_of_a_canary_come_one_after_the_other(sends):
    """Load hardly ever finds this one: both would count before either has committed."""
    begin(sends, sends.people(12))
    due, job = sends.due(), sends.job()

    def intend(session, candidates):
        return intents.intend(session, job, candidates, attempt_id=uuid4(), provider="memory", worker="test:1")

    with sends.sessions() as first, sends.sessions() as second:
        assert len(intend(first, due[:4])) == 4
        with pytest.raises(OperationalError, match="lock timeout"):
            intend(second, due[4:8])
        second.rollback()
        first.commit()
        assert len(intend(second, due[4:8])) == 1


KILLED = """
import os, signal, sys
from mailer import delivery, pick
from mailer.db import create_engine_from, session_factory
sessions = session_factory(create_engine_from(sys.argv[1]))
with sessions() as session:
    job, due = pick.read_job(session, int(sys.argv[2])), pick.due(session, int(sys.argv[2]), after=0)
attempt = delivery.intend(sessions, job, due[:3], provider="memory", worker="killed:1")
assert len(attempt.candidates) == 3
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_places_of_a_killed_worker_stay_taken(sends, committed, provider):
    """It may have handed them over: two more go, not five."""
    begin(sends, sends.people(12))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, committed.url, str(sends.campaign_id)],
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert killed.returncode == -signal.SIGKILL
    rounds(sends, provider)
    assert taken(sends) == 2
    assert tick(sends) is None
    assert sends.query("SELECT canary_full_at FROM mandates")[0][0] is None, "their fate isn't known yet"
    sends.run("UPDATE open_handovers SET deadline = now() - interval '1 second'")
    with sends.sessions() as session, session.begin():
        assert reaper.reap(session) == 3
    tick(sends)
    assert sends.query("SELECT canary_full_at FROM mandates")[0][0] is not None
    rounds(sends, provider)
    assert taken(sends) == 2


def test_the_canary_is_part_of_what_is_approved(session):
    plain = campaigns_ready.draft(session)
    with_one = campaigns_ready.draft(session, options=Options(canary_messages=100, canary_minutes=60))
    approver = campaigns_ready.approver(session).id
    for campaign in (plain, with_one):
        operations.submit(session, campaign.id, campaign.author_id)
        seen = approval_hash(session, campaign.id)
        operations.approve(session, campaign.id, approver, seen=seen)
    found = session.execute(text("SELECT canary_messages, canary_minutes FROM mandates ORDER BY campaign_id")).all()
    assert [tuple(row) for row in found] == [(None, None), (100, 60)]
    before = approval_hash(session, with_one.id)
    session.execute(
        text("UPDATE campaigns SET options = jsonb_set(options, '{canary_messages}', '100000') WHERE id = :c"),
        {"c": with_one.id},
    )
    assert approval_hash(session, with_one.id) != before
