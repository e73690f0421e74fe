"""PURE: a customer's letter as it goes on to the helpline: quoted for reading, whole as an attachment.

It says of itself that a machine sent it (RFC 3834 5), so that nobody's robot answers it and our own door drops it
should it ever come back. What the customer wrote is quoted or attached, never a header of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from mailer.address import parse
from mailer.bounces.automatic import is_automatic
from mailer.bounces.opening import open_mail
from mailer.errors import InputProblem
from mailer.message import wire_address, wire_domain

MARK = "X-Askfirst-Letter"
LARGEST_ATTACHED = 5_000_000
"""Bytes. A larger letter stays here; the page that shows it is named."""
_UNSEEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


@dataclass(frozen=True, slots=True)
class Letter:
    """What was kept of a mail that a customer wrote."""

    id: int
    sender: str
    subject: str
    text: str
    raw: bytes
    received_at: datetime
    customer_id: int | None


def why_not(letter: Letter, helpline: str, our_domains: frozenset[str]) -> str:
    """Why a letter must not go on by itself, or nothing: it could go round for ever."""
    headers: Mapping[str, str] = opened.headers if (opened := open_mail(letter.raw)) is not None else {}
    domain = letter.sender.rpartition("@")[2].lower()
    if MARK.lower() in headers:
        return "it went on once already"
    if is_automatic(headers):
        return "no person wrote it"
    if letter.sender.lower() == helpline.lower():
        return "it is from the helpline itself"
    return "it is from an address of ours" if domain and domain in our_domains else ""


def compose(letter: Letter, helpline: str, from_name: str, from_address: str, base: str) -> bytes:
    """Return the mail to the helpline. Answering it answers the customer."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _named(from_name, from_address)
    mail["To"] = Address(addr_spec=wire_address(helpline))
    answer_to = _plain_address(letter.sender)
    if answer_to:
        mail["Reply-To"] = answer_to
    mail["Subject"] = f"A customer wrote: {_line(letter.subject)[:150] or '(no subject)'}"
    mail["Date"] = letter.received_at
    mail["Message-ID"] = f"<letter-{letter.id}@{wire_domain(from_address.rpartition('@')[2])}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail[MARK] = str(letter.id)
    mail.set_content(_words(letter, base, answers=bool(answer_to)), cte="quoted-printable")
    if len(letter.raw) <= LARGEST_ATTACHED:
        mail.add_attachment(letter.raw, maintype="application", subtype="octet-stream", filename="letter.eml")
    return mail.as_bytes()


def _words(letter: Letter, base: str, *, answers: bool) -> str:
    who = f"{base}/people/{letter.customer_id}" if letter.customer_id else "nobody we know by this address alone"
    how = "Answer this mail to answer them." if answers else "Their address can't be answered directly."
    quoted = "\n".join(f"> {line}" for line in letter.text.splitlines()) or "> (nothing above what they quoted)"
    return (
        f"A customer answered one of our mails, or wrote to us. {how}\n\n"
        f"From: {_line(letter.sender) or 'not told'}\nSubject: {_line(letter.subject) or '(no subject)'}\n"
        f"Person: {who}\nThe letter: {base}/kept/{letter.id}\n\n{quoted}\n"
    )


def _line(text: str) -> str:
    """One line without anything that can't be seen."""
    return " ".join(_UNSEEN.sub(" ", text).split())


def _named(name: str, address: str) -> Address:
    wire = wire_address(address)
    return Address(display_name=_line(name), addr_spec=wire)


def _plain_address(written: str) -> str:
    """The address, if every mail program can answer it."""
    try:
        parse(written)
        wire = wire_address(written.strip())
    except InputProblem:
        return ""
    return wire if wire.isascii() else ""
