"""PURE: how a mail shows a thing on sale, and the shelves of what somebody often buys.

All of it is made of its arguments alone, and what comes again for many people is made once; nobody writes into what
these return.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from mailer.merge_fields import FIELDS, Text
from mailer.shelves import in_a_row, shelf_of

_REMEMBERED = 8192
_LONGEST_NAME = Text().longest


class Thing(NamedTuple):
    """A product as it is in the catalogue now."""

    name: str
    department: str
    category: str
    external_ref: str
    price_paise: int

    @property
    def may_be_named(self) -> bool:
        """Whether a mail may speak of it: some things are nobody's business but the person's."""
        return shelf_of(self.category, self.department, self.name) is not None


@lru_cache(_REMEMBERED)
def card(thing: Thing, percent_off: int, shop: str, assets: str) -> Mapping[str, str] | None:
    """A product as a card, or None where a mail may not speak of it."""
    shelf = shelf_of(thing.category, thing.department, thing.name)
    if shelf is None:
        return None
    less = thing.price_paise * (100 - percent_off) // 100 if percent_off else None
    return {
        "name": shortened(thing.name),
        "category": thing.category,
        "price": rupees(thing.price_paise),
        "offer_price": "" if less is None else rupees(less // 100 * 100),
        "url": f"{shop}/p/{quote(thing.external_ref, safe='')}",
        **_drawn(shelf.drawing, assets),
    }


@lru_cache(_REMEMBERED)
def liked(categories: tuple[str, ...], shop: str, assets: str) -> Mapping[str, Any]:
    """The shelves of what somebody often buys: in a row of words, and as cards."""
    shelves = dict.fromkeys(shelf for name in categories if (shelf := shelf_of(name)) and shelf.drawing != "basket")
    chosen = list(shelves)[: most("bought.often")]
    return {
        "words": in_a_row([shelf.name for shelf in chosen]),
        "often": [
            {
                "name": shelf.name,
                "title": shelf.name.capitalize(),
                "url": f"{shop}/c/{shelf.name.replace(' ', '-')}",
                **_drawn(shelf.drawing, assets),
            }
            for shelf in chosen
        ],
    }


@cache
def most(path: str) -> int:
    """Return how many a mail shows of a field that is a list."""
    found: Any = FIELDS
    for name in path.split("."):
        found = found[name]
    return int(found.most)


def _drawn(drawing: str, assets: str) -> Mapping[str, str]:
    return {"picture": f"{assets}/t-{drawing}.png", "picture_dark": f"{assets}/n-{drawing}.png"}


def rupees(paise: int) -> str:
    """₹1,29,900; paise only where there are some. Digits in groups as in India: three, then two and two."""
    whole, rest = divmod(paise, 100)
    head, tail = f"{whole}"[:-3], f"{whole}"[-3:]
    grouped = re.sub(r"(?<=\d)(?=(\d\d)+$)", ",", head)
    return f"₹{grouped}{',' if head else ''}{tail}" + (f".{rest:02d}" if rest else "")


def shortened(name: str) -> str:
    """A name that fits its field, cut at a word."""
    longest = _LONGEST_NAME
    if len(name) <= longest:
        return name
    return name[: longest - 1].rsplit(" ", 1)[0].rstrip(" ,;-") + "…"
