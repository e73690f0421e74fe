"""A worker is killed with -9 while it holds a batch: intent committed, outcome not. The worst moment there is."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

LOOK_EVERY = 0.003

_HOLDERS = text("SELECT worker, count(*) AS held FROM open_handovers WHERE campaign_id = :campaign GROUP BY worker")
_HELD = text("SELECT count(*) FROM open_handovers WHERE campaign_id = :campaign AND worker = :worker")
_BUSY = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND state = 'active'")


@dataclass(frozen=True, slots=True)
class Killed:
    """The worker that was killed, as it names itself, and how many hand-overs it had open."""

    worker: str
    held: int


def kill_one(engine: Engine, campaign_id: int, patience: float) -> Killed | None:
    """Kill a worker of this machine while it holds a batch; None if none was caught in `patience` seconds.

    It is stopped first and looked at again: only one that still holds its batch then, with nothing on its way to the
    database, is killed. Any other goes on.
    """
    until = time.monotonic() + patience
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        while time.monotonic() < until:
            for worker, _ in connection.execute(_HOLDERS, {"campaign": campaign_id}).all():
                host, _, pid = worker.rpartition(":")
                if host != socket.gethostname():
                    continue
                held = _stop_and_look(connection, campaign_id, worker, int(pid))
                if held:
                    os.kill(int(pid), signal.SIGKILL)
                    return Killed(worker, held)
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGCONT)
            time.sleep(LOOK_EVERY)
    return None


def _stop_and_look(connection: Connection, campaign_id: int, worker: str, pid: int) -> int:
    """Stop a process and return how many hand-overs it holds once what it had asked of the database is done."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        return 0
    while connection.execute(_BUSY, {"name": f"askfirst worker {pid}"}).scalar():
        time.sleep(LOOK_EVERY)
    return int(connection.execute(_HELD, {"campaign": campaign_id, "worker": worker}).scalar_one())
