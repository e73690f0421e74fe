"""A whole installation for the fault rounds: real engines, web, two workers, two clocks, and the lying post office.

It is the supervisor that `askfirst up` runs. Each process has a clock of its own that is hours off, and whoever dies
is started again at once: the rounds need what comes after a death, not the wait before it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen

from sqlalchemy import text

from config.keys import Keys
from config.settings import Settings
from mailer.consent.links import Links
from mailer.db import create_engine_from, session_factory
from workers.processes import spawn, stop
from workers.up import ASKFIRST, COMMANDS, Supervisor

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ROOT_KEY = bytes(range(32))
HOURS_OFF = (-1, 0, 1)
PATIENCE = 60.0


AT_WORK = "SELECT application_name AS name FROM pg_stat_activity WHERE application_name LIKE 'askfirst worker %'"


class Standstill(AssertionError):
    """Something that must come did not."""


class Post:
    """The post office as the harness sees it: what it is told, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.ledger = folder / "taken.jsonl"
        self.ledger.touch()
        self._read = 0
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
            self.port = listening.getsockname()[1]
            self._process = Popen(
                [sys.executable, "-P", str(HERE / "post_office.py"), str(self.ledger), str(listening.fileno())],
                stdin=PIPE,
                stdout=PIPE,
                pass_fds=[listening.fileno()],
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self._said: list[dict] = []
        self._number = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def behave(self, **word: object) -> None:
        """Tell it how to behave from now on; whatever was told before is over. Returns when it does."""
        self._number += 1
        self._process.stdin.write(json.dumps({**word, "number": self._number}) + "\n")
        self._process.stdin.flush()
        until = time.monotonic() + PATIENCE
        while not any(said.get("did") == self._number for said in self._said):
            if time.monotonic() > until:
                raise Standstill("the post office")
            time.sleep(0.0005)
        self._said = [said for said in self._said if "did" not in said]

    def said(self, kind: str) -> str | None:
        """The delivery of which it said that ("at" a step, so many "begun"), once."""
        for said in list(self._said):
            if kind in said:
                self._said.remove(said)
                return said["delivery"]
        return None

    def new_lines(self) -> list[dict]:
        """What it wrote down since this was last asked: only what is on the disk counts."""
        with self.ledger.open("rb") as lines:
            lines.seek(self._read)
            found = lines.read()
        whole = found[: found.rfind(b"\n") + 1]
        self._read += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait(10)
        self._process.stdout.close()

    def _listen(self) -> None:
        with suppress(ValueError):
            for line in self._process.stdout:
                self._said.append(json.loads(line))


class Installation(Supervisor):
    """Start it, do harm to it, `wait` in between, and close it; all from one thread."""

    def __init__(self, folder: Path, disk: Path, seed: int) -> None:
        self.disk = disk
        self.post = Post(folder)  # its ledger never shares a disk with what is tried
        environ = {
            "ASKFIRST_ROOT_KEY": ROOT_KEY.hex(),
            "ASKFIRST_DATA": str(disk / "askfirst"),
            "PUBLIC_URL": "https://mail.example.com",
            "SMTP_URL": f"smtp+plain://127.0.0.1:{self.post.port}",
            "WORKERS": "2",
        }
        super().__init__(Settings.from_env(environ), say=lambda _: None)
        self._draw, self._bug = random.Random(f"clocks {seed}"), "-"
        self.kills = 0
        self.stopped: set[int] = set()

    def begin(self) -> None:
        self.start()
        self._child("clock-2", COMMANDS["clock"])
        self.keys = Keys(ROOT_KEY)
        self.links = Links(self.keys, self.settings.public_url)
        self.engine = create_engine_from(self.settings.database_url, name="askfirst rounds", pool_size=20)
        self.owner = create_engine_from(self.settings.database_owner_url, name="rounds owner")
        self.sessions = session_factory(self.engine)

    def close(self) -> None:
        for engine in (self.engine, self.owner):
            engine.dispose()
        self.resume_all()
        self.post.behave()
        second = self.parts.pop("clock-2", None)  # of which the supervisor knows nothing
        if second is not None and second.process is not None:
            stop(second.process, signal.SIGTERM, 1.0, signal.SIGKILL)
        self.stop()
        self.post.close()

    # -- time goes by ----------------------------------------------------------------------------------

    def tick(self) -> None:
        for part in self.parts.values():
            part.born = 0.0  # whoever dies here was killed: the next one is started at once
        super().tick()

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.tick()
            time.sleep(0.002)

    def wait_until(self, happened, seconds: float = PATIENCE) -> bool:
        """Tick until that is so; whether it came."""
        until = time.monotonic() + seconds
        while not (found := happened()):
            if time.monotonic() > until:
                return False
            self.tick()
            time.sleep(0.002)
        return bool(found)

    # -- harm -------------------------------------------------------------------------------------------

    def kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills += 1
        self.stopped.discard(pid)

    def halt(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self.stopped.add(pid)

    def resume(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        self.stopped.discard(pid)

    def resume_all(self) -> None:
        for pid in list(self.stopped):
            self.resume(pid)

    def database_pids(self) -> list[int]:
        main = self.pids("database")[0]
        return [main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]

    def worker_of(self, delivery: str) -> int | None:
        """Which process holds the hand-over of a delivery."""
        holder = self.ask("SELECT worker FROM open_handovers WHERE delivery_id = CAST(:d AS uuid)", d=delivery)
        pid = int(holder[0].worker.rpartition(":")[2]) if holder else None
        return pid if pid in self.pids("worker") else None

    # -- the database -----------------------------------------------------------------------------------

    def ask(self, statement: str, **values: object) -> list:
        with self.sessions() as session:
            return session.execute(text(statement), values).all()

    def run(self, statement: str, **values: object) -> None:
        """As the owner: what the application may not do, faults may."""
        with self.owner.begin() as connection:
            connection.execute(text(statement), values)

    def run_alone(self, statement: str) -> None:
        """As the owner, outside of any transaction."""
        with self.owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))

    def plant(self, bug: str, kind: str) -> None:
        """Put this bug (`-`: none) into the processes of one kind, which are started anew."""
        self._bug, before = bug, self.pids(kind)
        for pid in before:
            self.kill(pid)
        self.wait_until(lambda: self.is_up() and not set(before) & set(self.pids(kind)))
        self.wait_until(self.is_ready)

    def is_ready(self) -> bool:
        """Whether both workers have come as far as their database."""
        at_work = {int(row.name.rpartition(" ")[2]) for row in self.ask(AT_WORK)}
        return self.is_up() and set(self.pids("worker")) <= at_work

    def is_up(self) -> bool:
        return bool(self.pids("database")) and len(self.pids("worker")) == 2 and len(self.pids("clock")) == 2

    # -- how parts are started -----------------------------------------------------------------------------

    def _child(self, name, command, *sockets):
        part = super()._child(name, self._odd(command), *sockets)
        environ, fds, log = self.settings.environ(), [one.fileno() for one in sockets], part.log
        part.start = lambda: spawn(self._odd(command), log, environ=environ, pass_fds=fds)
        return part

    def _odd(self, command):
        odd = [sys.executable, "-P", str(HERE / "odd_process.py"), str(self._draw.choice(HOURS_OFF)), self._bug]
        return [*odd, *command[len(ASKFIRST) :]]
