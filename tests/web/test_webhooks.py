"""The doors for programs: checks 84 to 90 and 95 to 97, over the application."""

from __future__ import annotations

import base64
import json
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text

import wsgi
from mailer.feedback.retention import EVENT_DAYS
from mailer.feedback.signatures import LONGEST_SECONDS, SIGNATURE, TIMESTAMP, inbound_secret, is_signed, usable_key
from mailer.message import optout_address
from tests.feedbacks import Feedback

PAYLOAD = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
OFFICIAL_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eN"
    "Ec6wEA3F+g=="
)
OFFICIAL_SIGNATURE = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
OFFICIAL_TIME = "1600112502"
SAMPLES = Path(find_spec("sendgrid").origin).parent / "helpers" / "inbound" / "sample_data"


class SendGrid:
    """SendGrid's signing half."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        spki = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public = base64.b64encode(spki).decode()

    def headers(self, body: bytes, timestamp: str = "") -> dict[str, str]:
        timestamp = timestamp or str(int(time.time()))
        seal = self._key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {SIGNATURE: base64.b64encode(seal).decode(), TIMESTAMP: timestamp}


OLD, NEW, STRANGER = SendGrid(), SendGrid(), SendGrid()


@pytest.fixture
def settings(settings):
    return settings.replace(sendgrid_webhook_keys=(OLD.public, NEW.public))


@pytest.fixture
def feedback(committed, keys):
    return Feedback(committed, keys)


@pytest.fixture
def bearer(keys):
    return {"Authorization": f"Bearer {inbound_secret(keys)}"}


def post(client, events, by=OLD):
    body = events if isinstance(events, bytes) else json.dumps(events).encode()
    return client.post("/hooks/sendgrid", data=body, headers=by.headers(body), content_type="application/json")


def stored(committed):
    with committed() as session:
        return session.execute(text("SELECT source, body, raw FROM provider_events ORDER BY id")).all()


# -- signatures -------------------------------------------------------------------------------------------------


def test_the_official_example_verifies_and_without_its_line_end_it_does_not():
    """Check 84: timestamp and body, byte for byte."""
    assert is_signed(PAYLOAD, OFFICIAL_SIGNATURE, OFFICIAL_TIME, [OFFICIAL_KEY])
    assert not is_signed(PAYLOAD.rstrip(), OFFICIAL_SIGNATURE, OFFICIAL_TIME, [OFFICIAL_KEY])
    assert not is_signed(PAYLOAD, OFFICIAL_SIGNATURE, "1600112503", [OFFICIAL_KEY])


def test_either_of_two_keys_verifies_and_no_other(client, committed):
    """Check 87: one key is replaced by the next without losing an event."""
    assert [post(client, [{"event": "x"}], by).status_code for by in (OLD, NEW, STRANGER)] == [204, 204, 403]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {SIGNATURE: "####", TIMESTAMP: "1"},
        {SIGNATURE: "AAAA"},
        {TIMESTAMP: "1790000000"},
        {SIGNATURE: "\xe9", TIMESTAMP: "\xe9"},
        {SIGNATURE: base64.b64encode(b"not der").decode(), TIMESTAMP: "x"},
    ],
)
@pytest.mark.parametrize("body", [b"[]", b"\xff\xfe\x00", b""])
def test_whatever_is_missing_or_malformed_is_refused_and_never_breaks(client, committed, headers, body):
    """Check 85."""
    assert client.post("/hooks/sendgrid", data=body, headers=headers).status_code == 403
    assert stored(committed) == []


@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=50), st.text(max_size=100), st.text(max_size=20), st.text(max_size=60))
def test_no_header_and_no_key_makes_verifying_fail_aloud(body, signature, timestamp, key):
    """Check 85."""
    assert not is_signed(body, signature, timestamp, [key, OFFICIAL_KEY])
    assert usable_key(OFFICIAL_KEY)


def test_with_no_key_set_nothing_is_accepted(committed, settings):
    app = wsgi.create_app(settings.replace(database_url=committed.url, sendgrid_webhook_keys=()))
    assert post(app.test_client(), [{"event": "x"}]).status_code == 403
    app.extensions["askfirst"].engine.dispose()


def test_an_old_signature_is_accepted_because_retries_go_on_for_a_day(client, committed):
    """Check 86: the unique key is the defence; the age is an alarm."""
    body = b'[{"event": "delivered", "sg_event_id": "a"}]'
    old = OLD.headers(body, str(int(time.time()) - 5 * 86400))
    assert [client.post("/hooks/sendgrid", data=body, headers=old).status_code for _ in (1, 2)] == [204, 204]
    assert len(stored(committed)) == 1


def test_a_signature_from_before_our_memory_is_refused(client, committed):
    """Check 86: events are known by their keys for 90 days; told again after that, an old no would count anew."""
    assert LONGEST_SECONDS < 86400 * EVENT_DAYS
    body = b'[{"event": "unsubscribe", "sg_event_id": "a"}]'
    old = OLD.headers(body, str(int(time.time() - LONGEST_SECONDS) - 60))
    assert client.post("/hooks/sendgrid", data=body, headers=old).status_code == 403
    assert stored(committed) == []


# -- batches ----------------------------------------------------------------------------------------------------


def test_one_bad_element_does_not_drop_the_batch(client, committed):
    """Check 88: unknown types and fields are kept as they are."""
    events = [{"event": "delivered"}, 7, None, "x", ["y"], {"event": "brand_new", "nul": "\x00", "half": "\ud83d"}]
    assert post(client, events).status_code == 204
    assert sorted(row.body["event"] for row in stored(committed)) == ["brand_new", "delivered"]


def test_a_batch_of_every_type_there_is_and_one_that_is_new_is_read_whole(client, committed, feedback):
    """Check 88: the types of SendGrid's documentation, mixed, many to a request."""
    feedback.mailed()
    types = ["processed", "deferred", "delivered", "open", "click", "bounce", "dropped", "spamreport", "unsubscribe"]
    types += ["group_unsubscribe", "group_resubscribe", "account_status_change"]
    assert post(client, [feedback.event(word) for word in types]).status_code == 204
    feedback.apply()
    assert len(feedback.outcomes()) == len(types)
    assert None not in feedback.outcomes()
    assert feedback.standing() == {"offer": False, "festive": False}


@pytest.mark.parametrize("body", [b"{}", b"null", b"[", b"", b"\xff", b"[" * 100_000])
def test_what_is_no_array_is_refused(client, committed, body):
    assert post(client, body).status_code == 400
    assert stored(committed) == []


ODD = [b'[{"event": NaN, "n": 1e999}]', b'[{"sg_event_id": 7}]', b'[{"a\\u0000b": "\\\\u0000"}]']


@pytest.mark.parametrize("body", ODD)
def test_odd_values_are_stored_all_the_same(client, committed, body):
    assert post(client, body).status_code == 204
    assert len(stored(committed)) == 1


def test_a_batch_that_is_too_large_is_refused(client, committed):
    assert post(client, b"[" + b" " * 1_000_001 + b"]").status_code == 413


def test_the_same_event_is_stored_once_and_applied_once(client, committed, feedback):
    """Check 90."""
    feedback.mailed()
    events = [feedback.event("spamreport"), feedback.event("delivered")]
    for _ in range(5):
        assert post(client, events).status_code == 204
    feedback.apply()
    assert len(stored(committed)) == 2
    assert feedback.standing() == {"offer": False, "festive": False}


def test_without_the_database_the_answer_is_503_and_a_later_retry_counts_once(cold, client, committed, feedback):
    """Check 89: 2xx only once it is stored."""
    feedback.mailed()
    events = [feedback.event("delivered")]
    assert post(cold, events).status_code == 503
    assert post(client, events).status_code == 204
    feedback.apply()
    assert feedback.row().delivered_at is not None


@pytest.mark.parametrize("door", ["/hooks/sendgrid", "/hooks/inbound"])
def test_a_door_sets_no_cookie_and_answers_no_other_method(client, door):
    assert client.get(door).status_code == 405
    assert "Set-Cookie" not in client.post(door).headers


# -- mail in ----------------------------------------------------------------------------------------------------


def test_mail_without_the_secret_is_refused(client, committed, bearer):
    """Check 96."""
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer"}, {"Authorization": "Basic ####"}):
        assert client.post("/hooks/inbound", data=b"From: a@example.com\n\nHi", headers=headers).status_code == 403
    assert stored(committed) == []


@pytest.mark.parametrize("said", ["Basic \xff", "Basic !!!!", "Basic", "Bearer \xff", "\xff"])
def test_no_way_to_sign_in_breaks_the_door(client, committed, said):
    """Check 85: whatever is malformed is refused; a stranger makes no 500."""
    answer = client.post("/hooks/inbound", data=b"From: a@example.com", headers={"Authorization": said})
    assert answer.status_code == 403


@pytest.mark.parametrize("how", ["bearer", "password", "signature"])
def test_any_mail_server_can_hand_in_raw_mail(client, committed, keys, bearer, how):
    """Check 96: a bearer token, a password where only that can be set, or SendGrid's signature."""
    raw = b"From: a@example.com\n\nHi"
    basic = base64.b64encode(f"x:{inbound_secret(keys)}".encode()).decode()
    ways = {"bearer": bearer, "password": {"Authorization": f"Basic {basic}"}, "signature": NEW.headers(raw)}
    headers = ways[how] | {"X-Envelope-To": "care@example.com"}
    answer = client.post("/hooks/inbound", data=raw, headers=headers, content_type="message/rfc822")
    assert answer.status_code == 204
    assert [(row.source, row.body, bytes(row.raw)) for row in stored(committed)] == [
        ("mail", {"sent_to": "care@example.com"}, raw)
    ]


def test_a_bounce_is_applied_by_its_envelope(client, feedback, bearer):
    """Check 38: the mail server tells to whom it came; the headers needn't."""
    feedback.mailed()
    raw = feedback.dsn(to="x@example.com")
    headers = bearer | {"X-Envelope-To": feedback.verp()}
    assert client.post("/hooks/inbound", data=raw, headers=headers, content_type="message/rfc822").status_code == 204
    feedback.apply()
    assert feedback.suppressions() == {("all", "hard_bounce")}


def test_the_opt_out_by_mail_works_from_door_to_ledger(client, feedback, bearer):
    """Checks 17 and 97."""
    feedback.mailed()
    raw = f"From: x@example.net\nTo: {optout_address(feedback.delivery, 'mail.example.com')}\n\n".encode()
    client.post("/hooks/inbound", data=raw, headers=bearer, content_type="message/rfc822")
    feedback.apply()
    assert feedback.standing() == {"offer": False, "festive": True}


def test_an_empty_mail_is_refused(client, bearer):
    assert client.post("/hooks/inbound", data=b"", headers=bearer).status_code == 400


def form_of(sample: str) -> tuple[bytes, str]:
    """A sample form of the sendgrid package: its content type is its first boundary."""
    raw = (SAMPLES / sample).read_bytes().lstrip()
    boundary = next(line for line in raw.splitlines() if line.startswith(b"--"))[2:].strip().decode()
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), f"multipart/form-data; boundary={boundary}"


@pytest.mark.parametrize("sample", sorted(file.name for file in SAMPLES.iterdir() if file.stat().st_size))
def test_every_sample_form_of_inbound_parse_becomes_a_mail_again(client, committed, feedback, bearer, sample):
    """Check 95: fields, attachments, and the raw mail."""
    body, content_type = form_of(sample)
    assert client.post("/hooks/inbound", data=body, headers=bearer, content_type=content_type).status_code == 204
    feedback.apply()
    with committed() as session:
        kept = session.execute(text("SELECT * FROM kept_mails")).one()
    assert kept.kind == "letter"
    assert "@" in kept.sender
    assert kept.subject
    assert kept.text


def test_each_field_is_read_in_the_charset_that_the_form_names(client, committed, feedback, bearer):
    """Check 95."""
    fields = {
        "headers": b"From: Asha <asha@example.com>\nTo: care@example.com\nSubject: Hi\nContent-Type: text/plain",
        "text": "Größe für Füße".encode("iso-8859-1"),
        "charsets": json.dumps({"text": "iso-8859-1", "to": "x-none"}).encode(),
        "envelope": b'{"to": ["care@example.com"], "from": "asha@example.com"}',
    }
    parts = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in fields.items()
    )
    body, content_type = parts + b"--b--\r\n", "multipart/form-data; boundary=b"
    assert client.post("/hooks/inbound", data=body, headers=bearer, content_type=content_type).status_code == 204
    assert stored(committed)[0].body == {"sent_to": "care@example.com"}
    feedback.apply()
    with committed() as session:
        assert session.scalar(text("SELECT text FROM kept_mails")) == "Größe für Füße"
