"""PURE: how the pieces of a mail are written: escaped for HTML, in quoted-printable or not; or as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from markupsafe import escape

from mailer import quoted

T = TypeVar("T", str, bytes)


@dataclass(frozen=True, slots=True)
class Ink(Generic[T]):
    """How pieces are written: what becomes of the template's own words, what of a value, what stands between two."""

    constant: Callable[[str], T]
    printed: Callable[[Any], T]
    joint: T
    keeps: bool = True
    """Whether a turn of a loop may come out in one piece, remembered; or as its own pieces, each apart."""


@lru_cache(8192)
def _again(value: str) -> bytes:
    return quoted.encode(str(escape(value)))


def _html(value: Any) -> bytes:
    if value.__class__ is not str:
        return quoted.encode(str(escape(value)))
    if len(value) <= quoted.SHORT:
        return _again(value)
    # What is longer is somebody's own, a signed link: it doesn't come again, and mostly has nothing to escape.
    return quoted.encode(str(escape(value)) if _has_markup(value) else value)


def _has_markup(value: str) -> bool:
    return "&" in value or "<" in value or ">" in value or '"' in value or "'" in value


BYTES: Ink[bytes] = Ink(quoted.encode, _html, quoted.SOFT_BREAK)
"""Escaped for HTML and in quoted-printable."""
ESCAPED: Ink[str] = Ink(str, lambda value: str(escape(value)), "", keeps=False)
"""Escaped for HTML, and not encoded: for whoever encodes it by itself."""
WORDS: Ink[str] = Ink(str, str, "")
"""As they are."""
