"""PURE: a raw mail, taken apart without ever failing: what a person reads, what servers report, what was returned.

Mail that bounces is often broken: boundaries that never close, charsets that don't exist, lines ended by CR alone,
reports inside reports. Everything here is bounded, and what can't be made out is left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, message_from_string
from email.header import decode_header, make_header
from email.message import Message

Fields = Mapping[str, str]
"""Header or report fields: lower-case name to value, unfolded; the first of several."""

LONGEST_TEXT = 60_000
MOST_PARTS = 200
DEEPEST = 12

_REPORT_TYPES = ("message/delivery-status", "message/global-delivery-status", "message/feedback-report")
_RETURNED_TYPES = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/global-headers",
    "message/partial",
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(slots=True)
class Report:
    """One report: its kind, its blocks of fields, and the headers of the message it is about."""

    kind: str
    blocks: list[Fields]
    returned: list[Fields] = field(default_factory=list)


@dataclass(slots=True)
class Opened:
    """A mail taken apart."""

    headers: Fields
    content_type: str
    text: str = ""
    reports: list[Report] = field(default_factory=list)
    returned: list[Fields] = field(default_factory=list)
    receipt: bool = False
    """It says that a message was read or thrown away (RFC 8098), not that it didn't arrive."""


def open_mail(raw: bytes) -> Opened | None:
    """Return the parts of a mail, or None if there is nothing in it that could be called one."""
    try:
        top = message_from_bytes(_with_line_ends(raw))
        opened = Opened(fields_of(top), top.get_content_type())
        _Walk(opened).see(top, 0)
    except Exception:  # noqa: BLE001  (whatever a stranger wrote: unreadable, kept for a person)
        return None
    return (
        opened
        if opened.headers and ("from" in opened.headers or "received" in opened.headers or opened.reports)
        else None
    )


class _Walk:
    """Goes through the parts in order, within bounds."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._left = MOST_PARTS

    def see(self, part: Message, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > DEEPEST:
            return
        kind = part.get_content_type()
        if kind in _REPORT_TYPES:
            self._opened.reports.append(Report(kind, list(_blocks(part))))
        elif kind == "message/disposition-notification":
            self._opened.receipt = True
        elif kind in _RETURNED_TYPES:
            self._returned(part, depth)
        elif part.is_multipart():
            for child in _children(part):
                self.see(child, depth + 1)
        # A multipart that holds no part has lost its boundary: what stands there is still to be read.
        elif kind.startswith(("text/", "multipart/")) and len(self._opened.text) < LONGEST_TEXT:
            self._opened.text += _text(part)[:LONGEST_TEXT] + "\n"

    def _returned(self, part: Message, depth: int) -> None:
        for message in _children(part) or [message_from_string(_decoded(part))]:
            # A report that some server forwarded inside another mail is still a report.
            if message.get_content_type() == "multipart/report":
                self.see(message, depth + 1)
                continue
            self._opened.returned.append(fields_of(message))
            if self._opened.reports:
                self._opened.reports[-1].returned.append(fields_of(message))


def fields_of(message: Message) -> Fields:
    """Return the headers of a message; encoded words are decoded, control characters are gone."""
    fields: dict[str, str] = {}
    for name, value in message.items()[:400]:
        fields.setdefault(name.lower(), _readable(value))
    return fields


def clean(text: str) -> str:
    """Return `text` without what a database or a page could choke on."""
    return _CONTROLS.sub("\ufffd", text)


def _readable(value: object) -> str:
    plain = clean(" ".join(str(value)[:4000].split()))
    if "=?" not in plain:
        return plain
    try:
        return clean(str(make_header(decode_header(plain))))
    except (LookupError, ValueError, UnicodeError):
        return plain


def _with_line_ends(raw: bytes) -> bytes:
    return raw.replace(b"\r", b"\n") if b"\r" in raw and b"\n" not in raw else raw


def _children(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []


def _blocks(part: Message) -> Iterator[Fields]:
    for block in _children(part):
        fields = fields_of(block)
        if fields:
            yield fields
        rest = block.get_payload()
        # Blocks after the first of a feedback report, and everything where the type was not understood.
        if isinstance(rest, str) and rest.strip():
            yield from _parsed(rest)
    if not part.is_multipart():
        yield from _parsed(_decoded(part))


def _parsed(text: str) -> Iterator[Fields]:
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").strip()[:LONGEST_TEXT]):
        fields = fields_of(message_from_string(block.strip() + "\n\n"))
        if fields:
            yield fields


def _text(part: Message) -> str:
    text = _decoded(part)
    if part.get_content_type() != "text/html":
        return text
    text = re.sub(r"(?is)<(script|style)\b[^<]{0,20000}", " ", text)
    return html.unescape(re.sub(r"<[^<>]{1,2000}>", " ", re.sub(r"(?i)<(?:br|p|div|tr|li)\b[^<>]{0,500}>", "\n", text)))


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else str(part.get_payload()).encode("utf-8", "replace")
    raw = raw[: 4 * LONGEST_TEXT]
    charset = part.get_content_charset() or "utf-8"
    for encoding in (charset, "utf-8"):
        try:
            return clean(raw.decode(encoding))
        except (LookupError, UnicodeError, ValueError):
            continue
    return clean(raw.decode("latin-1"))
