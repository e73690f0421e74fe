"""The main job in a browser: written, approved by somebody else, started, watched, paused, stopped."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import expect

from tests.desks import PASSWORD, Staff

numbers = itertools.count(1)


@pytest.fixture
def staff(served):
    return Staff(served.sessions)


@pytest.fixture
def two(staff):
    number = next(numbers)
    return staff.operator(f"kavya{number}", "author"), staff.operator(f"joseph{number}", "approver")


def sign_in(page, served, name):
    page.context.clear_cookies()
    page.goto(f"{served.url}/sign-in")
    page.get_by_label("E-mail address").fill(f"{name}@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{served.url}/")


def press(page, text):
    page.get_by_role("button", name=re.compile(text)).click()


def write(page, served, name):
    page.goto(f"{served.url}/campaigns/new")
    page.get_by_role("link", name="Write about festivals and seasons").click()
    page.get_by_label("Name of the campaign").fill(name)
    press(page, "Save draft")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    return int(page.url.rsplit("/", 1)[1])


def the_whole_way(page, served, staff, two, name):
    """From the form to the stop; returns the campaign."""
    staff.sender_id  # noqa: B018  (somebody to write from)
    staff.people(4)
    sign_in(page, served, two[0])
    campaign = write(page, served, name)
    press(page, "Ask for approval to mail")
    expect(page.get_by_text("You wrote this, so someone else approves it.")).to_be_visible()
    assert page.get_by_role("button", name=re.compile("^Approve")).count() == 0
    sign_in(page, served, two[1])
    page.get_by_role("link", name=name, exact=True).click()
    press(page, "^Approve for")
    expect(page.get_by_text("Approved. Not started yet.")).to_be_visible()
    sign_in(page, served, two[0])
    page.goto(f"{served.url}/campaigns/{campaign}")
    press(page, "^Send to")
    expect(page.get_by_text("Sending since")).to_be_visible()
    assert staff.state(campaign) == "sending"
    return campaign


def test_a_campaign_is_written_approved_by_another_started_and_watched(page, served, staff, two):
    campaign = the_whole_way(page, served, staff, two, f"Watched {two[0]}")
    staff.look_up(campaign)
    staff.settle(campaign, "accepted", 2)
    # The page is not touched: it asks again by itself.
    expect(page.locator("#of-accepted")).to_have_text(re.compile("^2"))
    staff.settle(campaign, "withheld", 1, "withdrawn")
    expect(page.get_by_role("heading", name="Why 1 was withheld")).to_be_visible()
    press(page, "Pause")
    expect(page.get_by_text("Nobody is lost, and nobody gets it twice.")).to_be_visible()
    press(page, "Resume for")
    press(page, "Stop for")
    expect(page.locator(".af-meta .af-status")).to_have_text("Stopped")
    assert staff.state(campaign) == "cancelled"


def test_without_javascript_it_is_the_same_job(plain_page, served, staff, two):
    campaign = the_whole_way(plain_page, served, staff, two, f"Plain {two[0]}")
    staff.look_up(campaign)
    staff.settle(campaign, "accepted", 1)
    plain_page.get_by_role("link", name="Count now").click()
    expect(plain_page.locator("#of-accepted")).to_have_text(re.compile("^1"))
    press(plain_page, "Pause")
    expect(plain_page.get_by_text("Nobody is lost, and nobody gets it twice.")).to_be_visible()
    press(plain_page, "Stop for")
    assert staff.state(campaign) == "cancelled"


def test_watching_never_takes_the_focus_away(page, served, staff, two):
    staff.people(3)
    campaign = staff.sending(*two)
    staff.settle(campaign, "accepted", 1)
    sign_in(page, served, two[0])
    page.goto(f"{served.url}/campaigns/{campaign}")
    page.locator("#of-accepted").focus()
    staff.settle(campaign, "accepted", 1)
    expect(page.locator("#of-accepted")).to_have_text(re.compile("^2"))
    assert page.evaluate("document.activeElement.id") == "of-accepted"


def test_a_page_left_open_learns_that_the_campaign_was_paused(page, served, staff, two):
    campaign = staff.sending(*two)
    sign_in(page, served, two[0])
    page.goto(f"{served.url}/campaigns/{campaign}")
    with staff.committed() as session, session.begin():
        from campaigns import operations

        operations.pause(session, campaign, None, "the mail provider refuses our sender")
    expect(page.get_by_text("Paused: the mail provider refuses our sender.")).to_be_visible()


def test_a_page_left_open_goes_to_sign_in_when_the_session_ended(page, watch, served, staff, two):
    watch.expect("status of 401", "401")
    campaign = staff.sending(*two)
    sign_in(page, served, two[0])
    page.goto(f"{served.url}/campaigns/{campaign}")
    page.context.clear_cookies()
    page.wait_for_url(re.compile("/sign-in"))


def test_counting_shows_the_funnel_without_losing_what_was_typed(page, served, staff, two):
    staff.sender_id  # noqa: B018
    staff.people(2)
    sign_in(page, served, two[0])
    page.goto(f"{served.url}/campaigns/new?kind=festive")
    page.get_by_label("Name of the campaign").fill("Half written")
    page.get_by_role("button", name="Count now").click()
    expect(page.get_by_role("list", name="Audience")).to_contain_text("may be mailed about festivals and seasons")
    assert page.url.endswith("/campaigns/new?kind=festive")
    expect(page.get_by_label("Name of the campaign")).to_have_value("Half written")


def test_a_rule_that_can_not_be_read_is_said_where_the_count_would_be(page, watch, served, staff, two):
    watch.expect("status of 422")
    staff.sender_id  # noqa: B018
    sign_in(page, served, two[0])
    page.goto(f"{served.url}/campaigns/new?kind=festive")
    page.get_by_label("Segment, as a rule").fill('{"type": "shoe_size"}')
    page.get_by_role("button", name="Count now").click()
    expect(page.locator("#audience")).to_contain_text("shoe_size")


def test_by_keyboard_alone(page, served, staff, two):
    """Tab and Enter from sign-in to a campaign that waits for approval; the skip link first, the focus always seen."""
    staff.sender_id  # noqa: B018
    page.goto(f"{served.url}/sign-in")
    page.keyboard.type(f"{two[0]}@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id || location.hash") in {"main", "#main"}
    tab_to(page, "New campaign")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/campaigns/new$"))
    tab_to(page, "Write about offers and discounts")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("kind=offer"))
    tab_to(page, "", "name")
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/campaigns/\d+$"))
    tab_to(page, "Ask for approval")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You wrote this, so someone else approves it.")).to_be_visible()


def tab_to(page, words, field=""):
    """Press Tab until what has these words, or this id, has the focus; it must be seen while it has it."""
    for _ in range(60):
        page.keyboard.press("Tab")
        here = page.evaluate(
            """() => { const e = document.activeElement, style = getComputedStyle(e);
                 return {id: e.id, words: e.textContent.trim(), ring: style.outlineStyle !== 'none'} }"""
        )
        if (field and here["id"] == field) or (words and here["words"].startswith(words)):
            assert here["ring"], f"{words or field} shows no focus"
            return
    pytest.fail(f"{words or field} can't be reached by Tab")
