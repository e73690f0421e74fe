"""One-click unsubscribe (RFC 8058): checks 6 to 16 and 19 of the standards, over the application and over a socket."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from sqlalchemy import text

from config.settings import Settings
from mailer.consent.links import Kind, Links
from mailer.db import create_engine_from, session_factory
from mailer.providers.memory import MemoryProvider
from tests.conftest import ROOT_KEY
from tests.mailed import BASE, everything, mailed, standing
from tests.sending import Sending
from tests.serving import ask, serving
from workers.web import MOST_FAREWELLS

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
URLENCODED = b"List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
BARE = """
import sys, urllib.request
with urllib.request.urlopen(urllib.request.Request(sys.argv[1], data=b"List-Unsubscribe=One-Click")) as answer:
    print(answer.status, answer.geturl() == sys.argv[1], answer.headers.get("Set-Cookie"))
"""


@pytest.mark.parametrize(
    "body, content_type",
    [
        (URLENCODED, "application/x-www-form-urlencoded"),
        (MULTIPART, "multipart/form-data; boundary=b"),
        (URLENCODED + b"\r\n", "text/plain"),
    ],
    ids=["urlencoded", "multipart", "bare line"],
)
def test_one_click_stops_the_purpose_of_the_mail_in_either_encoding(client, committed, mail, body, content_type):
    """Check 6; the bare line without a form's type counts too: a no is never too badly formed."""
    person = mail("offer", also=("festive",))
    answer = client.post(person.unsubscribe, data=body, content_type=content_type)
    assert answer.status_code == 200
    assert standing(committed.sessions, person.customer_id) == {"offer": False, "festive": True}


@pytest.mark.parametrize("slash", ["", "/"])
def test_one_click_is_answered_without_a_redirect_and_without_a_cookie(client, mail, slash):
    """Checks 7 and 9."""
    answer = client.post(mail().unsubscribe + slash, data=ONE_CLICK)
    assert answer.status_code == 200
    assert "Location" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    assert answer.text == "Done. You will get no more e-mails about offers and discounts.\n"


def test_an_operators_cookie_changes_nothing_and_none_is_set(client, mail):
    """Check 9, for a browser in which an operator is signed in."""
    client.set_cookie("__Host-askfirst", "whatever", secure=True)
    for answer in (client.get(mail().unsubscribe), client.post(mail().unsubscribe, data=ONE_CLICK)):
        assert "Set-Cookie" not in answer.headers
        assert "Cookie" not in answer.headers.get("Vary", "")


def test_one_click_needs_no_token_while_every_other_form_does(client, mail):
    """Check 8, within the application."""
    assert client.post("/sign-in", data={"email": "a@example.com", "password": "x"}).status_code == 400
    assert client.post(mail().unsubscribe, data=ONE_CLICK).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_asking_never_changes_anything_however_often(client, committed, mail, method):
    """Check 10: scanners follow every link of a mail, many times."""
    person = mail()
    before = everything(committed.sessions)
    for path in (person.unsubscribe, person.preferences, person.why):
        for _ in range(40):
            assert client.open(path, method=method).status_code == 200
    assert everything(committed.sessions) == before


def test_any_other_body_stops_nothing_and_says_so(client, committed, mail):
    """Check 11: 400 with the page and its buttons."""
    person = mail("offer", also=("festive",))
    before = everything(committed.sessions)
    for body in (
        {"foo": "bar"},
        {},
        {"List-Unsubscribe": "one-click"},
        {"List-Unsubscribe": ["One-Click", "One-Click"]},
        {"scope": "festive"},
        {"scope": ""},
        {"scope": "ALL"},
    ):
        answer = client.post(person.unsubscribe, data=body)
        assert answer.status_code == 400, body
        assert "Nothing has been changed" in answer.text
        assert "Stop offers and discounts" in answer.text
    assert everything(committed.sessions) == before


def test_a_body_without_end_is_refused(client, mail):
    assert client.post(mail().unsubscribe, data={"List-Unsubscribe": "x" * 2_000_000}).status_code == 413


def test_twenty_at_once_are_one_opt_out(app, committed, mail):
    """Check 12."""
    person = mail()
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda _: app.test_client().post(person.unsubscribe, data=ONE_CLICK).status_code, range(20))
        )
    assert answers == [200] * 20
    assert standing(committed.sessions, person.customer_id) == {"offer": False}
    with committed() as session:
        stopped = session.execute(text("SELECT scope, reason, lifted_at FROM suppressions")).all()
    assert [tuple(row) for row in stopped] == [("offer", "opt_out", None)]


def test_no_changed_byte_of_a_link_does_anything_and_all_get_one_answer(client, committed, mail):
    """Checks 13 and 15: flip each character; the answer is the same 400 page."""
    path = mail().unsubscribe
    before, answers = everything(committed.sessions), Counter()
    for place in range(len("/u/"), len(path)):
        other = "B" if path[place] == "A" else "A"
        torn = f"{path[:place]}{other}{path[place + 1 :]}"
        answer = client.post(torn, data=ONE_CLICK)
        answers[answer.status_code, answer.text] += 1
    assert [status for status, _ in answers] == [400]
    assert everything(committed.sessions) == before


def test_a_link_holds_no_address_in_any_spelling(mail):
    """Check 13."""
    person = mail(address="anita@example.com")
    for part in person.unsubscribe.split("."):
        assert "anita" not in part.lower()
        assert "YW5pdGE" not in part  # base64 of it


def test_a_link_works_after_400_days_and_after_the_key_was_rotated(app, client, committed, keys, mail):
    """Check 14."""
    person = mail(issued_at=datetime.now(UTC))
    rotated = Links(keys, BASE, key_id=2)
    shop = app.extensions["askfirst"]
    app.extensions["askfirst"] = type(shop)(shop.settings, shop.keys, shop.engine, shop.sessions, rotated)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400), tick=True):
        assert rotated.verify(person.preferences.removeprefix("/p/"), Kind.PREFERENCES, datetime.now(UTC)) is None
        assert client.post(person.unsubscribe, data=ONE_CLICK).status_code == 200
    assert standing(committed.sessions, person.customer_id) == {"offer": False}


def test_nobody_learns_from_a_valid_link_who_is_still_a_customer(client, committed, keys, mail):
    """Check 15: present, opted out, deactivated, erased, without an address, and never there: the same answers."""
    people = {name: mail() for name in ("present", "opted out", "deactivated", "erased", "no address")}
    client.post(people["opted out"].unsubscribe, data={"scope": "all"})
    change = "UPDATE customers SET account = :account WHERE id = :id"
    with committed() as session, session.begin():
        for account in ("deactivated", "erased"):
            session.execute(text(change), {"account": account, "id": people[account].customer_id})
        for gone in ("erased", "no address"):
            session.execute(text("SELECT lock_customers(:ids)"), {"ids": [people[gone].customer_id]})
            session.execute(text("DELETE FROM addresses WHERE customer_id = :id"), {"id": people[gone].customer_id})
    paths = {name: person.unsubscribe for name, person in people.items()}
    stranger = Links(keys, BASE).for_mail(
        bytes(16), "offer", people["present"].delivery_id, issued_at=datetime.now(UTC)
    )
    paths["never there"] = stranger.unsubscribe.removeprefix(BASE)

    def said(path, **form):
        answer = client.open(path, method="POST" if form else "GET", data=form or None)
        lines = [line for line in answer.text.splitlines() if "/p/v1." not in line and "/w/v1." not in line]
        return answer.status_code, [line for line in lines if "<time" not in line], dict(answer.headers)

    with time_machine.travel(datetime.now(UTC), tick=False):
        for form in ({}, {"scope": "offer"}, {"scope": "all"}, ONE_CLICK, {"scope": "x"}):
            answers = {name: said(path, **form) for name, path in paths.items()}
            assert all(answer == answers["present"] for answer in answers.values()), form


def test_one_click_in_the_middle_of_a_campaign_stops_what_is_queued(client, committed, keys):
    """Check 16: rows that wait are not sent to whoever said no after they were queued."""
    sends = Sending(committed, keys)
    people = sends.people(60, address="")
    campaign = sends.campaign(people)
    due = sends.due(campaign)
    quitters = people[10:20]
    with committed() as session:
        rows = session.execute(
            text("SELECT c.id, c.ref, d.id AS delivery FROM customers c JOIN deliveries d ON d.customer_id = c.id")
        ).all()
    for row in rows:
        if row.id in quitters:
            url = Links(keys, BASE).unsubscribe(row.ref, "festive", row.delivery)
            assert client.post(url.removeprefix(BASE), data=ONE_CLICK).status_code == 200
    provider = MemoryProvider()
    sends.deliver(provider, campaign, due)
    states = sends.states(campaign)
    assert {states[person][0] for person in quitters} == {"withheld"}
    assert Counter(state for state, _ in states.values()) == {"accepted": 50, "withheld": 10}


@pytest.fixture(scope="module")
def listening(engines, keys, tmp_path_factory):
    """A server that really listens, with the broker's address leading nowhere."""
    with engines.database() as name:
        settings = Settings.from_env(
            {
                "DATABASE_URL": engines.app.format(name),
                "REDIS_URL": "redis://127.0.0.1:1/0",
                "ASKFIRST_ROOT_KEY": ROOT_KEY.hex(),
                "ASKFIRST_DATA": str(tmp_path_factory.mktemp("data")),
                "PUBLIC_URL": BASE,
            }
        )
        engine = create_engine_from(settings.database_url)
        with serving(settings) as url:
            yield url, session_factory(engine)
        engine.dispose()


def test_a_bare_post_from_a_fresh_process_is_enough(listening, keys):
    """Check 8: no cookie, no session, no token, no Referer, no Origin, and nothing is followed."""
    url, sessions = listening
    person = mailed(sessions, keys)
    said = subprocess.run(
        [sys.executable, "-I", "-c", BARE, url + person.unsubscribe], capture_output=True, text=True, check=True
    )
    assert said.stdout == "200 True None\n"
    assert standing(sessions, person.customer_id) == {"offer": False}


def test_opt_outs_answer_within_a_second_without_a_broker(listening, keys):
    """Check 19: written synchronously; the broker's address leads nowhere in this server."""
    url, sessions = listening
    people = [mailed(sessions, keys) for _ in range(30)]

    def stop(person):
        begun = time.monotonic()
        assert ask(url + person.unsubscribe, URLENCODED).status == 200
        return time.monotonic() - begun

    with ThreadPoolExecutor(4) as pool:
        seconds = list(pool.map(stop, people))
    # The quickest: whoever waits for a broker waits each time, and this machine may be busy.
    assert min(seconds) < 1.0
    assert all(standing(sessions, person.customer_id) == {"offer": False} for person in people)


def test_nobody_waits_for_strangers_who_do_not_hang_up(listening, keys):
    """Check 19: they were answered and told that it is over, and keep their end open. Each cost all others 2 s."""
    url, sessions = listening
    person, place = mailed(sessions, keys), urlsplit(url)
    with ExitStack() as held:
        strangers = [
            held.enter_context(socket.create_connection((place.hostname, place.port)))
            for _ in range(MOST_FAREWELLS * 2)
        ]
        for stranger in strangers:
            stranger.sendall(b"GET /favicon.ico HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        for stranger in strangers:
            assert stranger.recv(12, socket.MSG_WAITALL).endswith(b" 200")
        link = http.client.HTTPConnection(place.hostname, place.port, timeout=MOST_FAREWELLS)
        held.callback(link.close)
        link.request("POST", urlsplit(person.unsubscribe).path, URLENCODED, FORM)
        assert link.getresponse().status == 200


def test_the_web_application_doesnt_even_import_the_queue():
    """Check 19: what isn't there can't be down."""
    program = "import sys, wsgi; print([name for name in ('redis', 'dramatiq') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
