"""Counted links as they are followed: where they lead, who is taken for a person, and who is never counted."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from mailer import clicks
from mailer.click_links import ClickLinks
from mailer.consent.links import Links
from mailer.models import Delivery, LinkDestination
from mailer.web.public.click import PER_NETWORK, WINDOW
from mailer.web.rates import bucket, count, network_of
from tests import factories
from tests.mailed import BASE, everything

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HERE = {"User-Agent": BROWSER}
GOES_TO = ("https://shop.example.com/diwali", "https://shop.example.com/lamps?b=1&c=2")
ADULT = {"birth_date": date(1990, 1, 1)}


class Mailed:
    """Somebody who got a mail with two counted links an hour ago."""

    def __init__(self, committed, keys, *, tracked=True, **facts):
        self.sessions, self.keys, self.owner = committed.sessions, keys, committed.owner
        with self.sessions() as session, session.begin():
            session.execute(text("UPDATE purposes SET click_tracking = :on WHERE key = 'offer'"), {"on": tracked})
            person = factories.agreeing(session, keys, "offer", **facts)
            mandate = factories.sending(session, [person], "offer", click_tracking=tracked)
            session.add_all(
                LinkDestination(revision_id=mandate.revision_id, number=number, written=url, url=url)
                for number, url in enumerate(GOES_TO, start=1)
            )
            sent = session.query(Delivery).filter_by(customer_id=person.id).one()
            sent.state, sent.revision_id, sent.intended_at = "accepted", mandate.revision_id, ago(hours=1)
            sent.settled_at = ago(hours=1)
            self.person, self.ref, self.delivery, self.campaign = person.id, person.ref, sent.id, mandate.campaign_id

    def path(self, number=1):
        return ClickLinks(self.keys, BASE).url(self.delivery, number).removeprefix(BASE)

    def run(self, statement, **values):
        with self.owner.begin() as connection:
            return connection.execute(text(statement), values)

    def kinds(self):
        """What is written of each link: followed by a person, by a program, or both."""
        rows = self.run("SELECT number, clicked_at, scanned_at FROM clicks ORDER BY number").all()
        return {row.number: (row.clicked_at is not None, row.scanned_at is not None) for row in rows}

    def long_ago(self):
        self.run(
            """UPDATE clicks SET last_at = last_at - interval '1 minute',
                      clicked_at = clicked_at - interval '1 minute', scanned_at = scanned_at - interval '1 minute'"""
        )


def ago(**times):
    return datetime.now(UTC) - timedelta(**times)


PERSON, PROGRAM, BOTH = (True, False), (False, True), (True, True)


@pytest.fixture
def mailed(committed, keys):
    return Mailed(committed, keys)


def test_a_link_leads_where_the_approved_mail_says_and_is_counted(client, mailed):
    answer = client.get(mailed.path(2), headers=HERE)
    assert (answer.status_code, answer.location, mailed.kinds()) == (302, GOES_TO[1], {2: PERSON})


def test_the_way_on_carries_nothing_of_the_person(client, mailed):
    """No cookie, no referrer with the link's power in it, nothing in the address."""
    answer = client.get(mailed.path(), headers=HERE | {"Cookie": "__Host-askfirst=something"})
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert urlsplit(answer.location).query == ""


def test_nothing_in_a_request_chooses_where_it_leads(client, mailed):
    """No open redirect (ASVS 3.7.2)."""
    for more in ("?url=https://evil.example", "?next=//evil.example", "?u=https://evil.example#"):
        answer = client.get(mailed.path() + more, headers=HERE | {"X-Forwarded-Host": "evil.example"})
        assert answer.location == GOES_TO[0]


def test_a_forged_torn_or_foreign_link_leads_nowhere_and_says_how_to_stop(client, mailed):
    whole = everything(mailed.sessions)
    other = ClickLinks(mailed.keys, BASE)
    for path, status in (
        (mailed.path()[:-3], 400),
        (mailed.path()[:-1] + ("A" if mailed.path()[-1] != "A" else "B"), 400),
        (Links(mailed.keys, BASE).unsubscribe(mailed.ref, "offer", mailed.delivery).replace(f"{BASE}/u/", "/c/"), 400),
        (other.url(mailed.delivery, 3).removeprefix(BASE), 404),
        (other.url(uuid4(), 1).removeprefix(BASE), 404),
    ):
        answer = client.get(path, headers=HERE)
        assert (answer.status_code, "Location" in answer.headers) == (status, False), path
        assert b'name="email"' in answer.data
    assert everything(mailed.sessions) == whole


def test_only_destinations_of_the_revision_that_was_approved_and_sent(client, mailed):
    mailed.run("UPDATE deliveries SET revision_id = revision_id + 1000")
    assert client.get(mailed.path(), headers=HERE).status_code == 404


def test_destinations_are_never_changed(mailed):
    for change in ("UPDATE link_destinations SET url = 'https://evil.example'", "DELETE FROM link_destinations"):
        with pytest.raises(DBAPIError):
            mailed.run(change)


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "Mozilla/5.0 (compatible; SafeLinks scan)"},
        {"User-Agent": "BarracudaCentral"},
        {"User-Agent": "python-requests/2.32"},
        {"User-Agent": ""},
        HERE | {"Purpose": "prefetch"},
        HERE | {"Sec-Purpose": "prefetch;prerender"},
        HERE | {"X-Moz": "prefetch"},
        HERE | {"X-Purpose": "preview"},
    ],
)
def test_a_program_is_led_on_and_told_apart(client, mailed, headers):
    """Check 116."""
    answer = client.get(mailed.path(), headers=headers)
    assert (answer.status_code, mailed.kinds()) == (302, {1: PROGRAM})


def test_asking_for_the_head_alone_is_a_program(client, mailed):
    assert client.head(mailed.path(), headers=HERE).location == GOES_TO[0]
    assert mailed.kinds() == {1: PROGRAM}


@pytest.mark.parametrize("state", ["accepted", "handing_over"])
def test_sooner_than_anybody_reads_is_a_program(client, mailed, state):
    mailed.run("UPDATE deliveries SET settled_at = clock_timestamp(), state = :s", s=state)
    client.get(mailed.path(), headers=HERE)
    assert mailed.kinds() == {1: PROGRAM}


def test_following_everything_at_once_is_a_program_whatever_it_says_it_is(client, mailed):
    client.get(mailed.path(1), headers=HERE)
    client.get(mailed.path(2), headers=HERE)
    assert mailed.kinds() == {1: PROGRAM, 2: PROGRAM}


def test_a_person_who_follows_one_after_another_is_a_person(client, mailed):
    client.get(mailed.path(1), headers=HERE)
    mailed.long_ago()
    client.get(mailed.path(2), headers=HERE)
    assert mailed.kinds() == {1: PERSON, 2: PERSON}


def test_a_program_first_and_the_person_later_are_both(client, mailed):
    client.head(mailed.path(1), headers=HERE)
    mailed.long_ago()
    client.get(mailed.path(1), headers=HERE)
    assert mailed.kinds() == {1: BOTH}


def test_a_program_that_comes_after_the_person_takes_nothing_back(client, mailed):
    client.get(mailed.path(1), headers=HERE)
    mailed.long_ago()
    for number in (1, 2):
        client.get(mailed.path(number), headers={"User-Agent": "SafeLinks"})
    assert mailed.kinds() == {1: BOTH, 2: PROGRAM}


def test_a_click_is_no_consent_and_no_engagement(client, mailed):
    """Nothing moves but the click itself and the count of the door: not the ledger, not the delivery."""
    whole = everything(mailed.sessions)
    client.get(mailed.path(), headers=HERE)
    after = everything(mailed.sessions)
    assert {table for table in after if after[table] != whole[table]} == {"clicks", "rate_counts"}


READS = re.compile(r"(FROM|JOIN) clicks\b|from mailer import .*\bclicks\b|from mailer.clicks import|import .*\bClick\b")
READERS = {
    "mailer/clicks.py",
    "mailer/compose.py",
    "mailer/models/__init__.py",
    "mailer/web/public/click.py",
    "mailer/web/public/preferences.py",
    "campaigns/operations/approving.py",
    "campaigns/web/one.py",
    "campaigns/web/topics.py",
}
"""Who writes links, leads on, shows numbers, or turns it on and off."""


def test_nothing_that_decides_reads_a_click():
    """Neither gate nor ledger, no segment, no bounce rule. A new reader fails this test until it is added."""
    root = Path(__file__).parents[2]
    files = [file for folder in ("mailer", "campaigns") for file in (root / folder).rglob("*.py")]
    assert {str(file.relative_to(root)) for file in files if READS.search(file.read_text("utf-8"))} == READERS


def test_no_network_address_and_no_program_by_name_is_kept(mailed):
    columns = mailed.run("SELECT column_name FROM information_schema.columns WHERE table_name = 'clicks'").scalars()
    assert set(columns) == {
        "customer_id",
        "delivery_id",
        "number",
        "campaign_id",
        "clicked_at",
        "scanned_at",
        "last_at",
        "agent",
    }


def test_a_link_followed_often_is_one_row(client, mailed):
    for _ in range(5):
        client.get(mailed.path(), headers=HERE)
    assert mailed.kinds() == {1: PERSON}


NOT_COUNTED = {
    "turned off for the purpose since": "UPDATE purposes SET click_tracking = false",
    "their choice": "INSERT INTO customer_limits (customer_id, clicks_uncounted) SELECT id, true FROM customers",
    "under 18, as it turns out": "UPDATE customers SET birth_date = current_date - 6000",
    "age not known": "UPDATE customers SET birth_date = NULL, declared_adult_at = NULL",
    "erased": "UPDATE customers SET account = 'erased'",
    "deactivated": "UPDATE customers SET account = 'deactivated'",
    "long ago": "UPDATE deliveries SET intended_at = clock_timestamp() - interval '61 days'",
}


@pytest.mark.parametrize("why", NOT_COUNTED)
def test_who_is_not_counted_still_gets_where_they_go(client, mailed, why):
    mailed.run(NOT_COUNTED[why])
    assert client.get(mailed.path(), headers=HERE).location == GOES_TO[0]
    assert mailed.kinds() == {}


@pytest.mark.parametrize("why", ["their choice", "under 18, as it turns out", "erased"])
def test_what_was_counted_before_is_forgotten(client, mailed, why):
    """Check 118, DPDP s.9(3): no tracking of minors, found out late or not."""
    client.get(mailed.path(), headers=HERE)
    mailed.run(NOT_COUNTED[why])
    assert mailed.kinds() == {}


def test_what_was_approved_without_counting_is_not_counted(client, committed, keys):
    mailed = Mailed(committed, keys, tracked=False)
    mailed.run("UPDATE purposes SET click_tracking = true")
    assert client.get(mailed.path(), headers=HERE).status_code == 302
    assert mailed.kinds() == {}
    with pytest.raises(DBAPIError, match="not changed under its approval"):
        mailed.run("UPDATE mandates SET click_tracking = true")


def test_too_many_from_one_network_are_led_on_and_not_counted(client, mailed):
    with mailed.sessions() as session, session.begin():
        mine = bucket(mailed.keys, "click", network_of("127.0.0.1"))
        count(session, mine, WINDOW)
        session.execute(text("UPDATE rate_counts SET hits = :n"), {"n": PER_NETWORK})
    assert client.get(mailed.path(), headers=HERE).status_code == 302
    assert mailed.kinds() == {}


def test_when_counting_breaks_everybody_still_gets_where_they_go(client, mailed):
    mailed.run("ALTER TABLE clicks RENAME TO broken")
    assert client.get(mailed.path(), headers=HERE).location == GOES_TO[0]


def test_without_the_database_nobody_knows_where_to_and_it_is_said(cold, mailed):
    answer = cold.get(mailed.path(), headers=HERE)
    assert (answer.status_code, "Location" in answer.headers) == (503, False)
    assert cold.get("/c/nonsense").status_code == 400  # told without asking it


def test_nothing_is_counted_unless_somebody_turned_it_on(committed):
    with committed.sessions() as session:
        assert not any(session.scalars(text("SELECT click_tracking FROM purposes")))


def preferences(mailed, language="en"):
    links = Links(mailed.keys, BASE)
    url = links.preferences(mailed.ref, "offer", mailed.delivery, issued_at=datetime.now(UTC), language=language)
    return url.removeprefix(BASE)


@pytest.mark.parametrize(
    "language, button, done",
    [("en", "Don’t count my clicks", "We no longer count"), ("hi", "मेरे क्लिक मत गिनिए", "अब हम आपके क्लिक नहीं गिनते")],
)
def test_a_person_says_so_on_their_own_page_without_signing_in(client, mailed, language, button, done):
    client.get(mailed.path(), headers=HERE)
    page = preferences(mailed, language)
    assert button in client.get(page).text
    assert mailed.kinds() == {1: PERSON}  # looking at the page changes nothing
    assert done in client.post(page, data={"clicks": "off"}).text
    assert button not in client.get(page).text
    assert mailed.kinds() == {}
    assert client.get(mailed.path(), headers=HERE).status_code == 302
    assert mailed.kinds() == {}


def test_where_nothing_is_counted_nobody_is_asked(client, committed, keys):
    mailed = Mailed(committed, keys, tracked=False)
    assert "count my clicks" not in client.get(preferences(mailed)).text


def test_saying_so_stops_no_mail_and_adds_none(client, mailed):
    whole = everything(mailed.sessions)
    client.post(preferences(mailed), data={"clicks": "off"})
    after = everything(mailed.sessions)
    assert {table for table in after if after[table] != whole[table]} == {"customer_limits"}


def test_counting_is_never_turned_on_by_a_link(client, mailed):
    client.post(preferences(mailed), data={"clicks": "off"})
    assert client.post(preferences(mailed), data={"clicks": "on"}).status_code == 400
    assert mailed.run("SELECT clicks_uncounted FROM customer_limits").scalar() is True


def test_numbers_of_a_campaign_leave_programs_out(client, mailed):
    client.get(mailed.path(1), headers=HERE)
    mailed.long_ago()
    client.head(mailed.path(2), headers=HERE)
    with mailed.sessions() as session:
        found = clicks.numbers(session, mailed.campaign)
    assert [(row.url, row.people, row.programs) for row in found] == [(GOES_TO[0], 1, 0), (GOES_TO[1], 0, 1)]
