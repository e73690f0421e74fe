"""Stopping by a typed address, and the page for links that don't work."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from mailer import address as addresses
from mailer.web.public.typed import PER_ADDRESS, PER_NETWORK
from tests.mailed import everything, standing


def stopped(committed):
    with committed() as session:
        rows = session.execute(text("SELECT address_hash, scope, reason FROM suppressions WHERE lifted_at IS NULL"))
        return {bytes(row.address_hash): (row.scope, row.reason) for row in rows}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_torn_and_forged_links_get_one_page_which_takes_an_address(client, committed, method):
    """Check 15: 400, so that a truncated link never looks like a success; nothing is changed."""
    before = everything(committed.sessions)
    for path in ("/u/torn", "/p/torn", "/w/torn", "/u/v1.01.AAAA.BBBB", "/u/%00", "/u/a%20b/"):
        answer = client.open(path, method=method, data={"scope": "all"} if method == "POST" else None)
        assert answer.status_code == 400
        assert "This link does not work" in answer.text
        assert "Nothing has been changed." in answer.text
        assert '<form method="post" action="/stop?lang=en">' in answer.text
    assert everything(committed.sessions) == before


def test_a_typed_address_is_stopped_with_everybody_who_has_it(client, committed, mail):
    one = mail("offer", also=("festive",), address="anita@example.com")
    other = mail("launch", address="Anita@EXAMPLE.com")
    answer = client.post("/stop", data={"email": "  ANITA@example.com "})
    assert answer.status_code == 200
    assert "Done. You will get no more marketing e-mails." in answer.text
    assert standing(committed.sessions, one.customer_id) == {"offer": False, "festive": False}
    assert standing(committed.sessions, other.customer_id) == {"launch": False}


def test_an_unknown_address_is_stopped_too(client, committed, keys):
    assert client.post("/stop", data={"email": "nobody@example.com"}).status_code == 200
    hashed = addresses.hash_address(keys, "nobody@example.com")
    assert stopped(committed) == {hashed: ("all", "opt_out")}


def test_known_and_unknown_addresses_get_the_same_answer(client, mail):
    mail(address="known1@example.com")
    answers = {
        client.post("/stop", data={"email": email}).text.partition("<time")[0].replace(email, "")
        for email in ("known1@example.com", "kother1@example.com")
    }
    assert len(answers) == 1


def test_what_is_no_address_is_said_so_and_changes_nothing(client, committed):
    before = everything(committed.sessions)
    for email in ("", "priya@", "priya", "a b@example.com", "x@y\r\nBcc: z@example.com", "é" * 300):
        answer = client.post("/stop", data={"email": email})
        assert answer.status_code == 400, email
        assert "an address looks like name@example.com" in answer.text
        assert 'aria-invalid="true"' in answer.text
    assert everything(committed.sessions) == before


def test_what_was_typed_comes_back_as_text(client):
    answer = client.post("/stop", data={"email": '"><script>alert(1)</script>'})
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_asking_again_and_again_is_never_refused_and_costs_no_more_locks(client, committed, keys):
    """The limit is on the work, not on the person: beyond it nothing is written that is in force already."""
    for _ in range(PER_ADDRESS + 3):
        assert client.post("/stop", data={"email": "again@example.com"}).status_code == 200
    with committed() as session:
        assert session.scalar(text("SELECT count(*) FROM stop_requests")) == PER_ADDRESS
    assert list(stopped(committed)) == [addresses.hash_address(keys, "again@example.com")]


def test_a_stop_beyond_the_limit_still_works_when_it_is_not_in_force(client, committed, keys):
    for _ in range(PER_ADDRESS + 1):
        client.post("/stop", data={"email": "again@example.com"})
    with committed.owner.begin() as owner:
        owner.execute(text("ALTER TABLE suppressions DISABLE TRIGGER USER"))
        owner.execute(text("DELETE FROM suppressions"))
        owner.execute(text("ALTER TABLE suppressions ENABLE TRIGGER USER"))
    assert client.post("/stop", data={"email": "again@example.com"}).status_code == 200
    assert list(stopped(committed)) == [addresses.hash_address(keys, "again@example.com")]


def test_a_busy_network_is_never_shut_out(client, committed):
    for number in range(PER_NETWORK + 5):
        assert client.post("/stop", data={"email": f"person{number}@example.com"}).status_code == 200
    assert len(stopped(committed)) == PER_NETWORK + 5


def test_counts_hold_neither_address_nor_network(client, committed):
    client.post("/stop", data={"email": "again@example.com"})
    with committed() as session:
        counted = session.execute(text("SELECT bucket, hits FROM rate_counts")).all()
    assert [(len(row.bucket), row.hits) for row in counted] == [(32, 1), (32, 1)]


def test_old_counts_are_forgotten(client, committed):
    with committed() as session, session.begin():
        session.execute(
            text(
                "INSERT INTO rate_counts SELECT int4send(n), now() - interval '3 days', 1 FROM generate_series(1, 50) n"
            )
        )
    client.post("/stop", data={"email": "again@example.com"})
    with committed() as session:
        assert session.scalar(text("SELECT count(*) FROM rate_counts")) == 2


def test_the_form_by_itself_is_a_page(client):
    page = client.get("/stop")
    assert page.status_code == 200
    assert "This link does not work" not in page.text
    assert 'name="email"' in page.text
