"""Mail that comes back, told apart: real samples, hand-made ones, broken ones. Checks 24, 44, 45, 47, 48 and 57."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.bounces.complaints import TYPES, Meaning
from mailer.bounces.sorting import Kind, sort
from mailer.message import delivery_of, delivery_to_stop, optout_address, return_path
from tests.unit import bounce_labels
from tests.unit.bounce_mails import DELIVERY, VERP, block, complaint, letter, report, suppresses


@pytest.mark.parametrize("aside", [False, True], ids=["seen", "set aside"])
def test_real_bounces_suppress_those_who_are_gone_and_hardly_anybody_else(aside):
    """Check 45 and finding C: at most 3 % of the soft ones suppressed, at least 90 % of the hard ones found."""
    told = Counter((label, suppresses(sort(raw))) for _, label, raw in bounce_labels.samples(aside=aside))
    spared = ("soft", "unclear", "robot", "letter", "complaint")
    wrongly, soft = sum(told[label, True] for label in spared), sum(told[label, False] for label in spared)
    assert wrongly <= 0.03 * (wrongly + soft)
    assert told["hard", True] >= 0.9 * (told["hard", True] + told["hard", False])


def test_every_real_robot_and_complaint_is_called_what_it_is():
    """Checks 24 and 47: no vacation notice is counted, and a complaint is never taken for a bounce."""
    wanted = {"robot": Kind.AUTOMATIC, "letter": Kind.LETTER, "complaint": Kind.COMPLAINT}
    for aside in (False, True):
        for name, label, raw in bounce_labels.samples(aside=aside):
            if label in wanted:
                assert sort(raw).kind is wanted[label], name


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_only_a_failure_can_suppress(action):
    """Check 44: each action of RFC 3464 2.3.3, even beside words of doom."""
    mail = sort(report("Reporting-MTA: dns; mx\n\n" + block(action, "5.1.1", "550 5.1.1 User unknown")))
    assert (mail.kind, [finding.action for finding in mail.findings]) == (Kind.BOUNCE, [action])
    assert not suppresses(mail)


def test_what_a_server_said_is_found_between_rules_and_in_mails_of_old_macs():
    """Gateways put the server's words under a rule of dashes, as others put the returned message."""
    said = (
        "Not delivered.\n\n-------server message\n550 unknown user\n\n-------original message\nSubject: full mailbox\n"
    )
    raw = f"From: postmaster@mx.example.com\nTo: {VERP}\nSubject: failure notice\n\n{said}".encode()
    assert suppresses(sort(raw))
    assert suppresses(sort(raw.replace(b"\n", b"\r")))


def test_the_headers_of_the_message_may_be_told_before_the_reason():
    """Some gateways list, indented, what the message was; only then they say why it came back."""
    told = "This is about a message of yours:\n\n  Message-id: <1@example.com>\n\nReason: 550 5.1.1 unknown user\n"
    raw = f"From: postmaster@mx.example.com\nTo: {VERP}\nSubject: Delivery has failed\n\n{told}".encode()
    assert suppresses(sort(raw))
    assert not suppresses(sort(raw.replace(b"  Message-id", b"Message-id")))


def test_a_report_that_has_lost_its_boundary_is_read_as_the_words_it_holds():
    """Check 48."""
    raw = (
        f"From: MAILER-DAEMON@mx.example.com\nTo: <{VERP}>\nSubject: Delivery has failed\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="lost"\n\nDiagnostic-code: smtp; {}\n'
    )
    assert suppresses(sort(raw.format("550 5.1.1 User unknown").encode()))
    assert [one.cause.name for one in sort(raw.format("552 5.2.2 Over quota").encode()).findings] == ["mailbox_full"]


@pytest.mark.parametrize(("when", "gone"), [("RCPT TO command", True), ("end\n    of DATA command", False)])
def test_when_the_server_refused_is_read_from_the_words_for_people(when, gone):
    """RFC 5321 4.3.2: who was taken as a recipient is there; then it was the message that was refused."""
    words = f"<asha@example.com>: host mx.example.net said: 550 User unknown (in reply to {when})"
    assert suppresses(sort(report(block("failed", "5.0.0", "550 User unknown"), words))) is gone


def test_a_bounce_that_names_itself_in_japanese_is_one():
    subject = "=?utf-8?B?44Oh44O844Or44Ko44Op44O86YCa55+l?="
    words = "Your mail could not be delivered to: <asha@example.com>\nAs their mailbox is full.\n"
    raw = f"From: no-reply@mx.example.com\nTo: {VERP}\nSubject: {subject}\n\n{words}".encode()
    assert [one.cause.name for one in sort(raw).findings] == ["mailbox_full"]


def test_every_recipient_block_of_every_report_is_read():
    """Check 44."""
    blocks = f"Reporting-MTA: dns; mx\n\n{block('failed', '5.1.1')}\n{block('delayed', '4.4.1', who='b@example.com')}"
    found = sort(report(blocks)).findings
    assert [(one.action, one.status, one.recipients) for one in found] == [
        ("failed", "5.1.1", ("asha@example.com",)),
        ("delayed", "4.4.1", ("b@example.com",)),
    ]


def test_a_report_that_hides_the_address_still_names_the_delivery():
    """Check 38."""
    mail = sort(report("Reporting-MTA: dns; mx\n\nAction: failed\nStatus: 5.1.1\n"))
    assert (suppresses(mail), mail.names.bounced) == (True, (DELIVERY,))


def test_the_envelope_tells_whom_a_bounce_is_about_when_headers_do_not():
    """Check 38: any mail server knows to whom it delivers."""
    raw = report(block("failed", "5.1.1")).replace(VERP.encode(), b"somebody@example.com")
    assert sort(raw).names.bounced == ()
    assert sort(raw, VERP.upper()).names.bounced == (DELIVERY,)


def test_addresses_to_bounce_and_to_opt_out_are_never_taken_for_each_other():
    stop = optout_address(DELIVERY, "mail.example.com")
    assert (delivery_of(VERP), delivery_to_stop(VERP)) == (DELIVERY, None)
    assert (delivery_of(stop), delivery_to_stop(stop)) == (None, DELIVERY)


# -- complaints ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*TYPES, "ABUSE", "brand-new"])
def test_every_type_of_complaint_report_means_what_its_rfc_says(kind):
    """Check 47: RFC 5965 3.1, RFC 6591, RFC 6430."""
    mail = sort(complaint(kind))
    wanted = TYPES.get(kind.lower(), Meaning.UNCLEAR)
    assert (mail.kind, [one.meaning for one in mail.complaints]) == (Kind.COMPLAINT, [wanted])


def test_a_complaint_whose_address_is_blacked_out_is_known_by_what_the_message_carried():
    """Check 47, RFC 6590."""
    assert sort(complaint("abuse", "xxxxx@example.com")).complaints[0].names.bounced == (DELIVERY,)


def test_outlooks_junk_mail_report_is_a_complaint_without_a_report():
    """Check 47: its mark stands in the message that it attaches."""
    raw = (
        "From: staff@example.net\nSubject: complaint about message from 192.0.2.1\nMIME-Version: 1.0\n"
        'Content-Type: multipart/mixed; boundary="j"\n\n--j\nContent-Type: message/rfc822\n\n'
        f"{{}}Return-Path: <{VERP}>\nSubject: Offers\n\nHello\n--j--\n"
    )
    mail = sort(raw.format("X-HmXmrOriginalRecipient: asha@example.com\n").encode())
    assert [(one.type, one.meaning, one.names.bounced) for one in mail.complaints] == [
        ("abuse", Meaning.COMPLAINT, (DELIVERY,))
    ]
    assert sort(raw.format("").encode()).kind is Kind.LETTER


def test_several_reports_in_one_mail_are_each_read():
    """Check 47."""
    one = "Feedback-Type: {}\nOriginal-Mail-From: {}\n"
    other = return_path(UUID(int=7), "mail.example.com")
    parts = "".join(
        f"--x\nContent-Type: message/feedback-report\n\n{one.format(kind, path)}\n"
        for kind, path in (("abuse", VERP), ("not-spam", other))
    )
    raw = f'From: fbl@example.net\nContent-Type: multipart/mixed; boundary="x"\n\n{parts}--x--\n'.encode()
    found = sort(raw).complaints
    assert [(found_one.meaning, found_one.names.bounced) for found_one in found] == [
        (Meaning.COMPLAINT, (DELIVERY,)),
        (Meaning.HARMLESS, (UUID(int=7),)),
    ]


# -- broken mail -----------------------------------------------------------------------------------------------

BROKEN = {
    "no boundary": report(block("failed", "5.1.1")).replace(b'; boundary="b0"', b""),
    "boundary never closes": report(block("failed", "5.1.1")).replace(b"--b0--", b""),
    "unknown charset": letter("Content-Type: text/plain; charset=x-nobody-knows\n", "h\u00e9llo"),
    "8-bit headers": "From: Asha <asha@example.com>\nSubject: नमस्ते \udce4\n\nHi".encode("utf-8", "surrogateescape"),
    "bad encoded word": letter(subject="=?utf-8?b?####?= =?x-none?q?a?="),
    "nested": b"From: a@example.com\nContent-Type: message/rfc822\n\n" * 400 + b"end",
    "nested parts": b"".join(
        b'From: a@example.com\nContent-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(300)
    ),
    "NUL": letter(body="a\x00b", subject="a\x00b"),
    "no headers": b"\n\n\n",
    "nothing": b"",
    "bad base64": letter("Content-Transfer-Encoding: base64\n", "!!!=notbase64"),
    "status of letters": report("Final-Recipient: rfc822\nAction:\nStatus: x.y.z\n"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_mail_neither_crashes_nor_suppresses(name):
    """Check 48. A report that can still be read may be a bounce; it is never called a complaint or an opt-out."""
    mail = sort(BROKEN[name])
    assert mail.kind not in (Kind.COMPLAINT, Kind.OPT_OUT)
    assert name in ("no boundary", "boundary never closes") or not suppresses(mail)


def test_a_report_with_lines_ended_by_cr_alone_is_read():
    """Check 48."""
    assert suppresses(sort(report(block("failed", "5.1.1")).replace(b"\n", b"\r")))


def test_ten_megabytes_of_nonsense_take_seconds_at_most():
    """Check 48."""
    began = time.monotonic()
    for filler in (b"a" * 10_000_000, b"<p>" * 3_300_000, b"x: y\n" * 2_000_000, b"user " * 2_000_000):
        assert not suppresses(sort(b"From: MAILER-DAEMON@example.com\nSubject: failure notice\n\n" + filler))
    assert time.monotonic() - began < 20


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=3000))
def test_no_bytes_crash_it_and_none_become_a_complaint_or_an_opt_out(raw):
    """Check 48."""
    mail = sort(raw)
    assert mail.kind not in (Kind.COMPLAINT, Kind.OPT_OUT)
    assert not suppresses(mail)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutilated_reports_never_crash_and_never_name_somebody_else(data):
    """Check 48: bytes of real reports cut out, doubled and overwritten."""
    raw = bytearray(data.draw(st.sampled_from([report(block("failed", "5.1.1")), complaint("abuse"), *SEEDS])))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        length = data.draw(st.integers(0, 60))
        raw[at : at + length] = data.draw(st.binary(max_size=20)) * data.draw(st.integers(0, 3))
        raw = raw or bytearray(b"x")
    mail = sort(bytes(raw))
    assert set(mail.names.bounced) <= {DELIVERY} or VERP.encode() not in bytes(raw)
    assert "\x00" not in mail.subject + mail.text + mail.sender


SEEDS = [raw for _, _, raw in bounce_labels.samples(aside=False)][::9]


def test_the_samples_are_all_labelled_and_halved():
    files = list(Path(bounce_labels.FOLDER).rglob("*.eml"))
    assert {file.stem for file in files} == set(bounce_labels.LABELS)
    assert 0.4 < sum(map(bounce_labels.is_aside, files)) / len(files) < 0.6
