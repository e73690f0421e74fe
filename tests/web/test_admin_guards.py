"""What numbers stopped, on the campaign's page: told with its reason, and let go on by a person with theirs."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from campaigns.options import Options
from campaigns.web import form


@pytest.fixture
def sending(desk):
    desk.people(3)
    desk.operator("farhan", "approver")
    author = desk.visitor("anita", "author")
    return author, desk.sending("anita", "farhan")


def run(desk, statement, **values):
    with desk.committed.owner.begin() as connection:
        connection.execute(text(statement), values)


def count(desk, campaign_id, domain, level, reports=9):
    run(
        desk,
        """INSERT INTO guard_counts (campaign_id, domain, what, reports, base, level)
           VALUES (:c, :domain, 'complaints', :reports, 1000, :level)""",
        c=campaign_id,
        domain=domain,
        level=level,
        reports=reports,
    )


def events(desk):
    with desk.committed() as session:
        return session.scalars(text("SELECT what FROM campaign_events ORDER BY id")).all()


def test_what_its_numbers_stopped_is_resumed_with_a_reason_only(desk, sending):
    anita, campaign_id = sending
    page = f"/campaigns/{campaign_id}"
    count(desk, campaign_id, "", "stop")
    run(desk, "UPDATE mandates SET state = 'paused', state_reason = '9 of 1000 complained (0.90 %)'")
    shown = anita.get(page).text
    assert "9 of 1000 complained (0.90 %)" in shown
    assert "Its numbers stopped it" in shown
    assert anita.post(f"{page}/resumption", on=page).status_code == 409
    assert desk.state(campaign_id) == "paused"
    assert anita.post(f"{page}/resumption", on=page, reason="one mailbox of ours").status_code == 303
    assert desk.state(campaign_id) == "sending"
    assert "Resumed: one mailbox of ours" in events(desk)


def test_a_stopped_domain_is_told_and_let_go_with_a_reason(desk, sending):
    anita, campaign_id = sending
    page = f"/campaigns/{campaign_id}"
    count(desk, campaign_id, "example.org", "stop")
    count(desk, campaign_id, "example.net", "warn", 3)
    shown = anita.get(page).text
    assert "Nothing goes to example.org" in shown
    assert "3 of 1000 at example.net complained" in shown
    act = f"{page}/domains/resumption"
    assert anita.post(act, on=page, domain="example.org", reason=" ").status_code == 409
    assert anita.post(act, on=page, domain="example.org", reason="a mended link").status_code == 303
    assert "Nothing goes to example.org" not in anita.get(page).text
    assert "Goes to example.org again: a mended link" in events(desk)


def test_the_canary_says_where_it_is_and_a_person_lets_the_rest_go(desk, sending):
    anita, campaign_id = sending
    page = f"/campaigns/{campaign_id}"
    run(desk, "UPDATE mandates SET canary_messages = 2, canary_minutes = 60")
    assert "The first 2 go first" in anita.get(page).text
    run(desk, "UPDATE mandates SET canary_full_at = clock_timestamp()")
    shown = anita.get(page).text
    assert "The first 2 are out" in shown
    assert "The rest waits" in shown
    run(desk, "UPDATE mandates SET canary_held = '2 of 2 complained (100.00 %)'")
    assert "It does not go on by itself" in anita.get(page).text
    act = f"{page}/canary/release"
    assert anita.post(act, on=page, reason="").status_code == 409
    assert anita.post(act, on=page, reason="both are ours").status_code == 303
    assert "canary/release" not in anita.get(page).text
    assert "The rest goes: both are ours" in events(desk)


def test_what_came_back_stands_on_the_page(desk, sending):
    anita, campaign_id = sending
    run(
        desk,
        """UPDATE deliveries SET state = 'accepted', bounced_at = now()
            WHERE customer_id = (SELECT min(id) FROM customers)""",
    )
    shown = anita.get(f"/campaigns/{campaign_id}").text
    assert "What came back" in shown
    assert "100% of those handed over" not in shown
    assert "Bounced" in shown


@pytest.mark.parametrize(
    ("typed", "options"),
    [
        ({}, Options()),
        ({"canary": "1,000"}, Options(canary_messages=1000, canary_minutes=60)),
        ({"canary": "500", "canary_minutes": "120"}, Options(canary_messages=500, canary_minutes=120)),
        ({"canary_minutes": "120"}, Options()),
    ],
)
def test_the_form_says_how_many_go_first(typed, options):
    before = {"canary_messages": 7, "canary_minutes": 7}
    assert form.options_of(form.Typed("festive", **typed), before) == options


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"canary": "some"}, "canary"),
        ({"canary": "0"}, "canary"),
        ({"canary": "9" * 30}, "canary"),
        ({"canary": "5", "canary_minutes": "-1"}, "canary_minutes"),
        ({"canary": "5", "canary_minutes": "999999"}, "canary_minutes"),
    ],
)
def test_what_can_not_be_read_is_said_beside_its_field(typed, field):
    with pytest.raises(form.FormProblems) as wrong:
        form.options_of(form.Typed("festive", **typed))
    assert list(wrong.value.found) == [field]


def test_who_approves_sees_the_canary(desk):
    desk.people(3)
    anita = desk.visitor("anita", "author")
    campaign_id = desk.draft("anita")
    run(desk, """UPDATE campaigns SET options = '{"canary_messages": 500, "canary_minutes": 90}'""")
    assert "500 people; the rest waits 90 minutes" in anita.get(f"/campaigns/{campaign_id}").text
    assert 'value="500"' in anita.get(f"/campaigns/{campaign_id}/edit").text
