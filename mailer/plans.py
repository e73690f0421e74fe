"""The plan of one content: a stencil for each part, with a campaign's own values put in before anybody's.

A worker sends one content with the same values to everybody, so these are as constant as the content. A plan is good
while they are the same; it is made anew when they aren't.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mailer.expressions import Scope
from mailer.inks import WORDS, Ink
from mailer.stencils import Stencil
from mailer.templating import HTML, TEXT

T = TypeVar("T", str, bytes)
SAME_FOR_ALL = ("assets", "campaign", "purpose", "sender")
"""Fields that a whole campaign has in common. What differs after all only makes another plan."""


@dataclass(frozen=True, slots=True)
class Plan(Generic[T]):
    """How to fill one content, while `known` fields have these values. Its HTML is written with one ink."""

    known: Mapping[str, Any]
    subject: Stencil[str] | None = None
    preheader: Stencil[str] | None = None
    html: Stencil[T] | None = None
    text: Stencil[str] | None = None

    @classmethod
    def none(cls) -> Plan[T]:
        """Return the plan before there is one: it holds for nobody."""
        return cls({"campaign": object()})

    @classmethod
    def of(cls, subject: str, preheader: str, html: str, text: str, known: Scope, ink: Ink[T]) -> Plan[T]:
        """Return the plan of a content; where none can be made, one that leaves all to Jinja."""
        try:
            above = Stencil(TEXT, subject, known, WORDS), Stencil(TEXT, preheader, known, WORDS)
            said = {
                name: one_line(part.same)
                for name, part in zip(("subject", "preheader"), above, strict=True)
                if part.same is not None
            }
            return cls(known, *above, Stencil(HTML, html, {**known, **said}, ink), Stencil(TEXT, text, known, WORDS))
        except Exception:  # noqa: BLE001  (whatever it is, Jinja knows better)
            return cls(known)

    @property
    def constants(self) -> set[T]:
        """The pieces of its HTML that are the same for whoever gets them."""
        return self.html.constants if self.html is not None else set()

    def holds(self, fields: Scope) -> bool:
        """Whether this plan is the one for these fields."""
        return all(fields.get(name) == value for name, value in self.known.items())

    def fill(self, fields: Scope) -> tuple[str, list[T], str] | None:
        """Return subject, HTML in pieces and text; None where only Jinja can say what becomes of this mail.

        HTML in pieces, to be joined once with all the rest.
        """
        if self.subject is None or self.preheader is None or self.html is None or self.text is None:
            return None
        try:
            subject = one_line(self.subject.fill(fields))
            preheader = one_line(self.preheader.fill(fields))
            html = self.html.pieces({**fields, "subject": subject, "preheader": preheader})
            return subject, html, tidy(self.text.fill(fields))
        except Exception:  # noqa: BLE001  (a missing field, say: Jinja decides what becomes of it)
            return None


def settled(fields: Scope) -> Mapping[str, Any]:
    """Return the fields that everybody has in common, as a copy that nobody can write into."""
    return {name: _copy(fields[name]) for name in SAME_FOR_ALL if name in fields and _is_plain(fields[name])}


def one_line(words: str) -> str:
    """Return words without line breaks, for a header."""
    return " ".join(words.split())


# What an `if` leaves behind when it says no.
_MANY_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")


def tidy(text: str) -> str:
    """Return a text part without holes."""
    return _MANY_LINES.sub("\n\n", text).strip() + "\n"


def _is_plain(value: Any) -> bool:
    """Whether it is made of texts alone: what is equal then prints alike."""
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if isinstance(value, list) else type(value) is str


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(inner) for name, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value
