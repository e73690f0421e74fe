"""The whole world of the demonstration, put into an empty database: catalogue, purchases, people, consents, wishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, exists, select
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import activity, suppression
from mailer.models import Customer
from workers.demo import consents, people, shop, wishes
from workers.demo.history import History, Loaded, Progress

SEED = 20261108


@dataclass(frozen=True, slots=True)
class World:
    """What was made."""

    loaded: Loaded
    kinds: Mapping[int, str]
    """To which part of the spread (`consents.SPREAD`) each person belongs."""
    wishes: int


class NotEmpty(RuntimeError):
    """The database holds people already: the demonstration never adds made-up people to real ones."""


Say = Callable[[str], None]


def make(
    engine: Engine,
    keys: Keys,
    now: datetime,
    *,
    zone: str = "Asia/Kolkata",
    seed: int = SEED,
    households: int | None = None,
    say: Say = lambda _: None,
    progress: Progress = lambda *_: None,
) -> World:
    """Fill the empty database behind `engine`; the same seed and day give the same world. Commits as it goes."""
    today = now.astimezone(ZoneInfo(zone)).date()
    say("reading the purchase history")
    history = History(today - timedelta(days=1), households)
    with Session(engine) as session:
        if session.scalar(select(exists().where(Customer.id > 0))):
            raise NotEmpty("There are people in this database. The demonstration needs an empty one.")
        crowd = people.invent(history.households(), seed, today)
        people.store(session, keys, crowd)
        say("people and their consents")
        spread = consents.spread(crowd, shop.publish(session, now), seed, now)
        consents.write(session, spread)
        session.commit()
        for kind, reason in (("complained", suppression.COMPLAINT), ("bounced", suppression.HARD_BOUNCE)):
            consents.suppress(session, spread.people(kind), reason)
            session.commit()
        consents.type_addresses(engine, keys, crowd, spread.people("typed their address"))
        loaded = history.load(session, zone, progress)
        wished = wishes.store(session, history, seed, now)
        history.close()
        say("projections")
        activity.rebuild(session)
        session.commit()
    return World(loaded, spread.kinds, wished)
