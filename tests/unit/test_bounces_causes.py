"""The table of causes: what servers say, as they mean it. Checks 45 and 57."""

from __future__ import annotations

import re

import pytest

from mailer.bounces.causes import CAUSES, Act, cause_of


def test_every_row_of_the_table_names_its_source():
    assert len({row.name for row in CAUSES}) == len(CAUSES)
    for row in CAUSES:
        assert re.search(r"RFC \d+|Gmail|SendGrid|not guessed", row.source), row.name


@pytest.mark.parametrize(
    ("said", "status", "act"),
    [
        # Gmail
        ("550-5.1.1 The email account that you tried to reach does not exist.", "5.1.1", Act.SUPPRESS),
        ("550-5.2.1 The email account that you tried to reach is disabled.", "5.2.1", Act.SUPPRESS),
        ("452-4.2.2 The email account that you tried to reach is over quota.", "4.2.2", Act.COUNT),
        ("550 5.2.1 The user you are trying to contact is receiving mail too quickly.", "5.2.1", Act.COUNT),
        ("550-5.7.25 The IP address sending this message does not have a PTR record", "5.7.25", Act.ALERT),
        ("550-5.7.26 Your email has been blocked because the sender is unauthenticated.", "5.7.26", Act.ALERT),
        ("550-5.7.27 SPF did not pass", "5.7.27", Act.ALERT),
        ("421-4.7.28 Gmail has detected an unusual rate of unsolicited mail", "4.7.28", Act.ALERT),
        ("550-5.7.29 This mail was not sent over a TLS connection", "5.7.29", Act.ALERT),
        ("550-5.7.1 likely unsolicited mail. To reduce the amount of spam", "5.7.1", Act.ALERT),
        ("552-5.2.3 Your message exceeded Google's message size limits.", "5.2.3", Act.ALERT),
        ("550 5.4.5 Daily user sending quota exceeded.", "5.4.5", Act.ALERT),
        # Outlook
        (
            "550 5.7.515 Access denied, sending domain example.com does not meet the required level",
            "5.7.515",
            Act.ALERT,
        ),
        (
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
            "5.1.10",
            Act.SUPPRESS,
        ),
        ("451 4.7.650 The mail server has been temporarily rate limited due to IP reputation", "4.7.650", Act.ALERT),
        # Exchange Online's directory-based edge blocking: the directory has no such recipient
        ("550 5.4.1 Recipient address rejected: Access denied.", "5.4.1", Act.SUPPRESS),
        ("550 [asha@example.com]: Recipient address rejected: Access denied [x.example.net]", "5.4.1", Act.SUPPRESS),
        ("550 Recipient address rejected: Access denied.", "", Act.COUNT),
        ("550 5.4.1 Recipient address rejected: not today", "5.4.1", Act.COUNT),
        ("554 5.4.14 Hop count exceeded - possible mail loop", "5.4.14", Act.COUNT),
        # Yahoo, Apple and others
        ("554 30 Sorry, your message to a@b.example cannot be delivered. This mailbox is disabled", "", Act.SUPPRESS),
        ("421 4.7.0 [TSS04] Messages temporarily deferred due to user complaints", "4.7.0", Act.ALERT),
        ("550 5.7.1 <a@b.example>: Recipient address rejected: User unknown", "5.7.1", Act.SUPPRESS),
        ("450 4.1.1 <a@b.example>: Recipient address rejected: unverified address", "4.1.1", Act.COUNT),
        ("450 4.2.0 Greylisted, try again later", "4.2.0", Act.COUNT),
        ("550 5.1.1 mailbox full", "5.1.1", Act.COUNT),
        ("550 5.1.8 Sender address rejected: Domain not found", "5.1.8", Act.ALERT),
        ("554 5.7.1 Service unavailable; Client host blocked using zen.spamhaus.org", "5.7.1", Act.ALERT),
        ("550 user account temporarily disabled", "", Act.COUNT),
        # other words for the same, and in other languages
        ("550 bad-recipient", "", Act.SUPPRESS),
        ("550 that recipient is not in my validrcptto list", "", Act.SUPPRESS),
        ("550 RESOLVER.ADR.RecipNotFound; not found", "", Act.SUPPRESS),
        ("550 the address couldn't be found", "", Act.SUPPRESS),
        ("550 mailbox is frozen", "", Act.SUPPRESS),
        ("550 this mailbox no longer accepts mail", "", Act.SUPPRESS),
        ("550 5.5.0 Requested action not taken: mailbox unavailable", "5.5.0", Act.SUPPRESS),
        ("smtp;550 Requested action not taken: mailbox unavailable", "5.5.0", Act.SUPPRESS),
        ("550 Requested action not taken: mailbox unavailable", "", Act.COUNT),
        ("556 5.1.10 domain does not accept mail (nullMX)", "5.1.10", Act.SUPPRESS),
        ("550 le destinataire est inconnu", "", Act.SUPPRESS),
        ("550 no existe ese buzón", "", Act.SUPPRESS),
        ("550 destinatário inexistente", "", Act.SUPPRESS),
        ("550 de ontvanger is onbekend", "", Act.SUPPRESS),
        ("550 宛先のアドレスが見つかりません", "", Act.SUPPRESS),
        ("550 收件人不存在", "", Act.SUPPRESS),
        ("552 5.1.1 boîte du destinataire pleine", "5.1.1", Act.COUNT),
        ("550 Destinatario desconocido o mailbox lleno", "", Act.COUNT),
        ("550 La cuenta fue cancelada", "", Act.SUPPRESS),
        ("550 Esta casilla ha expirado", "", Act.SUPPRESS),
        ("550 la cuenta está deshabilitada temporalmente", "", Act.COUNT),
        ("Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)", "5.4.4", Act.SUPPRESS),
        ("", "5.4.4", Act.COUNT),
        # the server had taken the recipient: RFC 3463 X.2.0, RFC 5321 4.3.2
        ("550 Unknown user asha@example.com", "5.2.0", Act.COUNT),
        ("550 User unknown (in reply to end of DATA command)", "", Act.COUNT),
        ("550 5.1.1 User unknown (in reply to end of DATA command)", "5.1.1", Act.SUPPRESS),
        ("554 This user doesn't have an example.com account (in reply to end of DATA command)", "", Act.SUPPRESS),
        ("550 User unknown (in reply to RCPT TO command)", "", Act.SUPPRESS),
        ("550 5.2.1 User unknown", "5.2.1", Act.SUPPRESS),
        ("550 host/domain does not accept mail", "", Act.SUPPRESS),
        ("554 this domain does not accept mail from 192.0.2.1", "", Act.ALERT),
        ("501 Bad address syntax", "", Act.COUNT),  # whose address: the recipient's or ours?
        ("501 Bad address syntax", "5.1.3", Act.SUPPRESS),
        # the mailbox is "unavailable", and why is ours
        ("550 5.2.1 Mailbox unavailable. Your IP address 192.0.2.1 is blacklisted", "5.2.1", Act.ALERT),
        ("550 5.2.1 Mailbox unavailable", "5.2.1", Act.SUPPRESS),
        ("550 the mailbox has exceeded its limit", "", Act.COUNT),
        ("552 requested mail action aborted: exceeded storage allocation", "", Act.COUNT),
        ("550 5.1.1 refused because of the recipient's preferences", "5.1.1", Act.COUNT),
        ("550 you have been blocked by the recipient", "", Act.COUNT),
        ("554 message has exceeded 25 hops", "", Act.COUNT),
        ("550 too many invalid recipients", "", Act.ALERT),
        ("554 client host rejected: cannot find your hostname", "", Act.ALERT),
        ("550 null sender is not allowed", "", Act.ALERT),
        ("550 quarantined by a content filter", "5.2.1", Act.ALERT),
        ("421 too many sessions from this server", "", Act.ALERT),
        ("550 authentication failure", "", Act.ALERT),
        ("554 this route requires encryption (TLS)", "", Act.ALERT),
        ("5.5.0 something that nobody has ever said", "5.5.0", Act.ALERT),
        ("no words that anybody knows", "", Act.COUNT),
        ("", "5.3.4", Act.ALERT),
        ("", "5.2.2", Act.COUNT),
        ("", "5.1.3", Act.SUPPRESS),
        ("", "5.1.6", Act.SUPPRESS),
        ("", "5.0.0", Act.COUNT),
    ],
)
def test_what_providers_say_today_is_read_as_they_mean_it(said, status, act):
    """Checks 45 and 57: only an address that is gone suppresses; what is held against the sender alerts."""
    assert cause_of(said, status).act is act
