"""PURE: one message for one person, as the bytes that go on the wire.

Marketing mail carries the one-click unsubscribe headers (RFC 8058), the identity of its list (RFC 2919) and the
feedback id; a notice carries none of them, because a header that stops nothing would be a lie. Everything that
comes from people is checked before it becomes a header: a line break in a name must never become a header of its own.

The bodies are encoded by `binascii` and the headers put together here, not by `EmailMessage`: at a maximum line of
78 it turns a long unsubscribe link into an encoded word, which no mailbox provider follows (python/cpython#85725).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote
from uuid import UUID

import idna

from mailer import quoted
from mailer.errors import InputProblem
from mailer.wire_text import WireText

if TYPE_CHECKING:
    from datetime import datetime


class BadHeader(InputProblem):
    """Something that can't become a header or an address of a message. Says what, never the whole value."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a message is from. `domain` is ours: List-Id, Message-ID and return paths are in it."""

    name: str
    address: str
    domain: str
    account: str = "askfirst"
    """Feedback-ID's last field: 5 to 15 characters, the same for ever."""
    reply_to: str | None = None
    feedback_address: str | None = None
    """Where complaint reports may be sent (RFC 9477). Only of use once the mail is signed."""


@dataclass(frozen=True, slots=True)
class Marketing:
    """What makes a message marketing: the yes it stands on, and the way to take it back."""

    campaign_id: int
    purpose: str
    """Key of the purpose: the same list for ever, whatever its name in words."""
    purpose_name: str
    unsubscribe_url: str
    unsubscribe_mailto: str | None = None


def build(
    *,
    sender: Sender,
    recipient: str,
    subject: str,
    html: str | bytes,
    text: str | bytes,
    date: datetime,
    delivery_id: UUID,
    attempt_id: UUID,
    marketing: Marketing | None,
) -> WireText:
    """The message, text part first, lines ending in CRLF and never over 998 octets; a notice has `marketing=None`.

    Parts given as bytes are in quoted-printable already (`mailer.quoted`).
    Raises BadHeader where a header would not be what it seems (RFC 5322, 2047, 2369, 2919, 5891, 8058).
    The bytes are ASCII unless the recipient's mailbox name is not; that needs SMTPUTF8 on the way (RFC 6531).
    """
    if date.tzinfo is None:
        raise BadHeader("a message's date needs a zone")
    headers = [
        _sender_headers(sender),
        f"To: {wire_address(recipient)}",
        _subject(subject),
        f"Date: {format_datetime(date)}",
        # The attempt, not the delivery: return paths are made of the delivery's id, which nobody else may learn.
        f"Message-ID: <{attempt_id.hex}@{wire_domain(sender.domain)}>",
        *(_marketing_headers(sender, marketing, recipient, delivery_id) if marketing else _NOTICE_HEADERS),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{_BOUNDARY}"',
    ]
    return WireText(
        b"".join(
            (
                "\r\n".join(headers).encode(),
                _part("plain", text),
                _part("html", html),
                f"\r\n--{_BOUNDARY}--\r\n".encode(),
            )
        )
    )


def return_path(delivery_id: UUID, domain: str) -> str:
    """The envelope sender: a bounce that hides the address still names the delivery (RFC 3461; opaque, random).

    Lower-case letters and digits only, so that it survives servers which change the case of a mailbox name.
    """
    return _named("b", delivery_id, domain)


def delivery_of(return_path: str) -> UUID | None:
    """The delivery that a return path names, or None where it isn't one of ours."""
    return _delivery_in("b", return_path)


def optout_address(delivery_id: UUID, domain: str) -> str:
    """Where a mail of any content means no to what this delivery was about (RFC 2369 3.2, `mailto:`)."""
    return _named("u", delivery_id, domain)


def delivery_to_stop(address: str) -> UUID | None:
    """The delivery whose purpose a mail to this address stops, or None where it isn't one of ours."""
    return _delivery_in("u", address)


def _named(letter: str, delivery_id: UUID, domain: str) -> str:
    return f"{letter}-{base64.b32encode(delivery_id.bytes).decode().rstrip('=').lower()}@{wire_domain(domain)}"


def _delivery_in(letter: str, address: str) -> UUID | None:
    found = _OUR_ADDRESS.match(address.strip().strip("<>").lower())
    if not found or not found.group(0).startswith(letter):
        return None
    try:
        return UUID(bytes=base64.b32decode(found.group(1).upper() + "======"))
    except (binascii.Error, ValueError):
        return None


def wire_address(address: str) -> str:
    """The address as servers read it: the domain in A-labels, the mailbox name untouched (RFC 5321, 5891).

    Raises BadHeader for whatever can't stand in a command or header as it is.
    """
    local, at, domain = address.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or _FORBIDDEN.search(address) or re.search(r"\s", address):
        raise BadHeader("this is not an address that can be written on an envelope")
    wire = f"{local}@{wire_domain(domain)}"
    if len(local.encode()) > 64 or len(wire.encode()) > 254:
        raise BadHeader("this address is longer than servers accept (64 before the @, 254 in all)")
    return wire


@lru_cache(4096)
def wire_domain(domain: str) -> str:
    """The domain in lower-case A-labels: `उदाहरण.भारत` is `xn--p1b6ci4b4b3a.xn--h2brj9c`."""
    try:
        wire = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise BadHeader("this domain can't be written in A-labels") from None
    if not _DOMAIN.fullmatch(wire) or len(wire) > 253:
        raise BadHeader("this is not a domain")
    return wire


# -- headers -----------------------------------------------------------------------------------------------

# C0, DEL, C1 and the two line separators of Unicode: each can end or hide a header somewhere on the way.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a0-\U0010ffff-]+"
_LOCAL = re.compile(rf"{_ATOM}(\.{_ATOM})*")
_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_OUR_ADDRESS = re.compile(r"[bu]-([a-z2-7]{26})@")
_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_HTTPS = re.compile(r"""https://(?:(?![<>"@])[\x21-\x7e]){1,900}""")
_TOKEN = re.compile(r"[a-z0-9_-]{1,40}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_-]{5,15}")
# Robots that answer mail leave such messages alone (RFC 3834). Marketing is written by people.
_NOTICE_HEADERS = ("Auto-Submitted: auto-generated",)
_LONGEST_LINE = 998


def _clean(name: str, value: str) -> str:
    if _FORBIDDEN.search(value):
        raise BadHeader(f"{name} has a line break or another control character in it")
    return value


def _subject(value: str) -> str:
    """Free words, folded; in encoded words where plain ASCII doesn't do (RFC 2047)."""
    if not _clean("Subject", value).strip():
        raise BadHeader("Subject is empty")
    if _foldable(value):
        return f"Subject: {Header(value, 'us-ascii', maxlinelen=76, header_name='Subject').encode(linesep=_CRLF)}"
    return f"Subject: {_encoded_words(value, 'Subject')}"


def _foldable(value: str) -> bool:
    """Whether it may stand as it is: no word too long for a line, no spaces that folding would swallow."""
    return value.isascii() and "=?" not in value and all(0 < len(word) <= 60 for word in value.split(" "))


def _encoded_words(value: str, header: str) -> str:
    return Header(value, "utf-8", maxlinelen=76, header_name=header).encode(linesep=_CRLF)


_CRLF = "\r\n"


@lru_cache(256)
def _sender_headers(sender: Sender) -> str:
    """From and, where asked for, Reply-To. The same for a whole campaign, so made once."""
    lines = [f"From: {_mailbox(sender.name, sender.address)}"]
    if sender.reply_to:
        lines.append(f"Reply-To: {wire_address(sender.reply_to)}")
    return "\r\n".join(lines)


def _mailbox(name: str, address: str) -> str:
    wire = wire_address(address)
    if not wire.isascii():
        raise BadHeader("a sender's address must be ASCII before the @: most servers refuse others")
    phrase = _phrase(name)
    return f"{phrase} <{wire}>" if len(phrase) + len(wire) < 65 else f"{phrase}\r\n <{wire}>"


def _phrase(name: str) -> str:
    """A display name: plain, quoted where it has a special character (RFC 5322), else in encoded words."""
    if not _clean("the sender's name", name).strip():
        raise BadHeader("the sender's name is empty")
    if not name.isascii() or "=?" in name or len(name) > 60:
        return _encoded_words(name, "From")
    if _PLAIN_PHRASE.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _marketing_headers(sender: Sender, marketing: Marketing, recipient: str, delivery_id: UUID) -> list[str]:
    domain = wire_domain(sender.domain)
    headers = [
        f"List-Unsubscribe: {_list_unsubscribe(marketing, recipient)}",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        f"Feedback-ID: {_feedback_id(marketing, sender)}",
        f"List-Id: {_list_id(marketing, domain)}",
    ]
    if sender.feedback_address:
        headers.append(f"CFBL-Address: {wire_address(sender.feedback_address)}; report=arf")
        headers.append(f"CFBL-Feedback-ID: {delivery_id.hex}")
    return headers


def _list_unsubscribe(marketing: Marketing, recipient: str) -> str:
    """RFC 8058: one https address, on the header's own line, unfolded, telling nobody who it is about."""
    url = marketing.unsubscribe_url
    if not url.isascii() or not _HTTPS.fullmatch(url) or len(url) + 20 > _LONGEST_LINE:
        raise BadHeader("the unsubscribe link must be one plain https address of at most 900 characters")
    if recipient.lower() in unquote(url).lower():
        raise BadHeader("the unsubscribe link must not contain the person's address")
    if marketing.unsubscribe_mailto is None:
        return f"<{url}>"
    return f"<{url}>,\r\n <mailto:{wire_address(marketing.unsubscribe_mailto)}?subject=unsubscribe>"


def _list_id(marketing: Marketing, domain: str) -> str:
    """RFC 2919: one list a purpose, the same for ever. List headers never hold encoded words, so names that need
    them stay out.
    """
    list_id = f"<{marketing.purpose}.{domain}>"
    if len(list_id) > 255:
        raise BadHeader("List-Id is longer than 255 characters: use a shorter domain")
    name = _clean("the purpose's name", marketing.purpose_name)
    return f"{_phrase(name)} {list_id}" if _foldable(name) else list_id


def _feedback_id(marketing: Marketing, sender: Sender) -> str:
    """campaign:purpose:class:account, nothing in it about a person (Gmail feedback loop)."""
    if not _ACCOUNT.fullmatch(sender.account) or not _TOKEN.fullmatch(marketing.purpose):
        raise BadHeader("Feedback-ID needs an account of 5 to 15 letters or digits, and a purpose's key")
    return f"{marketing.campaign_id}:{marketing.purpose}:marketing:{sender.account}"


# -- bodies ------------------------------------------------------------------------------------------------

# Quoted-printable never writes "=_", so no content can end a part before its time.
_BOUNDARY = "=_askfirst"


def _part(subtype: str, content: str | bytes) -> bytes:
    body = content if isinstance(content, bytes) else quoted.whole(content)
    return _HEADS[subtype] + body


_HEADS = {
    subtype: (
        f"\r\n\r\n--{_BOUNDARY}\r\n"
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode()
    for subtype in ("plain", "html")
}
