"""The clock: what is due as time goes by. Two may run; everything it does is done once.

Each duty has a transaction of its own, and one that fails is logged and tried again at the next tick: the others go
on. The clock is also the poll by which an empty Redis costs seconds instead of mail.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine, TextClause, text
from sqlalchemy.orm import Session

from campaigns import tending
from config.keys import Keys
from config.logging import configure
from config.settings import Settings
from mailer import comparing, digest, notices, optout, reaper
from mailer.consent.links import Links
from mailer.db import create_engine_from, session_factory
from mailer.feedback.applying import BATCH, Applier
from mailer.restore import Folders
from workers import actors
from workers.broker import make_broker, waiting
from workers.errands import Errands, make_errands
from workers.runtime import make_lists, required, stop_on_signal
from workers.startup import check_database, check_root_key
from workers.watchman import Watchman

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
TELL_EVERY = 5
"""Ticks between two looks for what a provider must be told."""

_SENDING = text("SELECT campaign_id FROM mandates WHERE state = 'sending' ORDER BY campaign_id")
_ENDING = text("""
    SELECT campaign_id, state FROM mandates
     WHERE state = 'cancelled' OR (state IN ('sending', 'paused') AND ends_at <= clock_timestamp())
""")
# Nobody is lost after the end; how long ago a campaign began says nothing.
_IN_DOUBT = text("""
    SELECT campaign_id FROM mandates
     WHERE state IN ('sending', 'paused') OR as_of > clock_timestamp() - interval '40 days'
    UNION SELECT id FROM campaigns WHERE ended_at > clock_timestamp() - interval '40 days'
    UNION SELECT campaign_id FROM resend_requests WHERE decided_at > clock_timestamp() - interval '40 days'
""")


def run(settings: Settings) -> None:
    """Tick until SIGTERM or SIGINT."""
    keys = Keys(required(settings.root_key, "ASKFIRST_ROOT_KEY"))
    configure(settings.log_level, key=keys.derive("logs"))
    stop = stop_on_signal()
    engine = create_engine_from(required(settings.database_url, "DATABASE_URL"), name=f"askfirst clock {os.getpid()}")
    check_database(engine)
    check_root_key(engine, keys)
    applier = Applier(engine, keys, Links(keys, settings.public_url))
    broker = make_broker(required(settings.redis_url, "REDIS_URL"))
    errands = make_errands(settings, engine)
    lists, copy = make_lists(settings), settings.journal_copy
    clock = Clock(engine, broker, settings.workers, settings.data, lists, applier, keys, errands, copy)
    while not stop.is_set():
        began = time.monotonic()
        clock.tick()
        stop.wait(max(0.0, TICK_SECONDS - (time.monotonic() - began)))


class Clock:
    """The duties, one tick at a time."""

    def __init__(
        self,
        engine: Engine,
        broker: RedisBroker,
        workers: int,
        data: Path,
        lists: Sequence[notices.Lists] = (),
        applier: Applier | None = None,
        keys: Keys | None = None,
        errands: Errands | None = None,
        copy: Path | None = None,
    ) -> None:
        self._engine = engine
        self._data = data
        self._sessions = session_factory(engine)
        self._broker = broker
        self._workers = workers
        self._ticks = 0
        self._settled: dict[int, int] = {}
        self._watchman = Watchman(self._sessions, Folders(data, copy), self._queue)
        self._swept: set[tuple[int, str]] = set()
        self._lists = lists
        self._keys = keys
        self._errands = errands
        self._telling: threading.Thread | None = None
        self._applier = applier
        self._applying: threading.Thread | None = None

    def tick(self) -> None:
        """Do everything that is due, once."""
        duties: list[Callable[[], object]] = [
            self._watchman.look_at_database,
            self._tend,
            self._watchman.look_at_numbers,
            self._reap,
            self._fold,
            self._sweep,
            self._wake,
            self._watchman.beat,
        ]
        if self._lists and self._ticks % TELL_EVERY == 0:
            duties.append(self._tell)
        if self._applier is not None:
            duties.append(self._apply)
        if self._ticks % 600 == 0:
            duties += [self._give_up_waiting, self._give_up_trying, self._digest]
        if self._errands is not None:
            duties.append(self._errands.tick)
        self._ticks += 1
        for duty in duties:
            try:
                duty()
            except Exception:
                log.exception("duty_failed", duty=duty.__name__)

    def _tend(self) -> None:
        with self._sessions() as session, session.begin():
            duties = tending.look(session, self._settled)
        for duty in duties:
            # Each in its own transaction: one that fails holds up no other campaign.
            try:
                with self._sessions() as session, session.begin():
                    duty.do(session, self._settled)
            except Exception:
                log.exception("duty_failed", duty=duty.what, campaign_id=duty.campaign_id)

    def _reap(self) -> None:
        with self._sessions() as session, session.begin():
            lost = reaper.reap(session)
        if lost:
            log.warning("in_doubt", deliveries=lost, why="a worker was lost while handing over")

    def _fold(self) -> None:
        optout.fold_waiting(self._engine)

    def _sweep(self) -> None:
        # A campaign that ended is swept until nothing of it can come back to pending, and then never looked at again,
        # unless it was only paused and is resumed.
        with self._sessions() as session:
            ending = {(row.campaign_id, row.state) for row in session.execute(_ENDING)}
        self._swept &= ending
        for campaign_id, state in sorted(ending - self._swept):
            self._all_of(reaper.sweep, campaign_id)
            with self._sessions() as session:
                if reaper.is_over(session, campaign_id):
                    self._swept.add((campaign_id, state))

    def _give_up_trying(self) -> None:
        while True:
            with self._sessions() as session, session.begin():
                if reaper.give_up_trying(session) == 0:
                    return

    def _give_up_waiting(self) -> None:
        for campaign_id in self._ids(_IN_DOUBT):
            self._all_of(reaper.give_up_waiting, campaign_id)

    def _digest(self) -> None:
        with self._sessions() as session, session.begin():
            taken = digest.take_if_due(session)
            line = json.dumps(digest.as_json(taken)) if taken is not None else None
        if line is not None:
            # Outside the database, so that whoever can change that one can't change this one unseen.
            with (self._data / "digests.jsonl").open("a", encoding="utf-8") as exported:
                exported.write(line + "\n")

    def _tell(self) -> None:
        # In a thread of its own: nothing here waits for a provider that is slow to answer.
        if self._telling is None or not self._telling.is_alive():
            self._telling = threading.Thread(target=self.tell_providers, daemon=True, name="notices")
            self._telling.start()

    def _apply(self) -> None:
        # In a thread of its own too: an opt-out among the events may wait a second for its locks.
        if self._applying is None or not self._applying.is_alive():
            self._applying = threading.Thread(target=self.apply_feedback, daemon=True, name="feedback")
            self._applying.start()

    def apply_feedback(self) -> None:
        """Apply what providers and mail servers told us, until nothing is waiting."""
        if self._applier is None:
            return
        try:
            while self._applier.apply_waiting() == BATCH:
                pass
            self._applier.apply_refusals()
            self._applier.judge_softs()
        except Exception:
            log.exception("duty_failed", duty="apply_feedback")

    def tell_providers(self) -> None:
        """Tell providers what they must know, as long as they hear us; once a day look whether they still do."""
        for lists in self._lists:
            try:
                self._tell_one(lists)
            except Exception:
                log.exception("duty_failed", duty="tell_providers", provider=lists.name)

    def _tell_one(self, lists: notices.Lists) -> None:
        while True:
            with self._sessions() as session, session.begin():
                done = notices.tell(session, lists)
            if done["again"]:
                log.warning("provider_not_told", provider=lists.name, notices=done["again"])
            if not done["told"]:
                break
        while self._keys is not None:
            with self._sessions() as session, session.begin():
                if not comparing.look(session, lists, self._keys):
                    return

    def _queue(self) -> int:
        return waiting(self._broker)

    def _wake(self) -> None:
        # Bounded: a queue that nobody drains must not grow while the workers are away.
        sending = self._ids(_SENDING)
        room = self._workers - waiting(self._broker) if sending else 0
        for place in range(room):
            actors.wake(self._broker, sending[(self._ticks + place) % len(sending)])

    def _all_of(self, step: Callable[[Session, int], int], campaign_id: int) -> None:
        while True:
            with self._sessions() as session, session.begin():
                if step(session, campaign_id) == 0:
                    return

    def _ids(self, statement: TextClause) -> Sequence[int]:
        with self._sessions() as session:
            return session.execute(statement).scalars().all()
