"""Several senders: each for its purposes, with a provider of its own; what was approved is not changed under it."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from campaigns import preflight
from campaigns.approval import approval_hash
from campaigns.models import Campaign
from mailer import dkim
from mailer.compose import Composer
from mailer.consent.links import Links
from mailer.errors import Refused
from mailer.models import Revision
from mailer.providers.memory import MemoryProvider
from tests import factories
from workers.carriers import Carrier, Carriers
from workers.dispatch import Dispatcher
from workers.runtime import make_carriers, make_lists, make_signers
from workers.trial import make_test_sender


def sender_of(sends, campaign_id):
    return sends.query(
        "SELECT s.* FROM senders s JOIN mandates m ON m.sender_id = s.id WHERE campaign_id = :c", c=campaign_id
    )[0]


def state(sends, campaign_id):
    return sends.query("SELECT state, state_reason FROM mandates WHERE campaign_id = :c", c=campaign_id)[0]


def refused(sends, statement, **values):
    with pytest.raises(DBAPIError, match="purpose") as caught, sends.sessions() as session, session.begin():
        session.execute(text(statement), values)
    assert caught.value.orig.sqlstate == "AF003"


@pytest.fixture
def two(sends, keys):
    """Two campaigns that send, by two senders with a provider each, and a worker with both."""
    people = sends.people(3)
    first, second = sends.campaign(people), sends.campaign(people)
    sends.run("UPDATE senders SET provider = 'smtp-' || id")
    sends.run("UPDATE mandates SET state = 'sending'")
    providers = {}
    for campaign_id in (first, second):
        providers[campaign_id] = MemoryProvider()
        providers[campaign_id].name = f"smtp-{sender_of(sends, campaign_id).id}"
    return first, second, providers


def dispatcher(sends, keys, providers, default="smtp"):
    composer = Composer(Links(keys, "https://mail.example.com"))
    carriers = {provider.name: (lambda p=provider: Carrier(p, composer)) for provider in providers}
    return Dispatcher(sends.sessions, Carriers(carriers, default), "test:1", threading.Event())


def test_two_senders_go_by_two_providers_in_one_process(sends, keys, two):
    first, second, providers = two
    worker = dispatcher(sends, keys, providers.values())
    for campaign_id in (first, second, first, second):
        worker.run(campaign_id)
    for campaign_id, provider in providers.items():
        assert {taken.campaign_id for taken in provider.taken} == {campaign_id}
        assert len(provider.taken) == 3
        named = sends.query("SELECT DISTINCT provider FROM deliveries WHERE campaign_id = :c", c=campaign_id)
        assert [row.provider for row in named] == [provider.name]


def test_a_provider_that_is_gone_pauses_its_campaign_and_no_other(sends, keys, two):
    first, second, providers = two
    worker = dispatcher(sends, keys, [providers[second]])
    assert worker.run(first) is False
    worker.run(second)
    assert len(providers[second].taken) == 3
    name = providers[first].name
    assert tuple(state(sends, first)) == (
        "paused", f"its sender uses the provider “{name}”, which the settings don't have"
    )  # fmt: skip
    assert state(sends, second).state == "sending"
    assert set(sends.states(first).values()) == {("pending", None)}


def test_failures_come_back_to_the_senders_domain_for_them(sends):
    campaign_id = sends.campaign(sends.people(1))
    assert sends.job().return_domain == "mail.example.com"
    sends.run("UPDATE senders SET return_domain = 'bounces.example.com'")
    sends.run("UPDATE mandates SET state = 'sending'")
    assert sends.job(campaign_id).return_domain == "bounces.example.com"


@pytest.mark.parametrize("change", ["provider = 'smtp-x'", "purposes = '{festive}'", "return_domain = 'b.example.com'"])
def test_changing_a_sender_stops_what_goes_out_under_it_and_voids_the_approval(sends, change):
    campaign_id = sends.campaign(sends.people(1))
    with sends.sessions() as session:
        before = approval_hash(session, campaign_id)
    with sends.sessions() as session, session.begin():
        session.execute(text(f"UPDATE senders SET {change}"))
    assert tuple(state(sends, campaign_id)) == ("paused", "the sender was changed")
    with sends.sessions() as session:
        assert approval_hash(session, campaign_id) != before


def test_no_mandate_starts_with_a_sender_that_is_for_something_else(sends):
    campaign_id = sends.campaign(sends.people(1))
    with sends.sessions() as session, session.begin():
        session.execute(text("UPDATE senders SET purposes = '{launch,offer}'"))
    refused(sends, "UPDATE mandates SET state = 'sending' WHERE campaign_id = :c", c=campaign_id)
    # To stop is always allowed.
    with sends.sessions() as session, session.begin():
        session.execute(text("UPDATE mandates SET state = 'cancelled'"))


def test_nobody_narrows_a_sender_between_the_look_at_it_and_the_start(sends):
    campaign_id = sends.campaign(sends.people(1))
    sends.run("UPDATE mandates SET state = 'paused'")
    with sends.sessions() as starting, starting.begin():
        starting.execute(text("UPDATE mandates SET state = 'sending' WHERE campaign_id = :c"), {"c": campaign_id})
        with sends.sessions() as narrowing:
            narrowing.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(DBAPIError) as caught:
                narrowing.execute(text("UPDATE senders SET purposes = '{launch}'"))
        assert caught.value.orig.sqlstate == "55P03"
    with sends.sessions() as session, session.begin():
        session.execute(text("UPDATE senders SET purposes = '{launch}'"))
    assert state(sends, campaign_id).state == "paused"


def test_nobody_approves_a_campaign_of_a_purpose_its_sender_is_not_for(sends):
    campaign_id = sends.campaign(sends.people(1))
    sends.run("UPDATE senders SET purposes = '{}'")
    sends.run("UPDATE campaigns SET state = 'waiting'")
    refused(
        sends,
        """INSERT INTO approvals (campaign_id, author_id, approver_id, approved_hash, audience)
           SELECT campaign_id, author_id, approver_id, 'another', audience FROM approvals WHERE campaign_id = :c""",
        c=campaign_id,
    )


def test_a_sender_is_for_purposes_that_there_are(session):
    found = factories.sender(session)
    assert sorted(session.scalar(text("SELECT purposes FROM senders WHERE id = :s"), {"s": found.id})) == [
        "festive", "launch", "offer", "service"
    ]  # fmt: skip
    with pytest.raises(DBAPIError, match="there is no purpose everything"):
        session.execute(text("UPDATE senders SET purposes = '{festive,everything}'"))


def test_preflight_says_that_the_sender_is_for_something_else(session, keys):
    mandate = factories.sending(session, [factories.agreeing(session, keys)])
    session.execute(text("UPDATE senders SET purposes = '{launch}' WHERE id = :s"), {"s": mandate.sender_id})
    problems = preflight.preflight(session, session.get_one(Campaign, mandate.campaign_id))
    assert [p.words for p in problems if "not for" in p.words] == [
        "The sender “" + session.scalar(text("SELECT name FROM senders WHERE id = :s"), {"s": mandate.sender_id})
        + "” is not for this purpose. Choose another sender, or have an administrator allow it."
    ]  # fmt: skip


@pytest.fixture
def several(settings, tmp_path):
    """Settings with four providers and a key that signs."""
    key = tmp_path / "key.pem"
    key.write_bytes(dkim.new_key())
    key.chmod(0o600)
    return settings.replace(
        smtp_url="smtp+plain://127.0.0.1:2525",
        smtp_urls={"news": "smtps://user:secret@relay.example.net"},
        sendgrid_api_key="SG.one",
        sendgrid_api_keys={"offers": "SG.two"},
        dkim_keys=f"example.com:2026={key}",
    )


@pytest.mark.parametrize(
    "named, carried, most, signed",
    [
        (None, "sendgrid", 1000, False),
        ("smtp", "smtp", 64, True),
        ("smtp-news", "smtp-news", 64, True),
        ("sendgrid-offers", "sendgrid-offers", 1000, False),
    ],
)
def test_the_settings_make_a_carrier_of_every_name(sends, keys, several, named, carried, most, signed):
    sends.campaign(sends.people(1))
    carriers = make_carriers(several, sends.sessions, Links(keys, several.public_url))
    with sends.sessions() as session:
        carrier = carriers.of(session, replace(sends.job(), provider=named))
        assert carrier is carriers.of(session, replace(sends.job(), provider=named))
    assert (carrier.provider.name, carrier.most, carrier.traffic.provider) == (carried, most, carried)
    assert (make_signers(several, carried).of("mail.example.com") is not None) == signed
    carriers.close()


def test_each_account_that_keeps_lists_is_told_of_a_no_by_its_own_key(sends, keys, several):
    """From the first mail on: the note is made before the carrier is."""
    sends.campaign(sends.people(1))
    assert [lists.name for lists in make_lists(several)] == ["sendgrid", "sendgrid-offers"]
    carriers = make_carriers(several, sends.sessions, Links(keys, several.public_url))
    with sends.sessions() as session:
        carriers.of(session, replace(sends.job(), provider="sendgrid-offers"))
    kept = {row.provider for row in sends.query("SELECT provider FROM list_keepers")}
    assert kept == {"sendgrid", "sendgrid-offers"}
    carriers.close()


def test_a_worker_without_any_provider_does_not_start(sends, keys, settings):
    with pytest.raises(SystemExit, match="SMTP_URL is not set"):
        make_carriers(settings, sends.sessions, Links(keys, settings.public_url))


def test_a_test_mail_goes_by_the_senders_provider_or_not_at_all(session, keys, several):
    mandate = factories.sending(session, [factories.agreeing(session, keys)])
    session.execute(text("UPDATE senders SET provider = 'smtp-gone'"))
    campaign = session.get_one(Campaign, mandate.campaign_id)
    revision = session.get_one(Revision, mandate.revision_id)
    send = make_test_sender(several, Links(keys, several.public_url))
    with pytest.raises(Refused, match="the provider “smtp-gone”, which the settings don’t have"):
        send(session, campaign, revision, factories.operator(session))
