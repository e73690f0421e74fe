"""Once a day a provider's own list is compared with ours; whatever only one of us knows is a no (check 82)."""

from __future__ import annotations

import pytest

from mailer import comparing, notices, optout
from mailer.providers import sendgrid_lists
from mailer.providers.sendgrid_lists import SendGridLists
from tests.integration.test_notices import SendsByIt
from tests.sendgrid_double import KEY, SendGrid, serving


@pytest.fixture
def account():
    return SendGrid()


@pytest.fixture
def lists(account):
    with serving(account) as host:
        made = SendGridLists(KEY, host=host, seconds=60)
        yield made
        made.close()


@pytest.fixture
def two(sends):
    """Two people who were mailed by it, and their addresses."""
    people = sends.people(2)
    sends.campaign(people)
    sends.deliver(SendsByIt())
    found = dict(sends.query("SELECT customer_id, address FROM addresses WHERE customer_id = ANY(:p)", p=list(people)))
    return [(person, found[person]) for person in people]


@pytest.fixture
def look(sends, lists, keys):
    def look():
        """Look once, to the end; how many pages it took."""
        for pages in range(1, 100):
            with sends.sessions() as session, session.begin():
                if not comparing.look(session, lists, keys):
                    return pages
        raise AssertionError("it never ends")

    return look


def a_day_later(sends):
    sends.run("UPDATE list_comparisons SET finished_at = finished_at - interval '25 hours'")


def stops(sends):
    return sends.query("SELECT customer_id, scope, source FROM stop_requests WHERE folded_at IS NULL ORDER BY id")


def tell(sends, lists):
    with sends.sessions() as session, session.begin():
        return notices.tell(session, lists)


def result(sends):
    return sends.query("SELECT theirs_only, ours_only FROM list_comparisons")[0]


def test_whom_they_stop_and_we_would_mail_is_stopped_here_too(sends, two, account, look):
    (person, address), _ = two
    account.stopped = {address, "stranger@example.com"}
    look()
    assert stops(sends) == [(person, "all", comparing.SOURCE)]
    assert result(sends) == (1, 0)
    sends.fold()
    a_day_later(sends)
    look()
    assert result(sends) == (0, 0)


def test_what_they_lost_is_told_again(sends, two, account, lists, look):
    (person, address), _ = two
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    tell(sends, lists)
    account.stopped.clear()
    look()
    assert result(sends) == (0, 1)
    tell(sends, lists)
    assert account.stopped == {address}


def test_where_both_know_the_same_nothing_happens(sends, two, lists, look):
    (person, _), _ = two
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    tell(sends, lists)
    look()
    assert (result(sends), stops(sends)) == ((0, 0), [])


def test_a_yes_that_they_have_not_heard_yet_is_not_taken_for_a_no(sends, two, account, look):
    """The notice is still on its way: their list is older than the person's word."""
    (person, address), _ = two
    account.stopped = {address}
    sends.run(
        """INSERT INTO provider_notices (provider, kind, customer_id, address)
           VALUES ('sendgrid', 'standing', :p, :a)""",
        p=person,
        a=address,
    )
    look()
    assert stops(sends) == []


def test_a_long_list_is_read_in_pages_and_goes_on_where_it_was_cut_short(
    sends, two, account, lists, look, keys, monkeypatch
):
    monkeypatch.setattr(sendgrid_lists, "PAGE", 3)
    account.stopped = {f"p{n}@example.com" for n in range(7)} | {two[1][1]}
    with sends.sessions() as session, session.begin():
        assert comparing.look(session, lists, keys)
    assert sends.query("SELECT read, finished_at FROM list_comparisons") == [(3, None)]
    assert look() == 2
    assert [customer for customer, *_ in stops(sends)] == [two[1][0]]


def test_it_is_done_once_a_day(sends, account, look):
    look()
    asked = len(account.requests)
    assert look() == 1
    assert len(account.requests) == asked
    a_day_later(sends)
    look()
    assert len(account.requests) == asked + 1


@pytest.mark.parametrize("told", [{"status": 500}, {"status": 200, "body": b"<html>"}, {"how": "reset"}])
def test_a_list_that_can_not_be_read_changes_nothing_and_is_read_again_later(sends, two, account, look, told):
    person, _ = two[0]
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    sends.run("UPDATE provider_notices SET told_at = clock_timestamp(), address = NULL, address_hash = NULL")
    account.tell("/v3/suppression/unsubscribes?limit=500&offset=0", **told)
    look()
    asked = len(account.requests)
    look()
    assert len(account.requests) == asked
    ((finished, problem, ours),) = sends.query("SELECT finished_at, problem, ours_only FROM list_comparisons")
    assert (finished, bool(problem), ours) == (None, True, 0)
    account.told.clear()
    sends.run("UPDATE list_comparisons SET not_before = clock_timestamp()")
    look()
    assert result(sends) == (0, 1)


def test_two_clocks_read_a_page_once(sends, account, lists, keys, look):
    look()
    a_day_later(sends)
    asked = len(account.requests)
    with sends.sessions() as first, first.begin():
        comparing.look(first, lists, keys)
        with sends.sessions() as second, second.begin():
            assert not comparing.look(second, lists, keys)
    assert len(account.requests) == asked + 1
