"""Merge fields of a batch: everything a mail may say about each person, read in a fixed number of statements.

The names are those of `merge_fields`; every one of them is there for everybody, empty where nothing is known. A
person whose yes is gone gets no fields: there is nothing to say when they agreed, and the gate gives the reason.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from mailer.consent.links import Links
from mailer.merge_fields import CAMPAIGN_VALUES, FIELDS, Several, Text
from mailer.pick import Candidate, Job
from mailer.shelves import in_a_row, shelf_of

SHOP_ZONE = ZoneInfo("Asia/Kolkata")
STATEMENTS = 5
"""However large the batch is."""

Fields = Mapping[str, Any]


def fields_for(
    session: Session,
    job: Job,
    candidates: Sequence[Candidate],
    links: Links,
    *,
    zone: ZoneInfo = SHOP_ZONE,
) -> dict[UUID, Fields]:
    """Return the merge fields of each candidate whose yes still stands, by delivery."""
    people = sorted({candidate.customer_id for candidate in candidates})
    row = session.execute(
        _CAMPAIGN, {"purpose": job.purpose, "sender": job.sender_id, "revision": job.revision_id}
    ).one()
    common = Common(row, job.purpose, links, zone)
    who = {row.id: row for row in session.execute(_PEOPLE, {"people": people, "purpose": job.purpose}).all()}
    wishes = _by_person(session.execute(_WISHES, {"people": people}).all())
    often = _by_person(session.execute(_OFTEN, {"people": people}).all())
    last = _by_person(session.execute(_LAST, {"people": people, "category": common.values.get("category") or None}))
    return {
        candidate.delivery_id: common.fields(candidate, who[key], wishes[key], often[key], last[key])
        for candidate in candidates
        if (key := candidate.customer_id) in who
    }


class Common:
    """What is the same for the whole batch, and each person's fields beside it."""

    def __init__(self, row: Row[Any], purpose: str, links: Links, zone: ZoneInfo = SHOP_ZONE) -> None:
        self.links, self.zone, self.purpose, self.now = links, zone, purpose, datetime.now(UTC)
        self.values: dict[str, Any] = complete(row.kind, row.values)
        self.assets = links.address_of("static/mail")
        self.shop = (self.values.get("shop_url") or links.address_of("")).rstrip("/")
        self.sender = {
            "name": row.from_name,
            "legal_name": row.legal_name,
            "postal_address": row.postal_address,
            "care_phone": row.care_phone,
            "care_email": row.care_email,
            "officer": row.officer,
        }
        self.purpose_name = row.purpose_name
        self.percent_off = _percent(self.values.get("percent_off"))

    def fields(
        self, candidate: Candidate, who: Row[Any], wishes: list[Row[Any]], often: list[Row[Any]], last: list[Row[Any]]
    ) -> Fields:
        """Return one person's fields, made of what was read about them."""
        wished = [thing for row in wishes if (thing := self._thing(row))][: _most("wishlist")]
        return {
            "assets": self.assets,
            "person": {"first_name": who.given_name or "", "city": who.city or ""},
            "sender": self.sender,
            "purpose": {"name": self.purpose_name},
            "grant": {"date": self._day(who.occurred_at), "place": _place(who.source)},
            "links": self._links(who.ref, candidate.delivery_id),
            "wishlist": wished,
            "wishlist_words": _HOW_MANY[len(wished)],
            "bought": self._bought(often, last),
            "campaign": self.values,
        }

    def _links(self, ref: bytes, delivery_id: UUID) -> Mapping[str, str]:
        ours = self.links.for_mail(ref, self.purpose, delivery_id, issued_at=self.now)
        hindi = self.links.unsubscribe(ref, self.purpose, delivery_id, issued_at=self.now, language="hi")
        return {
            "unsubscribe": ours.unsubscribe,
            "unsubscribe_hi": hindi,
            "preferences": ours.preferences,
            "why": ours.why,
            "shop": self.shop,
            "wishlist": f"{self.shop}/wishlist",
        }

    def _thing(self, row: Row[Any]) -> Mapping[str, str] | None:
        return _card(
            row.name,
            row.department,
            row.category,
            row.external_ref,
            row.price_paise,
            self.percent_off,
            self.shop,
            self.assets,
        )

    def _bought(self, often: list[Row[Any]], last: list[Row[Any]]) -> Fields:
        liked = _liked(tuple([row.category for row in often]), self.shop, self.assets)
        newest = next((row for row in last if shelf_of(row.category, row.department, row.name)), None)
        return {
            **liked,
            "last_name": shortened(newest.name) if newest else "",
            "last_date": self._day(newest.placed_at) if newest else "",
            "last_place": "",
        }

    def _day(self, moment: datetime) -> str:
        return _in_words(moment.astimezone(self.zone).date())


# -- what comes again for many people, said once ----------------------------------------------------------
# All of it is made of its arguments alone; nobody writes into what these return.

_REMEMBERED = 8192


@lru_cache(_REMEMBERED)
def _card(
    name: str, department: str, category: str, ref: str, paise: int, percent_off: int, shop: str, assets: str
) -> Mapping[str, str] | None:
    """A product as a card, or None where it is nobody's business but the person's."""
    shelf = shelf_of(category, department, name)
    if shelf is None:
        return None
    less = paise * (100 - percent_off) // 100 if percent_off else None
    return {
        "name": shortened(name),
        "category": category,
        "price": rupees(paise),
        "offer_price": "" if less is None else rupees(less // 100 * 100),
        "url": f"{shop}/p/{quote(ref, safe='')}",
        **_drawn(shelf.drawing, assets),
    }


@lru_cache(_REMEMBERED)
def _liked(categories: tuple[str, ...], shop: str, assets: str) -> Mapping[str, Any]:
    """The shelves of what somebody often buys: in a row of words, and as cards."""
    shelves = dict.fromkeys(shelf for name in categories if (shelf := shelf_of(name)) and shelf.drawing != "basket")
    liked = list(shelves)[: _most("bought.often")]
    return {
        "words": in_a_row([shelf.name for shelf in liked]),
        "often": [
            {
                "name": shelf.name,
                "title": shelf.name.capitalize(),
                "url": f"{shop}/c/{shelf.name.replace(' ', '-')}",
                **_drawn(shelf.drawing, assets),
            }
            for shelf in liked
        ],
    }


def _drawn(drawing: str, assets: str) -> Mapping[str, str]:
    return {"picture": f"{assets}/t-{drawing}.png", "picture_dark": f"{assets}/n-{drawing}.png"}


@lru_cache(_REMEMBERED)
def _in_words(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def complete(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The campaign's values with every optional one there, be it empty."""
    empty = {name: [] if isinstance(field, Several) else "" for name, field in CAMPAIGN_VALUES[kind].items()}
    return empty | {name: value for name, value in values.items() if value is not None}


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


def _percent(value: Any) -> int:
    return int(value) if isinstance(value, str) and value.isdigit() and int(value) < 100 else 0


def _place(source: str) -> str:
    return _PLACES.get(source, "as our records show")


@cache
def _most(path: str) -> int:
    found: Any = FIELDS
    for name in path.split("."):
        found = found[name]
    return int(found.most)


def _by_person(rows: Iterable[Row[Any]]) -> defaultdict[int, list[Row[Any]]]:
    found: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.customer_id].append(row)
    return found


_LONGEST_NAME = Text().longest
_HOW_MANY = ("", "One thing", "Two things", "Three things", "Four things")
# Where somebody said yes, as the end of a sentence, by the ledger's source.
_PLACES = {
    "signup": "on our sign-up page",
    "web_form": "on our sign-up page",
    "preferences": "in your preferences",
    "store": "in our shop",
    "checkout": "when you ordered",
    "helpline": "by phone",
    "import": "as our older records show",
}

_CAMPAIGN = text("""
    SELECT s.from_name, s.legal_name, s.postal_address, s.care_phone, s.care_email, s.officer,
           p.name AS purpose_name, r.kind, r.values
      FROM senders s, purposes p, revisions r
     WHERE s.id = :sender AND p.key = :purpose AND r.id = :revision""")

_PEOPLE = text("""
    SELECT c.id, c.ref, c.given_name, c.city, e.occurred_at, e.source
      FROM customers c
      JOIN consent_state s ON s.customer_id = c.id AND s.purpose = :purpose AND s.granted
      JOIN consent_events e ON e.customer_id = c.id AND e.seq = s.seq
     WHERE c.id = ANY(:people)""")

# A few more than a mail shows: what is never named in a mail is left out afterwards.
_WISHES = text("""
    SELECT who.id AS customer_id, w.*
      FROM unnest(CAST(:people AS bigint[])) AS who(id),
           LATERAL (SELECT p.name, p.department, p.category, p.external_ref, p.price_paise
                      FROM wishlist_items i JOIN products p ON p.id = i.product_id
                     WHERE i.customer_id = who.id AND i.removed_at IS NULL
                     ORDER BY i.added_at DESC, p.id LIMIT 8) AS w""")

_OFTEN = text("""
    SELECT who.id AS customer_id, f.*
      FROM unnest(CAST(:people AS bigint[])) AS who(id),
           LATERAL (SELECT value AS category, lines FROM purchase_facets
                     WHERE customer_id = who.id AND dimension = 'category' AND lines > 0
                     ORDER BY lines DESC, last_at DESC, value LIMIT 16) AS f""")

# The facet knows when it was, the order is found by that, and its lines by key: no scan of a long history.
_LAST = text("""
    SELECT who.id AS customer_id, l.*
      FROM unnest(CAST(:people AS bigint[])) AS who(id),
           LATERAL (SELECT last_at FROM purchase_facets
                     WHERE customer_id = who.id AND dimension = 'category'
                       AND value = coalesce(CAST(:category AS text), value)
                     ORDER BY last_at DESC LIMIT 1) AS f,
           LATERAL (SELECT p.name, p.department, p.category, o.placed_at
                      FROM orders o
                      JOIN order_lines n ON n.customer_id = o.customer_id AND n.order_id = o.id
                      JOIN products p ON p.id = n.product_id
                     WHERE o.customer_id = who.id AND o.placed_at = f.last_at AND n.quantity > 0
                       AND p.category = coalesce(CAST(:category AS text), p.category)
                     ORDER BY n.amount_paise DESC, p.id LIMIT 8) AS l""")
