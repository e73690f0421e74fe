"""Opt-outs and erasures reach the provider that had the person's data, and are retried until they do (check 82)."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from mailer import customers, notices, optout
from mailer.consent import ledger
from mailer.db import Base, alembic_config
from mailer.providers.memory import MemoryProvider
from mailer.providers.sendgrid_lists import SendGridLists
from tests import factories
from tests.sendgrid_double import KEY, SendGrid, serving
from workers.broker import make_broker
from workers.clock import Clock


@pytest.fixture
def account():
    return SendGrid()


@pytest.fixture
def lists(account):
    with serving(account) as host:
        made = SendGridLists(KEY, host=host, seconds=60)
        yield made
        made.close()


class SendsByIt(MemoryProvider):
    """The memory provider under the other's name: what is looked at is whom the intent was for."""

    name = "sendgrid"


@pytest.fixture
def mailed(sends):
    """A person whose mail went to SendGrid, and their address."""
    (person,) = sends.people(1)
    sends.campaign([person])
    sends.deliver(SendsByIt())
    ((address,),) = sends.query("SELECT address FROM addresses WHERE customer_id = :p", p=person)
    return person, address


def waiting(sends):
    return [
        (n.kind, n.address) for n in sends.query("SELECT * FROM provider_notices WHERE told_at IS NULL ORDER BY id")
    ]


def tell(sends, lists):
    with sends.sessions() as session, session.begin():
        return notices.tell(session, lists)


def hurry(sends):
    sends.run("UPDATE provider_notices SET not_before = clock_timestamp() - interval '1 second'")


def test_every_withdrawal_of_somebody_mailed_by_it_leaves_a_notice(sends, mailed):
    """One row a withdrawal, in the same transaction, whatever door it came through."""
    person, address = mailed
    optout.stop_person(sends.engine, customer_id=person, scope="festive", source="one_click")
    assert waiting(sends) == [("standing", address)]


def test_a_withdrawal_that_is_rolled_back_tells_nobody(sends, mailed):
    person, _ = mailed
    with sends.sessions() as session:
        ledger.withdraw(session, person, "all", source="helpline")
        session.rollback()
    assert waiting(sends) == []


def test_who_was_never_given_to_the_provider_is_not_told_to_it_either(sends):
    """Telling it would give it the address."""
    (person,) = sends.people(1)
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    assert waiting(sends) == []


def test_a_no_to_everything_lands_on_their_list_and_the_address_is_forgotten(sends, mailed, lists, account):
    person, address = mailed
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    assert tell(sends, lists) == {"told": 1, "again": 0}
    assert account.stopped == {address}
    assert waiting(sends) == []
    assert sends.query("SELECT address FROM provider_notices WHERE address IS NOT NULL") == []
    assert tell(sends, lists) == {"told": 0, "again": 0}


def test_who_still_wants_another_purpose_is_not_on_a_list_that_stops_all(sends, mailed, lists, account):
    person, _ = mailed
    with sends.sessions() as session, session.begin():
        ledger.grant(session, person, factories.wording(session, "offer").id, source="signup")
    optout.stop_person(sends.engine, customer_id=person, scope="festive", source="one_click")
    assert tell(sends, lists)["told"] == 1
    assert account.stopped == set()


def test_a_new_yes_takes_them_off_again_and_the_last_word_counts(sends, mailed, lists, account):
    """What is told is the standing when it is told: an old notice says no more than a new one."""
    person, address = mailed
    with sends.sessions() as session, session.begin():
        ledger.withdraw(session, person, "festive", source="helpline")
    tell(sends, lists)
    assert account.stopped == {address}
    with sends.sessions() as session, session.begin():
        ledger.grant(session, person, factories.wording(session, "festive").id, source="signup")
    tell(sends, lists)
    assert account.stopped == set()
    with sends.sessions() as session, session.begin():
        ledger.withdraw(session, person, "festive", source="helpline")
        ledger.grant(session, person, factories.wording(session, "festive").id, source="signup")
        ledger.withdraw(session, person, "festive", source="helpline")
    tell(sends, lists)
    assert account.stopped == {address}


def test_a_suppressed_address_stays_on_their_list_whoever_says_yes(sends, mailed, lists, account):
    person, address = mailed
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    with sends.sessions() as session, session.begin():
        ledger.grant(session, person, factories.wording(session, "festive").id, source="signup")
    tell(sends, lists)
    assert account.stopped == {address}


def test_an_address_that_is_removed_here_is_erased_there(sends, mailed, lists, account):
    person, address = mailed
    with sends.sessions() as session, session.begin():
        ledger.lock_customers(session, [person])
        session.execute(text("DELETE FROM addresses WHERE customer_id = :p"), {"p": person})
    assert waiting(sends) == [("erasure", address)]
    assert tell(sends, lists)["told"] == 1
    assert account.erased == [address]


@pytest.mark.parametrize("told", [{"status": 500}, {"status": 429}, {"how": "reset"}, {"how": "hang"}, {"status": 401}])
def test_what_was_not_heard_is_told_again_later_and_never_given_up(sends, mailed, account, lists, told):
    person, address = mailed
    account.tell("/v3/asm/suppressions/global", **told)
    if told.get("how") == "hang":
        lists._api.timeout = 0.5
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    assert tell(sends, lists) == {"told": 0, "again": 1}
    assert tell(sends, lists) == {"told": 0, "again": 0}
    ((tries, problem, waits),) = sends.query(
        "SELECT tries, problem, extract(epoch FROM not_before - clock_timestamp()) FROM provider_notices"
    )
    assert (tries, address in problem) == (1, False)
    assert 20 < waits <= 60
    account.told.clear()
    hurry(sends)
    assert tell(sends, lists) == {"told": 1, "again": 0}
    assert account.stopped == {address}


def test_one_address_that_they_cannot_read_keeps_no_other_from_being_told(sends, account, lists):
    people = sends.people(3)
    sends.campaign(people)
    sends.deliver(SendsByIt())
    odd, *fine = (row.address for row in sends.query("SELECT address FROM addresses ORDER BY customer_id"))
    account.unreadable = odd
    for person in people:
        optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    assert tell(sends, lists) == {"told": 2, "again": 1}
    assert account.stopped == set(fine)
    assert waiting(sends) == [("standing", odd)]


def test_the_wait_doubles_up_to_six_hours(sends, mailed, account, lists):
    person, _ = mailed
    account.tell("/v3/asm/suppressions/global", status=500)
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    sends.run("UPDATE provider_notices SET tries = 30")
    tell(sends, lists)
    ((waits,),) = sends.query("SELECT extract(epoch FROM not_before - clock_timestamp()) FROM provider_notices")
    assert 6 * 3600 - 10 < waits <= 6 * 3600


def test_two_clocks_do_not_tell_the_same_notice_at_once(sends, mailed, lists):
    person, _ = mailed
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    with sends.sessions() as first, first.begin():
        first.execute(text("SELECT 1 FROM provider_notices FOR UPDATE"))
        assert tell(sends, lists) == {"told": 0, "again": 0}


def test_the_clock_tells_until_nothing_is_left(sends, mailed, lists, account, tmp_path, valkey_url):
    """From the withdrawal to their list, by the duty that does it every few seconds."""
    person, address = mailed
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    Clock(sends.engine, make_broker(valkey_url), workers=1, data=tmp_path, lists=[lists]).tell_providers()
    assert account.stopped == {address}
    assert waiting(sends) == []


def test_an_address_with_odd_characters_is_one_part_of_the_path(account, lists):
    assert lists.allow(["a/../b?x@example.com"]) == ""
    assert account.requests[-1].path == "/v3/asm/suppressions/global/a%2F..%2Fb%3Fx%40example.com"


def test_notices_hold_no_address_in_what_went_wrong(account, lists):
    body = json.dumps({"errors": [{"message": "priya@example.com is odd"}]}).encode()
    account.tell("/v3/asm/suppressions/global", status=400, body=body)
    assert lists.stop(["priya@example.com"]) == "400 (address) is odd"


def test_models_and_schema_agree(committed):
    """What the models say of these tables is what the migration made."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    import campaigns.models  # noqa: F401  (its tables belong to the same schema)

    assert alembic_config(committed.owner_url)
    with committed.owner.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)
    assert [one for one in found if "provider_" in str(one)] == []


def test_customers_added_without_an_address_can_be_withdrawn(sends, keys):
    """The trigger looks for an address; a person may have none."""
    with sends.sessions() as session, session.begin():
        person = customers.add(session, keys, factories.Customer(declared_adult_at=factories.LONG_AGO), None).id
        ledger.withdraw(session, person, "all", source="helpline")
    assert waiting(sends) == []


def test_an_address_that_gave_way_to_another_is_erased_there(sends, mailed, lists, account, keys):
    person, address = mailed
    with sends.sessions() as session, session.begin():
        customers.change_address(session, keys, person, "new@example.com")
    assert waiting(sends) == [("erasure", address)]
    assert tell(sends, lists)["told"] == 1
    assert account.erased == [address]


def test_an_address_is_not_erased_there_while_somebody_else_here_has_it(sends, mailed, lists, account, keys):
    person, address = mailed
    (other,) = sends.people(1)
    with sends.sessions() as session, session.begin():
        customers.change_address(session, keys, other, address)
        customers.change_address(session, keys, person, "new@example.com")
    assert tell(sends, lists) == {"told": 0, "again": 0}
    with sends.sessions() as session, session.begin():
        customers.change_address(session, keys, other, "newer@example.com")
    tell(sends, lists)
    assert account.erased == [address]


def test_a_provider_of_any_name_is_told_once_it_is_known_to_keep_lists(sends):
    class ByAnother(MemoryProvider):
        name = "news"

    first, second = sends.people(2)
    sends.campaign([first])
    sends.deliver(ByAnother())
    optout.stop_person(sends.engine, customer_id=first, scope="all", source="one_click")
    assert waiting(sends) == []
    with sends.sessions() as session, session.begin():
        notices.keep(session, ByAnother())
        notices.keep(session, ByAnother())
    sends.campaign([second])
    sends.deliver(ByAnother())
    optout.stop_person(sends.engine, customer_id=second, scope="all", source="one_click")
    assert sends.query("SELECT provider, customer_id FROM provider_notices") == [("news", second)]
