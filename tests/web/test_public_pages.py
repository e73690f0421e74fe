"""The customers' pages: stop by button, choices, the proof, both languages. Check 20."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
import time_machine
from markupsafe import escape
from sqlalchemy import select, text

from config.logging import configure
from mailer import optout
from mailer.consent import ledger
from mailer.consent.links import LANGUAGES, PURPOSES, Links
from mailer.models import ConsentEvidence, Delivery, Purpose, StopRequest
from tests import factories
from tests.mailed import BASE, SENTENCE, everything, standing

FOLDER = Path(__file__).parents[2] / "templates" / "pages" / "public"
TEXTS = {code: json.loads((FOLDER / f"{code}.json").read_text("utf-8")) for code in LANGUAGES}


def buttons(page):
    """What each button of a page sends, by its words."""
    forms = re.findall(r'<form method="post">(.*?)<button[^>]*>(.*?)</button>', page, re.DOTALL)
    return {words: dict(re.findall(r'name="([^"]+)" value="([^"]*)"', fields)) for fields, words in forms}


def test_the_page_behind_the_link_offers_this_kind_and_all(client, committed, mail):
    """Check 20: GET is harmless, the change is a POST by button, and the same page offers "all"."""
    person = mail()
    before = everything(committed.sessions)
    page = client.get(person.unsubscribe)
    assert page.status_code == 200
    assert buttons(page.text) == {
        "Stop offers and discounts": {"scope": "offer"},
        "Stop all marketing e-mails": {"scope": "all"},
    }
    assert everything(committed.sessions) == before


@pytest.mark.parametrize(
    "scope, left", [("offer", {"offer": False, "festive": True}), ("all", {"offer": False, "festive": False})]
)
def test_a_button_stops_what_it_says_and_the_answer_says_what_ended(client, committed, mail, scope, left):
    person = mail("offer", also=("festive",))
    answer = client.post(person.unsubscribe, data={"scope": scope})
    assert answer.status_code == 200
    assert "Location" not in answer.headers
    assert "Done. You will get no more" in answer.text
    assert "One message that we handed to our mail provider before this may still arrive." in answer.text
    assert ("Stop all marketing e-mails" in buttons(answer.text)) is (scope != "all")
    assert standing(committed.sessions, person.customer_id) == left


def test_an_opt_out_keeps_how_it_was_made_and_marks_the_mail(client, committed, mail):
    person = mail()
    agent = "Mozilla/5.0 (X11; Linux) Firefox/140"
    client.post(person.unsubscribe, data={"scope": "offer"}, headers={"User-Agent": agent})
    with committed() as session:
        evidence = session.scalars(
            select(ConsentEvidence.document).where(ConsentEvidence.customer_id == person.customer_id)
        ).all()[-1]
        sent = session.get_one(Delivery, (person.customer_id, person.delivery_id))
    assert evidence.pop("requested_at")
    assert evidence == {
        "method": "POST",
        "agent": "browser",
        "user_agent": agent,
        "network": "127.0.0.0/24",
        "delivery": str(person.delivery_id),
    }
    assert sent.unsubscribed_at is not None


def test_the_answer_is_the_same_when_the_ledger_has_to_wait(client, committed, mail):
    """Somebody holds the person's lock: the stop request counts, and the page says done within about a second."""
    person = mail()
    with committed() as holder:
        ledger.lock_customers(holder, [person.customer_id])
        answer = client.post(person.unsubscribe, data={"scope": "offer"})
        holder.rollback()
    assert answer.status_code == 200
    assert "Done." in answer.text
    with committed() as session:
        waiting = session.scalars(select(StopRequest).where(StopRequest.folded_at.is_(None))).one()
    assert (waiting.customer_id, waiting.scope) == (person.customer_id, "offer")


def test_a_link_without_a_purpose_stops_everything(client, committed, keys, mail):
    person = mail("offer", also=("festive",))
    path = Links(keys, BASE).unsubscribe(person.ref, None, person.delivery_id).removeprefix(BASE)
    assert list(buttons(client.get(path).text)) == ["Stop all marketing e-mails"]
    assert "no more marketing" in client.post(path, data={"List-Unsubscribe": "One-Click"}).text
    assert standing(committed.sessions, person.customer_id) == {"offer": False, "festive": False}


# -- choices ------------------------------------------------------------------------------------------------


def test_choices_show_each_purpose_as_it_stands_and_a_masked_address(client, committed, keys, mail):
    person = mail("offer", also=("festive", "service"), address="priya.sharma@example.com")
    with committed() as session, session.begin():
        ledger.withdraw(session, person.customer_id, "service", source="account")
    page = client.get(person.preferences).text
    assert "p•••a@example.com" in page
    assert "priya" not in page
    assert page.count(">You get this<") == 2
    assert "You have not said yes to this. So we do not send it." in page
    assert re.search(r"Stopped on <time[^>]*>[^<]+</time>\. So we do not send it\.", page)
    assert list(buttons(page)) == [
        "Stop festivals and seasons",
        "Stop offers and discounts",
        "Stop all marketing e-mails",
    ]
    assert "Sign up again in our shop" in page


def test_choices_stop_any_purpose_and_show_what_is_left(client, committed, mail):
    person = mail("offer", also=("festive",))
    answer = client.post(person.preferences, data={"scope": "festive"})
    assert answer.status_code == 200
    assert "You will get no more e-mails about festivals and seasons." in answer.text
    assert list(buttons(answer.text)) == ["Stop offers and discounts", "Stop all marketing e-mails"]
    assert standing(committed.sessions, person.customer_id) == {"offer": True, "festive": False}


@pytest.mark.parametrize("scope", ["", "sweepstakes", "offer festive", "grant"])
def test_choices_can_only_stop(client, committed, mail, scope):
    """A link may have been forwarded: no field of this page adds anything, and what it doesn't know changes nothing."""
    person = mail()
    before = everything(committed.sessions)
    assert client.post(person.preferences, data={"scope": scope, "launch": "on"}).status_code == 400
    assert everything(committed.sessions) == before


def test_choices_by_a_link_older_than_thirty_days_are_refused_and_not_offered(client, mail):
    person = mail(issued_at=datetime.now(UTC) - timedelta(days=40))
    refused = client.get(person.preferences)
    assert refused.status_code == 400
    assert "This link does not work" in refused.text
    opt_out = client.get(person.unsubscribe)
    assert opt_out.status_code == 200
    assert "/p/" not in opt_out.text
    assert "/w/" in opt_out.text


def test_choices_of_somebody_who_was_erased_tell_nothing(client, committed, mail):
    person = mail()
    with committed() as session, session.begin():
        session.execute(text("UPDATE customers SET account = 'erased' WHERE id = :id"), {"id": person.customer_id})
    page = client.get(person.preferences).text
    assert "so we send nothing" in page
    assert person.address[0] + "•••" not in page
    assert ">You get this<" not in page


def test_a_changed_policy_shows_as_no_longer_covered(client, committed, mail):
    person = mail("offer", also=("festive",))
    with committed() as session, session.begin():
        newer = factories.policy(session, effective_at=datetime.now(UTC) - timedelta(days=1))
        session.execute(text("INSERT INTO policy_changes VALUES (:id, 'offer')"), {"id": newer.id})
    page = client.get(person.preferences).text
    assert "Our privacy notice has changed since you said yes." in page
    assert "Stop offers and discounts" not in buttons(page)


# -- why ----------------------------------------------------------------------------------------------------


def test_the_proof_prints_the_words_of_that_day_the_mail_and_the_segments_sentence(client, committed, mail):
    person = mail("offer", address="priya.sharma@example.com")
    page = client.get(person.why).text
    assert "“Yes, e-mail me about offer.”" in page
    assert "Because you said yes to <b>offers and discounts</b>" in page
    assert "on our website" in page
    assert "Happy Diwali, …" in page
    assert str(escape(SENTENCE)) in page
    assert "p•••a@example.com" in page
    assert "priya" not in page
    assert set(buttons(page)) == {"Stop offers and discounts", "Stop all marketing e-mails"}


def test_the_proof_of_a_mail_that_never_left_says_so(client, committed, mail):
    person = mail()
    with committed() as session, session.begin():
        session.get_one(Delivery, (person.customer_id, person.delivery_id)).state = "withheld"
    page = client.get(person.why).text
    assert "This e-mail has not been sent." in page
    assert "The e-mail we sent" not in page


def test_the_proofs_buttons_stop_at_once_and_it_then_says_stopped(client, committed, mail):
    person = mail()
    assert "are stopped for you now" not in client.get(person.why).text
    assert "Done." in client.post(person.why, data={"scope": "offer"}).text
    assert standing(committed.sessions, person.customer_id) == {"offer": False}
    assert "are stopped for you now" in client.get(person.why).text
    assert client.post(person.why, data={"scope": "launch"}).status_code == 400


def test_the_proof_of_somebody_who_was_erased_is_gone_and_the_buttons_are_not(client, committed, mail):
    person = mail()
    with committed() as session, session.begin():
        session.execute(text("UPDATE customers SET account = 'erased' WHERE id = :id"), {"id": person.customer_id})
    page = client.get(person.why).text
    assert "We no longer hold anything about this e-mail." in page
    assert "Stop all marketing e-mails" in buttons(page)


# -- language -----------------------------------------------------------------------------------------------


def test_pages_speak_the_language_of_the_mail_and_can_be_switched(client, mail):
    hindi, english = mail(language="hi"), mail(language="en")
    assert '<html lang="hi">' in client.get(hindi.unsubscribe).text
    assert '<html lang="en">' in client.get(f"{hindi.unsubscribe}?lang=en").text
    assert '<html lang="hi">' in client.get(f"{english.preferences}?lang=hi").text
    assert '<html lang="en">' in client.get(f"{english.unsubscribe}?lang=ta").text
    assert '<html lang="en">' in client.get(english.unsubscribe, headers={"Accept-Language": "hi"}).text
    assert '<html lang="hi">' in client.get("/stop", headers={"Accept-Language": "hi-IN,hi;q=0.9"}).text


def test_the_answer_can_be_read_in_the_other_language_too(client, mail):
    """The switch on an answer repeats the same stop: it may be pressed twice."""
    person = mail(language="hi")
    answer = client.post(person.unsubscribe, data={"scope": "offer"}).text
    assert "हो गया। अब ऑफ़र और छूट के ई-मेल नहीं आएँगे।" in answer
    switch = re.search(r'action="(\?lang=en)">(<input[^>]*>)', answer)
    assert 'name="scope" value="offer"' in switch[2]
    assert "Done. You will get no more" in client.post(person.unsubscribe + switch[1], data={"scope": "offer"}).text


def names(tree, path=""):
    if isinstance(tree, dict):
        return {name for key, value in tree.items() for name in names(value, f"{path}.{key}")}
    return {f"{path}: {sorted(re.findall(r'{[a-z]+}', tree))}" if isinstance(tree, str) else path}


def test_both_languages_say_the_same_things_with_the_same_facts_in_them():
    assert names(TEXTS["hi"]) == names(TEXTS["en"])
    assert set(TEXTS["en"]["purposes"]) == set(PURPOSES)


def test_pages_call_the_purposes_as_the_database_does(session):
    stored = {purpose.key: purpose.name for purpose in session.scalars(select(Purpose))}
    assert {key: words["name"] for key, words in TEXTS["en"]["purposes"].items()} == stored


def test_times_are_told_in_the_shops_zone_with_the_zone_in_words(client, mail):
    person = mail()
    with time_machine.travel(datetime(2026, 11, 2, 13, 12, tzinfo=UTC), tick=False):
        unknown = client.post("/stop", data={"email": "nobody@example.com"}).text
    assert "2 November 2026, 6:42 pm (India time)" in unknown
    assert client.get(person.why).status_code == 200


# -- what is in them and what isn't -----------------------------------------------------------------------------


def test_pages_are_small_have_no_script_and_load_nothing_from_elsewhere(client, mail):
    person = mail()
    paths = (person.unsubscribe, person.preferences, person.why, "/stop", "/u/torn")
    for page in (client.get(path).text for path in paths):
        assert len(page.encode()) < 20_000
        assert "<script" not in page
        assert "style=" not in page
        assert not re.search(r'(src|href)="(https?:)?//', page)


def test_what_a_customer_or_operator_wrote_is_shown_as_text(client, committed, mail):
    person = mail()
    with committed() as session, session.begin():
        session.execute(text("UPDATE senders SET from_name = '<script>x</script>'"))
        session.execute(text("UPDATE mandates SET audience_sentence = '<b>bold</b>'"))
    page = client.get(person.why).text
    assert "<script>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page


@pytest.fixture
def lines():
    """The log as it would be written, one object a line."""
    root, stream = logging.getLogger(), StringStream()
    before = root.handlers[:], root.level
    configure("info", stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], root.level = before


def test_every_hit_is_logged_with_method_and_kind_of_agent_and_without_the_link(client, mail, lines):
    person = mail()
    client.get(person.unsubscribe, headers={"User-Agent": "Mozilla/5.0 (compatible; SafeLinks)"})
    client.post(person.unsubscribe, data={"List-Unsubscribe": "One-Click"}, headers={"User-Agent": "Google-LP"})
    hits = [line for line in lines.parsed() if line["event"] == "public_hit"]
    assert [(hit["door"], hit["method"], hit["agent"], hit["valid"]) for hit in hits] == [
        ("unsub", "GET", "scanner", True),
        ("unsub", "POST", "mailbox", True),
    ]
    assert hits[0]["delivery"] == str(person.delivery_id)
    assert person.unsubscribe.rpartition(".")[2] not in lines.text


class StringStream:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def parsed(self):
        return [json.loads(line) for line in self.text.splitlines()]


def test_something_that_breaks_is_said_plainly_and_the_button_is_there_again(app, committed, mail):
    """Not 200 and not a bare error: the page says that we don't know, and repeats the same POST."""
    person = mail()
    with committed.owner.begin() as owner:
        owner.execute(text("DROP TABLE suppressions CASCADE"))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = app.test_client().post(person.unsubscribe, data={"scope": "offer"})
    assert answer.status_code == 500
    assert "We do not know whether your choice was saved" in answer.text
    assert buttons(answer.text) == {"Try again": {"scope": "offer"}}


def test_the_door_is_the_one_that_everybody_uses(client, committed, mail):
    """The page adds nothing to a stop and takes nothing away: same rows as the door itself writes."""
    by_page, by_door = mail(), mail()
    client.post(by_page.unsubscribe, data={"scope": "offer"})
    optout.stop_person(committed.engine, customer_id=by_door.customer_id, scope="offer", source="unsubscribe_page")
    with committed() as session:
        rows = session.execute(
            text("""SELECT e.customer_id, e.action, e.purpose, e.source FROM consent_events e
                     WHERE e.action <> 'grant' ORDER BY e.id""")
        ).all()
    assert [tuple(row[1:]) for row in rows] == [("withdraw", "offer", "unsubscribe_page")] * 2
