"""Customers in a browser: by keyboard, without JavaScript, on every width, in light and dark, with nothing for axe."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from mailer.inbox import write_message
from tests.e2e.looking import look as look_at
from tests.mailed import standing

BAD_REQUEST = "status of 400"


def look(page, *, target=44):
    """As everywhere (`looking`), and every target is large enough, in each width."""
    look_at(page, also=lambda: small_targets(page, target))


def small_targets(page, target):
    """Links and buttons that are lower than `target` px. A link within a sentence may be (WCAG 2.5.8)."""
    return page.evaluate(
        """least => [...document.querySelectorAll('main a, nav a, button, input:not([type=hidden]), footer li a')]
             .filter(one => one.getClientRects().length && !one.closest('p, dd'))
             .filter(one => one.getBoundingClientRect().height < least - 0.5)
             .map(one => one.outerHTML)""",
        target,
    )


@pytest.mark.parametrize("language", ["en", "hi"])
def test_every_page_of_a_link_is_fit_for_everybody(page, served, language):
    person = served.mail("offer", also=("festive",), language=language)
    page.goto(served.url + person.unsubscribe)
    look(page)
    page.goto(served.url + person.preferences)
    look(page)
    page.goto(served.url + person.why)
    look(page)
    page.locator("main button").first.click()
    look(page)
    page.goto(served.url + person.preferences)
    page.locator("main section button").first.click()
    look(page)


def test_the_pages_for_torn_links_and_typed_addresses_are_fit_for_everybody(page, watch, served):
    watch.expect(BAD_REQUEST)
    page.goto(f"{served.url}/u/torn")
    look(page)
    page.get_by_label("Your e-mail address").fill("priya@example")
    page.get_by_role("button", name="Stop all marketing e-mails").click()
    expect(page.get_by_role("alert")).to_contain_text("Enter your full e-mail address")
    look(page)
    page.get_by_label("Your e-mail address").fill("priya.e2e@example.com")
    page.get_by_role("button", name="Stop all marketing e-mails").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Done. You will get no more marketing e-mails.")
    look(page)


def test_somebody_stops_by_keyboard_alone(page, served):
    """From the heading, where focus begins, Tab to the button and Enter; then the answer has the focus."""
    person = served.mail("offer", also=("festive",))
    page.goto(served.url + person.unsubscribe)
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Stop offers and discounts")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Done. You will get no more")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert standing(served.sessions, person.customer_id) == {"offer": False, "festive": True}
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("heading", level=1)).to_have_text("Done. You will get no more marketing e-mails.")
    assert standing(served.sessions, person.customer_id) == {"offer": False, "festive": False}


def test_a_keyboard_always_shows_where_it_is(page, served):
    person = served.mail()
    page.goto(served.url + person.preferences)
    for _ in range(page.locator("main a, main button").count()):
        page.keyboard.press("Tab")
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid", page.evaluate("document.activeElement.outerHTML")


def test_stopping_takes_one_press_and_no_word_about_oneself(page, served):
    """Check 105: no sign-in, no field, no reason; one press on the page that the mail leads to."""
    person = served.mail()
    page.goto(served.url + person.unsubscribe)
    assert page.locator("input:not([type=hidden]), select, textarea").count() == 0
    page.locator("main button").first.click()
    assert standing(served.sessions, person.customer_id) == {"offer": False}


def test_this_and_all_are_equally_easy_to_press(page, served):
    """Check 133: no button is made to look like the lesser choice."""
    page.goto(served.url + served.mail().unsubscribe)
    looks = page.evaluate(
        """() => [...document.querySelectorAll('main button')].map(one => {
             const style = getComputedStyle(one), box = one.getBoundingClientRect()
             return [style.color, style.backgroundColor, style.fontSize, style.fontWeight, box.height].join()})"""
    )
    assert len(looks) == 2
    assert len(set(looks)) == 1


def test_everything_works_without_javascript_in_either_language(plain_page, served):
    person = served.mail("offer", also=("festive", "launch"), language="hi")
    plain_page.goto(served.url + person.unsubscribe)
    plain_page.get_by_role("link", name="English").click()
    plain_page.get_by_role("link", name="Why did I get this e-mail?").click()
    expect(plain_page.get_by_role("heading", level=1)).to_have_text("Why you got this e-mail")
    plain_page.get_by_role("link", name="See all my choices").click()
    plain_page.get_by_role("button", name="Stop festivals and seasons").click()
    expect(plain_page.get_by_text("You will get no more e-mails about festivals and seasons.")).to_be_visible()
    assert standing(served.sessions, person.customer_id) == {"offer": True, "festive": False, "launch": True}
    plain_page.goto(served.url + person.unsubscribe)
    plain_page.get_by_role("button", name="ऑफ़र और छूट के ई-मेल बंद करें").click()
    plain_page.get_by_role("button", name="English").click()
    expect(plain_page.get_by_role("heading", level=1)).to_have_text(
        "Done. You will get no more e-mails about offers and discounts."
    )
    assert standing(served.sessions, person.customer_id) == {"offer": False, "festive": False, "launch": True}


def test_looking_at_the_page_with_javascript_and_waiting_changes_nothing(page, served):
    """Check 10: scanners open links in whole browsers; only a press acts."""
    person = served.mail()
    for path in (person.unsubscribe, person.preferences, person.why):
        page.goto(served.url + path, wait_until="networkidle")
    assert standing(served.sessions, person.customer_id) == {"offer": True}


def test_no_cookie_is_left_behind(page, context, served):
    person = served.mail()
    page.goto(served.url + person.unsubscribe)
    page.locator("main button").first.click()
    assert context.cookies() == []


def test_a_page_can_be_read_with_forced_colours_and_printed(page, served):
    page.goto(served.url + served.mail().preferences)
    page.emulate_media(forced_colors="active")
    assert page.evaluate("getComputedStyle(document.querySelector('main button')).borderTopStyle") == "solid"
    page.emulate_media(forced_colors="none", media="print")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


LETTER = """From: hello@mail.example.com
To: {to}
Subject: Happy Diwali
List-Unsubscribe: <https://mail.example.com{path}>
Content-Type: text/html; charset=utf-8

<!doctype html><html lang="en"><head><title>Happy Diwali</title></head><body><h1>Happy Diwali</h1>
<script>document.body.textContent = "script ran"</script>
<a href="https://mail.example.com{path}">Unsubscribe</a></body></html>
"""


def test_a_mail_in_the_local_inbox_leads_to_its_page(page, context, watch, served):
    """In the frame nothing runs; its link opens the customers' page of this very server."""
    watch.expect("Blocked script execution", "violates the following Content Security Policy")
    person = served.mail()
    content = LETTER.format(to=person.address, path=person.unsubscribe).encode()
    write_message(served.inbox, content, sender="", recipients=[person.address], begun_at=1.0, received_at=2.0)
    page.goto(f"{served.url}/inbox/?to={person.address}")
    look(page, target=24)
    page.get_by_role("link", name="Happy Diwali").click()
    look(page, target=24)
    mail = page.frame_locator("iframe")
    expect(mail.get_by_role("heading", level=1)).to_have_text("Happy Diwali")
    with context.expect_page() as opened:
        mail.get_by_role("link", name="Unsubscribe").click()
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("Stop these e-mails?")
    page.get_by_role("button", name="Press one-click unsubscribe, as a mailbox does").click()
    expect(page.get_by_text("Done. You will get no more e-mails about offers and discounts.")).to_be_visible()
    assert standing(served.sessions, person.customer_id) == {"offer": False}
