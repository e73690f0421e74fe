"""What the clock watches: the database itself, the numbers of campaigns, the journal, and that it ticks at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import structlog
from sqlalchemy import text

from campaigns import guarding
from mailer import canary, journal
from mailer.db import SessionFactory
from mailer.guards import Watch
from mailer.restore import Folders
from workers.startup import check_restored

log = structlog.get_logger(__name__)

TELL_SECONDS = 5.0
"""At most so much is missing from the journal and from what the data folder knows when a machine is lost."""

_BEAT = text("""
    INSERT INTO heartbeats (part, at, document) VALUES (:part, clock_timestamp(), CAST(:document AS jsonb))
    ON CONFLICT (part) DO UPDATE SET at = excluded.at, document = excluded.document
""")


class Watchman:
    """Looks at one thing after another; what can't be looked at hides nothing else."""

    def __init__(self, sessions: SessionFactory, folders: Folders, queue: Callable[[], int]) -> None:
        self._sessions = sessions
        self._folders = folders
        self._queue = queue
        self._watch = Watch()
        self._told = float("-inf")
        self._looked = False
        self._journal: dict[str, object] = {"journal": None}

    def look_at_database(self) -> None:
        """See at every tick whether it was restored; every few seconds write its journal."""
        self._looked = False
        # Until we know better: whatever can't be looked at, nobody reads "written".
        was, self._journal = self._journal, {"journal": "failed"}
        if not check_restored(self._sessions, self._folders, keeps=True):
            self._journal = {"journal": "in doubt"}
            return
        self._looked = True
        if time.monotonic() - self._told < TELL_SECONDS:
            self._journal = was
            return
        self._told = time.monotonic()
        while (written := journal.export(self._sessions, self._folders)) == journal.AT_ONCE:
            pass
        self._journal = {"journal": "written" if written is not None else "by another"}

    def look_at_numbers(self) -> None:
        """Warn of campaigns and domains, stop them, and let canaries' rest go."""
        with self._sessions() as session:
            sending, singing = guarding.of_sending(session), canary.singing(session)
        for campaign_id in sorted({*sending, *singing}):
            # Each campaign apart: one whose numbers can't be read must not keep the others from being stopped.
            try:
                with self._sessions() as session, session.begin():
                    guarding.look(session, campaign_id, self._watch)
                    if campaign_id in singing:
                        guarding.look_at_canary(session, campaign_id)
            except Exception:
                log.exception("duty_failed", duty="look_at_numbers", campaign_id=campaign_id)

    def beat(self) -> None:
        """Say that the clock ticks, and what only it can see."""
        try:
            queue: int | None = self._queue()
        except Exception as trouble:  # noqa: BLE001  (whatever a broker raises: that it doesn't answer is the news)
            queue = None
            log.warning("broker_silent", why=type(trouble).__name__)
        document = json.dumps({"queue": queue, "looked": self._looked, **self._journal})
        with self._sessions() as session, session.begin():
            session.execute(_BEAT, {"part": "clock", "document": document})
