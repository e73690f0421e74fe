"""Counting clicks, as operators see and steer it: off by default, an administrator's to turn on, and recorded."""

import re

import pytest
from sqlalchemy import text


@pytest.fixture
def meera(desk):
    return desk.visitor("meera", "admin")


@pytest.fixture
def anita(desk):
    return desk.visitor("anita", "author")


def counted(desk):
    with desk.committed() as session:
        return session.scalars(text("SELECT key FROM purposes WHERE click_tracking ORDER BY key")).all()


def turn(visitor, to, key="festive"):
    return visitor.post(f"/topics/{key}/click-tracking", on="/topics", count=to)


def test_an_administrator_turns_it_on_and_off_and_both_are_recorded(desk, meera):
    assert (counted(desk), meera.get("/topics").text.count("Clicks are not counted")) == ([], 4)
    assert turn(meera, "on").status_code == 303
    assert (counted(desk), meera.get("/topics").text.count("Stop counting")) == (["festive"], 1)
    assert turn(meera, "off").status_code == 303
    assert counted(desk) == []
    with desk.committed() as session:
        acts = session.execute(text("SELECT act, subject FROM operator_acts ORDER BY seq")).all()
    assert acts == [("click_tracking_on", "purpose:festive"), ("click_tracking_off", "purpose:festive")]


def test_nobody_else_turns_it_on(desk, anita):
    assert "Count clicks" not in anita.get("/topics").text
    assert (turn(anita, "on").status_code, counted(desk)) == (403, [])


def test_an_unknown_topic_is_not_there_and_no_word_but_on_turns_it_on(desk, meera):
    assert turn(meera, "on", "loyalty").status_code == 404
    turn(meera, "yes")
    assert counted(desk) == []


def test_who_approves_sees_that_clicks_are_counted(desk, meera, anita):
    desk.operator("farhan", "approver")
    before = desk.waiting("anita")
    assert "Clicks on its links are counted" not in anita.get(f"/campaigns/{before}").text
    turn(meera, "on")
    assert "Clicks on its links are counted" in anita.get(f"/campaigns/{before}").text


def test_a_campaign_shows_clicks_only_where_they_are_counted(desk, meera, anita):
    desk.operator("farhan", "approver")
    desk.people(2)
    plain = desk.sending("anita", "farhan", name="Plain")
    turn(meera, "on")
    tracked = desk.sending("anita", "farhan", name="Counted")
    assert "Clicks are not counted for this purpose." in anita.get(f"/campaigns/{plain}").text
    with desk.committed() as session, session.begin():
        session.execute(
            text("""INSERT INTO clicks (customer_id, delivery_id, number, campaign_id, clicked_at, last_at, agent)
                    SELECT customer_id, id, 1, campaign_id, now(), now(), 'browser' FROM deliveries
                     WHERE campaign_id = :c"""),
            {"c": tracked},
        )
        session.execute(
            text("""UPDATE clicks SET clicked_at = NULL, scanned_at = now()
                     WHERE customer_id = (SELECT min(customer_id) FROM clicks)""")
        )
    page = anita.get(f"/campaigns/{tracked}").text
    row = re.search(r"https://www.anaar.example/diwali.*?</tr>", page, re.DOTALL)[0]
    assert re.findall(r'<td class="n[^>]*>(\d+)<', row) == ["1", "1"]
    assert "turned off since" not in page
    turn(meera, "off")
    assert "Counting has been turned off since." in anita.get(f"/campaigns/{tracked}").text
