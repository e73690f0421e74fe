"""Hand-over by SMTP, stage by stage, against real servers (checks 32, 33, 37 to 40, ASVS 1.3.11)."""

from __future__ import annotations

import contextlib
import time

import pytest

from mailer.providers.base import Outcome
from mailer.providers.smtp import SmtpProvider
from mailer.providers.smtp_target import Target
from mailer.providers.smtp_words import NEEDS_SMTPUTF8, UNSENDABLE
from tests.integration.envelopes import CONTENT, Open, envelope
from tests.integration.smtp_double import Mailbox, accepting, certificate, listening, reset, scripted

LONG, SHORT = 60.0, 1.0
"""D: short only where its end is waited for; elsewhere a busy machine has all the time it needs."""
HELLO = [b"220 hello\r\n", b"250-double\r\n250 8BITMIME\r\n"]


@pytest.fixture
def mailbox():
    return Mailbox()


@pytest.fixture
def plain(mailbox):
    with listening(mailbox) as port:
        provider = SmtpProvider(f"smtp+plain://127.0.0.1:{port}", seconds=LONG, connections=1)
        yield provider
        provider.close()


def outcomes(provider, *recipients):
    return [r.outcome for r in provider.hand_over([envelope(who) for who in recipients], Open())]


def one(provider, **changes):
    (receipt,) = provider.hand_over([envelope(**changes)], Open())
    return receipt


def against(*conversations, seconds=LONG, count=1):
    """Outcomes of a hand-over to a scripted server, and the lines it heard."""
    with scripted(*conversations) as (port, heard):
        provider = SmtpProvider(f"smtp+plain://127.0.0.1:{port}", seconds=seconds, connections=1)
        receipts = list(provider.hand_over([envelope() for _ in range(count)], Open()))
        provider.close()
        return receipts, heard


# -- what goes over the wire ---------------------------------------------------------------------------


def test_the_content_arrives_byte_for_byte_dots_and_all(plain, mailbox):
    content = b"Subject: x\r\n\r\n.\r\n..\r\n.hidden\r\nend"
    assert one(plain, content=content).outcome is Outcome.TAKEN
    assert mailbox.taken == [("priya@example.com", "b-abc@mail.anaar.example", content + b"\r\n")]


def test_each_message_goes_to_one_recipient_with_its_own_return_path(plain, mailbox):
    """Checks 37 and 38."""
    both = [
        envelope("a@example.com", return_path="b-1@x.example"),
        envelope("b@example.com", return_path="b-2@x.example"),
    ]
    list(plain.hand_over(both, Open()))
    assert [(to, path) for to, path, _ in mailbox.taken] == [
        ("a@example.com", "b-1@x.example"),
        ("b@example.com", "b-2@x.example"),
    ]


def test_one_connection_carries_many_messages_and_many_hand_overs(plain, mailbox):
    for _ in range(3):
        assert outcomes(plain, "a@example.com", "b@example.com", "c@example.com") == [Outcome.TAKEN] * 3
    assert len(mailbox.sessions) == 1


def test_the_servers_own_name_for_the_message_is_kept(plain):
    assert one(plain).provider_message_id == "4F1A2B3C"


def test_a_domain_in_another_script_is_said_in_a_labels(plain, mailbox):
    """Check 32."""
    assert one(plain, recipient="priya@उदाहरण.भारत").outcome is Outcome.TAKEN
    assert ("RCPT", "priya@xn--p1b6ci4b4b3a.xn--h2brj9c", ()) in mailbox.conversation


def test_a_mailbox_name_in_another_script_goes_where_smtputf8_is_offered(plain, mailbox):
    """Check 33: with BODY=8BITMIME, and only for this message."""
    assert outcomes(plain, "प्रिया@example.com", "priya@example.com") == [Outcome.TAKEN] * 2
    assert [to for to, _, _ in mailbox.taken] == ["प्रिया@example.com", "priya@example.com"]
    assert [options for word, _, options in mailbox.conversation if word == "MAIL"] == [
        ("SMTPUTF8", "BODY=8BITMIME"),
        (),
    ]


def test_without_smtputf8_such_a_mailbox_is_refused_by_us_and_nothing_is_said(mailbox):
    """Check 33: a failure for good, in words, which can't be taken for a bounce."""
    with listening(mailbox, smtputf8=False) as port:
        provider = SmtpProvider(f"smtp+plain://127.0.0.1:{port}")
        first, second = provider.hand_over([envelope("प्रिया@example.com"), envelope()], Open())
        provider.close()
    assert (first.outcome, first.code) == (Outcome.REFUSED, NEEDS_SMTPUTF8)
    assert second.outcome is Outcome.TAKEN
    assert [to for to, _, _ in mailbox.taken] == ["priya@example.com"]


@pytest.mark.parametrize(
    "changes",
    [
        {"recipient": "a@example.com>\r\nRCPT TO:<b@example.com"},
        {"recipient": "a@example.com> NOTIFY=NEVER"},
        {"recipient": "a b@example.com"},
        {"return_path": "b-1@x.example\r\nRSET"},
        {"return_path": ""},
        {"content": b"Subject: x\n\nbare line feeds\n.\nMAIL FROM:<x@example.com>\n"},
        {"content": b"Subject: x\r\n\r\nbare return\r.\r\n"},
    ],
)
def test_what_would_break_the_conversation_is_never_said(plain, mailbox, changes):
    """ASVS 1.3.11: neither address nor content can hold a second command or a second message."""
    receipt = one(plain, **changes)
    assert (receipt.outcome, receipt.code) == (Outcome.REFUSED, UNSENDABLE)
    assert mailbox.taken == []
    assert outcomes(plain, "priya@example.com") == [Outcome.TAKEN]


# -- the outcome table, by stage (check 39) -----------------------------------------------------------


@pytest.mark.parametrize(
    "stage, answer, outcome",
    [
        ("RCPT", "450 4.2.1 mailbox busy", Outcome.NOT_TAKEN),
        ("RCPT", "550 5.1.1 no such user", Outcome.REFUSED),
        ("RCPT", "552 5.2.2 mailbox full", Outcome.REFUSED),
        ("RCPT", "530 5.7.0 authentication required", Outcome.MISCONFIGURED),
        ("RCPT", "554 5.7.1 <priya@example.com>: Relay access denied", Outcome.MISCONFIGURED),
        ("RCPT", "550 5.1.1 <priya@example.com>: User unknown in relay recipient table", Outcome.REFUSED),
        ("RCPT", "550 5.1.8 <hello@x.example>: Sender address rejected: Domain not found", Outcome.MISCONFIGURED),
        ("RCPT", "553 5.7.1 <hello@x.example>: Sender address rejected: not owned by user", Outcome.MISCONFIGURED),
        ("RCPT", "554 5.7.1 <unknown[192.0.2.7]>: Client host rejected: Access denied", Outcome.MISCONFIGURED),
        ("RCPT", "550 5.7.1 we take no mail from shops", Outcome.REFUSED),
        ("RCPT", "reset", Outcome.NOT_TAKEN),
        ("RCPT", "421 4.7.0 too many", Outcome.NOT_TAKEN),
        ("DATA", "451 4.3.0 not now", Outcome.NOT_TAKEN),
        ("DATA", "554 5.5.1 no valid recipients", Outcome.REFUSED),
        ("DATA", "250 what?", Outcome.NOT_TAKEN),
        ("DOT", "250 2.0.0 fine", Outcome.TAKEN),
        ("DOT", "451 4.7.1 greylisted", Outcome.NOT_TAKEN),
        ("DOT", "421 4.3.2 shutting down", Outcome.NOT_TAKEN),
        ("DOT", "554 5.7.1 looks like spam", Outcome.REFUSED),
        ("DOT", "550 5.7.515 access denied, the sender is not authenticated", Outcome.MISCONFIGURED),
        ("DOT", "550 5.7.27 SPF did not pass", Outcome.MISCONFIGURED),
        ("DOT", "354 go on?", Outcome.IN_DOUBT),
        ("DOT", "reset", Outcome.IN_DOUBT),
        ("DOT", "take and reset", Outcome.IN_DOUBT),
    ],
)
def test_a_reply_means_what_its_stage_makes_it(plain, mailbox, stage, answer, outcome):
    mailbox.tell(stage, "odd@example.com", answer)
    assert outcomes(plain, "odd@example.com") == [outcome]
    assert outcomes(plain, "priya@example.com") == [Outcome.TAKEN]


@pytest.mark.parametrize(
    "answer, outcome",
    [
        ("451 4.3.0 not now", Outcome.NOT_TAKEN),
        ("530 5.7.0 sign in first", Outcome.MISCONFIGURED),
        ("550 5.7.1 this sender is not allowed", Outcome.MISCONFIGURED),
        ("553 5.1.8 sender's domain does not exist", Outcome.MISCONFIGURED),
    ],
)
def test_a_refusal_of_the_sender_is_our_fault_not_the_persons(plain, mailbox, answer, outcome):
    mailbox.tell("MAIL", "*", answer)
    receipt = one(plain)
    assert receipt.outcome is outcome
    assert receipt.code == answer[:9]
    assert receipt.detail.startswith("MAIL: ")


@pytest.mark.parametrize(
    "conversation, outcome",
    [
        ([b"421 4.3.2 too busy\r\n"], Outcome.NOT_TAKEN),
        ([b"554 5.7.1 your network is listed\r\n"], Outcome.MISCONFIGURED),
        ([None], Outcome.NOT_TAKEN),
        ([b"what?\r\n"], Outcome.NOT_TAKEN),
        ([b"220 hello\r\n", b"502 no\r\n"], Outcome.MISCONFIGURED),
        ([b"220 hello\r\n", None], Outcome.NOT_TAKEN),
        ([*HELLO, None], Outcome.NOT_TAKEN),
        ([*HELLO, b"250 ok\r\n", None], Outcome.NOT_TAKEN),
        ([*HELLO, b"250 ok\r\n", b"251 will forward\r\n", b"354 go\r\n", b"250 ok\r\n", b"221 bye\r\n"], Outcome.TAKEN),
        ([*HELLO, b"250 ok\r\n", b"250 ok\r\n", None], Outcome.NOT_TAKEN),
        ([*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", None], Outcome.IN_DOUBT),
        ([*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"2"], Outcome.IN_DOUBT),
        ([*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"\xff\xfe??\r\n"], Outcome.IN_DOUBT),
        ([*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250-half a reply\r\n"], Outcome.IN_DOUBT),
        ([*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"x" * 20000], Outcome.IN_DOUBT),
    ],
)
def test_silence_and_nonsense_are_in_doubt_only_after_the_final_dot(conversation, outcome):
    (receipt,), _ = against(conversation, seconds=SHORT)
    assert receipt.outcome is outcome


def test_no_word_after_the_dot_is_in_doubt_and_the_next_hand_over_goes_on(mailbox):
    mailbox.tell("DOT", "odd@example.com", "hang")
    with listening(mailbox) as port:
        provider = SmtpProvider(f"smtp+plain://127.0.0.1:{port}", seconds=SHORT, connections=1)
        assert outcomes(provider, "odd@example.com") == [Outcome.IN_DOUBT]
        assert outcomes(provider, "priya@example.com") == [Outcome.TAKEN]
        provider.close()


def test_a_server_that_resets_while_the_content_is_written_took_nothing():
    def slam(link):
        link.sendall(b"354 go\r\n")
        link.recv(10)
        reset(link)

    with scripted([*HELLO, b"250 ok\r\n", b"250 ok\r\n", slam]) as (port, _):
        provider = SmtpProvider(f"smtp+plain://127.0.0.1:{port}", seconds=LONG, connections=1)
        receipt = one(provider, content=b"Subject: x\r\n\r\n" + b"y" * 40_000_000 + b"\r\n")
    assert receipt.outcome is Outcome.NOT_TAKEN


def test_a_server_that_answers_one_letter_at_a_time_can_not_hold_the_locks():
    """D is one deadline for all, not a time-out that starts anew with every byte."""

    def drip(link):
        with contextlib.suppress(OSError):
            while True:
                link.sendall(b"2")
                time.sleep(0.05)

    started = time.monotonic()
    receipts, _ = against([*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", drip], seconds=SHORT, count=3)
    assert time.monotonic() - started < LONG / 2
    assert [r.outcome for r in receipts] == [Outcome.IN_DOUBT, Outcome.NOT_TAKEN, Outcome.NOT_TAKEN]


def test_nobody_home_is_said_once_for_the_whole_batch_and_quickly():
    with scripted() as (port, _):
        pass
    provider = SmtpProvider(f"smtp+plain://127.0.0.1:{port}", seconds=LONG)
    window = Open()
    started = time.monotonic()
    receipts = list(provider.hand_over([envelope() for _ in range(64)], window))
    assert {r.outcome for r in receipts} == {Outcome.NOT_TAKEN}
    assert all(r.detail.startswith("CONNECT: ") for r in receipts)
    assert time.monotonic() - started < LONG / 2
    assert window.asked == 0


def test_a_host_without_a_name_is_not_taken():
    receipt = one(SmtpProvider("smtps://no-such-host.invalid", seconds=3))
    assert receipt.outcome is Outcome.NOT_TAKEN


# -- keeping the connection ----------------------------------------------------------------------------


def test_an_idle_connection_that_the_server_closed_is_renewed_without_loss():
    taking = [*HELLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 ok\r\n"]
    with scripted([*taking, None], [*taking, b"221 bye\r\n"]) as (port, heard):
        provider = SmtpProvider(f"smtp+plain://127.0.0.1:{port}", seconds=LONG, connections=1)
        assert outcomes(provider, "a@example.com") == [Outcome.TAKEN]
        assert outcomes(provider, "b@example.com") == [Outcome.TAKEN]
        provider.close()
    assert sum(line == "DATA" for line in heard) == 2


def test_enough_messages_on_this_connection_is_no_reason_to_wait():
    """421 to MAIL: that message goes over a new connection, and the window is asked once more for it."""
    taking = [b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 ok\r\n"]
    with scripted([*HELLO, *taking, b"421 4.7.0 enough\r\n"], [*HELLO, *taking, *taking, b"221 bye\r\n"]) as (
        port,
        heard,
    ):
        provider = SmtpProvider(f"smtp+plain://127.0.0.1:{port}", seconds=LONG, connections=1)
        window = Open()
        receipts = list(provider.hand_over([envelope() for _ in range(3)], window))
        provider.close()
    assert [r.outcome for r in receipts] == [Outcome.TAKEN] * 3
    assert window.asked == 4
    assert sum(line.startswith("EHLO") for line in heard) == 2


def test_a_window_that_closes_during_a_reconnection_holds_the_message_back():
    taking = [b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 ok\r\n"]
    with scripted([*HELLO, *taking, b"421 4.7.0 enough\r\n"], [*HELLO, b"221 bye\r\n"]) as (port, heard):
        provider = SmtpProvider(f"smtp+plain://127.0.0.1:{port}", seconds=LONG, connections=1)
        receipts = list(provider.hand_over([envelope() for _ in range(3)], Open(times=2)))
        provider.close()
    assert [r.outcome for r in receipts] == [Outcome.TAKEN, Outcome.NOT_STARTED, Outcome.NOT_STARTED]
    assert sum(line == "DATA" for line in heard) == 1


# -- the way is protected (check 40) --------------------------------------------------------------------


def test_starttls_is_demanded_and_the_certificate_checked(mailbox, tmp_path):
    """Check 40: the ordinary case, with sign-in."""
    server, trusting = certificate(tmp_path)
    with listening(mailbox, tls=server, sign_in=accepting("anaar", "p@ss/word")) as port:
        provider = SmtpProvider(f"smtp://anaar:p%40ss%2Fword@localhost:{port}", context=trusting)
        assert outcomes(provider, "a@example.com", "b@example.com") == [Outcome.TAKEN] * 2
        provider.close()


def test_tls_from_the_start(mailbox, tmp_path):
    server, trusting = certificate(tmp_path)
    with listening(mailbox, tls=server, smtps=True) as port:
        provider = SmtpProvider(f"smtps://localhost:{port}", context=trusting)
        assert outcomes(provider, "a@example.com") == [Outcome.TAKEN]
        provider.close()


def test_a_server_without_starttls_gets_nothing():
    """Check 40: somebody in between may have cut the offer out. Neither sign-in nor message is said."""
    with scripted([*HELLO, b"221 bye\r\n"]) as (port, heard):
        provider = SmtpProvider(f"smtp://anaar:secret@127.0.0.1:{port}", seconds=LONG)
        receipt = one(provider)
    assert receipt.outcome is Outcome.MISCONFIGURED
    assert "STARTTLS" in receipt.detail
    assert [line.split()[0] for line in heard] == ["EHLO"]


@pytest.mark.parametrize("way", ["smtp", "smtps"])
@pytest.mark.parametrize("fault", ["unknown issuer", "another name"])
def test_a_certificate_that_proves_nothing_gets_nothing(mailbox, tmp_path, way, fault):
    """Check 40."""
    server, trusting = certificate(tmp_path, "other.example" if fault == "another name" else "localhost")
    with listening(mailbox, tls=server, smtps=way == "smtps") as port:
        context = trusting if fault == "another name" else None
        receipt = one(SmtpProvider(f"{way}://localhost:{port}", context=context, seconds=LONG))
    assert receipt.outcome is Outcome.NOT_TAKEN
    assert "certificate" in receipt.detail
    assert mailbox.conversation == []


def test_words_slipped_in_before_tls_end_the_conversation():
    """What came in clear text must not be taken for the protected server's answer (RFC 3207)."""
    offering = [b"220 hello\r\n", b"250-double\r\n250 STARTTLS\r\n", b"220 go\r\n250 forged\r\n"]
    with scripted(offering) as (port, _):
        receipt = one(SmtpProvider(f"smtp://127.0.0.1:{port}", seconds=LONG))
    assert receipt.outcome is Outcome.NOT_TAKEN
    assert "clear text" in receipt.detail


@pytest.mark.parametrize("password, outcome", [("wrong", Outcome.MISCONFIGURED), ("right", Outcome.TAKEN)])
def test_a_sign_in_that_fails_is_our_fault(mailbox, tmp_path, password, outcome):
    server, trusting = certificate(tmp_path)
    with listening(mailbox, tls=server, sign_in=accepting("anaar", "right")) as port:
        provider = SmtpProvider(f"smtp://anaar:{password}@localhost:{port}", context=trusting, seconds=LONG)
        receipt = one(provider)
        provider.close()
    assert receipt.outcome is outcome
    assert password not in receipt.detail


def test_a_sign_in_that_is_not_offered_is_our_fault(plain, mailbox):
    with listening(mailbox) as port:
        receipt = one(SmtpProvider(f"smtp+plain://anaar:secret@127.0.0.1:{port}", seconds=LONG))
    assert receipt.outcome is Outcome.MISCONFIGURED


@pytest.mark.parametrize(
    "url, says",
    [
        ("smtp+plain://mail.example.com:25", "only to this machine"),
        ("smtp+plain://192.0.2.1:25", "only to this machine"),
        ("http://mail.example.com", "must look like"),
        ("smtp://", "must look like"),
        ("mail.example.com:25", "must look like"),
        ("smtp://user:secret@mail.example.com:port", "can't be read"),
    ],
)
def test_an_smtp_url_that_can_not_be_used_says_what_to_write(url, says):
    with pytest.raises(ValueError, match=says) as caught:
        Target.from_url(url)
    assert "secret" not in str(caught.value)


def test_an_smtp_url_has_the_usual_ports_and_keeps_its_password_to_itself():
    assert Target.from_url("smtp://mail.example.com").port == 587
    assert Target.from_url("smtps://mail.example.com").port == 465
    assert Target.from_url("smtp+plain://[::1]:2525").host == "::1"
    assert "secret" not in repr(Target.from_url("smtp://u:secret@mail.example.com"))


def test_the_content_of_the_contract_has_every_kind_of_dot():
    assert b"\r\n.\r\n" in CONTENT
    assert b"\r\n..two" in CONTENT
