"""A mail's subject as people read it: for a person of whom least is known, never with braces in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError

from mailer.merge_fields import nothing
from mailer.templating import TEXT


def readable(subject: str, kind: str, values: Mapping[str, Any]) -> str:
    """Return the subject filled in for somebody unknown; as it was written where that can't be done."""
    if "{" not in subject:
        return subject
    try:
        return " ".join(TEXT.from_string(subject).render(nothing(kind, values)).split()) or subject
    except (TemplateError, TypeError, ValueError, KeyError):
        return subject
