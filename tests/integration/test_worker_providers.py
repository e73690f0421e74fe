"""The worker with its providers: which one, who signs, and a 429 that all obey (check 75)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from email import message_from_bytes
from uuid import UUID

import dkim as verifier
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from config.settings import Settings, SettingsProblems
from mailer import dkim, rests
from mailer.compose import Composer
from mailer.consent.links import Kind, Links
from mailer.message import optout_address
from mailer.providers.base import Outcome
from mailer.providers.memory import Act, Behaviour, MemoryProvider
from mailer.providers.sendgrid import SendGridProvider
from mailer.providers.sendgrid_message import filled
from tests.integration.envelopes import Open, envelope
from tests.sendgrid_double import KEY, SendGrid, serving
from workers.carriers import Carrier, Carriers
from workers.cursors import Cursor
from workers.dispatch import FIRST_BATCH, Dispatcher, adapted
from workers.pacing import Paced
from workers.runtime import make_lists, make_provider, make_signers


@pytest.fixture
def account():
    return SendGrid()


@pytest.fixture
def two_workers(account, committed):
    """Two workers' providers, each with a memory of its own; the database is all they share."""
    with serving(account) as host:
        providers = [SendGridProvider(KEY, host=host, seconds=60) for _ in range(2)]
        yield [Paced(provider, committed.sessions) for provider in providers]
        for provider in providers:
            provider.close()


def dispatching(sends, provider, composer, most=64):
    carriers = Carriers.only(Carrier(provider, composer, most))
    return Dispatcher(sends.sessions, carriers, "test:1", threading.Event())


def left(committed):
    with committed() as session:
        return rests.left(session, "sendgrid")


def test_one_worker_is_told_to_wait_and_the_other_writes_nothing(two_workers, account, committed):
    account.tell("*", status=429, headers={"Retry-After": "40"})
    first, second = two_workers
    list(first.hand_over([envelope()], Open()))
    assert 39 < left(committed) <= 50
    asked = len(account.requests)
    (receipt,) = second.hand_over([envelope()], Open())
    assert (receipt.outcome, receipt.code) == (Outcome.NOT_TAKEN, "429")
    assert 38 < receipt.retry_after <= 50
    assert len(account.requests) == asked


def test_a_shorter_rest_does_not_end_a_longer_one(committed):
    for seconds in (60, 5):
        with committed() as session, session.begin():
            rests.ask(session, "sendgrid", seconds, "-")
    assert left(committed) > 50


def test_a_rest_ends_by_itself(committed, two_workers):
    with committed() as session, session.begin():
        rests.ask(session, "sendgrid", -1, "-")
    assert left(committed) == 0
    assert [r.outcome for r in two_workers[0].hand_over([envelope()], Open())] == [Outcome.TAKEN]


def test_another_provider_goes_on(committed):
    with committed() as session, session.begin():
        rests.ask(session, "sendgrid", 60, "-")
    paced = Paced(MemoryProvider(), committed.sessions)
    assert [r.outcome for r in paced.hand_over([envelope()], Open())] == [Outcome.TAKEN]


def test_receipts_pass_through_as_soon_as_they_are_known(committed):
    provider = MemoryProvider({"b@example.com": Act(Behaviour.RAISE)})
    receipts = Paced(provider, committed.sessions).hand_over(
        [envelope("a@example.com"), envelope("b@example.com")], Open()
    )
    assert next(receipts).outcome is Outcome.TAKEN
    with pytest.raises(RuntimeError):
        next(receipts)


def test_a_worker_leaves_people_pending_while_the_provider_rests(sends, keys):
    """Nobody is picked, so nobody is sent round through intent and back; afterwards everybody goes."""
    people = sends.people(3)
    sends.campaign(people)
    provider = MemoryProvider()
    composer = Composer(Links(keys, "https://mail.example.com"))
    dispatcher = dispatching(sends, provider, composer)
    with sends.sessions() as session, session.begin():
        rests.ask(session, "memory", 60, "-")
    assert dispatcher.run(sends.campaign_id) is False
    assert set(sends.states().values()) == {("pending", None)}
    assert sends.query("SELECT 1 FROM delivery_attempts") == []
    sends.run("DELETE FROM provider_rests")
    dispatcher.run(sends.campaign_id)
    assert len(provider.taken) == 3


def test_a_key_chooses_sendgrid_and_no_key_smtp(settings):
    smtp = settings.replace(smtp_url="smtp+plain://127.0.0.1:25")
    assert make_provider(smtp).name == "smtp"
    assert make_lists(smtp) == []
    both = smtp.replace(sendgrid_api_key="SG.x")
    assert (make_provider(both).name, [lists.name for lists in make_lists(both)]) == ("sendgrid", ["sendgrid"])


@pytest.mark.parametrize("host", ["http://api.sendgrid.com", "https://", "https://u@h", "https://h/v3", "ftp://h"])
def test_the_key_is_never_shown_in_clear_text_or_to_an_odd_address(settings, host):
    with pytest.raises(SettingsProblems, match="SENDGRID_HOST"):
        Settings.from_env({"SENDGRID_HOST": host, "SENDGRID_API_KEY": "SG.secret"})


def test_our_keys_sign_what_smtp_carries_and_sendgrid_signs_itself(settings, tmp_path):
    key = tmp_path / "key.pem"
    key.write_bytes(dkim.new_key())
    key.chmod(0o600)
    signing = settings.replace(dkim_keys=f"example.com:2026={key}")
    assert make_signers(signing).of("mail.example.com").selector == "2026"
    assert make_signers(signing.replace(sendgrid_api_key="SG.x")).of("mail.example.com") is None


def test_what_a_campaign_sends_is_signed_for_its_senders_domain(sends, keys):
    """Check 4, from the campaign to the bytes that a provider gets."""
    sends.campaign(sends.people(2))
    provider = MemoryProvider()
    signer = dkim.Signer("example.com", "2026", rsa.generate_private_key(65537, 2048))
    composer = Composer(Links(keys, "https://mail.example.com"), dkim.Signers([signer]))
    dispatching(sends, provider, composer).run(sends.campaign_id)
    name, value = signer.record()
    records = {f"{name}.".encode(): value.encode()}
    assert len(provider.contents) == 2
    for content in provider.contents.values():
        assert verifier.verify(content, dnsfunc=lambda name, **_: records.get(name))


@pytest.mark.parametrize("inbound", [(), ("example.org",), ("mail.example.com",)])
def test_mail_says_that_one_can_write_back_only_where_somebody_reads_it(sends, keys, inbound):
    """Checks 1, 17 and 23: mailto and complaint address, both signed, or neither."""
    sends.campaign(sends.people(1))
    provider, links = MemoryProvider(), Links(keys, "https://mail.example.com")
    signer = dkim.Signer("mail.example.com", "2026", rsa.generate_private_key(65537, 2048))
    composer = Composer(links, dkim.Signers([signer]), inbound=inbound)
    dispatching(sends, provider, composer).run(sends.campaign_id)
    ((name, content),) = provider.contents.items()
    delivery_id = UUID(name)
    headers = message_from_bytes(content)
    signed = "".join(headers["DKIM-Signature"].split()).partition("h=")[2].partition(";")[0].split(":")
    if inbound != ("mail.example.com",):
        assert "mailto:" not in headers["List-Unsubscribe"]
        assert headers["CFBL-Address"] is headers["CFBL-Feedback-ID"] is None
        return
    mailto = f"<mailto:{optout_address(delivery_id, 'mail.example.com')}?subject=unsubscribe>"
    assert headers["List-Unsubscribe"].endswith(mailto)
    assert headers["CFBL-Address"] == "fbl@mail.example.com; report=arf"
    assert {"list-unsubscribe", "cfbl-address", "cfbl-feedback-id"} <= set(signed)
    token = "".join(headers["CFBL-Feedback-ID"].split()).replace(":", ".")
    assert links.verify(token, Kind.COMPLAINT, datetime.now(UTC)).delivery_id == delivery_id


@pytest.mark.parametrize("key_of", ["example.com", "example.org"])
def test_complaint_reports_are_not_invited_where_the_signature_would_not_fit(sends, keys, key_of):
    """Check 23: the domain signed for is that of From, or receivers take no notice."""
    sends.campaign(sends.people(1))
    provider = MemoryProvider()
    signer = dkim.Signer(key_of, "2026", rsa.generate_private_key(65537, 2048))
    composer = Composer(Links(keys, "https://mail.example.com"), dkim.Signers([signer]), inbound=("mail.example.com",))
    dispatching(sends, provider, composer).run(sends.campaign_id)
    (content,) = provider.contents.values()
    assert b"mailto:u-" in content
    assert b"CFBL" not in content


def test_a_campaign_goes_out_in_one_request_and_everybody_gets_their_own_mail(sends, keys):
    """From rendering to SendGrid: the content once, each person's links and names their own (checks 59, 69)."""
    people = sends.people(5)
    sends.campaign(people)
    account = SendGrid()
    composer = Composer(Links(keys, "https://mail.example.com"), letters=True)
    with serving(account) as host:
        provider = SendGridProvider(KEY, host=host, seconds=60)
        dispatcher = dispatching(sends, provider, composer, 1000)
        dispatcher.cursors[sends.campaign_id] = Cursor(sends.campaign_id, dispatcher.claims, 0)
        dispatcher.run(sends.campaign_id)
        provider.close()
    assert {state for state, _ in sends.states().values()} == {"accepted"}
    (request,) = account.requests
    names = {
        row.address: row.given_name for row in sends.query("SELECT * FROM customers JOIN addresses ON customer_id = id")
    }
    for address, _, person in account.taken:
        mail = {part["type"]: filled(part["value"], person["substitutions"]) for part in request.json["content"]}
        link = person["headers"]["List-Unsubscribe"].strip("<>")
        assert f"Dear {names[address]}" in mail["text/html"]
        assert link in mail["text/html"]
        assert link in mail["text/plain"]
        assert names[address] in person["subject"]
    assert len({person["headers"]["List-Unsubscribe"] for _, _, person in account.taken}) == 5
    assert len({person["headers"]["Message-ID"] for _, _, person in account.taken}) == 5


def test_a_batch_grows_to_a_whole_request_and_shrinks_when_it_is_slow():
    batch = FIRST_BATCH
    for _ in range(8):
        batch = adapted(batch, 1000, int(batch), 0.1)
    assert batch == 1000
    assert adapted(batch, 1000, 1000, 0.9) == 500


def test_over_our_own_connections_a_batch_stays_small_and_a_slow_one_may_be_a_single_message():
    assert adapted(64, 64, 64, 0.01) == 64
    assert adapted(2, 64, 2, 0.9) == 1
