"""Who wrote a mail: robots, people who want no more, people who write a letter. Checks 17, 24 and 97."""

from __future__ import annotations

import pytest

from mailer.bounces.sorting import Kind, sort
from mailer.message import optout_address
from tests.unit.bounce_mails import DELIVERY, block, letter, report


@pytest.mark.parametrize(
    "headers",
    [
        "Auto-Submitted: auto-replied\n",
        "Auto-Submitted: auto-generated (a ticket)\n",
        "Precedence: bulk\n",
        "Precedence: junk\n",
        "Precedence: list\n",
        "X-Auto-Response-Suppress: All\n",
        "Return-Path: <>\n",
        "List-Id: <x.example.com>\n",
        "X-Autoreply: yes\n",
    ],
)
@pytest.mark.parametrize("subject", ["unsubscribe", "Yes, confirm", "spam!"])
def test_what_no_person_wrote_is_nothing(headers, subject):
    """Check 24: never an opt-out, a complaint, a bounce or a confirmation."""
    assert sort(letter(headers, "unsubscribe", subject)).kind is Kind.AUTOMATIC


@pytest.mark.parametrize(
    "subject", ["Out of office: Diwali", "Automatic reply: Hi", "Abwesenheitsnotiz", "Auto: vacation"]
)
def test_a_vacation_notice_is_nothing_even_where_opt_outs_go(subject):
    """Check 24."""
    raw = letter("Auto-Submitted: auto-replied\n", "I am away", subject, optout_address(DELIVERY, "mail.example.com"))
    assert sort(raw).kind is Kind.AUTOMATIC


@pytest.mark.parametrize("headers", ["Auto-Submitted: auto-replied\n", "X-Autoreply: yes\n"])
def test_a_vacation_notice_that_speaks_of_deliveries_is_no_bounce(headers):
    """Check 24: it has a null return path too (RFC 3834 3.3)."""
    words = "I am away. Parcels that could not be delivered are returned to my neighbour; my mailbox is full."
    assert sort(letter(f"Return-Path: <>\n{headers}", words, "Re: Offers")).kind is Kind.AUTOMATIC


@pytest.mark.parametrize(
    "subject", ["Automatisch antwoord: Hallo", "Automaattinen vastaus", "Automatyczna odpowiedz: Oferta", "Afwezigheid"]
)
def test_robots_of_more_languages_are_known_by_their_subject(subject):
    assert sort(letter(subject=subject)).kind is Kind.AUTOMATIC


def test_a_read_receipt_is_no_bounce():
    """RFC 8098: `deleted without being read` is nobody's failure."""
    raw = report(block("failed", "5.1.1"), kind="disposition-notification")
    assert sort(raw).kind is Kind.AUTOMATIC


@pytest.mark.parametrize("body", ["", "unsubscribe", "please don't", "x" * 5000])
def test_any_mail_to_the_address_for_opting_out_is_an_opt_out(body):
    """Check 17: the address is the token; what is written there doesn't matter, nor who it says it is from."""
    mail = sort(letter(body=body, to=optout_address(DELIVERY, "mail.example.com")))
    assert (mail.kind, mail.names.stopped) == (Kind.OPT_OUT, (DELIVERY,))


@pytest.mark.parametrize(
    "words", ["Unsubscribe", "STOP", "please remove me", "Re: unsubscribe", "opt-out", "no more emails"]
)
def test_whoever_writes_to_be_left_alone_is_heard(words):
    """Check 97."""
    assert sort(letter(subject=words)).kind is Kind.OPT_OUT
    assert sort(letter(body=f"\n{words}\n\n> On Monday you wrote: offers")).kind is Kind.OPT_OUT


@pytest.mark.parametrize(
    "words", ["Where is my order? Don't stop it.", "How do I unsubscribe my brother's fax?", "Subscribe me"]
)
def test_a_letter_is_a_letter(words):
    assert sort(letter(body=words)).kind is Kind.LETTER


@pytest.mark.parametrize(
    ("headers", "subject"),
    [
        ("Auto-Submitted: auto-replied\nX-Apple-Unsubscribe: true\n", "Unsubscribe from offers"),
        ("Auto-Submitted: auto-replied\n", "unsubscribe"),
        ("Auto-Submitted: auto-generated\nPrecedence: bulk\n", "unsubscribe"),
    ],
)
def test_whoever_presses_unsubscribe_in_a_mail_program_is_heard_whatever_it_calls_its_mail(headers, subject):
    """Check 17: the program writes for the person, and sends what our header asks for (RFC 2369 3.2)."""
    mail = sort(letter(headers, "", subject, optout_address(DELIVERY, "mail.example.com")))
    assert (mail.kind, mail.names.stopped) == (Kind.OPT_OUT, (DELIVERY,))
    assert sort(letter(headers, "", subject)).kind is Kind.AUTOMATIC
