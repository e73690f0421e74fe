"""What these people said yes and no to: a believable spread, written through the ledger's own doors.

Nothing is put into a table directly: each yes and each no goes through `ledger.record_many`, the stops by typed
address through the opt-out door, complaints and bounces through the suppression list.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import customers, optout, suppression
from mailer.consent import ledger
from mailer.consent.ledger import Act
from mailer.consent.policy import ALL, Action
from mailer.models import Address
from workers.demo.people import Invented
from workers.demo.shop import Words

PURPOSES = ("festive", "launch", "offer", "service")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the spread: how many of a hundred, the yes they gave, and the no that came after it."""

    share: float
    yes: Sequence[str] = ()
    only_one: bool = False
    """One of `yes`, drawn for each person."""
    notice: str | None = None
    """The notice they said yes under; None: one of the last two."""
    no: str | None = None
    no_door: tuple[str, str] = ("preferences", "Your e-mail choices")
    again: bool = False
    """A new yes today."""
    late: bool = False
    """An old yes to festivals that was brought in after the no: it changes nothing."""


SPREAD: Mapping[str, Part] = {
    "never asked": Part(13),
    "all four": Part(30, PURPOSES),
    "festivals and offers": Part(12, ("festive", "offer")),
    "festivals only": Part(11, ("festive",)),
    "one other purpose": Part(8, PURPOSES[1:], only_one=True),
    "older notice, still covered": Part(9, PURPOSES, notice="3.1"),
    "older notice, changed since": Part(4, PURPOSES, notice="2.0"),
    "said no to festivals": Part(4, PURPOSES, notice="3.1", no="festive"),
    "said no to everything": Part(3, PURPOSES, notice="3.1", no=ALL, no_door=("one_click", "their mail program")),
    "said no, then yes again": Part(1.5, PURPOSES, notice="3.1", no="festive", again=True),
    "old yes arrived late": Part(0.5, PURPOSES, notice="3.1", no="festive", no_door=("helpline", "phone"), late=True),
    "found to be a minor": Part(1.5, PURPOSES),
    "complained": Part(0.8, PURPOSES),
    "bounced": Part(0.9, PURPOSES),
    "typed their address": Part(0.8, PURPOSES),
}
DOORS = (
    ("web_form", "sign-up page", "signup"),
    ("store", "tablet in the shop", "shop-tablet"),
    ("checkout", "web checkout", "checkout"),
)
AGENTS = ("Firefox on a computer", "Chrome on a phone", "Safari on a phone", "Chrome on a computer")
CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Spread:
    """Who belongs to which part of the spread; `again` is what people do after the rest was written."""

    kinds: Mapping[int, str]
    acts: Sequence[Act]
    again: Sequence[Act]
    born: Mapping[int, date]
    """Birth dates that are learned after the yes, of people under 18."""

    def people(self, kind: str) -> list[int]:
        """Return the numbers of those who belong to `kind`."""
        return sorted(person for person, found in self.kinds.items() if found == kind)


def spread(people: Iterable[Invented], words: Words, seed: int, now: datetime) -> Spread:
    """Return what everybody did. Nobody whose age isn't known was ever asked."""
    kinds: dict[int, str] = {}
    acts: list[Act] = []
    again: list[Act] = []
    born: dict[int, date] = {}
    for person in people:
        draw = random.Random(f"{seed}/consent/{person.id}")  # noqa: S311 - a spread, not a key
        kind = (
            draw.choices(list(SPREAD), weights=[part.share for part in SPREAD.values()])[0]
            if person.adult
            else "never asked"
        )
        kinds[person.id] = kind
        story = _Story(person, words, draw, now)
        acts += story.acts(SPREAD[kind])
        again += story.again(SPREAD[kind])
        if kind == "found to be a minor":
            born[person.id] = now.date() - timedelta(days=draw.randint(14 * 365, 17 * 365))
    return Spread(kinds, acts, again, born)


def write(session: Session, spread: Spread) -> None:
    """Write the ledger, then what people did later, then the birth dates that came to light."""
    for acts in (*_chunks(spread.acts), *_chunks(spread.again)):
        held = ledger.record_many(session, acts)
        if held:
            raise RuntimeError(f"{len(held)} acts could not be written: somebody else is at work in this database.")
    for person, birth_date in spread.born.items():
        customers.learn_birth_date(session, person, birth_date)


def suppress(session: Session, people: Sequence[int], reason: str) -> None:
    """Put the addresses of `people` on the suppression list, under the locks of addresses and people."""
    hashes = dict(
        session.execute(select(Address.customer_id, Address.address_hash).where(Address.customer_id.in_(people))).all()
    )
    suppression.lock_addresses(session, hashes.values())
    holders = session.scalars(select(Address.customer_id).where(Address.address_hash.in_(hashes.values())))
    ledger.lock_customers(session, holders)
    for address_hash in sorted(set(hashes.values())):
        suppression.suppress(session, address_hash, ALL, reason)


def type_addresses(engine: Engine, keys: Keys, people: Iterable[Invented], typed: Iterable[int]) -> None:
    """Let people stop everything by typing their address; one of them isn't known to the shop at all."""
    by_number = {person.id: person.address for person in people}
    for address in [*(by_number[number] for number in typed), "nobody.we.know@example.com"]:
        if address is not None:
            optout.stop_address(engine, keys, address=address, source="typed_address", evidence={"place": "stop page"})


@dataclass(frozen=True, slots=True)
class _Story:
    """One person's yes and no, as acts."""

    person: Invented
    words: Words
    draw: random.Random
    now: datetime

    def acts(self, part: Part) -> list[Act]:
        purposes = (self.draw.choice(part.yes),) if part.only_one else part.yes
        acts = self._yes(purposes, part.notice or self._notice())
        if part.no is not None:
            acts.append(self._no(part.no, *part.no_door))
        if part.late:
            acts += [replace(act, source="import") for act in self._yes(("festive",), "3.0")]
        return acts

    def again(self, part: Part) -> list[Act]:
        """A new yes counts only if it happened after the no was written: so it is written on its own, now."""
        return [replace(act, occurred_at=None) for act in self._yes(("festive",), "3.2")] if part.again else []

    def _notice(self) -> str:
        return self.draw.choices(("3.1", "3.2"), weights=(25, 75))[0]

    def _yes(self, purposes: Sequence[str], notice: str) -> list[Act]:
        source, place, form = self.draw.choice(DOORS)
        shown = "hi" if self.person.language == "hi" and notice != "2.0" else "en"
        at = self._during(notice)
        evidence = self._evidence(place, form=f"{form} {notice}", ticked_before=False, language=shown)
        return [
            Act(self.person.id, Action.GRANT, purpose, source, *self.words.shown(notice, shown, purpose), at, evidence)
            for purpose in purposes
        ]

    def _no(self, scope: str, source: str, place: str) -> Act:
        at = self.now - timedelta(days=self.draw.randint(3, 40), minutes=self.draw.randint(0, 1400))
        return ledger.withdrawal(self.person.id, scope, source, at, self._evidence(place))

    def _during(self, notice: str) -> datetime:
        """Return a moment at which `notice` was in force and the person was known."""
        later = sorted(at for at in self.words.effective.values() if at > self.words.effective[notice])
        end = later[0] if later else self.now - timedelta(days=2)
        start = min(max(self.words.effective[notice], self.person.created_at), end)
        return start + (end - start) * self.draw.random()

    def _evidence(self, place: str, **more: Any) -> dict[str, Any]:
        if place.startswith("tablet"):
            place = f"{place} in {self.person.city}"
        network = f"192.0.2.{self.draw.randint(0, 15) * 16}/28"  # for documents (RFC 5737)
        return {"place": place, "network": network, "agent": self.draw.choice(AGENTS), **more}


def _chunks(acts: Sequence[Act]) -> Iterator[Sequence[Act]]:
    for start in range(0, len(acts), CHUNK):
        yield acts[start : start + CHUNK]
