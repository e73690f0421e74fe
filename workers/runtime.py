"""The composition root of a worker process: settings in, everything wired, one thread that sends.

This is our own process around `dramatiq.Worker` rather than the `dramatiq` command, whose master stops every worker
when one dies.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TypeVar

import structlog
from dramatiq import Worker

from config.keys import Keys
from config.logging import configure
from config.settings import Settings
from mailer import dkim, notices
from mailer.click_links import ClickLinks
from mailer.compose import Composer
from mailer.consent.links import Links
from mailer.db import SessionFactory, create_engine_from, session_factory
from mailer.dkim import Signers
from mailer.notices import Lists
from mailer.providers.base import HAND_OVER_SECONDS, Provider
from mailer.providers.smtp import SmtpProvider
from workers import actors
from workers.broker import make_broker
from workers.carriers import BATCH_MOST, Carrier, Carriers
from workers.dispatch import Dispatcher
from workers.pacing import Paced
from workers.startup import check_database, check_deadlines, check_root_key, folders, may_hand_over

log = structlog.get_logger(__name__)
T = TypeVar("T")

MOST_TOGETHER = 1000
"""People in a batch where one request carries them all."""


def run_worker(settings: Settings, queue: str) -> None:
    """Work on one queue until SIGTERM or SIGINT; the batch at hand is finished first."""
    keys = Keys(required(settings.root_key, "ASKFIRST_ROOT_KEY"))
    configure(settings.log_level, key=keys.derive("logs"))
    stop = stop_on_signal()
    with dispatching(settings, stop) as dispatcher:
        broker = make_broker(required(settings.redis_url, "REDIS_URL"))
        actors.declare(broker, checked(dispatcher.run, lambda: may_hand_over(dispatcher.sessions, folders(settings))))
        broker.emit_after("process_boot")  # starts the time limit's own thread, as the dramatiq command would
        worker = Worker(broker, queues={queue}, worker_threads=1, worker_timeout=500)
        worker.start()
        log.info("worker_started", worker=dispatcher.worker)
        stop.wait()
        worker.stop(timeout=int((HAND_OVER_SECONDS + 1) * 1000))


def checked(run: Callable[[int], bool], is_sound: Callable[[], bool]) -> Callable[[int], bool]:
    """Look before each slice: a database that was restored under us breaks our connections, and the slice with them."""
    return lambda campaign_id: is_sound() and run(campaign_id)


@contextmanager
def dispatching(settings: Settings, stop: threading.Event) -> Iterator[Dispatcher]:
    """Wire a dispatcher from settings; close its connections afterwards.

    Refuses a database that may forget, and deadlines that don't fit.
    """
    check_deadlines()
    name = f"{socket.gethostname()}:{os.getpid()}"
    url, told = required(settings.database_url, "DATABASE_URL"), f"askfirst worker {os.getpid()}"
    # By key the same few people at a time; an audience is another matter.
    engine, planning = create_engine_from(url, name=told, look_ups=True), create_engine_from(url, name=told)
    keys = Keys(required(settings.root_key, "ASKFIRST_ROOT_KEY"))
    sessions = session_factory(engine)
    carriers = make_carriers(settings, sessions, Links(keys, settings.public_url))
    try:
        check_database(engine)
        check_root_key(engine, keys)
        yield Dispatcher(sessions, carriers, name, stop, audiences=session_factory(planning))
    finally:
        carriers.close()
        engine.dispose()
        planning.dispose()


def make_carriers(settings: Settings, sessions: SessionFactory, links: Links) -> Carriers:
    """Return everybody who carries mail for this installation, by name; the first is for senders that name none."""
    names = required(settings.providers or None, "SMTP_URL")
    counted = ClickLinks(Keys(settings.root_key), settings.public_url) if settings.root_key else None
    make_signers(settings)  # a key that can't be used is told now, not with the first mail

    def made(name: str) -> Carrier:
        together = is_sendgrid(name)
        with sessions() as session, session.begin():
            for lists in make_lists(settings) if together else ():
                notices.keep(session, lists)
        composer = Composer(
            links,
            make_signers(settings, name),
            letters=together,
            click_links=counted,
            inbound=settings.inbound_domains,
        )
        provider = Paced(make_provider(settings, name), sessions)
        return Carrier(provider, composer, MOST_TOGETHER if together else BATCH_MOST)

    return Carriers({name: partial(made, name) for name in names}, names[0])


def is_sendgrid(name: str) -> bool:
    """Whether a provider of this name is an account at SendGrid; all others speak SMTP."""
    return name.partition("-")[0] == "sendgrid"


def make_provider(settings: Settings, name: str | None = None) -> Provider:
    """Return the provider of that name; without one, the one that carries what no sender names another for."""
    name = name or (settings.providers or ("smtp",))[0]
    short = name.partition("-")[2]
    if is_sendgrid(name):
        from mailer.providers.sendgrid import SendGridProvider  # only now: its package is slow to load

        key = settings.sendgrid_api_keys.get(short) if short else settings.sendgrid_api_key
        sendgrid = SendGridProvider(required(key, name), host=settings.sendgrid_host)
        sendgrid.name = name
        return sendgrid
    smtp = SmtpProvider(required(settings.smtp_urls.get(short) if short else settings.smtp_url, "SMTP_URL"))
    smtp.name = name
    return smtp


def make_signers(settings: Settings, name: str | None = None) -> Signers:
    """Return the keys that sign what a provider carries; none for SendGrid, which signs itself."""
    name = name or (settings.providers or ("smtp",))[0]
    return dkim.load(() if is_sendgrid(name) else settings.dkim_keys)


def make_lists(settings: Settings) -> list[Lists]:
    """Return the lists that our opt-outs and erasures go to, of every provider that keeps any."""
    from mailer.providers.sendgrid_lists import SendGridLists

    keys = {"sendgrid": settings.sendgrid_api_key} if settings.sendgrid_api_key else {}
    keys |= {f"sendgrid-{name}": key for name, key in settings.sendgrid_api_keys.items()}
    found: list[Lists] = []
    for name, key in keys.items():
        lists = SendGridLists(key, host=settings.sendgrid_host)
        lists.name = name
        found.append(lists)
    return found


def required(value: T | None, name: str) -> T:
    """Return a setting, or say which one is missing."""
    if value is None:
        raise SystemExit(f"{name} is not set. `askfirst up` sets it; on its own this process needs it.")
    return value


def stop_on_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    handler: Callable[[int, FrameType | None], None] = ask
    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)
    return stop
