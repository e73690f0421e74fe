"""PURE: one message for one person, as the bytes that go on the wire.

Marketing mail carries the one-click unsubscribe headers (RFC 8058), the identity of its list (RFC 2919) and the
feedback id; a notice carries none of them, because a header that stops nothing would be a lie. The headers are made
in `headers`, addresses in `wire_names`; whoever needs a message finds all of them here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from mailer import quoted
from mailer.headers import Marketing, Sender, head
from mailer.wire_names import (
    BadHeader,
    delivery_of,
    delivery_to_stop,
    optout_address,
    return_path,
    wire_address,
    wire_domain,
)
from mailer.wire_text import WireText

__all__ = [
    "BadHeader",
    "Marketing",
    "Sender",
    "build",
    "delivery_of",
    "delivery_to_stop",
    "optout_address",
    "return_path",
    "wire_address",
    "wire_domain",
]

# Quoted-printable never writes "=_", so no content can end a part before its time.
_BOUNDARY = "=_askfirst"


def build(
    *,
    sender: Sender,
    recipient: str,
    subject: str,
    html: str | Sequence[bytes],
    text: str | bytes,
    date: datetime,
    attempt_id: UUID,
    marketing: Marketing | None,
) -> WireText:
    """The message, text part first, lines ending in CRLF and never over 998 octets; a notice has `marketing=None`.

    A text given as bytes and HTML given in pieces are in quoted-printable already (`mailer.quoted`).
    Raises BadHeader where a header would not be what it seems (RFC 5322, 2047, 2369, 2919, 5891, 8058).
    The bytes are ASCII unless the recipient's mailbox name is not; that needs SMTPUTF8 on the way (RFC 6531).
    """
    above = b"".join(
        (
            head(sender, recipient, subject, date, attempt_id, marketing).encode(),
            _BEFORE["plain"],
            text if isinstance(text, bytes) else quoted.whole(text),
            _BEFORE["html"],
        )
    )
    if isinstance(html, str):
        return WireText(b"".join((above, quoted.whole(html), _END)))
    return WireText(quoted.join_between(above, html, _END))


_BEFORE = {
    subtype: (
        f"{opening}--{_BOUNDARY}\r\n"
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode()
    for subtype, opening in (
        ("plain", f'Content-Type: multipart/alternative; boundary="{_BOUNDARY}"\r\n\r\n\r\n'),
        ("html", "\r\n\r\n"),
    )
}
_END = f"\r\n--{_BOUNDARY}--\r\n".encode()
