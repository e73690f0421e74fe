"""The page where people decide about messages that nobody knows to have arrived. No JavaScript anywhere here."""

import re

import pytest
from sqlalchemy import text

from mailer.models import ResendRequest


@pytest.fixture
def anita(desk):
    return desk.visitor("anita", "author")


@pytest.fixture
def farhan(desk):
    return desk.visitor("farhan", "approver")


@pytest.fixture
def page(desk, anita, farhan):
    """A campaign with two unconfirmed messages and one in doubt."""
    desk.people(3)
    campaign_id = desk.sending("anita", "farhan")
    desk.settle(campaign_id, "unconfirmed", 2, "no_final_answer")
    desk.settle(campaign_id, "in_doubt", 1, "worker_lost")
    run(desk, "UPDATE deliveries SET attempt_id = gen_random_uuid(), provider = 'smtp'")
    return f"/campaigns/{campaign_id}/in-doubt"


def run(desk, statement):
    with desk.committed() as session, session.begin():
        return session.execute(text(statement))


def states(desk):
    with desk.committed() as session:
        return sorted(session.scalars(text("SELECT state FROM deliveries")))


def request_of(desk):
    with desk.committed() as session:
        return session.query(ResendRequest).order_by(ResendRequest.id.desc()).first()


def path_of(desk, page, act):
    return page.replace("in-doubt", f"resends/{request_of(desk).id}/{act}")


def ticked(html):
    return re.findall(r'name="delivery" value="([0-9a-f-]+)"', html)


def ask(desk, visitor, page, **fields):
    return visitor.post(page.replace("in-doubt", "resends"), on=page, **({"which": "all"} | fields))


def test_the_page_says_what_is_known_and_shows_no_address(desk, anita, page):
    shown = anita.get(page).text
    assert "We don’t know whether these arrived. Sending again may mean that they get it twice." in shown
    assert "2 unconfirmed, 1 in doubt" in shown
    assert "by smtp" in shown
    assert "No answer to the last word" in shown
    assert "A worker was lost while handing over" in shown
    assert not re.search(r"person\d+@example", shown)
    assert len(ticked(shown)) == 2  # what is in doubt for less than a day can't be chosen


def test_it_is_found_from_today_from_the_campaign_and_from_the_list(anita, page):
    for where in ("/", page.removesuffix("/in-doubt"), "/in-doubt"):
        assert f'href="{page}"' in anita.get(where).text, where


def test_one_asks_and_another_decides(desk, anita, farhan, page):
    assert ask(desk, anita, page, reason="The line broke").status_code == 303
    shown = anita.get(page).text
    assert "You asked for this, so somebody else decides it." in shown
    assert path_of(desk, page, "approval") not in shown
    assert "Anita asks to send again to 2 people" in farhan.get(page).text
    assert "Send again to 2 people" in farhan.get(page).text
    assert farhan.post(path_of(desk, page, "approval"), on=page).status_code == 303
    assert states(desk) == ["in_doubt", "pending", "pending"]
    assert "Farhan approved Anita’s request: sent again to 2 people of 2" in farhan.get(page).text


def test_only_who_was_ticked_is_asked_for(desk, anita, page):
    chosen = ticked(anita.get(page).text)[0]
    assert ask(desk, anita, page, which="", delivery=chosen, reason="The line broke").status_code == 303
    with desk.committed() as session:
        assert [str(one) for one in session.scalars(text("SELECT delivery_id FROM resend_rows"))] == [chosen]


def test_nobody_ticked_no_reason_or_nonsense_asks_for_nothing(desk, anita, page):
    for fields in ({"which": "", "reason": "Why not"}, {"reason": " "}, {"which": "", "delivery": "x", "reason": "y"}):
        answer = ask(desk, anita, page, **fields)
        assert (answer.status_code, "Nothing was changed." in answer.text) == (422, True)
    assert request_of(desk) is None


def test_who_asked_can_not_decide_whatever_their_roles(desk, page):
    kavya = desk.visitor("kavya", "author", "approver")
    ask(desk, kavya, page, reason="The line broke")
    answer = kavya.post(path_of(desk, page, "approval"), on=page)
    assert (answer.status_code, "somebody else decides" in answer.text) == (403, True)
    assert states(desk) == ["in_doubt", "unconfirmed", "unconfirmed"]
    assert kavya.post(path_of(desk, page, "refusal"), on=page).status_code == 303
    assert request_of(desk).decision == "withdrawn"


def test_an_approver_may_decline(desk, anita, farhan, page):
    ask(desk, anita, page, reason="The line broke")
    assert farhan.post(path_of(desk, page, "refusal"), on=page).status_code == 303
    assert "Farhan declined Anita’s request for 2 people" in farhan.get(page).text
    assert states(desk) == ["in_doubt", "unconfirmed", "unconfirmed"]


def test_the_page_says_who_would_be_kept_out_and_of_whom_news_came(desk, anita, farhan, page):
    ask(desk, anita, page, reason="The line broke")
    run(
        desk,
        "UPDATE customers SET account = 'deactivated' WHERE id = (SELECT min(customer_id) FROM resend_rows)",
    )
    run(
        desk,
        "UPDATE deliveries SET state = 'accepted' WHERE customer_id = (SELECT max(customer_id) FROM resend_rows)",
    )
    shown = farhan.get(page).text
    assert "Of 1 person news came meanwhile" in shown
    assert "1 person may not be mailed any more" in shown


def test_what_came_since_stands_beside_the_message(desk, anita, page):
    """A letter in answer says that it arrived; a failure that may pass says little. A person judges."""
    run(
        desk,
        """INSERT INTO kept_mails (event_id, kind, customer_id, delivery_id, sender, subject, text, raw, received_at)
           SELECT 1, 'letter', customer_id, id, '-', '-', '-', '', now() FROM deliveries WHERE state = 'in_doubt'""",
    )
    run(
        desk,
        """INSERT INTO soft_bounces (address_hash, delivery_id, customer_id, cause, at)
           SELECT address_hash, id, customer_id, 'mailbox_full', now() FROM deliveries
            WHERE state <> 'in_doubt' LIMIT 1""",
    )
    shown = anita.get(page).text
    assert (shown.count("They wrote back, "), shown.count("May have come back: mailbox full")) == (1, 1)


def test_closing_ends_what_is_unconfirmed_and_leaves_what_is_in_doubt(desk, anita, page):
    assert anita.post(page.replace("in-doubt", "closing"), on=page, which="all").status_code == 303
    assert states(desk) == ["closed", "closed", "in_doubt"]
    assert anita.post(page.replace("in-doubt", "closing"), on=page, which="all").status_code == 409


def test_who_only_helps_callers_sees_the_page_and_no_button(desk, page):
    shown = desk.visitor("meera", "helpline").get(page).text
    assert "2 unconfirmed" in shown
    for button in ("Ask for", "Close all", 'type="checkbox"'):
        assert button not in shown


def test_a_stopped_campaign_can_only_be_closed(desk, anita, page):
    run(desk, "UPDATE mandates SET state = 'cancelled'")
    shown = anita.get(page).text
    assert ("Ask for" in shown, "Close all 2" in shown) == (False, True)
    assert ask(desk, anita, page, reason="All the same").status_code == 409


def test_an_empty_page_says_so(desk, anita):
    assert "Nothing is in doubt" in anita.get("/in-doubt").text
