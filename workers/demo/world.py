"""The whole world of the demonstration, put into an empty database: catalogue, purchases, people, consents, wishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
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
    history: History,
    now: datetime,
    *,
    zone: str = "Asia/Kolkata",
    seed: int = SEED,
    say: Say = lambda _: None,
    progress: Progress = lambda *_: None,
) -> World:
    """Fill the empty database behind `engine`; the same seed and day give the same world. Commits as it goes."""
    with Session(engine) as session:
        if session.scalar(select(exists().where(Customer.id > 0))):
            raise NotEmpty("There are people in this database. The demonstration needs an empty one.")
    say("loading people, consents and purchases")
    with ThreadPoolExecutor(1) as beside, Session(engine) as session:
        lines = beside.submit(_copy_lines, engine, history, zone, progress)
        kinds = _people(session, engine, keys, history, now, zone, seed)
        history.load(session, zone, progress, ("products", "orders"))
        wished = wishes.store(session, history, seed, now)
        session.commit()
        lines.result()
        say("projections")
        activity.rebuild(session)
        session.commit()
    return World(history.counts(), kinds, wished)


def _people(
    session: Session, engine: Engine, keys: Keys, history: History, now: datetime, zone: str, seed: int
) -> Mapping[int, str]:
    """Store people with what they said yes and no to; return to which part of the spread each belongs."""
    crowd = people.invent(history.households(), seed, now.astimezone(ZoneInfo(zone)).date())
    people.store(session, keys, crowd)
    spread = consents.spread(crowd, shop.publish(session, now), seed, now)
    consents.write(session, spread)
    session.commit()
    for kind, reason in (("complained", suppression.COMPLAINT), ("bounced", suppression.HARD_BOUNCE)):
        consents.suppress(session, spread.people(kind), reason)
        session.commit()
    consents.type_addresses(engine, keys, crowd, spread.people("typed their address"))
    return spread.kinds


def _copy_lines(engine: Engine, history: History, zone: str, progress: Progress) -> None:
    with Session(engine) as session, session.begin():
        history.load(session, zone, progress, ("order lines",))


def until(now: datetime, zone: str = "Asia/Kolkata") -> date:
    """Return yesterday at the shop: the day of the last order."""
    return now.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
