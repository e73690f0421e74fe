"""Operators' pages in a browser: nothing for axe, nothing sideways, in every width, in light and dark, magnified."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import text

from tests.desks import PASSWORD, Staff
from tests.e2e.looking import look

numbers = itertools.count(1)


@pytest.fixture
def staff(served):
    return Staff(served.sessions)


@pytest.fixture
def two(staff):
    """An author and an approver of this test's own."""
    number = next(numbers)
    return staff.operator(f"anita{number}", "author"), staff.operator(f"farhan{number}", "approver")


def sign_in(page, served, name):
    page.goto(f"{served.url}/sign-in")
    page.get_by_label("E-mail address").fill(f"{name}@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{served.url}/")


def test_pages_without_anything_on_them_are_fit_for_everybody(page, watch, served, two):
    watch.expect("status of 404")
    page.goto(f"{served.url}/sign-in")
    look(page)
    sign_in(page, served, two[0])
    for path in (
        "/campaigns?state=sent&q=nothing-like-it",
        "/health",
        "/hold",
        "/people/",
        "/people/?q=nobody",
        "/campaigns/new",
        "/people/999999",
    ):
        page.goto(served.url + path)
        look(page)


def test_pages_of_campaigns_are_fit_for_everybody(page, served, staff, two):
    staff.people(4)
    staff.others(1)
    sending = staff.sending(*two, name="Lamps")
    staff.settle(sending, "accepted", 1)
    staff.settle(sending, "withheld", 1, "capped")
    staff.settle(sending, "unconfirmed", 1, "no_final_answer")
    staff.settle(sending, "in_doubt", 1, "worker_lost")
    with served.sessions() as session, session.begin():
        # A provider's answer is one long word as often as not.
        session.execute(
            text("""WITH d AS (UPDATE deliveries SET attempt_id = gen_random_uuid()
                                WHERE campaign_id = :id AND state = 'unconfirmed' RETURNING *)
                    INSERT INTO delivery_attempts (customer_id, delivery_id, attempt_id, outcome, code)
                    SELECT customer_id, id, attempt_id, 'in_doubt', repeat('0123456789abcdef', 12) FROM d"""),
            {"id": sending},
        )
    draft, waiting, approved = staff.draft(two[0]), staff.waiting(two[0]), staff.approved(*two)
    sign_in(page, served, two[0])
    for path in ("/", "/campaigns", f"/campaigns/{draft}", f"/campaigns/{draft}/edit", f"/campaigns/{approved}"):
        page.goto(served.url + path)
        look(page)
    for path in (
        f"/campaigns/{sending}",
        f"/campaigns/{sending}/people?state=withheld",
        f"/campaigns/{sending}/in-doubt",
        "/in-doubt",
        "/topics",
    ):
        page.goto(served.url + path)
        look(page)
    page.context.clear_cookies()
    sign_in(page, served, two[1])
    page.goto(f"{served.url}/campaigns/{waiting}")
    look(page)


def test_pages_that_say_what_is_wrong_are_fit_for_everybody(page, watch, served, two):
    watch.expect("status of 422", "status of 403")
    sign_in(page, served, two[0])
    page.goto(f"{served.url}/campaigns/new?kind=festive")
    page.get_by_label("Name of the campaign").fill("Lamps")
    page.get_by_label("Segment, as a rule").fill("{")
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("Nothing was saved.").wait_for()
    look(page)


def test_the_page_of_a_person_is_fit_for_everybody(page, served, staff, two):
    person = staff.people(1)[0]
    sign_in(page, served, two[0])
    page.goto(f"{served.url}/people/{person}")
    look(page)
    page.goto(f"{served.url}/people/{person}?about=offer")
    look(page)


def test_pages_of_what_came_back_are_fit_for_everybody(page, served, staff):
    with served.sessions() as session, session.begin():
        session.execute(
            text("""INSERT INTO alerts (cause, domain, day, count, sample, first_at, last_at)
                    VALUES ('refused_as_spam', 'example.net', current_date, 3, '550 5.7.1 no', now(), now())""")
        )
        [mail] = session.execute(
            text("""INSERT INTO kept_mails (event_id, kind, sender, subject, text, raw, received_at)
                    VALUES (1, 'letter', 'asha@example.com', 'Sizes', 'Is it large?', 'From: a', now()) RETURNING id""")
        ).scalars()
    helper = staff.operator(f"meera{next(numbers)}", "helpline", "approver")
    sign_in(page, served, helper)
    for path in ("/alerts/", "/kept/", f"/kept/{mail}"):
        page.goto(served.url + path)
        look(page)


def test_pages_hold_together_at_four_hundred_per_cent(page, served, staff, two):
    """WCAG 1.4.10: 1280 px at 400 % are 320 px; and with text spaced out (1.4.12) nothing is cut off."""
    campaign = staff.draft(two[0])
    sign_in(page, served, two[0])
    page.set_viewport_size({"width": 320, "height": 256})
    for path in ("/", "/campaigns", f"/campaigns/{campaign}", "/campaigns/new?kind=offer", "/people/"):
        page.goto(served.url + path)
        spaced = "* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }"
        # A constructed sheet, as the page's policy lets no inline style in.
        page.evaluate(
            "css => { const s = new CSSStyleSheet(); s.replaceSync(css); document.adoptedStyleSheets.push(s) }", spaced
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_nothing_is_told_by_colour_alone(page, served, staff, two):
    """In forced colours every state still has its word and its shape."""
    staff.waiting(two[0], name="Quilts in any colour")
    sign_in(page, served, two[0])
    page.emulate_media(forced_colors="active")
    page.goto(f"{served.url}/campaigns?state=waiting")
    status = page.locator("td .af-status").first
    assert "Waiting for approval" in status.inner_text()
    assert status.locator("svg").is_visible()


def test_the_pages_policy_lets_no_made_up_code_run(page, watch, served, two):
    """The script that refreshes pages can't be talked into evaluating anything: the policy refuses it."""
    watch.expect("Content Security Policy", "unsafe-eval")
    sign_in(page, served, two[0])
    # In a task of the page's own: what a debugger evaluates is exempt from the policy.
    tried = """() => new Promise(done => setTimeout(() => {
                 try { done(new Function('return "it ran"')()) } catch { done('refused') } }))"""
    assert page.evaluate(tried) == "refused"
