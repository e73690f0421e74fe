"""PURE: what is said for one message, or why it can't be said.

Neither address nor content can hold a second command or a second message (ASVS 1.3.11, "SMTP smuggling").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mailer.message import BadHeader, wire_address
from mailer.wire_text import WireText

if TYPE_CHECKING:
    from mailer.providers.base import Envelope

NEEDS_SMTPUTF8 = "needs SMTPUTF8"
"""The address has letters that this server can't carry (RFC 6531). It says nothing about the mailbox."""
NEEDS_8BITMIME = "needs 8BITMIME"
"""The content has bytes that this server can't carry (RFC 6152). It says nothing about the mailbox."""
UNSENDABLE = "unsendable"
"""Address or content would break the conversation. We didn't say it, so nobody refused it."""


class Words(NamedTuple):
    """What will be said for one message."""

    mail: bytes
    rcpt: bytes
    content: bytes
    """Dots stuffed, ending in CRLF: the final dot follows (RFC 5321 section 4.5.2)."""


def words_of(envelope: Envelope, extensions: frozenset[str] | set[str]) -> Words | str:
    """The words for a server with these extensions, or the reason in words why there are none."""
    try:
        recipient, return_path = wire_address(envelope.recipient), wire_address(envelope.return_path)
    except BadHeader:
        return UNSENDABLE
    content = envelope.content
    options = ""
    if not recipient.isascii():
        if not {"SMTPUTF8", "8BITMIME"} <= extensions:
            return NEEDS_SMTPUTF8
        options = " SMTPUTF8 BODY=8BITMIME"
    elif not content.isascii():
        if "8BITMIME" not in extensions:
            return NEEDS_8BITMIME
        options = " BODY=8BITMIME"
    if not isinstance(content, WireText):
        if not _only_crlf(content):
            return UNSENDABLE
        content = _dot_stuffed(content)
    return Words(f"MAIL FROM:<{return_path}>{options}\r\n".encode(), f"RCPT TO:<{recipient}>\r\n".encode(), content)


def _only_crlf(content: bytes) -> bool:
    """A bare CR or LF can hide a second message from servers that are lax about line ends."""
    rest = content.replace(b"\r\n", b"")
    return b"\r" not in rest and b"\n" not in rest


def _dot_stuffed(content: bytes) -> bytes:
    """Ending in CRLF, so that the final dot stands on a line of its own."""
    stuffed = content.replace(b"\r\n.", b"\r\n..") if b"\r\n." in content else content
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"
