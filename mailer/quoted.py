"""PURE: quoted-printable, piece by piece (RFC 2045, 6.7).

A mail of 40 KB is mostly the same for everybody. Each piece of a template is encoded on lines of its own, with a
soft break to the next, so the encoding of what never changes is made once and a person's mail is only joined. No
line is longer than 76, and none begins with a dot: SMTP then has nothing to stuff, and a signature stays valid.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence

SOFT_BREAK = b"=\r\n"
LONGEST = 76
SHORT = 90
"""Characters of a value that may come again for somebody else: a name, a price, a link to a product."""
_TWO_LINES = re.compile(r"(?!\.)[ -<>-~]{75}(?!\.)[ -<>-~]{0,74}[!-<>-~]")
"""What needs no escapes and fits on two lines, as a signed link does: the commonest of what is not remembered."""
_LINK_LAST = re.compile(r"(.* )?([!-~]{60,})")
_REMEMBERED = 4096
_LONG = 4000
"""Characters of a line that is still remembered: paragraphs come again for everybody."""


def whole(text: str) -> bytes:
    """Return a text as one body: line by line, for most lines come again. Decoded, CRLF ends its lines, and it."""
    lines = (text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text).split("\n")
    lines.append("")
    return b"\r\n".join(map(_LINES.__getitem__, lines))


def join(encoded: Sequence[bytes]) -> bytes:
    """Return encoded pieces as one body with a line end after it."""
    return join_between(b"", encoded, b"")


def join_between(above: bytes, encoded: Sequence[bytes], below: bytes) -> bytes:
    """Return encoded pieces as one body with what is above and below it: 40 KB are copied once, not three times."""
    if len(encoded) < 2:
        return b"".join((above, *encoded, b"\r\n", below))
    first, last = above + encoded[0], b"".join((encoded[-1], b"\r\n", below))
    return SOFT_BREAK.join((first, *encoded[1:-1], last))


def encode(piece: str) -> bytes:
    """Return a piece on lines of its own. CR, LF and CRLF are line ends; a dot never begins a line."""
    if _TWO_LINES.fullmatch(piece):
        return f"{piece[: LONGEST - 1]}=\r\n{piece[LONGEST - 1 :]}".encode()
    return _folded(piece.encode()) if _is_plain(piece) else _escaped(piece)


def _is_plain(piece: str) -> bool:
    """Whether quoted-printable leaves it as it is: no line end, no "=", no dot first and no blank last."""
    return piece.isascii() and piece.isprintable() and "=" not in piece and piece[:1] != "." and piece[-1:] != " "


def _escaped(piece: str) -> bytes:
    lines = piece.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    # The closing line end tells binascii to break lines by CRLF; it is taken away again.
    encoded = b"\r\n" + binascii.b2a_qp(f"{lines}\r\n".encode(), istext=True)[:-2]
    while b"\r\n." in encoded:
        # On a line of its own, so that the rest of a full line doesn't grow beyond 76.
        encoded = encoded.replace(b"\r\n.", b"\r\n=2E=\r\n")
    return _room_for_break(encoded[2:])


def _folded(plain: bytes) -> bytes:
    """Break what needs no escapes, and never before a dot (a row of dots is escaped)."""
    if len(plain) < LONGEST:
        return plain
    lines, start = [], 0
    while len(plain) - start >= LONGEST:
        cut = start + LONGEST - 1
        while plain[cut : cut + 1] == b".":
            cut -= 1
        if cut <= start:
            return _escaped(plain.decode())
        lines.append(plain[start:cut])
        start = cut
    return SOFT_BREAK.join([*lines, plain[start:]])


def _room_for_break(encoded: bytes) -> bytes:
    """Leave room for the soft break that may follow: a last line of 76 is broken before its end."""
    start = encoded.rfind(b"\r\n") + 2 if b"\r\n" in encoded else 0
    if len(encoded) - start < LONGEST:
        return encoded
    cut = start + LONGEST - 6
    # Never inside an escape (=E0), and never so that a dot comes to begin a line.
    while b"=" in encoded[cut - 2 : cut] or encoded[cut : cut + 1] == b".":
        cut -= 1
    return encoded[:cut] + SOFT_BREAK + encoded[cut:]


class _Lines(dict[str, bytes]):
    """Lines of text, encoded. When there are too many of them all are forgotten."""

    def __missing__(self, line: str) -> bytes:
        if own := _LINK_LAST.fullmatch(line):
            # Somebody's signed link: only what stands before it comes again.
            before, link = own.groups("")
            return SOFT_BREAK.join((self[before], encode(link))) if before else encode(link)
        encoded = encode(line)
        if len(line) <= _LONG:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[line] = encoded
        return encoded


_LINES = _Lines()
