"""Alerts and kept mails: what a person reads and decides. Checks 46, 57 and 97."""

import re
from html import unescape

import pytest
from sqlalchemy import text

from tests import factories


@pytest.fixture
def meera(desk):
    return desk.visitor("meera", "helpline")


def run(desk, statement, **values):
    with desk.committed() as session, session.begin():
        found = session.execute(text(statement), values)
        return found.all() if found.returns_rows else []


def keep(
    desk, kind="letter", customer=None, sender="asha@example.com", subject="Sizes", raw=b"From: a\n\nIs it large?"
):
    [row] = run(
        desk,
        """INSERT INTO kept_mails (event_id, kind, customer_id, sender, subject, text, raw, received_at)
           VALUES ((SELECT coalesce(max(event_id), 0) + 1 FROM kept_mails), :kind, :customer, :sender, :subject,
                   'Is it large?', :raw, clock_timestamp()) RETURNING id""",
        kind=kind,
        customer=customer,
        sender=sender,
        subject=subject,
        raw=raw,
    )
    return row.id


def alert(desk, cause="refused_as_spam", domain="example.net", count=3):
    run(
        desk,
        """INSERT INTO alerts (cause, domain, day, count, sample, first_at, last_at)
           VALUES (:cause, :domain, current_date, :count, 'blocked <b>', clock_timestamp(), clock_timestamp())""",
        cause=cause,
        domain=domain,
        count=count,
    )


def acts(desk):
    return [(row.act, row.subject) for row in run(desk, "SELECT act, subject FROM operator_acts ORDER BY seq")]


def plain(answer):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


# -- alerts ------------------------------------------------------------------------------------------------------


def test_alerts_are_grouped_by_cause_with_what_to_do(desk):
    for domain, count in (("example.net", 3), ("example.org", 9)):
        alert(desk, domain=domain, count=count)
    alert(desk, cause="too_large", count=1)
    page = plain(desk.visitor("anita", "author").get("/alerts/"))
    assert page.count("Receivers call our mail unwanted") == 1
    assert "12 messages" in page
    assert "example.org (9), example.net (3)" in page
    assert "Make the images smaller" in page
    assert "blocked <b>" in page


def test_seen_is_written_down_and_the_next_one_shows_again(desk):
    """Check 97's ack, for alerts: who looked, and when."""
    alert(desk)
    ravi = desk.visitor("ravi", "approver")
    shown = shown_to(ravi)
    assert ravi.post("/alerts/seen", on="/alerts/", cause="refused_as_spam", shown=shown).status_code == 303
    assert "Nobody complains of us" in plain(ravi.get("/alerts/"))
    assert acts(desk) == [("see_alert", "alert:refused_as_spam")]
    second = ravi.post("/alerts/seen", on="/people/", cause="refused_as_spam", shown=shown)
    assert second.status_code == 400
    assert "Go back, reload it" in second.text, "a page of ours, for whoever was second"
    run(desk, "UPDATE alerts SET seen_at = NULL, count = count + 1")
    assert "4 messages" in plain(ravi.get("/alerts/"))


def shown_to(visitor):
    return re.search(r'name="shown" value="([^"]*)"', visitor.get("/alerts/").text)[1]


def test_seen_marks_what_was_on_the_page_and_nothing_that_came_since(desk):
    """Even one with an earlier time: an event may come late. A page of an hour ago says nothing about it."""
    for domain in ("example.com", "example.net"):
        alert(desk, domain=domain)
    ravi = desk.visitor("ravi", "approver")
    shown = shown_to(ravi)
    alert(desk, domain="example.org")
    run(desk, "UPDATE alerts SET count = count + 1, first_at = first_at - interval '1 h' WHERE domain = 'example.net'")
    assert ravi.post("/alerts/seen", on="/alerts/", cause="refused_as_spam", shown=shown).status_code == 303
    left = {row.domain for row in run(desk, "SELECT domain FROM alerts WHERE seen_at IS NULL")}
    assert left == {"example.net", "example.org"}
    assert "7 messages" in plain(ravi.get("/alerts/"))
    for stale in (shown, "", "x"):
        assert ravi.post("/alerts/seen", on="/alerts/", cause="refused_as_spam", shown=stale).status_code == 400


@pytest.mark.parametrize("role", ["author", "helpline"])
def test_who_only_reads_alerts_cannot_settle_them(desk, role):
    alert(desk)
    visitor = desk.visitor("anita", role)
    assert "cause" not in re.findall(r'name="(\w+)"', visitor.get("/alerts/").text)
    assert visitor.post("/alerts/seen", on="/people/", cause="refused_as_spam").status_code == 403
    assert run(desk, "SELECT 1 FROM alerts WHERE seen_at IS NULL")


# -- kept mails --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["author", "approver"])
def test_letters_are_read_by_the_helpline_only(desk, role):
    mail = keep(desk)
    visitor = desk.visitor("anita", role)
    for path in ("/kept/", f"/kept/{mail}"):
        assert visitor.get(path).status_code == 403
    for act in ("person", "decision"):
        assert visitor.post(f"/kept/{mail}/{act}", decision="opt_out", q="x").status_code == 403
    assert "Kept mails" not in visitor.get("/people/").text


def test_a_mail_is_shown_as_text_whatever_it_holds(desk, meera):
    raw = b"From: <script>alert(1)</script>\nX: \xff\x1b\n\n<img src=x onerror=alert(1)>\xe2\x80\xae"
    mail = keep(desk, kind="unreadable", subject="<b>hi</b>\u202e", sender="<i>@example.com", raw=raw)
    for page in (meera.get("/kept/").text, meera.get(f"/kept/{mail}").text):
        assert "<b>hi" not in page
        assert "\u202e" not in page
        assert "<img src=x" not in page
        assert "<script>alert" not in page


def test_a_very_long_mail_does_not_make_a_very_long_page(desk, meera):
    mail = keep(desk, raw=b"From: a\n\n" + b"x" * 3_000_000)
    page = meera.get(f"/kept/{mail}").text
    assert len(page) < 200_000
    assert "longer than what is shown" in page


def test_what_waits_is_shown_first_and_what_is_done_is_kept(desk, meera):
    waiting, sent_on, done = keep(desk, subject="one"), keep(desk, subject="two"), keep(desk, subject="three")
    run(desk, "UPDATE kept_mails SET forwarded_at = now() WHERE id = :id", id=sent_on)
    assert meera.post(f"/kept/{done}/decision", decision="done").status_code == 303
    page = plain(meera.get("/kept/"))
    assert ("one" in page, "two" in page, "three" in page) == (True, False, False)
    assert all(word in plain(meera.get("/kept/?all=1")) for word in ("one", "two", "three"))
    assert meera.get(f"/kept/?all=1&before={waiting}").status_code == 200


def test_a_mail_goes_to_the_page_of_the_person_it_is_about(desk, meera):
    [customer] = desk.people(1, external_ref="C-7")
    mail = keep(desk, kind="unproved", subject="It came back")
    assert "Nobody here has that" in meera.post(f"/kept/{mail}/person", q="C-8").text
    assert meera.post(f"/kept/{mail}/person", q="C-7").status_code == 303
    assert "A mail about them: It came back" in plain(meera.get(f"/people/{customer}"))
    assert acts(desk) == [("kept_mail_person", f"customer:{customer}")]


def test_a_letter_is_on_the_timeline_of_who_wrote_it(desk, meera):
    [customer] = desk.people(1)
    keep(desk, customer=customer, subject="Sizes")
    assert "Wrote to us: Sizes" in plain(meera.get(f"/people/{customer}"))


def test_a_mail_that_says_no_stops_the_person(desk, meera):
    """Check 97: by a person's decision, err towards the no."""
    [customer] = desk.people(1)
    mail = keep(desk, kind="unproved", customer=customer)
    assert meera.post(f"/kept/{mail}/decision", decision="opt_out").status_code == 303
    assert run(desk, "SELECT 1 FROM consent_state WHERE granted") == []
    assert ("kept_mail_opt_out", f"customer:{customer}") in acts(desk)
    assert "Taken as a no" in plain(meera.get(f"/kept/{mail}"))


def test_a_no_of_nobody_we_know_stops_the_address_it_came_from(desk, meera):
    with desk.committed() as session, session.begin():
        factories.agreeing(session, desk.keys, "festive", "asha@example.com")
    mail = keep(desk, kind="unproved", sender="ASHA@example.com")
    meera.post(f"/kept/{mail}/decision", decision="opt_out")
    assert run(desk, "SELECT 1 FROM consent_state WHERE granted") == []


def test_a_bounce_that_nobody_could_prove_counts_by_a_persons_word_only(desk, meera):
    """Check 46."""
    [customer] = desk.people(1)
    mail = keep(desk, kind="unproved")
    assert "Say first whom" in meera.post(f"/kept/{mail}/decision", decision="bounce").text
    assert run(desk, "SELECT 1 FROM suppressions") == []
    run(desk, "UPDATE kept_mails SET customer_id = :id", id=customer)
    assert meera.post(f"/kept/{mail}/decision", decision="bounce").status_code == 303
    assert [tuple(row) for row in run(desk, "SELECT scope, reason FROM suppressions")] == [("all", "hard_bounce")]
    assert run(desk, "SELECT 1 FROM consent_state WHERE granted"), "the person's yes is theirs"


def test_what_was_decided_is_decided_once(desk, meera):
    mail = keep(desk)
    meera.post(f"/kept/{mail}/decision", decision="done")
    again = meera.post(f"/kept/{mail}/decision", decision="opt_out")
    assert again.status_code == 422
    assert "already" in again.text
    assert run(desk, "SELECT handled_as FROM kept_mails")[0].handled_as == "done"
    assert run(desk, "SELECT 1 FROM suppressions") == []


@pytest.mark.parametrize(("path", "code"), [("/kept/99", 404), ("/kept/99999999999999999999999", 404)])
def test_what_is_not_there_is_not_there(meera, path, code):
    assert meera.get(path).status_code == code


def test_a_decision_that_nobody_offered_is_refused(desk, meera):
    assert meera.post(f"/kept/{keep(desk)}/decision", decision="opt_in").status_code == 400
