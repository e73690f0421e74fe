"""PURE: which links of a compiled mail can be counted, and the mail with those links in the place of their addresses.

Only links that are the same for everybody: addresses that stand in the content, and the campaign's own. Never the
links that stop mail, change choices or show the proof, and none that says what one person bought or wishes for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

MOST = 99
_ANCHOR = re.compile(r'(<a\b[^>]*?\shref=")([^"]*)(")')
_CAMPAIGN = re.compile(r"\{\{\s*campaign\.(\w+)\s*\}\}")
# What a browser would read as something else than what was approved.
_PLAIN = re.compile(r"https://[A-Za-z0-9.-]+(?::\d+)?(?:[/?#][^\s\x00-\x20\x7f\\\"<>]*)?")


@dataclass(frozen=True, slots=True)
class Destination:
    """One link: its number in the mail, how it is written there, where it leads."""

    number: int
    written: str
    url: str


def destinations(html: str, values: Mapping[str, Any]) -> list[Destination]:
    """Return the links of compiled `html` that can be counted, in order, each destination as often as written."""
    found: dict[str, str] = {}
    for _, written, _ in _ANCHOR.findall(html):
        url = _leads_to(written, values)
        if url is not None:
            found.setdefault(written, url)
    return [Destination(number, *pair) for number, pair in enumerate(list(found.items())[:MOST], start=1)]


def counted(html: str, wanted: Iterable[Destination]) -> str:
    """Return `html` in which each of `wanted` is the field `clicks.n<number>`; all other links stay as they are."""
    numbers = {one.written: one.number for one in wanted}

    def replaced(anchor: re.Match[str]) -> str:
        number = numbers.get(anchor[2])
        return anchor[0] if number is None else f"{anchor[1]}{{{{ clicks.{name(number)} }}}}{anchor[3]}"

    return _ANCHOR.sub(replaced, html)


def name(number: int) -> str:
    """Return the name of the field that holds link `number`."""
    return f"n{number}"


def _leads_to(written: str, values: Mapping[str, Any]) -> str | None:
    of_campaign = _CAMPAIGN.fullmatch(written)
    url = values.get(of_campaign[1]) if of_campaign else unescape(written)
    if not isinstance(url, str) or "{{" in url or "{%" in url or not _PLAIN.fullmatch(url):
        return None
    return url
