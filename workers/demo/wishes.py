"""What these people wish for: things of the kinds that they buy, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mailer import activity
from mailer.models import WishlistItem
from workers.demo.history import History

KINDS = 8
"""How many of the categories that a person buys most are looked at."""
HOW_MANY = (0, 0, 1, 2, 2, 3, 4, 6)
CHEAPEST, DEAREST = 5_000, 500_000
REMOVED = 0.15
COLUMNS = ("customer_id", "product_id", "added_at", "removed_at")


def store(session: Session, history: History, seed: int, now: datetime) -> int:
    """Write everybody's wishlist; return how many things were ever on one. Facets follow by `activity.rebuild`."""
    shelves = history.shelves(CHEAPEST, DEAREST)
    favourites = history.favourites(KINDS)
    rows = (row for person, kinds in favourites.items() for row in _wishes(person, kinds, shelves, seed, now))
    return activity.copy_in(session, WishlistItem, COLUMNS, (row.encode() for row in rows))


def _wishes(
    person: int, kinds: Sequence[str], shelves: Mapping[str, Sequence[int]], seed: int, now: datetime
) -> Iterator[str]:
    draw = random.Random(f"{seed}/wishlist/{person}")  # noqa: S311 - wishes, not keys
    shelf = [product for kind in kinds for product in shelves.get(kind, ())]
    for product in draw.sample(shelf, min(len(shelf), draw.choice(HOW_MANY))):
        added = now - timedelta(days=draw.uniform(1, 200))
        removed = added + (now - added) * draw.random() if draw.random() < REMOVED else ""
        yield f"{person},{product},{added},{removed}\n"
