"""Who gets in, for how long, and what they may do (OWASP ASVS 5.0: 6.3, 7.2 to 7.4, 8.2)."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin, urlsplit

import pytest
import time_machine
from sqlalchemy import select, text

from mailer.errors import InputProblem
from mailer.models import Operator
from mailer.web.edge import transaction
from mailer.web.rates import bucket, count, network_of
from mailer.web.signin import TRIES_OF_ACCOUNT, TRIES_OF_NETWORK, WINDOW, make_operator
from tests.desks import PASSWORD

PAGES = [
    "/",
    "/health",
    "/hold",
    "/limits",
    "/campaigns",
    "/campaigns/new",
    "/campaigns/1",
    "/campaigns/1/edit",
    "/campaigns/1/in-doubt",
    "/campaigns/1/people",
    "/campaigns/1/preview",
    "/campaigns/1/preview.txt",
    "/campaigns/1/spoken",
    "/in-doubt",
    "/topics",
    "/people/",
    "/people/1",
    "/senders/",
    "/senders/1",
    "/senders/1/edit",
    "/senders/new",
    "/alerts/",
    "/kept/",
    "/kept/1",
]
ACTS = [
    "/hold",
    "/hold/release",
    "/limits",
    "/campaigns",
    "/campaigns/trial",
    "/campaigns/1/draft",
    "/campaigns/1/submission",
    "/campaigns/1/approval",
    "/campaigns/1/return",
    "/campaigns/1/start",
    "/campaigns/1/pause",
    "/campaigns/1/resumption",
    "/campaigns/1/cancellation",
    "/campaigns/1/test",
    "/campaigns/1/canary/release",
    "/campaigns/1/domains/resumption",
    "/campaigns/1/resends",
    "/campaigns/1/resends/1/approval",
    "/campaigns/1/resends/1/refusal",
    "/campaigns/1/closing",
    "/topics/1/click-tracking",
    "/people/1/reveal",
    "/people/1/stop",
    "/senders/",
    "/senders/1",
    "/senders/1/pace",
    "/senders/1/trial",
    "/alerts/seen",
    "/kept/1/person",
    "/kept/1/decision",
]


def test_a_stranger_is_asked_to_sign_in_on_every_page(desk):
    for page in PAGES:
        answer = desk.stranger().get(page)
        assert answer.status_code == 302, page
        assert answer.location.startswith("/sign-in?next="), page


def test_a_strangers_button_does_nothing(desk):
    for act in ACTS:
        answer = desk.stranger().post(act, on="/sign-in")
        assert answer.status_code == 302, act
        assert answer.location.startswith("/sign-in"), act


def test_the_lists_above_leave_no_view_of_operators_out(desk):
    """A new page or button that nobody thought of here fails this test until it is added."""
    desks = {"campaigns", "people", "alerts", "kept", "senders"}
    here = [r for r in desk.app.url_map.iter_rules() if r.endpoint.split(".")[0] in desks]
    paths = [(re.sub("<[^>]+>", "1", rule.rule), rule.methods) for rule in here]
    assert {path for path, methods in paths if "GET" in methods} == set(PAGES)
    assert {path for path, methods in paths if "POST" in methods} == set(ACTS)


@pytest.mark.parametrize("number", [2**31, 2**63 - 1, 2**63, 10**30])
def test_a_number_that_nothing_can_have_is_not_found(desk, number):
    """Every path with a number in it, on every page of the application: 404, whatever the column can hold."""
    visitor = desk.visitor("anita", "author", "approver", "helpline", "admin")
    asked = 0
    for rule in desk.app.url_map.iter_rules():
        if "<int" not in rule.rule:
            continue
        path = re.sub("<int[^>]*>", str(number), rule.rule)
        assert "<" not in path, "say here what else stands for something"
        for method in rule.methods & {"GET", "POST"}:
            answer = visitor.get(path) if method == "GET" else visitor.post(path)
            refused = {404} if method == "GET" else {400, 404, 405, 422}  # its form is empty, too
            assert answer.status_code in refused, (method, path)
            asked += 1
    assert asked > 20


@pytest.mark.parametrize("number", [2**63, 10**30, -(10**30)])
def test_a_number_in_a_question_that_nothing_can_have_is_no_crash(desk, number):
    visitor = desk.visitor("anita", "author", "approver", "helpline", "admin")
    asked = [f"/kept/?before={number}", f"/in-doubt?page={number}", f"/campaigns?page={number}", f"/inbox?n={number}"]
    assert {visitor.get(path).status_code for path in asked} <= {200, 400, 404}


def test_a_button_without_its_token_does_nothing(desk):
    visitor = desk.visitor("anita", "author", "approver", "helpline", "admin")
    for act in ACTS:
        assert visitor.client.post(act, base_url="https://mail.example.com").status_code == 400, act


def test_what_changes_something_is_never_done_by_a_link(desk):
    """ASVS 3.5.3. A GET of an act is refused or shows a page; nobody's state moves."""
    visitor = desk.visitor("anita", "author", "approver")
    before = acts_of(desk)
    for path in ACTS + PAGES:
        visitor.get(path)
    assert acts_of(desk) == before


def acts_of(desk):
    with desk.committed() as session:
        return session.scalar(text("SELECT count(*) FROM operator_acts"))


def test_who_works_here_gets_in_with_their_password(desk):
    desk.operator("anita", "author")
    stranger = desk.stranger()
    assert stranger.sign_in("anita").location == "/"
    assert "Anita" in stranger.get("/").text


def test_unknown_and_known_addresses_get_the_same_answer(desk):
    desk.operator("anita", "author")
    wrong = desk.stranger().sign_in("anita", "not the password")
    unknown = desk.stranger().sign_in("nobody", "not the password")
    assert wrong.status_code == unknown.status_code == 200
    assert "That didn’t work" in wrong.text
    assert blank(wrong.text, "anita") == blank(unknown.text, "nobody")


def blank(html, name):
    """Without the token, which is always another one, and the address that was typed."""
    return re.sub(r'name="csrf_token" value="[^"]+"', "", html).replace(f"{name}@example.com", "")


def test_who_left_gets_the_same_answer_too(desk):
    desk.operator("anita", "author")
    with desk.committed() as session, session.begin():
        session.execute(text("UPDATE operators SET active = false"))
    answer = desk.stranger().sign_in("anita")
    assert "That didn’t work" in answer.text


def test_taking_somebodys_access_away_ends_their_session_at_once(desk):
    """ASVS 7.4.2."""
    visitor = desk.visitor("anita", "author")
    with desk.committed() as session, session.begin():
        session.execute(text("UPDATE operators SET active = false"))
    assert visitor.get("/").status_code == 302


def test_another_uniquifier_ends_every_session_of_an_operator(desk):
    visitor = desk.visitor("anita", "author")
    with desk.committed() as session, session.begin():
        session.execute(text("UPDATE operators SET fs_uniquifier = 'another'"))
    assert visitor.get("/").status_code == 302


def test_there_is_no_registration_and_no_password_by_mail(desk):
    for path in ("/register", "/reset", "/confirm", "/change", "/login", "/logout"):
        assert desk.stranger().get(path).status_code == 404


def test_sign_in_leads_nowhere_else(desk):
    """ASVS 3.7.2: no open redirect."""
    desk.operator("anita", "author")
    for elsewhere in (
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/%09/evil.example",
    ):
        answer = desk.stranger().sign_in("anita", next=elsewhere)
        # What a browser makes of it, which reads a backslash as a slash.
        leads = urlsplit(urljoin("https://mail.example.com/sign-in", (answer.location or "/").replace("\\", "/")))
        assert (leads.scheme, leads.netloc) == ("https", "mail.example.com"), elsewhere


def test_sign_in_leads_back_to_what_was_asked_for(desk):
    desk.operator("anita", "author")
    assert desk.stranger().sign_in("anita", next="/campaigns?state=draft").location == "/campaigns?state=draft"


def test_the_cookie_is_bound_to_this_host_and_to_tls(desk):
    desk.operator("anita", "author")
    stranger = desk.stranger()
    cookie = stranger.sign_in("anita").headers["Set-Cookie"]
    assert cookie.startswith("__Host-askfirst=")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie
    assert "remember" not in cookie


@pytest.mark.parametrize("path", ["/favicon.ico", "/static/shop.svg", "/healthz"])
def test_what_a_page_only_fetches_never_touches_a_session(desk, path):
    """It may be answered after the next person has signed in, or after sign-out: a cookie in it would undo that."""
    visitor = desk.visitor("anita", "author")
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=1), tick=False):
        assert "Set-Cookie" in visitor.get("/").headers  # an act moves the end of the session
        with visitor.get(path) as fetched:
            assert "Set-Cookie" not in fetched.headers


def test_an_answer_that_comes_late_does_not_sign_anybody_in_again(desk):
    """A frame of the last page may be answered after sign-out: moments after an act no answer carries a cookie."""
    visitor = desk.visitor("anita", "author")
    visitor.get("/")  # its forms' token is made once
    for path in ("/", "/campaigns", "/campaigns/new?kind=festive"):
        assert "Set-Cookie" not in visitor.get(path).headers, path


def test_nothing_is_remembered_beyond_the_session(desk):
    desk.operator("anita", "author")
    answer = desk.stranger().sign_in("anita", remember="y")
    assert not [
        c for c in answer.headers.getlist("Set-Cookie") if "remember" in c and "Expires=Thu, 01 Jan 1970" not in c
    ]


def test_a_session_ends_after_half_an_hour_without_an_act(desk):
    start = datetime.now(UTC)
    with time_machine.travel(start, tick=False) as clock:
        visitor = desk.visitor("anita", "author")
        clock.move_to(start + timedelta(minutes=29))
        assert visitor.get("/").status_code == 200
        clock.move_to(start + timedelta(minutes=58))
        assert visitor.get("/").status_code == 200
        clock.move_to(start + timedelta(minutes=89))
        assert visitor.get("/").status_code == 302


def test_a_page_that_refreshes_itself_keeps_no_session_alive(desk):
    start = datetime.now(UTC)
    with time_machine.travel(start, tick=False) as clock:
        visitor = desk.visitor("anita", "author")
        for minutes in range(5, 31, 5):
            clock.move_to(start + timedelta(minutes=minutes))
            visitor.get("/campaigns", **{"HX-Request": "true"})
        clock.move_to(start + timedelta(minutes=31))
        answer = visitor.get("/campaigns", **{"HX-Request": "true"})
        assert (answer.status_code, answer.headers.get("HX-Refresh")) == (401, "true")


def test_a_session_ends_after_twelve_hours_whatever_is_done(desk):
    start = datetime.now(UTC)
    with time_machine.travel(start, tick=False) as clock:
        visitor = desk.visitor("anita", "author")
        for minutes in range(20, 12 * 60 + 1, 20):
            clock.move_to(start + timedelta(minutes=minutes))
            assert visitor.get("/").status_code == 200
        clock.move_to(start + timedelta(hours=12, minutes=1))
        assert visitor.get("/").status_code == 302


def test_sign_out_is_a_button_and_ends_the_session(desk):
    visitor = desk.visitor("anita", "author")
    assert visitor.get("/sign-out").status_code == 405
    assert visitor.post("/sign-out").status_code == 302
    assert visitor.get("/").status_code == 302


def test_guessing_at_one_account_is_slowed_down(desk):
    desk.operator("anita", "author")
    account = bucket(desk.keys, "sign_in_as", "anita@example.com")
    with desk.committed() as session, session.begin():
        for _ in range(TRIES_OF_ACCOUNT - 1):
            count(session, account, WINDOW)
    assert desk.stranger().sign_in("anita", "wrong").status_code == 200
    assert desk.stranger().sign_in("anita", PASSWORD).status_code == 429


def test_guessing_from_one_network_is_slowed_down(desk):
    network = bucket(desk.keys, "sign_in", network_of("127.0.0.1"))
    with desk.committed() as session, session.begin():
        for _ in range(TRIES_OF_NETWORK):
            count(session, network, WINDOW)
    assert desk.stranger().sign_in("anyone", PASSWORD).status_code == 429


def test_passwords_are_kept_as_argon2id_and_nobody_reads_them_back(desk):
    with desk.app.app_context(), transaction():
        password = make_operator("anita@example.com", "Anita", ["author"])
    with desk.committed() as session:
        kept = session.scalar(select(Operator.password))
    assert kept.startswith("$argon2id$")
    assert password not in kept
    assert len(password) == 20


def test_an_operator_is_made_once_and_only_with_roles_that_exist(desk):
    desk.operator("anita", "author")
    for email, roles in (("ANITA@example.com", ["author"]), ("farhan@example.com", ["owner"])):
        with desk.app.app_context(), pytest.raises(InputProblem), transaction():
            make_operator(email, "Somebody", roles)
    with desk.committed() as session:
        assert session.scalars(select(Operator.email)).all() == ["anita@example.com"]


ALLOWED = {
    "/hold": {"admin"},
    "/hold/release": {"admin"},
    "/limits": {"admin"},
    "/campaigns": {"author"},
    "/campaigns/trial": {"author"},
    "/campaigns/1/draft": {"author"},
    "/campaigns/1/submission": {"author"},
    "/campaigns/1/approval": {"approver"},
    "/campaigns/1/return": {"approver"},
    "/campaigns/1/start": {"author", "approver"},
    "/campaigns/1/pause": {"author", "approver"},
    "/campaigns/1/resumption": {"author", "approver"},
    "/campaigns/1/cancellation": {"author", "approver"},
    "/campaigns/1/test": {"author", "approver"},
    "/campaigns/1/canary/release": {"author", "approver"},
    "/campaigns/1/domains/resumption": {"author", "approver"},
    "/campaigns/1/resends": {"author", "approver"},
    "/campaigns/1/resends/1/approval": {"approver"},
    "/campaigns/1/resends/1/refusal": {"author", "approver"},
    "/campaigns/1/closing": {"author", "approver"},
    "/topics/1/click-tracking": {"admin"},
    "/people/1/reveal": {"helpline", "admin"},
    "/people/1/stop": {"author", "approver", "helpline", "admin"},
    "/senders/": {"admin"},
    "/senders/1": {"admin"},
    "/senders/1/pace": {"admin"},
    "/senders/1/trial": {"admin"},
    "/alerts/seen": {"approver", "admin"},
    "/kept/1/person": {"helpline", "admin"},
    "/kept/1/decision": {"helpline", "admin"},
}


@pytest.mark.parametrize("role", ["author", "approver", "helpline", "admin"])
def test_no_role_does_more_than_its_own(desk, role):
    """S10. What is allowed answers something other than 403: here there is no campaign and no person 1."""
    visitor = desk.visitor("somebody", role)
    assert {act for act in ACTS if visitor.post(act).status_code != 403} == {
        a for a, who in ALLOWED.items() if role in who
    }
