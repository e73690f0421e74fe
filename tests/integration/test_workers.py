"""The whole way of a message: broker, worker, compose, deliver, the sink's inbox; and what the clock does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path

import pytest
from sqlalchemy import text

from campaigns import operations, rules
from campaigns.approval import approval_hash
from campaigns.drafts import locked
from config.settings import Settings
from mailer.inbox import list_messages, read_message
from mailer.starters import starting_source
from tests import factories
from workers.broker import make_broker, waiting
from workers.clock import Clock
from workers.runtime import dispatching

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 150


@contextmanager
def running(*command, settings, pass_fds=()):
    """A part of askfirst as its own process; stopped in order, and it must have stopped well."""
    environ = {**os.environ, **settings.environ(), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", *command], cwd=ROOT, env=environ, pass_fds=pass_fds
    )
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


@pytest.fixture
def place(sends, valkey_url, tmp_path, keys):
    """Settings of an installation whose parts are the test's engines and a sink of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd, port = listening.fileno(), listening.getsockname()[1]
        settings = Settings.from_env(
            {
                "DATABASE_URL": sends.engine.url.render_as_string(hide_password=False),
                "REDIS_URL": valkey_url,
                "SMTP_URL": f"smtp+plain://127.0.0.1:{port}",
                "ASKFIRST_ROOT_KEY": bytes(range(32)).hex(),
                "ASKFIRST_DATA": str(tmp_path),
                "PUBLIC_URL": "https://mail.example.com",
            }
        )
        with running("sink", "--fd", str(fd), settings=settings, pass_fds=[fd]):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as early:
                assert early.recv(3) == b"220"  # it is there, also for the signal that ends it
            yield settings


def wait_for(truth):
    until = time.monotonic() + PATIENCE
    while not truth():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def started(sends):
    """A festive campaign to three people who agreed and one who never did: written, approved, started."""
    with sends.sessions() as session, session.begin():
        people = [factories.agreeing(session, sends.keys, given_name="Asha") for _ in range(3)]
        people.append(factories.person(session, sends.keys))
        author, approver = factories.operator(session), factories.operator(session)
        session.execute(
            text("""INSERT INTO operators_roles SELECT :author, id FROM roles WHERE name = 'author'
                    UNION ALL SELECT :approver, id FROM roles WHERE name = 'approver'"""),
            {"author": author.id, "approver": approver.id},
        )
        campaign = operations.create_campaign(
            session,
            author.id,
            name="Diwali",
            kind="festive",
            sender_id=factories.sender(session).id,
            rule=rules.EVERYBODY,
        )
        operations.write_content(session, campaign.id, author.id, starting_source("festive"))
        operations.submit(session, campaign.id, author.id)
        operations.approve(session, campaign.id, approver.id, seen=approval_hash(session, campaign.id))
        operations.start(session, campaign.id, author.id)
    return campaign.id


def mails(settings):
    folder = settings.data / "inbox"
    return [message_from_bytes(read_message(folder, entry.name)) for entry in list_messages(folder)]


def test_a_slice_expands_composes_and_delivers_to_the_inbox(sends, place, started):
    """Checks 1, 2, 36, 37: what arrives carries its own way out, in both parts and in the headers."""
    with dispatching(place, threading.Event()) as dispatcher:
        assert dispatcher.run(started) is False
    arrived = mails(place)
    assert len(arrived) == 3
    for mail in arrived:
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        link = mail["List-Unsubscribe"].strip("<>")
        parts = [part.get_payload(decode=True).decode() for part in mail.walk() if not part.is_multipart()]
        assert len(parts) == 2
        assert all(link in part.replace("&amp;", "&") for part in parts)
        assert "Asha" in parts[0]
    assert len({mail["Message-ID"] for mail in arrived}) == 3
    assert len({mail["To"] for mail in arrived}) == 3
    assert sends.query("SELECT reason FROM audience_exclusions")[0].reason == "never_asked"


def test_worker_and_clock_send_a_campaign_and_end_it(sends, place, started):
    with running("worker", settings=place), running("clock", settings=place):
        wait_for(lambda: sends.query("SELECT state FROM campaigns")[0].state == "sent")
    assert len(mails(place)) == 3
    assert {state for state, _ in sends.states(started).values()} == {"accepted"}


def test_an_emptied_broker_costs_seconds_not_mail(sends, place, started, tmp_path):
    """The database is the queue: the clock wakes workers again, and asks no more often than they answer."""
    broker = make_broker(place.redis_url or "")
    clock = Clock(sends.engine, broker, workers=2, data=tmp_path)
    clock.tick()
    clock.tick()
    assert waiting(broker) == 2
    broker.client.flushdb()
    clock.tick()
    assert waiting(broker) == 2
    broker.client.flushdb()
    broker.close()


def test_a_cancelled_campaign_is_swept_until_nothing_can_come_back(sends, place, tmp_path):
    """A hand-over that was open when it was cancelled may still return its row: the sweep waits for that one."""
    first, _ = sends.people(2)
    campaign = sends.campaign([first])
    attempt = sends.intend()
    sends.run("UPDATE mandates SET state = 'cancelled' WHERE campaign_id = :c", c=campaign)
    broker = make_broker(place.redis_url or "")
    clock = Clock(sends.engine, broker, workers=2, data=tmp_path)
    clock.tick()
    assert {state for state, _ in sends.states(campaign).values()} == {"handing_over"}
    sends.run("""UPDATE deliveries SET state = 'pending' WHERE attempt_id = :a""", a=attempt.id)
    sends.run("DELETE FROM open_handovers")
    clock.tick()
    assert {state for state, _ in sends.states(campaign).values()} == {"cancelled"}
    broker.close()


@pytest.fixture
def clock(sends, valkey_url, tmp_path):
    broker = make_broker(valkey_url)
    yield Clock(sends.engine, broker, workers=2, data=tmp_path)
    broker.close()


@pytest.mark.parametrize("state", ["sending", "paused", "finished", "cancelled"])
def test_who_is_in_doubt_for_a_day_is_shown_to_a_person_however_long_ago_it_started(sends, clock, state):
    campaign = sends.campaign(sends.people(1))
    ended = "now() - interval '2 days'" if state in ("finished", "cancelled") else "NULL"
    sends.run("UPDATE mandates SET state = :state, as_of = now() - interval '90 days'", state=state)
    sends.run(f"UPDATE campaigns SET ended_at = {ended} WHERE id = :c", c=campaign)
    sends.run("UPDATE deliveries SET state = 'in_doubt', settled_at = now() - interval '25 hours'")
    clock.tick()
    assert {state for state, _ in sends.states(campaign).values()} == {"unconfirmed"}


def test_a_paused_campaign_past_its_end_ends_for_whoever_waits(sends, clock):
    campaign = sends.campaign(sends.people(2))
    sends.run("UPDATE mandates SET state = 'paused', ends_at = clock_timestamp() + interval '1 day'")
    clock.tick()
    assert set(sends.states(campaign).values()) == {("pending", None)}
    sends.run("UPDATE mandates SET ends_at = clock_timestamp()")
    clock.tick()
    assert set(sends.states(campaign).values()) == {("expired", "campaign_over")}


def test_whoever_joined_while_it_went_on_ends_too_when_it_is_paused_again(sends, clock):
    """What is over while paused is not looked at every second; it is once it was resumed."""
    campaign = sends.campaign(sends.people(1))
    for state in ("paused", "sending", "paused"):
        sends.run("UPDATE mandates SET state = :state, ends_at = clock_timestamp()", state=state)
        sends.run("UPDATE deliveries SET state = 'pending', reason = NULL")
        clock._sweep()
        assert {found for found, _ in sends.states(campaign).values()} == {"expired"}, state


def test_a_stopped_worker_leaves_nothing_in_doubt(sends, place, started):
    with sends.sessions() as session, session.begin():
        session.execute(text("UPDATE mandates SET rate_per_second = 1"))
    with running("worker", settings=place), running("clock", settings=place):
        wait_for(lambda: mails(place))
    assert sends.query("SELECT count(*) AS n FROM open_handovers")[0].n == 0
    assert {state for state, _ in sends.states(started).values()} <= {"accepted", "pending"}


def test_another_root_key_starts_on_hold_and_sends_nothing(sends, place, started):
    """A wrong key would make every suppression invisible."""
    with dispatching(place, threading.Event()):
        pass
    with dispatching(place.replace(root_key=b"x" * 32), threading.Event()) as dispatcher:
        assert dispatcher.run(started) is False
    assert mails(place) == []
    hold = sends.query("SELECT hold, hold_reason FROM installation")[0]
    assert hold.hold
    assert "root key" in hold.hold_reason


def test_a_message_that_cannot_be_made_fails_alone(sends, place, started):
    """Who has no fields for a required place fails; the others get theirs."""
    sends.run("""
        SET LOCAL session_replication_role = replica;
        UPDATE addresses SET address = 'no at sign' WHERE customer_id = (SELECT min(id) FROM customers)""")
    with dispatching(place, threading.Event()) as dispatcher:
        dispatcher.run(started)
    states = sorted(state for state, _ in sends.states(started).values())
    assert states == ["accepted", "accepted", "render_failed"]


def test_one_person_whom_nobody_can_take_now_keeps_nobody_else_waiting(sends, place, started):
    """Their hand-over is open in another campaign; the others get theirs in the same slice."""
    with dispatching(place, threading.Event()) as dispatcher:
        dispatcher._expand(started)
        sends.run("""
            INSERT INTO come_back (delivery_id, customer_id, campaign_id, not_before)
              SELECT id, customer_id, campaign_id, clock_timestamp() FROM deliveries ORDER BY customer_id LIMIT 1""")
        sends.run("""
            INSERT INTO open_handovers (customer_id, delivery_id, attempt_id, campaign_id, deadline, worker)
              SELECT customer_id, gen_random_uuid(), gen_random_uuid(), 0, 'infinity', 'x' FROM come_back""")
        dispatcher.run(started)
    assert sorted(state for state, _ in sends.states(started).values()) == ["accepted", "accepted", "pending"]


def test_the_clock_and_a_person_who_pause_at_once_wait_for_each_other_and_lose_nothing(sends, clock):
    """One campaign at a time: whoever noted an act about one of them holds the chain that the other's note needs."""
    first, second = sends.campaign(sends.people(1)), sends.campaign(sends.people(1))
    sends.run("UPDATE campaigns SET state = 'sending'")
    with sends.sessions() as person, ThreadPoolExecutor() as pool:
        locked(person, second)
        ticking = pool.submit(clock.tick)  # pauses both: neither is what was approved
        until_somebody_waits_for_a_lock(sends)
        operations.pause(person, second, None, "a look first")
        person.commit()
        ticking.result()
    assert {row.state for row in sends.query("SELECT state FROM campaigns")} == {"paused"}
    acts = sends.query("SELECT subject FROM operator_acts WHERE act = 'campaign_paused' ORDER BY seq")
    assert [row.subject for row in acts] == [f"campaign:{first}", f"campaign:{second}"]


def until_somebody_waits_for_a_lock(sends):
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    wait_for(lambda: bool(sends.query(waiting)))
