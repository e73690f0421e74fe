"""One worker's slice of a campaign: expand, pick, render, keep to the rate, deliver; batch by batch.

A slice is short and ends between batches, so that campaigns take turns and a normal stop leaves nothing in doubt.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import structlog
from sqlalchemy.exc import DBAPIError

from campaigns import audience
from mailer import canary, delivery, guards, pick, records, throttle
from mailer.db import SessionFactory
from mailer.pick import Candidate, Job
from mailer.stripes import Claims
from workers.carriers import BATCH_MOST, Carrier, Carriers, NoCarrier
from workers.cursors import Cursor

log = structlog.get_logger(__name__)

SLICE_SECONDS = 10.0
PICK = 500
BATCH_SECONDS = 0.1
"""What a batch should take: an opt-out waits for the batch that holds its person."""
FIRST_BATCH = 8.0
LEAST_BATCH = 4
SLOW_SECONDS = 0.4
"""Half of W. A batch that took longer is halved at once, down to one message."""
SMOOTH_SECONDS = 0.25
"""Under a rate, a batch is at most what may go in this time."""


@dataclass
class Dispatcher:
    """What a worker process knows between slices. One thread uses it."""

    sessions: SessionFactory
    carriers: Carriers
    worker: str
    stop: threading.Event
    batches: dict[str, float] = field(default_factory=dict)
    """How many messages the next batch has, by provider: each is as fast as it is."""
    cursors: dict[int, Cursor] = field(default_factory=dict)
    audiences: SessionFactory | None = None
    """Sessions for making audiences, where `sessions` are for looking up people by key."""
    claims: Claims = field(init=False)

    def __post_init__(self) -> None:
        self.claims = Claims(self.sessions)

    def run(self, campaign_id: int) -> bool:
        """Work on a campaign for one slice; return whether there is more to do at once."""
        until = time.monotonic() + SLICE_SECONDS
        told = structlog.contextvars.bound_contextvars(campaign_id=campaign_id, worker=self.worker)
        with told, self.claims.at_hand():
            while not self.stop.is_set() and time.monotonic() < until:
                expanding = self._expand(campaign_id)
                job, carrier, due = self._due(campaign_id)
                if job is None or carrier is None:
                    return False
                if due:
                    if not self._send(job, carrier, due, until):
                        return False
                elif not expanding:
                    return False
        return not self.stop.is_set()

    def _expand(self, campaign_id: int) -> bool:
        with (self.audiences or self.sessions)() as session, session.begin():
            return not (step := audience.expand(session, campaign_id)).done and step.stopped is None

    def _due(self, campaign_id: int) -> tuple[Job | None, Carrier | None, Sequence[Candidate]]:
        # Ended by a commit, as all reading here: after a rollback the driver forgets the statements it has prepared.
        with self.sessions() as session, session.begin():
            job = pick.read_job(session, campaign_id)
            if job is None:
                self.cursors.pop(campaign_id, None)
                return None, None, ()
            try:
                carrier = self.carriers.of(session, job)
            except NoCarrier as trouble:
                self._pause(campaign_id, str(trouble))
                return None, None, ()
            carrier.traffic.look(session)
            if carrier.traffic.left() > 0:
                return job, carrier, ()  # left alone: picking would only send everybody round once more
            if job.canary and not canary.room(session, campaign_id):
                return job, carrier, ()  # the first are out; the rest waits for the numbers
            most = max(PICK, carrier.most)
            limit = most if job.rate_per_second is None else max(1, min(most, int(job.rate_per_second * 2)))
            # Both ways, always: one row that can't be taken just now must not keep the others waiting.
            without = guards.stopped_domains(session, campaign_id).union(carrier.traffic.avoid())
            back = pick.come_back(session, campaign_id, limit=limit, without=without)
            if campaign_id not in self.cursors:
                self.cursors[campaign_id] = Cursor.begin(session, campaign_id, self.claims)
            found = self.cursors[campaign_id].next(session, limit, without, soonest=carrier.traffic.soonest())
            return job, carrier, [*back, *found]

    def _pause(self, campaign_id: int, reason: str) -> None:
        log.error("campaign_paused", campaign_id=campaign_id, why=reason)
        with self.sessions() as session, session.begin():
            records.pause(session, campaign_id, reason)

    def _send(self, job: Job, carrier: Carrier, due: Iterable[Candidate], until: float) -> bool:
        """Deliver batch by batch; return whether it is worth going on in this slice."""
        taken = 0
        waiting = deque(due)
        while waiting and not self.stop.is_set() and time.monotonic() < until:
            if carrier.traffic.left() > 0:
                break
            batch = [waiting.popleft() for _ in range(min(len(waiting), self._size(job, carrier)))]
            admitted = carrier.traffic.admit(self.sessions, batch)
            if not admitted:
                continue
            if not self._wait_for_slot(job, len(admitted), until - time.monotonic()):
                waiting.extendleft(reversed(batch))
                break
            taken += self._deliver(job, carrier, admitted)
        else:
            # Nothing could be taken: others hold these people. The clock wakes us again.
            self._leave(job, waiting)
            return taken > 0 or self.stop.is_set()
        self._leave(job, waiting)
        return False

    def _leave(self, job: Job, waiting: Iterable[Candidate]) -> None:
        """Those who were picked and not worked on are the first next time."""
        if job.campaign_id in self.cursors:
            self.cursors[job.campaign_id].leave(waiting)

    def _size(self, job: Job, carrier: Carrier) -> int:
        smooth = carrier.most if job.rate_per_second is None else int(job.rate_per_second * SMOOTH_SECONDS)
        most = min(smooth, carrier.traffic.most or smooth)
        return max(1, min(int(self.batches.get(carrier.provider.name, FIRST_BATCH)), most))

    def _wait_for_slot(self, job: Job, messages: int, patience: float) -> bool:
        if job.rate_per_second is None:
            return True
        with self.sessions() as session, session.begin():
            wait = throttle.reserve(session, job.campaign_id, messages, patience=patience)
        return wait is not None and not self.stop.wait(wait)

    def _deliver(self, job: Job, carrier: Carrier, batch: Sequence[Candidate]) -> int:
        attempt_id = uuid4()
        with self.sessions() as session, session.begin():
            prepared = carrier.composer.compose(session, job, batch, attempt_id)
        began = time.monotonic()
        try:
            ended = delivery.deliver(
                self.sessions, carrier.provider, job, prepared, worker=self.worker, attempt_id=attempt_id
            )
        except DBAPIError as trouble:
            if getattr(trouble.orig, "sqlstate", None) != "55P03":
                raise
            # T1 met somebody's lock: nothing happened, and the row is picked again.
            log.info("intent_postponed", rows=len(batch))
            return 0
        self._adapt(carrier, len(batch), time.monotonic() - began)
        log.debug("batch", **ended)
        return sum(ended.values())

    def _adapt(self, carrier: Carrier, messages: int, seconds: float) -> None:
        name = carrier.provider.name
        self.batches[name] = adapted(self.batches.get(name, FIRST_BATCH), carrier.most, messages, seconds)


def adapted(batch: float, most: int, messages: int, seconds: float) -> float:
    """Return how many messages the next batch should have, when one of `messages` took so many seconds."""
    if most > BATCH_MOST:
        # One request for all: it takes about as long for few as for many.
        if seconds > SLOW_SECONDS:
            return max(BATCH_MOST, messages / 2)
        return max(batch, min(most, messages * 2))
    if seconds > SLOW_SECONDS:
        return max(1.0, messages / 2)
    fits = messages * BATCH_SECONDS / max(seconds, 0.001)
    return min(most, max(LEAST_BATCH, 0.7 * batch + 0.3 * fits))
