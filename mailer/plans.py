"""The plan of one content: a stencil for each part, with a campaign's own values put in before anybody's.

A worker sends one content with the same values to everybody, so these are as constant as the content. A plan is good
while they are the same; it is made anew when they aren't.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailer import quoted
from mailer.expressions import Scope
from mailer.inks import BYTES, WORDS
from mailer.stencils import Stencil
from mailer.templating import HTML, TEXT

SAME_FOR_ALL = ("assets", "campaign", "purpose", "sender")
"""Fields that a whole campaign has in common. What differs after all only makes another plan."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to fill one content, while `known` fields have these values."""

    known: Mapping[str, Any]
    subject: Stencil[str] | None = None
    preheader: Stencil[str] | None = None
    html: Stencil[bytes] | None = None
    text: Stencil[str] | None = None

    @classmethod
    def none(cls) -> Plan:
        """Return the plan before there is one: it holds for nobody."""
        return cls({"campaign": object()})

    @classmethod
    def of(cls, subject: str, preheader: str, html: str, text: str, known: Scope) -> Plan:
        """Return the plan of a content; where none can be made, one that leaves all to Jinja."""
        try:
            above = Stencil(TEXT, subject, known, WORDS), Stencil(TEXT, preheader, known, WORDS)
            said = {
                name: one_line(part.same)
                for name, part in zip(("subject", "preheader"), above, strict=True)
                if part.same is not None
            }
            return cls(known, *above, Stencil(HTML, html, {**known, **said}, BYTES), Stencil(TEXT, text, known, WORDS))
        except Exception:  # noqa: BLE001  (whatever it is, Jinja knows better)
            return cls(known)

    def holds(self, fields: Scope) -> bool:
        """Whether this plan is the one for these fields."""
        return all(fields.get(name) == value for name, value in self.known.items())

    def fill(self, fields: Scope) -> tuple[str, list[bytes], bytes] | None:
        """Return subject, HTML and text, encoded; None where only Jinja can say what becomes of this mail.

        The HTML in pieces, to be joined once with all the rest.
        """
        if self.subject is None or self.preheader is None or self.html is None or self.text is None:
            return None
        try:
            subject = one_line(self.subject.fill(fields))
            preheader = one_line(self.preheader.fill(fields))
            html = self.html.pieces({**fields, "subject": subject, "preheader": preheader})
            return subject, html, quoted.whole(tidy(self.text.fill(fields)))
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
