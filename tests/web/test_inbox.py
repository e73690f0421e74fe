"""The local inbox: every message rendered, as text, raw and by its headers; for this machine only."""

from __future__ import annotations

import re

import pytest

import wsgi
from mailer.inbox import write_message
from tests.mailed import BASE

HERE = "http://127.0.0.1:8025"
LETTER = f"""From: Anaar Home <hello@mail.example.com>\r
To: priya@example.com\r
Subject: =?utf-8?b?4KS24KWB4KStIOCkpuCkv+CkteCkvuCksuClgA==?=\r
List-Unsubscribe: <{BASE}/u/v1.01.AAAA>\r
MIME-Version: 1.0\r
Content-Type: multipart/alternative; boundary=b\r
\r
--b\r
Content-Type: text/plain; charset=utf-8\r
\r
Dear Priya <3\r
--b\r
Content-Type: text/html; charset=utf-8\r
\r
<!doctype html><html><head><title>x</title></head><body><script>alert(1)</script>
<a href="{BASE}/u/v1.01.AAAA">Stop</a><img src="{BASE}/static/mail/mark.png"></body></html>\r
--b--\r
""".encode()


@pytest.fixture
def inbox(committed, settings):
    app = wsgi.create_app(settings.replace(database_url=committed.url, smtp_url="smtp+plain://127.0.0.1:2525"))
    folder = settings.data / "inbox"
    folder.mkdir(parents=True)

    def write(content=LETTER, to="priya@example.com"):
        times = {"begun_at": 1_794_999_999.0, "received_at": 1_795_000_000.0}
        return write_message(folder, content, sender="bounce@mail.example.com", recipients=[to], **times).name

    yield Inbox(app.test_client(), write)
    app.extensions["askfirst"].engine.dispose()


class Inbox:
    def __init__(self, client, write):
        self.client, self.write = client, write

    def get(self, path, base_url=HERE, **more):
        return self.client.get(f"/inbox/{path}", base_url=base_url, **more)


def test_an_empty_inbox_says_so(inbox):
    assert "Nothing has arrived yet." in inbox.get("").text


def test_the_list_shows_the_newest_first_and_finds_a_recipient(inbox):
    first, second = inbox.write(), inbox.write(to="anil@example.com")
    page = inbox.get("").text
    assert page.index(second) < page.index(first)
    assert "शुभ दिवाली" in page
    found = inbox.get("?to=ANIL").text
    assert second in found
    assert first not in found
    assert "Nothing was sent to an address" in inbox.get("?to=zzz").text


def test_a_message_can_be_seen_in_four_ways(inbox):
    name = inbox.write()
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in inbox.get(f"{name}/").text
    assert "Dear Priya &lt;3" in inbox.get(f"{name}/text").text
    assert "List-Unsubscribe" in inbox.get(f"{name}/headers").text
    assert "=?utf-8?b?" in inbox.get(f"{name}/raw").text


def test_the_html_is_framed_without_script_form_or_origin(inbox):
    answer = inbox.get(f"{inbox.write()}/html")
    rules = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in rules
    assert "script-src" not in rules
    assert re.search(r"sandbox allow-popups allow-popups-to-escape-sandbox$", rules)
    assert "frame-ancestors 'self'" in rules
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_links_lead_to_this_listener_so_that_they_can_be_tried(inbox):
    name = inbox.write()
    html = inbox.get(f"{name}/html").text
    assert f'href="{HERE}/u/v1.01.AAAA"' in html
    assert f'src="{HERE}/static/mail/mark.png"' in html
    assert '<base target="_blank">' in html
    assert 'action="/u/v1.01.AAAA"' in inbox.get(f"{name}/").text
    assert f"{BASE}/u/v1.01.AAAA" in inbox.get(f"{name}/raw").text


BROKEN = (
    b"",
    b"\xff\xfe\x00",
    b"Subject: \r\n x\r\n\r\n\xe2\x28",
    b"Content-Type: multipart/mixed\r\n\r\n--x\r\n",
    b"Content-Type: text/html; charset=klingon\r\n\r\n<p>x",
    b"Subject: =?utf-8?b?!!?=\r\nFrom: <<>\r\n\r\nx",
)


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_message_can_still_be_looked_at(inbox, content):
    name = inbox.write(content)
    for view in ("", "text", "headers", "raw", "html"):
        assert inbox.get(f"{name}/{view}").status_code == 200
    assert inbox.get("").status_code == 200


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "x", "0" * 20 + "-1"])
def test_only_names_of_messages_are_read(inbox, name):
    assert inbox.get(f"{name}/").status_code == 404


@pytest.mark.parametrize(
    "facts",
    [
        {"base_url": "https://mail.example.com"},
        {"base_url": "http://evil.example.com"},
        {"environ_overrides": {"REMOTE_ADDR": "203.0.113.9"}},
        {"headers": {"X-Forwarded-For": "127.0.0.1"}},
        {"headers": {"Forwarded": "for=127.0.0.1"}},
        {"headers": {"Via": "1.1 proxy"}},
    ],
    ids=str,
)
def test_nobody_else_may_look(inbox, facts):
    """Not from another machine, not through a proxy, not by a strange name that points here (DNS rebinding)."""
    inbox.write()
    assert inbox.get("", **facts).status_code == 404


def test_there_is_no_inbox_without_the_sink(committed, settings):
    for smtp in (None, "smtps://relay.example.com"):
        app = wsgi.create_app(settings.replace(database_url=committed.url, smtp_url=smtp))
        assert app.test_client().get("/inbox/", base_url=HERE).status_code == 404
        app.extensions["askfirst"].engine.dispose()
