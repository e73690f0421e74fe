"""The database stopped: 503 said plainly, the same button again, and it works as soon as it is back."""

from __future__ import annotations

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

import wsgi
from mailer import optout
from mailer.consent import ledger
from mailer.consent.links import Links
from mailer.db import create_engine_from, migrate, session_factory
from tests.mailed import BASE, mailed, standing
from workers.engines import places, postgres


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A PostgreSQL of this module's own, to be stopped."""
    data = places.make_data(tmp_path_factory.mktemp("stopped") / "data")
    sockets = places.socket_folder(data)
    server = Stoppable(postgres.prepare(data, sockets))
    server.start()
    migrate(server.database.url(postgres.OWNER), app_role=postgres.APP)
    yield server
    server.stop()
    places.remove_data(data)


class Stoppable:
    def __init__(self, database):
        self.database, self.process = database, None

    def start(self):
        self.process = postgres.bring_up(self.database)

    def stop(self):
        postgres.finish(self.process, 2.0)

    @contextmanager
    def frozen(self):
        """Stop all its processes in the middle of whatever they do: sockets stay open, nobody answers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        pids = [self.process.pid, *map(int, children)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


@pytest.fixture
def app(server, settings):
    app = wsgi.create_app(settings.replace(database_url=server.database.url()))
    yield app
    app.extensions["askfirst"].engine.dispose()


def test_an_opt_out_with_the_database_stopped_is_503_and_works_when_it_is_back(server, app, keys):
    client, engine = app.test_client(), create_engine_from(server.database.url())
    sessions = session_factory(engine)
    person = mailed(sessions, keys)
    engine.dispose()
    assert client.get(person.unsubscribe).status_code == 200
    server.stop()
    try:
        refused = client.post(person.unsubscribe, data={"scope": "offer"})
        one_click = client.post(person.unsubscribe, data={"List-Unsubscribe": "One-Click"})
        asked = client.get(person.unsubscribe)
        choices = client.get(person.preferences)
        health = client.get("/healthz")
    finally:
        server.start()
    assert (refused.status_code, one_click.status_code) == (503, 503)
    assert refused.headers["Retry-After"] == "120"
    assert "Your choice is not saved yet." in refused.text
    assert "Nothing is being sent meanwhile" in refused.text
    assert "Anaar Home" in refused.text
    assert "1800 000 0000" in refused.text
    # Asking what the link is for needs no database at all; a page of records does.
    assert asked.status_code == 200
    assert "Anaar Home" in asked.text
    assert choices.status_code == 503
    assert health.status_code == 503
    assert health.json["database"] == "unreachable"
    again = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', refused.text))
    assert again == {"scope": "offer"}
    assert standing(sessions, person.customer_id) == {"offer": True}
    assert client.post(person.unsubscribe, data=again).status_code == 200
    assert standing(sessions, person.customer_id) == {"offer": False}
    engine.dispose()


def test_an_opt_out_with_the_database_frozen_is_503_and_nothing_is_claimed(server, app, keys):
    """A stopped process says nothing and its socket stays open: our own clock ends the wait."""
    client, engine = app.test_client(), create_engine_from(server.database.url())
    sessions = session_factory(engine)
    person = mailed(sessions, keys)
    assert client.get(person.preferences).status_code == 200  # so that a connection is there to be tried
    with ThreadPoolExecutor() as pool, server.frozen():
        asked = [
            pool.submit(app.test_client().post, person.unsubscribe, data={"List-Unsubscribe": "One-Click"}),
            pool.submit(app.test_client().post, "/stop", data={"email": person.address}),
            pool.submit(app.test_client().get, person.preferences),
            pool.submit(app.test_client().get, "/healthz"),
        ]
        one_click, typed, choices, health = (answer.result(30) for answer in asked)
    assert [answer.status_code for answer in (one_click, typed, choices, health)] == [503] * 4
    assert "Your choice is not saved yet." in one_click.text
    assert "Your choice is not saved yet." in typed.text
    with sessions() as session:
        assert session.scalars(text("SELECT id FROM stop_requests WHERE folded_at IS NULL")).all() == []
    assert standing(sessions, person.customer_id) == {"offer": True}
    assert client.post(person.unsubscribe, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert standing(sessions, person.customer_id) == {"offer": False}
    engine.dispose()


def test_frozen_after_the_first_commit_the_opt_out_holds_and_the_answer_says_so(server, keys):
    """The stop request is in force once it is committed: what can't be asked any more counts as in flight."""
    engine = create_engine_from(server.database.url())
    sessions = session_factory(engine)
    person = mailed(sessions, keys)
    with ThreadPoolExecutor() as pool, sessions() as holder, ExitStack() as stack:
        ledger.lock_customers(holder, [person.customer_id])
        leaving = pool.submit(
            optout.stop_person, engine, customer_id=person.customer_id, scope="all", source="one_click"
        )
        wait_for_a_waiter(sessions)
        stack.enter_context(server.frozen())
        answer = leaving.result(120)
        stack.close()
    assert (answer.via, answer.in_flight) == ("stop_request", True)
    until = time.monotonic() + 60
    while not optout.fold_waiting(engine):  # the clock comes again: the session that was given up holds its locks
        assert time.monotonic() < until
    assert standing(sessions, person.customer_id) == {"offer": False}
    engine.dispose()


def wait_for_a_waiter(sessions):
    until = time.monotonic() + 60
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    while True:
        with sessions() as session:  # one of its own each time: what it sees of others stays the same in one
            if session.scalar(waiting):
                return
        assert time.monotonic() < until


@pytest.fixture
def link(keys):
    return Links(keys, BASE).unsubscribe(bytes(16), "offer", None).removeprefix(BASE)


def test_the_page_needs_neither_database_nor_templates_nor_disk(cold, link):
    """All are gone: what was read when the application was made is enough."""
    cold.application.jinja_env.loader = None
    answer = cold.post(link, data={"scope": "all"})
    assert answer.status_code == 503
    assert "Your choice is not saved yet." in answer.text
    assert "आपकी पसंद अभी सहेजी नहीं गई है।" in answer.text
    assert "$" not in answer.text


def test_what_is_repeated_is_what_was_sent_as_text(cold):
    answer = cold.post("/stop", data={"email": "o'neil&co@example.com", "other": "x"})
    assert answer.status_code == 503
    assert 'name="email" value="o&#x27;neil&amp;co@example.com"' in answer.text
    assert "other" not in answer.text


def test_what_was_only_to_be_shown_is_said_not_to_have_changed(cold, keys):
    path = Links(keys, BASE).why(bytes(16), "offer", None).removeprefix(BASE)
    answer = cold.get(path)
    assert answer.status_code == 503
    assert '<div hidden>\n<h1 tabindex="-1">We cannot save this right now</h1>' in answer.text
    assert '<div >\n<h1 tabindex="-1">We cannot show this right now</h1>' in answer.text


def test_a_database_that_says_no_is_a_fault_of_ours_and_not_called_unavailable(committed, settings, keys):
    """503 promises that nothing is being sent; an error of one statement promises nothing."""
    app = wsgi.create_app(settings.replace(database_url=committed.url))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    person = mailed(committed.sessions, keys)
    with committed.owner.begin() as owner:
        owner.exec_driver_sql("DROP TABLE stop_requests CASCADE")
    assert app.test_client().post(person.unsubscribe, data={"scope": "offer"}).status_code == 500
    app.extensions["askfirst"].engine.dispose()
