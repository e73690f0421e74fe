"""One person as operators see them: found exactly, masked, explained, and stopped at once."""

import re
from html import unescape

import pytest
from sqlalchemy import select, text

from mailer.consent import ledger
from mailer.models import Address, ConsentState, OperatorAct
from tests import factories
from tests.desks import HOST


@pytest.fixture
def meera(desk):
    return desk.visitor("meera", "helpline")


def address_of(desk, customer_id):
    with desk.committed() as session:
        return session.get_one(Address, customer_id).address


def test_an_account_without_a_role_sees_nobody_and_stops_nobody(desk):
    """Somebody who was let in and not yet told what to do: no duty, no person (ASVS 8.2)."""
    [customer_id] = desk.people(1)
    nobody = desk.visitor("nikhil")
    address = address_of(desk, customer_id)
    for answer in (
        nobody.get(f"/people/?q={address}"),
        nobody.get(f"/people/{customer_id}"),
        nobody.post(f"/people/{customer_id}/stop", on="/", scope="all"),
        nobody.post(f"/people/{customer_id}/reveal", on="/", why="to see"),
    ):
        assert answer.status_code == 403
        assert str(customer_id) not in plain(answer)
        assert address not in answer.text
    with desk.committed() as session:
        assert session.scalar(select(ConsentState.granted).where(ConsentState.customer_id == customer_id)) is True


def test_a_form_that_is_too_old_says_so_and_does_nothing(desk, meera):
    """Without its token, or with another's: a page in words, not a bare error."""
    [customer_id] = desk.people(1)
    for token in ({}, {"csrf_token": "of-another-session"}):
        answer = meera.client.post(f"/people/{customer_id}/stop", base_url=HOST, data={"scope": "all", **token})
        assert answer.status_code == 400
        assert "This form is too old" in plain(answer)
    with desk.committed() as session:
        assert session.scalar(select(ConsentState.granted).where(ConsentState.customer_id == customer_id)) is True


def plain(answer):
    return unescape(re.sub(r"<[^>]+>", "", answer.text))


def test_a_person_is_found_by_the_whole_address_however_it_is_written(desk, meera):
    [customer_id] = desk.people(1)
    answer = meera.get(f"/people/?q={address_of(desk, customer_id).upper()}")
    assert (answer.status_code, answer.location) == (303, f"/people/{customer_id}")


def test_a_person_is_found_by_order_and_by_reference(desk, meera):
    [customer_id] = desk.people(1, external_ref="C-1")
    with desk.committed() as session, session.begin():
        session.execute(
            text("""INSERT INTO orders (customer_id, id, external_ref, placed_at, total_paise)
                    VALUES (:id, 1, 'ORD-77', now(), 100)"""),
            {"id": customer_id},
        )
    assert meera.get("/people/?q=C-1").location == f"/people/{customer_id}"
    assert meera.get("/people/?q=ORD-77").location == f"/people/{customer_id}"


def test_nobody_is_found_by_a_part(desk, meera):
    desk.people(2, city="Pune", external_ref=None)
    for asked in ("person", "%", "@example.com", "example.com", "' OR 1=1 --", "C-", "\0", "Person"):
        answer = meera.client.get("/people/", base_url=HOST, query_string={"q": asked})
        assert "Nobody here has that" in answer.text, asked


def test_people_who_share_an_address_are_all_shown(desk, meera):
    with desk.committed() as session, session.begin():
        for _ in range(2):
            factories.person(session, desk.keys, "family@example.com")
    answer = meera.get("/people/?q=family@example.com")
    assert answer.text.count("f•••y@example.com") == 2


def test_the_address_is_masked_until_somebody_says_why(desk, meera):
    [customer_id] = desk.people(1)
    address = address_of(desk, customer_id)
    assert address not in meera.get(f"/people/{customer_id}").text
    refused = meera.post(f"/people/{customer_id}/reveal", why=" ")
    assert (refused.status_code, address in refused.text) == (422, False)
    answer = meera.post(f"/people/{customer_id}/reveal", why="The caller asked")
    assert address in answer.text
    assert "Address revealed by Meera" in answer.text
    assert address not in meera.get(f"/people/{customer_id}").text
    with desk.committed() as session:
        act = session.scalars(select(OperatorAct).order_by(OperatorAct.seq.desc())).first()
    assert (act.act, act.subject, act.document) == (
        "reveal_address",
        f"customer:{customer_id}",
        {"why": "The caller asked"},
    )


def test_may_we_mail_them_is_answered_with_the_reason(desk, meera):
    [customer_id] = desk.people(1)
    yes = plain(meera.get(f"/people/{customer_id}?about=festive"))
    assert "Yes, because they said yes" in yes
    assert "No, because they never said yes to it" in plain(meera.get(f"/people/{customer_id}?about=offer"))
    with desk.committed() as session, session.begin():
        ledger.withdraw(session, customer_id, "festive", source="one_click")
    page = plain(meera.get(f"/people/{customer_id}?about=festive"))
    assert "No, because they said no on " in page
    assert "Only this person can change it" in page


def test_under_eighteen_is_no_whatever_was_agreed(desk, meera):
    [customer_id] = desk.people(1)
    with desk.committed() as session, session.begin():
        session.execute(text("UPDATE customers SET birth_date = current_date - 4000"))
    page = plain(meera.get(f"/people/{customer_id}?about=festive"))
    assert "No, because they are under 18" in page
    assert "Under 18" in page or "under 18" in page


def test_a_yes_shows_its_wording_version_time_and_place(desk, meera):
    [customer_id] = desk.people(1)
    page = plain(meera.get(f"/people/{customer_id}"))
    assert "Said yes to festivals and seasons" in page
    assert "Yes, e-mail me about festive." in page
    assert re.search(r"Version v\d+", page)
    assert "Place" in page
    assert re.search(r"Ledger entry \d+, number 1 of this person", page)


def test_a_message_shows_the_yes_it_relied_on(desk, meera):
    [customer_id] = desk.people(1)
    anita = desk.visitor("anita", "author")
    desk.operator("farhan", "approver")
    campaign_id = desk.sending("anita", "farhan")
    desk.settle(campaign_id, "accepted", 1)
    with desk.committed() as session, session.begin():
        session.execute(text("UPDATE deliveries SET consent_event_id = (SELECT max(id) FROM consent_events)"))
    page = anita.get(f"/people/{customer_id}").text
    assert "Sent: May your home be full of light" in unescape(page)
    assert 'It relies on <a href="#e-1">this yes</a>' in page
    assert 'id="e-1"' in page


def test_who_was_left_out_sees_why_there_too(desk, meera):
    [customer_id] = desk.others(1)
    desk.operator("anita", "author")
    desk.operator("farhan", "approver")
    desk.people(1)
    desk.sending("anita", "farhan")
    assert "Matched the segment, but they never said yes to it." in plain(meera.get(f"/people/{customer_id}"))


def test_a_withheld_message_says_why(desk, meera):
    [customer_id] = desk.people(1)
    desk.operator("anita", "author")
    desk.operator("farhan", "approver")
    desk.settle(desk.sending("anita", "farhan"), "withheld", 1, "withdrawn")
    assert "Not sent, because they said no." in plain(meera.get(f"/people/{customer_id}"))


def test_the_helpline_stops_all_marketing_with_one_button(desk, meera):
    [customer_id] = desk.people(1)
    answer = meera.post(f"/people/{customer_id}/stop", on=f"/people/{customer_id}")
    assert answer.status_code == 200
    assert "Stopped. They get no more marketing" in answer.text
    with desk.committed() as session:
        assert session.scalar(select(ConsentState.granted)) is False
    assert "All marketing stopped by Meera" in plain(meera.get(f"/people/{customer_id}"))
    assert "Stop all marketing for this person" not in meera.get(f"/people/{customer_id}").text


def test_somebody_who_never_agreed_cannot_be_mailed_about_anything(desk, meera):
    [customer_id] = desk.others(1)
    assert "This person cannot be mailed about anything." in plain(meera.get(f"/people/{customer_id}"))


def test_nobody_is_not_found(desk, meera):
    answer = meera.get("/people/999")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_what_nobody_thought_of_is_said_plainly(desk, meera):
    """A broken statement breaks its transaction: the page that says so must not trip over it."""
    [customer_id] = desk.people(1)
    with desk.committed.owner.begin() as owner:
        owner.execute(text("ALTER TABLE customer_limits RENAME TO gone"))
    desk.app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = meera.get(f"/people/{customer_id}")
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.text
    assert "Meera" in answer.text


def test_hidden_characters_in_what_people_gave_us_are_shown(desk, meera):
    [customer_id] = desk.people(1)
    with desk.committed() as session, session.begin():
        ledger.lock_customers(session, [customer_id])
        session.execute(text("UPDATE addresses SET address = 'a' || chr(8238) || 'b@example.com'"))
    assert "⟨U+202E⟩" in meera.post(f"/people/{customer_id}/reveal", why="To see it").text
