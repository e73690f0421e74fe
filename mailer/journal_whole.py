"""The journal wholly written: for a person who takes it to another machine and wants what was said up to now.

What was said while an older transaction runs, anywhere on the server, waits for its end (see `journal`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import text

from mailer import journal, restore
from mailer.db import SessionFactory
from mailer.restore import Folders

LOOK_SECONDS = 0.1

_WAITING = text("SELECT count(*) FROM journal WHERE (xact, id) > (:xact, :id)")


@dataclass(frozen=True, slots=True)
class Exported:
    """How many lines were written, and how many wait for a transaction that still runs: a later run writes them."""

    lines: int
    waiting: int


def export_all(sessions: SessionFactory, folders: Folders, patience: float) -> Exported | None:
    """Write until nothing waits, for at most `patience` seconds. None: the database is in doubt (and now on HOLD)."""
    until = time.monotonic() + patience
    lines = 0
    while True:
        more = journal.export(sessions, folders)
        if more is None and _in_doubt(sessions, folders):
            return None
        lines += more or 0
        waiting = _waiting(sessions, folders)
        if not waiting or time.monotonic() >= until:
            return Exported(lines, waiting)
        if not more:  # or another process is writing
            time.sleep(LOOK_SECONDS)


def _in_doubt(sessions: SessionFactory, folders: Folders) -> bool:
    with sessions() as session, session.begin():
        return restore.check(session, folders, keeps=True) is not None


def _waiting(sessions: SessionFactory, folders: Folders) -> int:
    known = [restore.look(folder) for folder in folders.all]
    xact, number = min((0, 0) if witness is None else witness.position for witness in known)
    with sessions() as session:
        return int(session.execute(_WAITING, {"xact": xact, "id": number}).scalar_one())
