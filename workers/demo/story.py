"""The main job, told once: the world is made, a campaign goes out, people say no, a worker dies, the verdict is told.

Everything runs as it would for a retailer: supervisor, workers, clock, web application, SMTP. Only the relay is the
local inbox, because nobody here exists.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from campaigns import operations
from campaigns.models import Campaign
from config.keys import Keys
from config.settings import Settings
from mailer import audit
from mailer.consent.links import Links
from mailer.db import create_engine_from
from mailer.models import Delivery
from workers import installation
from workers.demo import campaign, world
from workers.demo.campaign import Ready, SignIn
from workers.demo.history import History, Progress
from workers.demo.killing import Killed, kill_one
from workers.demo.leavers import Click, Leavers
from workers.demo.verdict import Verdict, judge
from workers.up import Supervisor, background

SECONDS = 20.0
"""How long the sending takes; after it what the killed worker held is waited for."""
SINK_LATENCY = 0.003
"""What a relay takes for a message, so that a batch lasts long enough to be killed in."""
KILL_AT = 0.3
LEAVE_BETWEEN = (0.08, 0.8)
WAVES = 10
WAITING_SHARE, MAILED_SHARE = 250, 500
"""In each wave one of so many of the audience leaves while waiting, and one of so many who just got their mail."""
KILL_PATIENCE = 20.0
END_PATIENCE = 90.0
LOOK_EVERY = 0.1

Say = Callable[[str], None]
Sent = Callable[[int, int], None]
"""Called with how many deliveries are settled, and of how many."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who watches: words for each stage, progress of loading and of sending."""

    say: Say = lambda _: None
    loading: Progress = lambda *_: None
    sending: Sent = lambda *_: None


@dataclass(frozen=True, slots=True)
class Told:
    """What happened, while everything is still up."""

    supervisor: Supervisor
    staff: Sequence[SignIn]
    ready: Ready
    killed: Killed | None
    clicks: Sequence[Click]
    verdict: Verdict


@contextmanager
def tell(
    settings: Settings, listener: Listener, *, households: int | None = None, seconds: float = SECONDS
) -> Iterator[Told]:
    """Run the whole story in a data folder of its own; inside the `with` block everything is still up."""
    began, over = time.monotonic(), threading.Event()

    def say(words: str) -> None:
        # What is said of stopping, once all is told, is about a folder that goes away.
        if not over.is_set():
            listener.say(words)

    with fresh(settings) as own, ThreadPoolExecutor(1) as ahead:
        say("starting database, queue, web application, workers, clock and inbox; reading the purchase history")
        history = ahead.submit(History, world.until(datetime.now(UTC), own.shop_zone), households)
        with background(Supervisor(own, say=say, sink_latency=SINK_LATENCY)) as supervisor:
            engine = create_engine_from(supervisor.settings.database_url or "", name="askfirst demo")
            try:
                yield _play(supervisor, engine, listener, history.result(), began, seconds)
            finally:
                over.set()
                engine.dispose()


@contextmanager
def fresh(settings: Settings) -> Iterator[Settings]:
    """Give settings with a data folder of this run's own, and mail that can only go to the local inbox."""
    ground = settings.data / "demo"
    for left in ground.glob("run-*"):
        if not (is_running(int(left.name.removeprefix("run-"))) or installation.is_locked(left)):
            forget(left)
    folder = ground / f"run-{os.getpid()}"
    try:
        yield settings.replace(data=folder, smtp_url=None, sendgrid_api_key=None, smtp_urls={}, sendgrid_api_keys={})
    finally:
        forget(folder)


def forget(folder: Path) -> None:
    """Remove a run's data folder, and its database where that had to live elsewhere."""
    database = folder / "postgres"
    if database.is_symlink():
        shutil.rmtree(database.resolve().parent, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def is_running(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _play(
    supervisor: Supervisor, engine: Engine, listener: Listener, history: History, began: float, seconds: float
) -> Told:
    settings, now = supervisor.settings, datetime.now(UTC)
    keys = Keys(settings.root_key or b"")
    world.make(engine, keys, history, now, zone=settings.shop_zone, say=listener.say, progress=listener.loading)
    history.close()
    staff = campaign.hire(settings)
    with Session(engine) as session, session.begin():
        ready = campaign.prepare(session, now.astimezone(ZoneInfo(settings.shop_zone)).date(), seconds)
        operations.start(session, ready.id, None)
    listener.say(f"sending to {ready.funnel.may_be_mailed} of {ready.funnel.matched} people who match")
    folder = settings.data / "inbox"
    leavers = Leavers(supervisor.web_url, Links(keys, settings.public_url), folder, ready.id, campaign.KIND)
    killed = _send(engine, ready.id, leavers, listener)
    clicks = leavers.finish()
    listener.say("looking into the inbox and the ledger")
    findings = audit.verify_now(engine)
    with Session(engine) as session:
        verdict = judge(session, folder, ready.id, clicks, time.monotonic() - began, findings)
    return Told(supervisor, staff, ready, killed, clicks, verdict)


def _send(engine: Engine, campaign_id: int, leavers: Leavers, listener: Listener) -> Killed | None:
    """Watch the campaign until it is sent; on the way people leave, wave by wave, and one worker is killed."""
    killed: Killed | None = None
    tried, wave = False, 0
    until = time.monotonic() + END_PATIENCE
    while time.monotonic() < until:
        with Session(engine) as session:
            settled, audience, state = _progress(session, campaign_id)
            listener.sending(settled, audience)
            share = settled / audience if audience else 0.0
            if share >= _wave_at(wave) and wave < WAVES:
                leavers.leave(session, 1 + audience // WAITING_SHARE, 1 + audience // MAILED_SHARE)
                wave += 1
        if state != "sending":
            break
        if share >= KILL_AT and not tried:
            tried, killed = True, kill_one(engine, campaign_id, KILL_PATIENCE)
            listener.say(f"{killed.worker} killed with {killed.held} open hand-overs" if killed else "nobody to kill")
        time.sleep(LOOK_EVERY)
    return killed


def _wave_at(wave: int) -> float:
    first, last = LEAVE_BETWEEN
    return first + (last - first) * wave / (WAVES - 1)


def _progress(session: Session, campaign_id: int) -> tuple[int, int, str]:
    """Return how many deliveries are settled, how many there are, and the campaign's state."""
    waiting = Delivery.state.in_(["pending", "handing_over"])
    counts = select(func.count().filter(~waiting), func.count()).where(Delivery.campaign_id == campaign_id)
    settled, audience = session.execute(counts).one()
    return settled, audience, session.scalars(select(Campaign.state).where(Campaign.id == campaign_id)).one()
