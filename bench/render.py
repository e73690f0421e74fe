"""Making messages: everything a worker does in Python between the rows of a batch and the hand-over, messages a second.

Ours: merge fields, signed links, subject, both parts encoded, headers; a festive mail of 40 KB with 20 merge fields
and two loops of three products. The limit: joining finished pieces of the same messages, as many as ours has. The
naive way: the same templates by Jinja and the same headers by `EmailMessage` (timed on a share), from the same rows.
`plain` is ours with the plans left out: what a content costs that only Jinja understands. No database, no sending.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, NamedTuple
from uuid import UUID

from config.keys import Keys
from config.settings import Settings
from mailer.cards import Thing
from mailer.compose import message_key
from mailer.consent.links import Links
from mailer.fields import Common
from mailer.message import Marketing, Sender, build
from mailer.profiles import Profile
from mailer.render import Encoded, Renderer, compile_source
from mailer.starters import starting_source
from workers.measured import Measured

SIZES = (2_000, 20_000)
NAIVE = 200
"""Messages that the naive way is timed with."""
PRODUCTS = 600
PIECES = 40
SENDER = Sender("Anaar Home", "hello@mail.example.com", "mail.example.com", reply_to="care@example.com")
ATTEMPT = UUID(int=1)
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
SHELVES = (
    "Lamps",
    "Cookware",
    "Coffee and tea",
    "Bottles",
    "Snacks",
    "Tropical fruit",
    "Vegetables",
    "Spices",
    "Bread",
)


class Campaign(NamedTuple):
    kind: str
    values: Mapping[str, Any]
    purpose_name: str = "festivals and seasons"
    from_name: str = "Anaar Home"
    legal_name: str = "Anaar Home Private Limited"
    postal_address: str = "14 Sample Road, Bengaluru 560 001, India"
    care_phone: str = "1800 000 0000"
    care_email: str = "care@example.com"
    officer: str = "Meera Rao"


class Person(NamedTuple):
    """A row as it comes from the database, and whom it is about."""

    delivery_id: UUID
    address: str
    row: Profile


class Desk:
    """One worker's desk: the content compiled, what the batch has in common read."""

    def __init__(self, things: Mapping[int, Thing]) -> None:
        source = starting_source("festive")
        # The mail that comes along has 32 KB; a longer tip and week make the 40 KB of a real one.
        longer = {name: f"{source.values[name]} " + "Light one more lamp. " * 130 for name in ("tip", "week")}
        source = replace(source, values={**source.values, **longer})
        self.renderer = Renderer(compile_source(replace(source, values={})))
        links = Links(Keys(bytes(32)), "https://mail.example.com")
        self.common = Common(Campaign("festive", source.values), "festive", links)  # type: ignore[arg-type]
        self.common.know(things)

    def fields(self, person: Person) -> Mapping[str, Any]:
        return self.common.fields(person.delivery_id, person.row)

    def planned(self, person: Person) -> bytes:
        fields = self.fields(person)
        return finished(person, fields, self.renderer.encode(fields))

    def plain(self, person: Person) -> bytes:
        fields = self.fields(person)
        return finished(person, fields, self.renderer.plain(fields))

    def naive(self, person: Person) -> bytes:
        fields = self.fields(person)
        rendered = self.renderer.render(fields)
        message = EmailMessage()
        message["From"] = f"{SENDER.name} <{SENDER.address}>"
        message["To"], message["Subject"], message["Date"] = person.address, rendered.subject, format_datetime(NOW)
        message["Message-ID"] = f"<{message_key(ATTEMPT, person.delivery_id).hex}@{SENDER.domain}>"
        message["List-Unsubscribe"] = f"<{fields['links']['unsubscribe']}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message["List-Id"], message["Feedback-ID"] = "<festive.mail.example.com>", "7:festive:marketing:askfirst"
        message.set_content(rendered.text, cte="quoted-printable")
        message.add_alternative(str(rendered.html), subtype="html", cte="quoted-printable")
        return message.as_bytes(policy=SMTP)


def finished(person: Person, fields: Mapping[str, Any], encoded: Encoded) -> bytes:
    return build(
        sender=SENDER,
        recipient=person.address,
        subject=encoded.subject,
        html=encoded.pieces,
        text=encoded.text,
        date=NOW,
        attempt_id=message_key(ATTEMPT, person.delivery_id),
        marketing=Marketing(7, "festive", "festivals and seasons", fields["links"]["unsubscribe"]),
    )


def run(_settings: Settings, n: int, *, seed: int, **_options: Any) -> Mapping[str, Measured]:
    """Measure with `n` people."""
    draw = random.Random(seed)
    things = products(draw)
    desk, audience = Desk(things), list(people(draw, n))
    if any(desk.planned(person) != desk.plain(person) for person in audience[:50]):
        raise RuntimeError("the planned message is not the plain one")
    naive = NAIVE / timed(desk.naive, audience[:NAIVE])[0]
    limit = n / joined(desk, audience)
    ours, cpu = timed(desk.planned, audience)
    share = audience[: max(1, n // 10)]
    slow, slow_cpu = timed(desk.plain, share)
    return {
        "render": Measured(n, "messages/s", n / ours, limit, naive, cpu / n * 1000),
        "render_plain": Measured(
            len(share), "messages/s", len(share) / slow, limit, naive, slow_cpu / len(share) * 1000
        ),
    }


def timed(make: Callable[[Person], bytes], audience: Sequence[Person]) -> tuple[float, float]:
    """Return seconds and CPU seconds."""
    began, cpu = time.perf_counter(), time.process_time()
    for person in audience:
        make(person)
    return time.perf_counter() - began, time.process_time() - cpu


def joined(desk: Desk, audience: Sequence[Person]) -> float:
    """Return seconds for joining finished pieces, without making any."""
    some = [desk.planned(person) for person in audience[:100]]
    pieces = [
        [one[at : at + len(one) // PIECES + 1] for at in range(0, len(one), len(one) // PIECES + 1)] for one in some
    ]
    began = time.perf_counter()
    for number in range(len(audience)):
        b"".join(pieces[number % len(pieces)])
    return time.perf_counter() - began


def products(draw: random.Random) -> Mapping[int, Thing]:
    return {
        number: Thing(
            f"Brass lamp no {number}, three wicks",
            "Home",
            draw.choice(SHELVES),
            f"SKU-{number:05}",
            draw.randrange(9_900, 499_900),
        )
        for number in range(PRODUCTS)
    }


def people(draw: random.Random, n: int) -> Iterator[Person]:
    """Names, towns and products come again, as they do; addresses, links and days are each person's own."""
    names = ["Priya", "Asha", "नमन", "O'Neil", *(f"Name{i}" for i in range(2_000))]
    towns = ["Pune", "Mumbai", *(f"Town {i}" for i in range(200))]
    for number in range(n):
        since = NOW - timedelta(minutes=draw.randrange(500_000))
        wishes, last = draw.sample(range(PRODUCTS), 4), draw.sample(range(PRODUCTS), 2)
        said = (draw.randbytes(16), draw.choice(names), draw.choice(towns), since, "store")
        yield Person(
            UUID(int=draw.getrandbits(128)),
            f"person{number}@example.com",
            (number, *said, wishes, draw.sample(SHELVES, 5), NOW, last),
        )
