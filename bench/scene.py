"""What the benchmarks of sending share: a sink, a crowd with a campaign, and what became of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine, text

from bench import crowd
from bench import sink as plain
from config.keys import Keys
from config.settings import Settings
from mailer.db import create_engine_from
from workers.up import make_ready

WORKERS = 2
LOOK_EVERY = 0.2

_LEFT = text("SELECT count(*) FROM deliveries WHERE campaign_id = :campaign AND state IN ('pending', 'handing_over')")
_STATES = text("SELECT state, count(*) FROM deliveries WHERE campaign_id = :campaign GROUP BY state")
_SECONDS = text("""
    SELECT extract(epoch FROM max(settled_at) - min(intended_at)) FROM deliveries WHERE campaign_id = :campaign
""")


@dataclass(frozen=True)
class Scene:
    """Everything is there and the campaign may go."""

    settings: Settings
    engine: Engine
    keys: Keys
    campaign_id: int

    def left(self) -> int:
        """Return how many have no end yet."""
        with self.engine.connect() as connection:
            return int(connection.execute(_LEFT, {"campaign": self.campaign_id}).scalar_one())

    def states(self) -> dict[str, int]:
        """Return how many deliveries ended how."""
        with self.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(_STATES, {"campaign": self.campaign_id})}

    def seconds(self) -> float:
        """Return the time from the first intent to the last outcome, by the database's clock."""
        with self.engine.connect() as connection:
            return float(connection.execute(_SECONDS, {"campaign": self.campaign_id}).scalar_one())

    def wait(self, seconds: float) -> None:
        """Return when everybody has an end; raise when it takes longer."""
        until = time.monotonic() + seconds
        while (left := self.left()) > 0:
            if time.monotonic() > until:
                raise RuntimeError(f"{left} deliveries have no end after {seconds:.0f} s")
            time.sleep(LOOK_EVERY)


@contextmanager
def scene(settings: Settings, n: int, place: tuple[str, int]) -> Iterator[Scene]:
    """Give a campaign to `n` people who agreed, approved and started, whose mail goes to `place`."""
    make_ready(settings)
    own = settings.replace(smtp_url=f"smtp+plain://{place[0]}:{place[1]}", log_level="warning")
    engine, keys = create_engine_from(own.database_url or ""), Keys(own.root_key or b"")
    try:
        crowd.people(engine, keys, n)
        yield Scene(own, engine, keys, crowd.campaign(own, engine))
    finally:
        engine.dispose()


@contextmanager
def sink(given: str | None) -> Iterator[tuple[str, int]]:
    """Give where a sink listens: the one named, postfix's where it is installed, else the plain one."""
    program = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if given is not None:
        host, _, port = given.rpartition(":")
        yield host or "127.0.0.1", int(port)
    elif program is not None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            place = free.getsockname()[:2]
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        with subprocess.Popen([program, *user, f"{place[0]}:{place[1]}", "100"]) as process:
            try:
                _wait_until_it_listens(place)
                yield place
            finally:
                process.terminate()
    else:
        with plain.running() as port:
            yield "127.0.0.1", port


def _wait_until_it_listens(place: tuple[str, int]) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as knocking:
            if knocking.connect_ex(place) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("the sink does not listen")
