"""Merge fields of a batch: everything a mail may say about each person, read in a fixed number of statements.

The names are those of `merge_fields`; every one of them is there for everybody, empty where nothing is known. Who
says which names a content reads gets no others: what nobody reads is neither looked up nor made, and a name that is
read after all is missing, which no mail survives. A person whose yes is gone gets no fields: there is nothing to say
when they agreed, and the gate gives the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from mailer import profiles
from mailer.cards import Thing, card, liked, most, shortened
from mailer.consent.links import Kind, Links
from mailer.merge_fields import CAMPAIGN_VALUES, FIELDS, Field, Several
from mailer.pick import Candidate, Job
from mailer.profiles import Profile, Wanted

SHOP_ZONE = ZoneInfo("Asia/Kolkata")
STATEMENTS = 3
"""However large the batch is."""
FRESH_SECONDS = 10.0
"""So long a worker takes a price, or a sender's telephone number, for what it was."""
_MOST_THINGS = 8192
_WORTH_KEEPING = 1024
"""So many products come again soon: they are read anew at once, not batch by batch."""

Fields = Mapping[str, Any]


def _names(fields: Mapping[str, Field], before: str = "") -> Iterator[str]:
    for name, inner in fields.items():
        if isinstance(inner, Mapping):
            yield from _names(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}"


EVERYTHING = frozenset(_names(FIELDS))
"""The name of every field."""


def fields_for(
    session: Session,
    job: Job,
    candidates: Sequence[Candidate],
    links: Links,
    *,
    zone: ZoneInfo = SHOP_ZONE,
    reads: Collection[str] = EVERYTHING,
) -> dict[UUID, Fields]:
    """Return the merge fields of each candidate whose yes still stands, by delivery."""
    return FieldReader(links, zone).read(session, job, candidates, reads)


class FieldReader:
    """Reads the fields of batch after batch. What mails have in common it reads anew after `FRESH_SECONDS`."""

    def __init__(self, links: Links, zone: ZoneInfo = SHOP_ZONE, clock: Callable[[], float] = time.monotonic) -> None:
        self._links, self._zone, self._clock = links, zone, clock
        self._kept: dict[tuple[int, bytes, int, str, frozenset[str]], tuple[float, Common]] = {}

    def read(
        self, session: Session, job: Job, candidates: Sequence[Candidate], reads: Collection[str] = EVERYTHING
    ) -> dict[UUID, Fields]:
        """Return the merge fields of each candidate whose yes still stands, by delivery."""
        common = self._common(session, job, frozenset(reads))
        people = {candidate.customer_id for candidate in candidates}
        found = profiles.read(session, people, job.purpose, common.wanted, common.values.get("category") or "")
        common.learn(session, found)
        who = {profile[0]: profile for profile in found}
        return {
            candidate.delivery_id: common.fields(candidate.delivery_id, who[candidate.customer_id])
            for candidate in candidates
            if candidate.customer_id in who
        }

    def _common(self, session: Session, job: Job, reads: frozenset[str]) -> Common:
        # The approval, too: a sender that was changed and approved anew is another one at once.
        key, now = (job.revision_id, job.approved_hash, job.sender_id, job.purpose, reads), self._clock()
        until, common = self._kept.get(key, (now, None))
        if common is None or now >= until or len(common.things) > _MOST_THINGS:
            asked = {"purpose": job.purpose, "sender": job.sender_id, "revision": job.revision_id}
            again = common.things if common is not None and len(common.things) <= _WORTH_KEEPING else {}
            common = Common(session.execute(_CAMPAIGN, asked).one(), job.purpose, self._links, self._zone, reads)
            common.look_up(session, again)
            self._kept = {k: kept for k, kept in self._kept.items() if kept[0] > now and k != key}
            self._kept[key] = now + FRESH_SECONDS, common
        return common


class Common:
    """What is the same for everybody whom one content goes to, and each person's fields beside it."""

    def __init__(
        self,
        row: Row[Any],
        purpose: str,
        links: Links,
        zone: ZoneInfo = SHOP_ZONE,
        reads: Collection[str] = EVERYTHING,
    ) -> None:
        self.values: dict[str, Any] = complete(row.kind, row.values)
        self.wanted = Wanted(
            wishes=not _WISHES.isdisjoint(reads), often=not _OFTEN.isdisjoint(reads), last=not _LAST.isdisjoint(reads)
        )
        self.things: dict[int, Thing | None] = {}
        self._cards: dict[int, Mapping[str, str] | None] = {}
        self._zone, self._percent_off = zone, _percent(self.values.get("percent_off"))
        self._assets = links.address_of("static/mail")
        self._shop = (self.values.get("shop_url") or links.address_of("")).rstrip("/")
        self._same = {
            "assets": self._assets,
            "sender": {name: getattr(row, column) for name, column in _SENDER.items()},
            "purpose": {"name": row.purpose_name},
            "campaign": self.values,
        }
        now = datetime.now(UTC)
        languages = ("en", "hi") if "links.unsubscribe_hi" in reads else ("en",)
        self._pens = [links.of_batch(purpose, issued_at=now, language=language) for language in languages]
        self._links = [
            (name, number, self._pens[number].kind(kind))
            for name, (number, kind) in _SIGNED.items()
            if name == "unsubscribe" or f"links.{name}" in reads
        ]

    def learn(self, session: Session, found: Iterable[Profile]) -> None:
        """Look up the things that these people wish for or bought, as far as they aren't known yet."""
        unknown = {number for profile in found for row in (profile[6], profile[9]) if row for number in row}
        unknown.difference_update(self.things)
        self.look_up(session, unknown)

    def look_up(self, session: Session, numbers: Collection[int]) -> None:
        """Read what these products are now; none of a number is known, too."""
        if numbers:
            self.know({**dict.fromkeys(numbers), **profiles.things(session, numbers)})

    def know(self, things: Mapping[int, Thing | None]) -> None:
        """Take these products for what they are now."""
        self.things.update(things)
        for number, thing in things.items():
            self._cards[number] = card(thing, self._percent_off, self._shop, self._assets) if thing else None

    def fields(self, delivery_id: UUID, profile: Profile) -> Fields:
        """Return one person's fields, made of what was read about them."""
        _, ref, first_name, city, agreed_at, source, wishes, often, last_at, last = profile
        said: dict[str, Any] = {
            **self._same,
            "person": {"first_name": first_name or "", "city": city or ""},
            "grant": {"date": self._day(agreed_at), "place": _PLACES.get(source, _NO_PLACE)},
            "links": self._signed(ref, delivery_id),
        }
        if wishes is not None:
            cards = self._cards
            wished = [thing for number in wishes if (thing := cards[number])][: most("wishlist")]
            said["wishlist"], said["wishlist_words"] = wished, _HOW_MANY[len(wished)]
        bought = said["bought"] = {"last_place": ""}
        if often is not None:
            bought.update(liked(tuple(often), self._shop, self._assets))
        if self.wanted.last:
            bought.update(self._last(last_at, last or ()))
        return said

    def _signed(self, ref: bytes, delivery_id: UUID) -> Mapping[str, str]:
        heads = [pen.head(ref, delivery_id) for pen in self._pens]
        said = {name: link(heads[number]) for name, number, link in self._links}
        said["shop"], said["wishlist"] = self._shop, f"{self._shop}/wishlist"
        return said

    def _last(self, at: datetime | None, numbers: Sequence[int]) -> Mapping[str, str]:
        newest = next((thing for number in numbers if (thing := self.things[number]) and thing.may_be_named), None)
        if newest is None or at is None:
            return _NOTHING_BOUGHT
        return {"last_name": shortened(newest.name), "last_date": self._day(at)}

    def _day(self, moment: datetime) -> str:
        return _in_words(moment.astimezone(self._zone).date())


@lru_cache(8192)
def _in_words(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def complete(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The campaign's values with every optional one there, be it empty."""
    empty = {name: [] if isinstance(field, Several) else "" for name, field in CAMPAIGN_VALUES[kind].items()}
    return empty | {name: value for name, value in values.items() if value is not None}


def _percent(value: Any) -> int:
    return int(value) if isinstance(value, str) and value.isdigit() and int(value) < 100 else 0


_WISHES = frozenset({"wishlist", "wishlist_words"})
_OFTEN = frozenset({"bought.words", "bought.often"})
_LAST = frozenset({"bought.last_name", "bought.last_date"})
_NOTHING_BOUGHT = {"last_name": "", "last_date": ""}
# Each with the language it is written for: the first of ours, or the second.
_SIGNED = {
    "unsubscribe": (0, Kind.UNSUBSCRIBE),
    "unsubscribe_hi": (1, Kind.UNSUBSCRIBE),
    "preferences": (0, Kind.PREFERENCES),
    "why": (0, Kind.WHY),
}
_SENDER = {
    "name": "from_name",
    "legal_name": "legal_name",
    "postal_address": "postal_address",
    "care_phone": "care_phone",
    "care_email": "care_email",
    "officer": "officer",
}
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
_NO_PLACE = "as our records show"

_CAMPAIGN = text("""
    SELECT s.from_name, s.legal_name, s.postal_address, s.care_phone, s.care_email, s.officer,
           p.name AS purpose_name, r.kind, r.values
      FROM senders s, purposes p, revisions r
     WHERE s.id = :sender AND p.key = :purpose AND r.id = :revision""")
