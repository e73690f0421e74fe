"""PURE: the headers of one message: those that a whole campaign has in common, and those of one person.

Put together here, not by `EmailMessage`: at a maximum line of 78 it turns a long unsubscribe link into an encoded
word, which no mailbox provider follows (python/cpython#85725).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache
from urllib.parse import unquote
from uuid import UUID

from mailer.wire_names import FORBIDDEN, BadHeader, wire_address, wire_domain


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
    complaint_token: str | None = None
    """What a complaint report says about which message it is; signed, so that nobody can complain for another."""


def head(
    sender: Sender, recipient: str, subject: str, date: datetime, attempt_id: UUID, marketing: Marketing | None
) -> str:
    """Return all headers but those of the body, each with its line end. Raises BadHeader."""
    if date.tzinfo is None:
        raise BadHeader("a message's date needs a zone")
    to = f"To: {wire_address(recipient)}\r\n{_subject(subject)}\r\n"
    # The attempt, not the delivery: return paths are made of the delivery's id, which nobody else may learn.
    which = f"{_date(date, date.utcoffset())}Message-ID: <{attempt_id.hex}@{wire_domain(sender.domain)}>\r\n"
    if marketing is None:
        return f"{_of_sender(sender)}{to}{which}{_OF_NOTICES}{_LAST}"
    before, after = _of_campaign(sender, marketing.campaign_id, marketing.purpose, marketing.purpose_name)
    own = f"{_list_unsubscribe(marketing, recipient)}{_complaints(sender, marketing)}"
    return f"{before}{to}{which}{own}{after}"


_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_HTTPS = re.compile(r"https://[!#-;=?A-~]{1,900}")
_TOKEN = re.compile(r"[a-z0-9_-]{1,40}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_-]{5,15}")
_SIGNED = re.compile(r"[A-Za-z0-9._-]{1,64}\.[A-Za-z0-9_-]{1,64}")
# Robots that answer mail leave such messages alone (RFC 3834). Marketing is written by people.
_OF_NOTICES = "Auto-Submitted: auto-generated\r\n"
_LAST = "MIME-Version: 1.0\r\n"
_LONGEST_LINE = 998
_CRLF = "\r\n"


def _clean(name: str, value: str) -> str:
    if FORBIDDEN.search(value):
        raise BadHeader(f"{name} has a line break or another control character in it")
    return value


# -- of one person -----------------------------------------------------------------------------------------


@lru_cache(4096)
def _subject(value: str) -> str:
    """Free words, folded; in encoded words where plain ASCII doesn't do (RFC 2047)."""
    if not _clean("Subject", value).strip():
        raise BadHeader("Subject is empty")
    if not _foldable(value):
        return f"Subject: {_encoded_words(value, 'Subject')}"
    if len(value) <= 60:
        return f"Subject: {value}"
    return f"Subject: {Header(value, 'us-ascii', maxlinelen=76, header_name='Subject').encode(linesep=_CRLF)}"


def _foldable(value: str) -> bool:
    """Whether it may stand as it is: no word too long for a line, no spaces that folding would swallow."""
    return value.isascii() and "=?" not in value and all(0 < len(word) <= 60 for word in value.split(" "))


def _encoded_words(value: str, header: str) -> str:
    return Header(value, "utf-8", maxlinelen=76, header_name=header).encode(linesep=_CRLF)


@lru_cache(64)
def _date(date: datetime, offset: timedelta | None) -> str:  # noqa: ARG001  (the same instant elsewhere is written otherwise)
    return f"Date: {format_datetime(date)}\r\n"


def _list_unsubscribe(marketing: Marketing, recipient: str) -> str:
    """RFC 8058: one https address, on the header's own line, unfolded, telling nobody who it is about."""
    url = marketing.unsubscribe_url
    if not _HTTPS.fullmatch(url) or len(url) + 20 > _LONGEST_LINE:
        raise BadHeader("the unsubscribe link must be one plain https address of at most 900 characters")
    # An address has an @, written as it is or with a %: most links have neither.
    if ("@" in url or "%" in url) and recipient.lower() in unquote(url).lower():
        raise BadHeader("the unsubscribe link must not contain the person's address")
    if marketing.unsubscribe_mailto is None:
        return f"List-Unsubscribe: <{url}>\r\n"
    mailto = wire_address(marketing.unsubscribe_mailto)
    return f"List-Unsubscribe: <{url}>,\r\n <mailto:{mailto}?subject=unsubscribe>\r\n"


def _complaints(sender: Sender, marketing: Marketing) -> str:
    """RFC 9477: where complaints may be reported, and what a report names this message by.

    An id of that header has no dots (s.3.2), and may be folded.
    """
    if sender.feedback_address is None or marketing.complaint_token is None:
        return ""
    token = marketing.complaint_token
    if not _SIGNED.fullmatch(token):
        raise BadHeader("the id for complaints must be a signed token")
    body, _, tag = token.replace(".", ":").rpartition(":")
    return (
        f"CFBL-Address: {wire_address(sender.feedback_address)}; report=arf\r\nCFBL-Feedback-ID: {body}:\r\n {tag}\r\n"
    )


# -- of a whole campaign, made once ------------------------------------------------------------------------


def _of_sender(sender: Sender) -> str:
    """From and, where asked for, Reply-To."""
    reply_to = f"Reply-To: {wire_address(sender.reply_to)}\r\n" if sender.reply_to else ""
    return f"From: {_mailbox(sender.name, sender.address)}\r\n{reply_to}"


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


@lru_cache(256)
def _of_campaign(sender: Sender, campaign_id: int, purpose: str, purpose_name: str) -> tuple[str, str]:
    """What stands before and after a person's own headers: who it is from; one click, the feedback id, the list."""
    return _of_sender(sender), (
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        f"Feedback-ID: {_feedback_id(sender, campaign_id, purpose)}\r\n"
        f"List-Id: {_list_id(purpose, purpose_name, wire_domain(sender.domain))}\r\n"
        f"{_LAST}"
    )


def _list_id(purpose: str, purpose_name: str, domain: str) -> str:
    """RFC 2919: one list a purpose, the same for ever. List headers never hold encoded words, so names that need
    them stay out.
    """
    list_id = f"<{purpose}.{domain}>"
    if len(list_id) > 255:
        raise BadHeader("List-Id is longer than 255 characters: use a shorter domain")
    name = _clean("the purpose's name", purpose_name)
    return f"{_phrase(name)} {list_id}" if _foldable(name) else list_id


def _feedback_id(sender: Sender, campaign_id: int, purpose: str) -> str:
    """campaign:purpose:class:account, nothing in it about a person (Gmail feedback loop)."""
    if not _ACCOUNT.fullmatch(sender.account) or not _TOKEN.fullmatch(purpose):
        raise BadHeader("Feedback-ID needs an account of 5 to 15 letters or digits, and a purpose's key")
    return f"{campaign_id}:{purpose}:marketing:{sender.account}"
