"""PURE: bytes that were made so that they can go over an SMTP connection as they are."""

from __future__ import annotations


class WireText(bytes):
    """A message whose every line ends in CRLF, the last one too, and none begins with a dot.

    Whoever makes one says so; a test holds them to it. To look for it anew in 40 KB costs more than to hand it over.
    """

    __slots__ = ()
