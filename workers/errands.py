"""Errands of the clock that nobody waits for: letters on to the helpline, and what is too old to be kept.

In a thread of their own: a mail provider that is slow to answer must not hold up what came back.
"""

from __future__ import annotations

import threading

import structlog
from sqlalchemy import Engine

from config.settings import Settings
from mailer.db import session_factory
from mailer.feedback import retention
from mailer.feedback.helpline import Helpline
from workers.post import ProviderPost

log = structlog.get_logger(__name__)

FORWARD_EVERY, PURGE_EVERY = 10, 600
"""Ticks between two rounds."""


class Errands:
    """What is to be done now and then. One round at a time; two clocks don't do anything twice."""

    def __init__(self, engine: Engine, helpline: Helpline | None = None) -> None:
        self._sessions = session_factory(engine)
        self._helpline = helpline
        self._ticks = 0
        self._running: threading.Thread | None = None

    def tick(self) -> None:
        """Start what is due, unless the last round is still under way."""
        due = self._ticks % FORWARD_EVERY == 0
        if due and (self._running is None or not self._running.is_alive()):
            purging = self._ticks % PURGE_EVERY == 0
            self._running = threading.Thread(target=self.run, args=(purging,), daemon=True, name="errands")
            self._running.start()
        self._ticks += 1

    def run(self, purging: bool = True) -> None:
        """Send letters on; forget what is too old."""
        try:
            if self._helpline is not None:
                self._helpline.forward_waiting()
            while purging:
                with self._sessions() as session, session.begin():
                    purging = retention.purge(session) > 0
        except Exception:
            log.exception("duty_failed", duty="errands")


def make_errands(settings: Settings, engine: Engine) -> Errands:
    """Wire the errands; without an address of a helpline, letters stay on the pages."""
    if settings.helpline_address is None:
        return Errands(engine)
    return Errands(engine, Helpline(engine, settings.helpline_address, settings.public_url, ProviderPost(settings)))
