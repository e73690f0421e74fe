"""Senders' pages: who may change what, what is written down, what to publish and what is published (checks 49, 50)."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest
from sqlalchemy import text

from mailer import circuits, dkim, domains, rests
from mailer.domains import Heard
from mailer.senders import SenderFacts
from mailer.web.senders import RESOLVER
from tests.conftest import ROOT_KEY
from tests.desks import HOST, Desk
from wsgi import create_app

FACTS = SenderFacts(
    name="Anaar Home offers",
    from_name="Anaar Home",
    from_address="offers@mail.example.com",
    legal_name="Anaar Home Private Limited",
    postal_address="14 Sample Road, Bengaluru 560 001, India",
    care_phone="1800 000 0000",
    care_email="care@example.com",
    officer="Meera Rao",
    list_domain="mail.example.com",
)


@pytest.fixture
def desk(committed, tmp_path):
    desk = Desk(committed)
    key = tmp_path / "key.pem"
    key.write_bytes(dkim.new_key())
    key.chmod(0o600)
    settings = desk.app.extensions["askfirst"].settings
    desk.close()
    desk.app = create_app(
        settings.replace(
            smtp_urls={"news": "smtps://user:hunter2-and-more@relay.example.net"},
            sendgrid_api_keys={"offers": "SG.hunter2-and-more"},
            dkim_keys=f"example.com:2026a={key}",
            root_key=ROOT_KEY,
        )
    )
    desk.app.config["PROPAGATE_EXCEPTIONS"] = True
    yield desk
    desk.close()


@pytest.fixture
def admin(desk):
    return desk.visitor("meera", "admin")


def press(visitor, path, on="/senders/new", purposes=("offer",), **changes):
    """Send the form as a browser does: several boxes have one name."""
    token = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get(on).text)[1]
    fields = asdict(FACTS) | changes | {"purposes": list(purposes), "csrf_token": token}
    return visitor.client.post(path, base_url=HOST, data=fields)


def query(desk, statement):
    with desk.committed() as session:
        return session.execute(text(statement)).all()


def test_an_administrator_adds_a_sender_and_it_is_written_down(desk, admin):
    answer = press(admin, "/senders/", provider="smtp-news", list_domain="MAIL.example.com")
    assert answer.status_code == 303
    (row,) = query(desk, "SELECT * FROM senders")
    assert (row.provider, row.purposes, row.list_domain) == ("smtp-news", ["offer"], "mail.example.com")
    assert (row.reply_to, row.return_domain) == (None, None)
    (act,) = query(desk, "SELECT * FROM operator_acts")
    assert (act.act, act.subject, act.document["from_address"]) == (
        "add_sender", f"sender:{row.id}", "offers@mail.example.com"
    )  # fmt: skip
    shown = admin.get(answer.location).text.replace("<wbr>", "")
    for words in ("Anaar Home offers", "offers@mail.example.com", "smtp-news", "Offers and discounts"):
        assert words in shown


def test_what_can_not_be_used_is_said_all_at_once_and_nothing_is_stored(desk, admin):
    answer = press(
        admin, "/senders/", from_address="nobody", list_domain="not a domain", officer=" ", provider="smtp-none",
        from_name="Anaar\r\nBcc: all", purposes=("everything",),
    )  # fmt: skip
    assert answer.status_code == 422
    for field in ("from_address", "list_domain", "officer", "provider", "from_name", "purposes"):
        assert f'href="#{field}"' in answer.text, field
    assert "6 things to fix" in answer.text
    assert "not a domain" in answer.text
    assert query(desk, "SELECT * FROM senders") == []


@pytest.mark.parametrize("domain", ["gmail.com", "GoogleMail.com", "yahoo.co.in", "outlook.com", "rediffmail.com"])
def test_nobody_sends_from_a_mailbox_providers_own_domain(desk, admin, domain):
    """Check 56: their policy tells receivers to refuse it. Answers may go there all the same."""
    answer = press(admin, "/senders/", from_address=f"anaar@{domain}")
    assert answer.status_code == 422
    assert f"Only {domain.lower()} itself may send" in answer.text
    assert press(admin, "/senders/", reply_to=f"anaar@{domain}").status_code == 303


def test_two_senders_have_two_names(desk, admin):
    press(admin, "/senders/")
    answer = press(admin, "/senders/")
    assert (answer.status_code, "There is a sender of this name already" in answer.text) == (422, True)


def test_a_change_pauses_what_is_sent_and_says_so_first(desk, admin):
    desk.operator("anita", "author")
    desk.operator("farhan", "approver")
    desk.people(1)
    campaign_id = desk.sending("anita", "farhan", name="Lamps")
    path = f"/senders/{desk.sender_id}"
    assert "A campaign is being sent from this sender: Lamps." in admin.get(f"{path}/edit").text
    assert press(admin, path, on=f"{path}/edit", purposes=("festive",)).status_code == 303
    assert desk.state(campaign_id) == "paused"
    act = query(desk, "SELECT * FROM operator_acts WHERE act = 'change_sender'")[0]
    assert act.document["changed"]["from_address"] == {
        "from": "hello@mail.example.com", "to": "offers@mail.example.com"
    }  # fmt: skip


def test_saving_without_a_change_stops_nothing_and_notes_nothing(desk, admin):
    press(admin, "/senders/", purposes=("offer", "launch"))
    press(admin, "/senders/1", on="/senders/1/edit", purposes=("launch", "offer"))
    assert query(desk, "SELECT act FROM operator_acts")[-1].act == "add_sender"


@pytest.mark.parametrize("role, sees, changes", [("author", 200, 403), ("approver", 200, 403), ("helpline", 403, 403)])
def test_only_administrators_change_senders(desk, role, sees, changes):
    _ = desk.sender_id
    visitor = desk.visitor("somebody", role)
    assert {visitor.get(path).status_code for path in ("/senders/", "/senders/1")} == {sees}
    assert {visitor.get(path).status_code for path in ("/senders/new", "/senders/1/edit")} == {changes}
    if sees == 200:
        assert "Add a sender" not in visitor.get("/senders/").text
    else:
        assert "/senders/" not in visitor.get("/people/").text


def test_no_secret_of_a_provider_is_on_any_page(desk, admin):
    press(admin, "/senders/", provider="smtp-news")
    for path in ("/senders/", "/senders/new", "/senders/1", "/senders/1/edit"):
        text_of = admin.get(path).text
        assert "hunter2" not in text_of
    assert "relay.example.net" in admin.get("/senders/1").text


def test_a_throttled_domain_shows_why_since_when_and_until_when(desk, admin):
    press(admin, "/senders/", provider="smtp-news")
    with desk.committed() as session, session.begin():
        heard = Heard()
        heard.refused("421 4.7.0", "RCPT: too fast, <b>priya@example.com</b>")
        domains.note(session, "smtp-news", {"busy.example": heard}, 0)
        domains.note(session, "smtp-other", {"elsewhere.example": heard}, 0)
    shown = admin.get("/senders/1").text
    assert "busy.example" in shown
    assert "Left alone until" in shown
    assert "421 4.7.0 RCPT: too fast," in shown
    assert "priya" not in shown
    assert "elsewhere.example" not in shown


def test_an_open_circuit_shows_on_the_list_and_at_the_sender(desk, admin):
    press(admin, "/senders/", provider="smtp-news")
    assert "Works, as far as we know" in admin.get("/senders/").text
    with desk.committed() as session, session.begin():
        for _ in range(circuits.FAILURES):
            circuits.failed(session, "smtp-news", "CONNECT: refused", 0)
    for path in ("/senders/", "/senders/1"):
        assert "Nobody is home" in admin.get(path).text, path
    assert "CONNECT: refused" in admin.get("/senders/1").text


def test_who_has_mended_a_provider_lets_it_be_tried_now(desk, admin):
    """Not set free at once: one worker tries with a few messages, and the others wait for what it finds."""
    press(admin, "/senders/", provider="smtp-news")
    assert "Try again now" not in admin.get("/senders/1").text
    with desk.committed() as session, session.begin():
        for _ in range(circuits.FAILURES):
            circuits.failed(session, "smtp-news", "CONNECT: refused", 0)
        assert not circuits.attempt(session, "smtp-news")
    assert "Try again now" not in desk.visitor("anita", "author").get("/senders/1").text
    assert "Try again now" in admin.get("/senders/1").text
    for _ in range(2):  # a double click
        assert admin.post("/senders/1/trial", on="/senders/1").status_code == 303
    page = admin.get("/senders/1").text
    assert "Trying with a few messages" in page
    assert "Try again now" not in page
    acts = query(desk, "SELECT act, subject FROM operator_acts WHERE act = 'try_provider'")
    assert [tuple(row) for row in acts] == [("try_provider", "provider:smtp-news")]
    with desk.committed() as session, session.begin():
        assert circuits.look(session, "smtp-news").level == 1
        assert [circuits.attempt(session, "smtp-news") for _ in range(2)] == [True, False]


def test_a_provider_that_asked_for_a_rest_gets_it(desk, admin):
    press(admin, "/senders/", provider="smtp-news")
    with desk.committed() as session, session.begin():
        rests.ask(session, "smtp-news", 600, "429: too many requests")
    assert "Try again now" not in admin.get("/senders/1").text
    assert admin.post("/senders/1/trial", on="/senders/1").status_code == 303
    with desk.committed() as session:
        assert rests.left(session, "smtp-news") > 500
    assert query(desk, "SELECT 1 FROM operator_acts WHERE act = 'try_provider'") == []


def test_a_provider_that_the_settings_lost_is_said_plainly(desk, admin):
    press(admin, "/senders/")
    with desk.committed() as session, session.begin():
        session.execute(text("UPDATE senders SET provider = 'smtp-gone'"))
    assert "The settings have no provider “smtp-gone”" in admin.get("/senders/1").text
    assert "the settings don’t have it" in admin.get("/senders/1/edit").text


def test_an_administrator_limits_a_domain(desk, admin):
    press(admin, "/senders/", provider="smtp-news")
    assert admin.post("/senders/1/pace", on="/senders/1", domain="Example.NET", a_minute="120").status_code == 303
    assert "120 a minute" in admin.get("/senders/1").text
    (act,) = query(desk, "SELECT * FROM operator_acts WHERE act = 'pace_domain'")
    assert act.document == {"domain": "example.net", "a_minute": 120}
    for wrong in ({"domain": "no domain", "a_minute": "1"}, {"domain": "example.net", "a_minute": "-5"}):
        assert admin.post("/senders/1/pace", on="/senders/1", **wrong).status_code == 422
    admin.post("/senders/1/pace", on="/senders/1", domain="example.net", a_minute="")
    assert "a minute</td>" not in admin.get("/senders/1").text


def test_what_to_publish_and_what_is_published(desk, admin):
    press(admin, "/senders/", provider="smtp-news", return_domain="bounces.example.com")
    shown = admin.get("/senders/1").text
    for name in (
        "2026a._domainkey.example.com",
        "_dmarc.example.com",
        "bounces.example.com",
        "v=spf1 a:relay.example.net",
    ):
        assert name in shown
    asked = []

    def look_up(name, kind="TXT"):
        asked.append((name, kind))
        return {
            ("bounces.example.com", "TXT"): ["v=spf1 a:relay.example.net ~all"],
            ("bounces.example.com", "MX"): ["mx.example.com"],
            ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none"],
        }.get((name, kind), [])

    desk.app.extensions[RESOLVER] = look_up
    assert "What is published now" not in admin.get("/senders/1").text
    assert asked == []
    checked = admin.get("/senders/1?check=1").text
    assert "nothing at 2026a._domainkey.example.com" in checked
    assert "bounces.example.com: v=spf1 a:relay.example.net ~all" in checked
    assert "bounces.example.com: mx.example.com" in checked
    assert ("bounces.example.com", "MX") in asked


def test_what_sendgrid_signs_asks_for_the_policy_only(desk, admin):
    press(admin, "/senders/", provider="sendgrid-offers")
    desk.app.extensions[RESOLVER] = lambda *_, **__: []
    shown = admin.get("/senders/1?check=1").text
    assert "SendGrid signs this mail" in shown
    assert "_domainkey" not in shown
    assert "publish at _dmarc.example.com" in shown
