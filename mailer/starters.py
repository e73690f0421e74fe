"""The mails that come along, one for each kind of campaign: what an author begins with.

They are data in `templates/email`: a head, a brand line and a footer shared by all, joined here before anything else
sees them (`mj-include` is refused: a mail is one piece). `kinds.toml` has subjects, preheaders and first values.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from mailer.render import Source

FOLDER = Path(__file__).parent.parent / "templates" / "email"


def starting_source(kind: str) -> Source:
    """The mail of this kind as it comes along, in English. Raises KeyError for a kind that has none."""
    begun = _kinds()[kind]
    return Source(
        kind=kind,
        language="en",
        subject=begun["subject"],
        preheader=begun["preheader"],
        mjml=_joined(kind, "mjml"),
        text=_joined(kind, "txt"),
        values=begun["values"],
    )


def starting_kinds() -> tuple[str, ...]:
    """The kinds that have a mail."""
    return tuple(_kinds())


@cache
def _kinds() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "kinds.toml").read_text("utf-8"))


@cache
def _joined(kind: str, suffix: str) -> str:
    content = (FOLDER / f"{kind}.{suffix}").read_text("utf-8")
    for part in FOLDER.glob(f"*.{suffix}"):
        content = content.replace(f"@@{part.stem.upper()}@@", part.read_text("utf-8").rstrip("\n"))
    return content
