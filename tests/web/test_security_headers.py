"""What every answer carries, and which forms are refused."""

from __future__ import annotations

import pytest

import wsgi
from config.settings import SettingsProblems
from mailer.db import create_engine_from

TOKEN = "/u/torn"


def got(client, path):
    """An answer that was read to its end: a static file is open until then."""
    with client.get(path) as answer:
        answer.get_data()
        return answer


def policy(answer):
    return dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))


@pytest.mark.parametrize("path", [TOKEN, "/p/torn", "/w/torn", "/stop", "/healthz"])
def test_customers_pages_load_our_style_and_nothing_else(cold, path):
    answer = cold.get(path)
    assert policy(answer) == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/sign-in", "/people/", "/nothing-here"])
def test_operators_pages_run_our_scripts_only_and_in_no_frame(cold, path):
    answer = cold.get(path)
    found = policy(answer)
    assert found["default-src"] == found["script-src"] == found["style-src"] == found["form-action"] == "'self'"
    assert found["frame-ancestors"] == found["base-uri"] == found["object-src"] == "'none'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [TOKEN, "/sign-in", "/static/public.css", "/nothing-here"])
def test_every_answer_says_how_it_may_be_used(cold, path):
    headers = got(cold, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


def test_https_is_remembered_for_a_year_and_never_claimed_over_http(cold):
    assert cold.get(TOKEN, base_url="https://mail.example.com").headers["Strict-Transport-Security"] == (
        "max-age=31536000"
    )
    assert "Strict-Transport-Security" not in cold.get(TOKEN, base_url="http://mail.example.com").headers


def test_a_static_file_is_kept_for_ever_only_under_the_address_that_holds_its_content(cold):
    assert got(cold, "/static/public.css?v=1").headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert got(cold, "/static/public.css").headers["Cache-Control"] == "no-cache"
    assert "immutable" not in got(cold, "/static/none.css?v=1").headers.get("Cache-Control", "")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "none", "Origin": "https://evil.example.com"},
    ],
    ids=str,
)
def test_an_operators_form_from_elsewhere_is_refused(cold, headers):
    assert cold.post("/sign-in", data={}, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Origin": "https://mail.example.com"},
        {},
    ],
    ids=str,
)
def test_an_operators_form_of_our_own_still_needs_its_token(cold, headers):
    answer = cold.post("/sign-in", data={"email": "a@example.com", "password": "x"}, headers=headers)
    assert answer.status_code == 400


def test_a_customers_form_may_come_from_anywhere(client, mail):
    """Mailbox providers and text browsers say nothing of where they come from, privacy tools say null."""
    answer = client.post(
        mail().unsubscribe, data={"scope": "offer"}, headers={"Origin": "null", "Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 200


# -- behind a proxy ---------------------------------------------------------------------------------------------


@pytest.fixture
def behind(committed, settings):
    """An application with some settings of its own."""
    made = []

    def behind(**changes):
        app = wsgi.create_app(settings.replace(database_url=committed.url, **changes))
        made.append(app)
        return app.test_client()

    yield behind
    for app in made:
        app.extensions["askfirst"].engine.dispose()


FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "mail.example.com",
    "X-Forwarded-For": "198.51.100.7, 203.0.113.9",
}


def test_a_trusted_proxy_is_believed_as_to_scheme(behind):
    secure = behind(trusted_proxies=1).get(TOKEN, headers=FORWARDED)
    assert "Strict-Transport-Security" in secure.headers


def test_nobody_is_believed_when_no_proxy_is_trusted(behind):
    plain = behind().get(TOKEN, headers=FORWARDED)
    assert "Strict-Transport-Security" not in plain.headers


@pytest.mark.parametrize("proxies, network", [(0, "127.0.0.0/24"), (1, "203.0.113.0/24"), (2, "198.51.100.0/24")])
def test_as_many_hops_are_believed_as_proxies_are_trusted(behind, committed, mail, proxies, network):
    behind(trusted_proxies=proxies).post(mail().unsubscribe, data={"scope": "all"}, headers=FORWARDED)
    with committed() as session:
        found = session.connection().exec_driver_sql("SELECT document ->> 'network' FROM stop_requests").scalars().all()
    assert found == [network]


@pytest.mark.parametrize("kept", [True, False], ids=["path kept by the proxy", "path taken away by the proxy"])
def test_below_a_path_of_the_public_address_links_work_either_way(behind, mail, kept):
    path = ("/mail" if kept else "") + mail().unsubscribe
    client = behind(public_url="https://shop.example.com/mail")
    page = client.get(path)
    assert page.status_code == 200
    assert 'href="/mail/static/public.css"' in page.text
    assert 'href="/mail/w/v1.' in page.text
    assert client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200


# -- putting together -------------------------------------------------------------------------------------------


def test_nothing_is_put_together_without_database_and_key(settings):
    with pytest.raises(SettingsProblems, match="DATABASE_URL"):
        wsgi.create_app(settings)


def test_putting_together_connects_to_nothing(settings):
    app = wsgi.create_app(settings.replace(database_url="postgresql://nobody@127.0.0.1:1/none"))
    assert app.extensions["askfirst"].engine.pool.checkedin() == 0


def test_the_pool_has_a_connection_for_every_thread_and_one_for_the_door(settings):
    engine = wsgi.web_engine(settings.replace(database_url="postgresql://nobody@127.0.0.1:1/none", web_threads=20))
    assert (engine.pool.size(), engine.pool._max_overflow) == (20, 20)
    assert isinstance(engine, type(create_engine_from("postgresql://nobody@127.0.0.1:1/none")))
