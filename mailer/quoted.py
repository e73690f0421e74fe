"""PURE: quoted-printable, piece by piece (RFC 2045, 6.7).

A mail of 40 KB is mostly the same for everybody. Each piece of a template is encoded on lines of its own, with a
soft break to the next, so the encoding of what never changes is made once and a person's mail is only joined. No
line is longer than 76, and none begins with a dot: SMTP then has nothing to stuff, and a signature stays valid.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from functools import lru_cache

SOFT_BREAK = b"=\r\n"
LONGEST = 76
_REMEMBERED = 4096
"""Short pieces of people's data that come again: names of things, prices, links to shelves."""


class Stencil:
    """The pieces that are the same for everybody, encoded once."""

    def __init__(self, constants: Iterable[str]) -> None:
        self._constants = {piece: encode(piece) for piece in constants if piece}

    def encode(self, pieces: Iterable[str]) -> bytes:
        """Return the pieces as one body. Decoded it is their text, with CRLF line ends and one more after it."""
        known = self._constants
        return join([known.get(piece) or _again(piece) for piece in pieces if piece])


def whole(text: str) -> bytes:
    """Return a text as one body."""
    return join([encode(text)])


def join(encoded: list[bytes]) -> bytes:
    """Return encoded pieces as one body with a line end after it."""
    return SOFT_BREAK.join(encoded) + b"\r\n"


def encode(piece: str) -> bytes:
    """Return a piece on lines of its own. CR, LF and CRLF are line ends; a dot never begins a line."""
    lines = piece.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    # The closing line end tells binascii to break lines by CRLF; it is taken away again.
    encoded = b"\r\n" + binascii.b2a_qp(f"{lines}\r\n".encode(), istext=True)[:-2]
    while b"\r\n." in encoded:
        # On a line of its own, so that the rest of a full line doesn't grow beyond 76.
        encoded = encoded.replace(b"\r\n.", b"\r\n=2E=\r\n")
    return _room_for_break(encoded[2:])


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


@lru_cache(_REMEMBERED)
def _again(piece: str) -> bytes:
    return encode(piece)
