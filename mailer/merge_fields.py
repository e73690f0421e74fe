"""PURE: every field that a mail may use, in one place: its name, its kind, how long it may be, a sample.

Whatever is optional is there for nobody or somebody: a mail must read well without. Samples make three people out
of one list of fields: one with everything, one with nothing, one with the longest of everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Words. `optional` ones may be empty."""

    sample: str = ""
    optional: bool = False
    longest: int = 80


@dataclass(frozen=True, slots=True)
class Link:
    """A web address that begins with https://. The only kind of field that may be a whole link or picture."""

    sample: str = "https://www.anaar.example/see"


@dataclass(frozen=True, slots=True)
class Several:
    """A list of up to `most` groups of fields; always optional."""

    each: Mapping[str, Text | Link]
    most: int
    samples: tuple[Mapping[str, str], ...] = ()


Field: TypeAlias = "Text | Link | Several | Mapping[str, Field]"

_ASSETS = "https://mail.anaar.example/static/mail"
_SHOP = "https://www.anaar.example"


def _thing(number: int, name: str, category: str, price: str, offer_price: str, drawing: str) -> Mapping[str, str]:
    words = {"name": name, "category": category, "price": price, "offer_price": offer_price}
    return {**words, **_drawn(drawing), "url": f"{_SHOP}/p/{number}"}


def _drawn(drawing: str) -> Mapping[str, str]:
    return {"picture": f"{_ASSETS}/t-{drawing}.png", "picture_dark": f"{_ASSETS}/n-{drawing}.png"}


FIELDS: Mapping[str, Field] = {
    "assets": Link(_ASSETS),
    "person": {
        "first_name": Text("Priya", optional=True, longest=40),
        "city": Text("Pune", optional=True, longest=60),
    },
    "sender": {
        "name": Text("Anaar Home"),
        "legal_name": Text("Anaar Home Private Limited", longest=120),
        "postal_address": Text("14 Sample Road, Bengaluru 560 001, India", longest=200),
        "care_phone": Text("1800 000 0000", longest=30),
        "care_email": Text("care@anaar.example"),
        "officer": Text("Meera Rao"),
    },
    "purpose": {"name": Text("festivals and seasons")},
    "grant": {"date": Text("2 October 2025", longest=20), "place": Text("at our shop in Pune")},
    "links": {
        "unsubscribe": Link("https://mail.anaar.example/u/v1.01.sample.unsubscribe"),
        "unsubscribe_hi": Link("https://mail.anaar.example/u/v1.01.sample.unsubscribe-hi"),
        "preferences": Link("https://mail.anaar.example/p/v1.01.sample.preferences"),
        "why": Link("https://mail.anaar.example/w/v1.01.sample.why"),
        "shop": Link(_SHOP),
        "wishlist": Link(f"{_SHOP}/wishlist"),
    },
    "wishlist": Several(
        {
            "name": Text(),
            "category": Text(),
            "price": Text(longest=14),
            "offer_price": Text(longest=14, optional=True),
            "picture": Link(),
            "picture_dark": Link(),
            "url": Link(),
        },
        most=4,
        samples=(
            _thing(1, "Brass lamp, three wicks", "Lamps", "₹1,699", "₹1,444", "lamp"),
            _thing(2, "Copper bottle, 950 ml", "Bottles", "₹1,099", "₹934", "bottle"),
            _thing(3, "Cushion cover, madder red", "Cushions", "₹799", "₹679", "cushion"),
            _thing(4, "Chai cups, set of three", "Cups", "₹590", "₹502", "cups"),
        ),
    ),
    "wishlist_words": Text("Four things", optional=True, longest=12),
    "bought": {
        "words": Text("spices, fruit and snacks", optional=True, longest=120),
        "often": Several(
            {
                "name": Text(longest=40),
                "title": Text(longest=40),
                "picture": Link(),
                "picture_dark": Link(),
                "url": Link(),
            },
            most=3,
            samples=tuple(
                {"name": name, "title": name.capitalize(), "url": f"{_SHOP}/c/{drawing}", **_drawn(drawing)}
                for name, drawing in (("spices", "pantry"), ("fruit", "fruit"), ("snacks", "snacks"))
            ),
        ),
        "last_name": Text("Neer 7 litre water purifier", optional=True),
        "last_date": Text("12 November 2025", optional=True, longest=20),
        "last_place": Text("our shop on FC Road, Pune", optional=True),
    },
}
"""What every mail may use. `subject` and `preheader` can be used in the HTML part too, as they were rendered."""

_HERO: Mapping[str, Field] = {"hero": Text(longest=60), "hero_alt": Text(longest=200)}
_ALWAYS: Mapping[str, Field] = {"shop_url": Link(), "button": Text(longest=40), "button_url": Link()}

CAMPAIGN_VALUES: Mapping[str, Mapping[str, Field]] = {
    "festive": {
        **_ALWAYS,
        **_HERO,
        "title": Text(),
        "greeting": Text(longest=300),
        "order_by": Text(optional=True, longest=40),
        "tip_title": Text(optional=True),
        "tip": Text(optional=True, longest=400),
        "week_title": Text(optional=True),
        "week": Text(optional=True, longest=400),
    },
    "launch": {
        **_ALWAYS,
        **_HERO,
        "title": Text(),
        "intro": Text(longest=400),
        "colours": Several({"name": Text(longest=30), "picture": Text(longest=60), "alt": Text()}, most=4),
        "facts": Several({"name": Text(longest=30), "value": Text(longest=200)}, most=5),
    },
    "offer": {
        **_ALWAYS,
        "percent_off": Text(longest=2),
        "ends": Text(longest=60),
        "where": Text(longest=80),
        "delivery": Text(optional=True, longest=60),
        "basis": Text(longest=120),
        "terms": Text(longest=200),
    },
    "service": {
        **_ALWAYS,
        **_HERO,
        "title": Text(),
        "intro": Text(longest=400),
        "category": Text(optional=True, longest=60),
        "interval": Text(optional=True, longest=40),
        "cost": Text(optional=True, longest=120),
        "tips_title": Text(optional=True),
        "tips": Several({"text": Text(longest=200)}, most=5),
    },
    "notice": {},
}
"""What is the same for everybody in a campaign and is filled in by its author, by kind of campaign."""


def fields_of(kind: str) -> Mapping[str, Field]:
    """Every field that a mail of this kind may use."""
    return {**FIELDS, "campaign": CAMPAIGN_VALUES[kind]}


def filled(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a campaign; what nobody has written yet is stood in for by its own name."""
    return {name: values.get(name) or _named(name, field) for name, field in CAMPAIGN_VALUES[kind].items()}


def everything(values: Mapping[str, Any]) -> dict[str, Any]:
    """A person with all that can be had, in a campaign with these values."""
    return {name: _sample(field) for name, field in FIELDS.items()} | {"campaign": dict(values)}


def nothing(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A person of whom only the least is known, in a campaign that says only what it must."""
    known = CAMPAIGN_VALUES[kind]
    campaign = {name: _least(known[name]) if _is_optional(known[name]) else values[name] for name in known}
    return {name: _least(field) for name, field in FIELDS.items()} | {"campaign": campaign}


def longest(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A person with the longest of everything: what the size of a mail is judged by."""
    campaign = {name: values.get(name) or _longest(field) for name, field in CAMPAIGN_VALUES[kind].items()}
    return {name: _longest(field) for name, field in FIELDS.items()} | {"campaign": campaign}


def value_problems(kind: str, values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the values of a campaign, each with what to do; nothing wrong, empty list."""
    known = CAMPAIGN_VALUES[kind]
    unknown = [f"“{name}” is not a value of a {kind} campaign. Remove it." for name in values if name not in known]
    return unknown + [problem for name, field in known.items() for problem in _problems(name, field, values.get(name))]


def _problems(name: str, field: Field, value: Any) -> list[str]:
    if isinstance(field, Several):
        return _list_problems(name, field, value or [])
    if _is_optional(field) and value in (None, ""):
        return []
    if not isinstance(value, str) or not value.strip():
        return [f"“{name}” is missing. Fill it in."]
    if isinstance(field, Link) and not value.startswith("https://"):
        return [f"“{name}” must be a web address that begins with https://."]
    if isinstance(field, Text) and len(value) > field.longest:
        return [f"“{name}” has {len(value)} characters; shorten it to {field.longest}."]
    return []


def _list_problems(name: str, field: Several, rows: Any) -> list[str]:
    if not isinstance(rows, list) or len(rows) > field.most or not all(isinstance(row, dict) for row in rows):
        return [f"“{name}” is a list of up to {field.most}, each with {', '.join(field.each)}."]
    return [
        problem
        for place, row in enumerate(rows, 1)
        for key, inner in field.each.items()
        for problem in _problems(f"{name} {place}: {key}", inner, row.get(key))
    ]


def _is_optional(field: Field) -> bool:
    return isinstance(field, Several) or (isinstance(field, Text) and field.optional)


def _sample(field: Field) -> Any:
    if isinstance(field, Text | Link):
        return field.sample
    if isinstance(field, Several):
        return [dict(row) for row in field.samples]
    return {name: _sample(inner) for name, inner in field.items()}


def _named(name: str, field: Field) -> Any:
    """A value that nobody has written yet: its own name."""
    if isinstance(field, Several):
        return [{key: _named(key, inner) for key, inner in field.each.items()}]
    return _sample(field) or name


def _least(field: Field) -> Any:
    if isinstance(field, Text):
        return "" if field.optional else field.sample
    if isinstance(field, Several):
        return []
    return field.sample if isinstance(field, Link) else {name: _least(inner) for name, inner in field.items()}


def _longest(field: Field) -> Any:
    if isinstance(field, Text):
        # A character that HTML writes with five: the longest that a name can become.
        return "&" * field.longest
    if isinstance(field, Link):
        return "https://" + "u" * 192
    if isinstance(field, Several):
        return [{name: _longest(inner) for name, inner in field.each.items()}] * field.most
    return {name: _longest(inner) for name, inner in field.items()}
