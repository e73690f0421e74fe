"""PURE: messages as SendGrid's v3 mail send wants them, held to its documented limits before anything is written.

A message arrives here finished, as bytes for the wire, so that its headers are made in one place; here it is taken
apart again. Where its content is shared by many and differs in a few places only (`Shared`), one request carries up
to 1,000 people with what differs as substitutions. Sources: the mail send specification (twilio/sendgrid-oai) and
the page "Errors". Where SendGrid documents a limit twice the lower one holds.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from email.utils import parseaddr
from functools import lru_cache
from typing import Any

from mailer.letters import Letter
from mailer.message import BadHeader, wire_address
from mailer.providers.base import Envelope

MOST_PEOPLE = 1_000
"""Personalizations, and recipients, of one request."""
MOST_BYTES = 30_000_000
MOST_ARGS = 10_000
"""Bytes of all custom_args, and of all substitutions, of one person."""
MOST_SUBSTITUTIONS = 150
MOST_CATEGORIES, LONGEST_CATEGORY = 10, 255

RESERVED = frozenset(
    {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"}
    | {"to", "from", "subject", "reply-to", "cc", "bcc"}
)
"""Headers that a request may not name, in any case."""
_THEIRS = frozenset({"date", "mime-version", "return-path"})
"""Headers that SendGrid writes itself."""
_NAME = re.compile(r"[!-9;-~]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TEXT_AND_HTML = ("text/plain", "text/html")

# Nothing of theirs in our mail: their unsubscribe footer and header beside ours, their links, their pixel.
_QUIET = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
    "ganalytics": {"enable": False},
}


class Unsendable(Exception):
    """SendGrid would refuse this message. Says which rule, never what is in it."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a finished message says."""

    sender: str
    reply_to: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def single(envelope: Envelope, *, sandbox: bool = False) -> bytes:
    """The request for one person with the whole of their message. Raises Unsendable."""
    words = words_of(envelope.content)
    person, text, html = _person(envelope, words), words.text, words.html
    if envelope.letter is not None:
        text, html = (filled(part, envelope.letter.values) for part in _shared_parts(envelope.letter))
    return _request(words, [person], words.subject, text, html, envelope, sandbox=sandbox)


def several(envelopes: Sequence[Envelope], *, sandbox: bool = False) -> bytes:
    """The request for people who share a content, with what differs as substitutions. Raises Unsendable."""
    shared = envelopes[0].letter.shared if envelopes[0].letter else None
    if shared is None:
        raise Unsendable("these messages share no content")
    if len(envelopes) > MOST_PEOPLE:
        raise Unsendable(f"at most {MOST_PEOPLE} people a request")
    seen: set[str] = set()
    people = []
    for envelope in envelopes:
        words = words_of(envelope.content)
        person = _person(envelope, words)
        address = person["to"][0]["email"].lower()
        if address in seen:
            raise Unsendable("an address may appear once in a request")
        seen.add(address)
        people.append(person | {"subject": _subject(words.subject), "substitutions": substitutions(envelope)})
    first = words_of(envelopes[0].content)
    return _request(first, people, first.subject, shared.text, shared.html, envelopes[0], sandbox=sandbox)


def substitutions(envelope: Envelope) -> dict[str, str]:
    """What is put in for one person. Raises Unsendable beyond the limits."""
    values = dict(envelope.letter.values) if envelope.letter else {}
    if len(values) > MOST_SUBSTITUTIONS:
        raise Unsendable(f"at most {MOST_SUBSTITUTIONS} substitutions a person")
    if _size(values) > MOST_ARGS:
        raise Unsendable(f"at most {MOST_ARGS} bytes of substitutions a person")
    return values


def filled(shared: str, values: Mapping[str, str]) -> str:
    """A shared part with what one person has for themselves: what SendGrid does with substitutions."""
    for mark, value in values.items():
        shared = shared.replace(mark, value)
    return shared


def _shared_parts(letter: Letter) -> tuple[str, str]:
    return letter.shared.text, letter.shared.html


def fits(envelope: Envelope) -> bool:
    """Whether this message may share a request with others."""
    try:
        substitutions(envelope)
    except Unsendable:
        return False
    return envelope.letter is not None


def _person(envelope: Envelope, words: Words) -> dict[str, Any]:
    try:
        to = wire_address(envelope.recipient)
    except BadHeader as problem:
        raise Unsendable(str(problem)) from None
    if not to.isascii():
        raise Unsendable("SendGrid takes addresses in ASCII before the @ only; a server with SMTPUTF8 takes this one")
    arguments = custom_args(envelope)
    return {"to": [{"email": to}], "headers": dict(checked_headers(words.headers)), "custom_args": arguments}


def custom_args(envelope: Envelope) -> dict[str, str]:
    """Our ids, which every event gives back. Nothing else: SendGrid keeps them for long and can't redact them."""
    return {"delivery_id": envelope.delivery_id.hex, "attempt_id": envelope.attempt_id.hex}


def checked_headers(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """`headers` as a request may name them. Raises Unsendable for one that it may not."""
    seen = set()
    for name, value in headers.items():
        lower = name.lower()
        if not _NAME.fullmatch(name) or lower in RESERVED or lower in seen:
            raise Unsendable("a header that SendGrid keeps for itself, has twice or can't write")
        if _CONTROL.search(value) or not value.isascii():
            raise Unsendable("a header's value with a line break or letters that aren't ASCII")
        seen.add(lower)
        yield name, value


def checked_categories(names: Sequence[str]) -> list[str]:
    """`names` as categories. Raises Unsendable for a name that statistics can't keep."""
    wanted = list(dict.fromkeys(names))
    if len(wanted) > MOST_CATEGORIES:
        raise Unsendable(f"at most {MOST_CATEGORIES} categories")
    if not all(name and name.isascii() and len(name) <= LONGEST_CATEGORY for name in wanted):
        raise Unsendable(f"a category has 1 to {LONGEST_CATEGORY} ASCII characters")
    return wanted


def _request(
    words: Words,
    people: list[dict[str, Any]],
    subject: str,
    text: str,
    html: str,
    envelope: Envelope,
    *,
    sandbox: bool,
) -> bytes:
    # text/plain first, and no part that is empty.
    content = [{"type": kind, "value": said} for kind, said in zip(_TEXT_AND_HTML, (text, html), strict=True) if said]
    if not content:
        raise Unsendable("a message says something")
    request: dict[str, Any] = {
        "personalizations": people,
        "from": mailbox(words.sender),
        "subject": _subject(subject),
        "content": content,
        "categories": checked_categories(_categories(words, envelope)),
        "tracking_settings": _QUIET,
    }
    if words.reply_to:
        request["reply_to"] = mailbox(words.reply_to)
    if sandbox:
        request["mail_settings"] = {"sandbox_mode": {"enable": True}}
    body = json.dumps(request, separators=(",", ":")).encode()
    if len(body) >= MOST_BYTES:
        raise Unsendable("a message is smaller than 30 MB")
    return body


def _subject(words: str) -> str:
    if not words.strip() or _CONTROL.search(words):
        raise Unsendable("a subject has at least one character and no line break")
    return words


def _categories(words: Words, envelope: Envelope) -> list[str]:
    """The campaign by its number and the purpose by its key. A campaign's name may be Hindi, or about a person."""
    purpose = words.headers.get("Feedback-ID", "").split(":")[1:2]
    return [f"campaign-{envelope.campaign_id}", *purpose]


@lru_cache(64)
def _mailbox(written: str) -> tuple[str, str]:
    name, address = parseaddr(written)
    try:
        wire = wire_address(address)
    except BadHeader as problem:
        raise Unsendable(str(problem)) from None
    if not wire.isascii():
        raise Unsendable("a sender's address is ASCII")
    return wire, decoded(name)


def mailbox(written: str) -> dict[str, str]:
    """A From or Reply-To as SendGrid reads it: the address ASCII, its domain in A-labels, the name in any letters."""
    address, name = _mailbox(written)
    return {"email": address, "name": name} if name else {"email": address}


# -- a finished message, taken apart ---------------------------------------------------------------------------


def words_of(content: bytes) -> Words:
    """What a finished message says. Bodies are empty where it has only headers. Raises Unsendable."""
    head, _, rest = content.partition(b"\r\n\r\n")
    headers = _headers(head)
    lower = {name.lower(): value for name, value in headers.items()}
    bodies = dict(_bodies(lower.get("content-type", "text/plain"), lower, rest))
    if "from" not in lower:
        raise Unsendable("a message is from somebody")
    return Words(
        lower["from"],
        lower.get("reply-to", ""),
        decoded(lower.get("subject", "")),
        bodies.get("text/plain", ""),
        bodies.get("text/html", ""),
        {name: value for name, value in headers.items() if name.lower() not in RESERVED | _THEIRS},
    )


def decoded(value: str) -> str:
    """Words as people read them, of encoded words too (RFC 2047)."""
    return str(make_header(decode_header(value))) if "=?" in value else value


def _headers(head: bytes) -> dict[str, str]:
    unfolded = head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").decode("utf-8", "replace")
    found: dict[str, str] = {}
    seen = set()
    for line in unfolded.split("\r\n"):
        name, colon, value = line.partition(":")
        lower = name.lower()
        if not colon or lower in seen:
            raise Unsendable("a header that is none, or is there twice")
        seen.add(lower)
        found[name] = value.strip()
    return found


def _bodies(kind: str, headers: Mapping[str, str], rest: bytes) -> Iterator[tuple[str, str]]:
    kind, _, parameters = kind.partition(";")
    if not kind.strip().lower().startswith("multipart/"):
        yield kind.strip().lower(), _decode(headers.get("content-transfer-encoding", "7bit"), rest)
        return
    boundary = re.search(r'boundary="?([^";]+)"?', parameters)
    if boundary is None:
        raise Unsendable("a message of several parts says where they end")
    for part in (b"\r\n" + rest).split(b"\r\n--" + boundary.group(1).encode())[1:]:
        if not part.startswith(b"--"):
            head, _, body = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            inner = {name.lower(): value for name, value in _headers(head).items()}
            yield from _bodies(inner.get("content-type", "text/plain"), inner, body)


def _decode(encoding: str, body: bytes) -> str:
    if encoding.lower() == "quoted-printable":
        body = binascii.a2b_qp(body)
    elif encoding.lower() == "base64":
        body = binascii.a2b_base64(body)
    # What comes after the last line is the way parts are joined, not what they say.
    words = body.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n")
    return f"{words}\n" if words else ""


def _size(values: Mapping[str, str]) -> int:
    return len(json.dumps(dict(values), ensure_ascii=False).encode())
