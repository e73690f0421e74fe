"""The supervisor: everything askfirst needs, in one data folder, started by one command and stopped in order.

Start: database, migrations, checks, broker, sink, web, workers, clock. Stop, the other way round: the clock first so
that nothing new is released, then the workers, who finish the batch they hold, and the database last. Nothing
outlives the supervisor, not even when it is killed (`launch.py`).
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Never

from config.settings import Settings
from mailer.db import create_engine_from, migrate, session_factory
from mailer.restore import Folders
from workers import installation
from workers.engines import places, postgres, valkey
from workers.engines.places import EngineProblem
from workers.parts import Group, Part, stop_in_order
from workers.processes import spawn, tail
from workers.startup import check_database, check_restored

ASKFIRST = (sys.executable, "-P", "-m", "workers.cli")
COMMANDS: Mapping[str, Sequence[str]] = {
    "web": (*ASKFIRST, "web"),
    "worker": (*ASKFIRST, "worker"),
    "clock": (*ASKFIRST, "clock"),
    "sink": (*ASKFIRST, "sink"),
}
WEB_SECONDS = 60.0
STOP_SECONDS = 11.4
"""All of it. A hand-over ends within D = 10 s, and W before it is under 1 s, so a worker is done after 10.8."""
WORKER_SECONDS = 10.8
LOOK_EVERY = 0.1

Say = Callable[[str], None]


class Supervisor:
    """One running installation. `start`, then `tick` a few times a second, then `stop`, all from one thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        say: Say = print,
        sink_latency: float = 0.0,
        commands: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.settings = settings
        self.parts: dict[str, Part] = {}
        self._say = say
        self._sink_latency = sink_latency
        self._commands = {**COMMANDS, **(commands or {})}
        self._held = ExitStack()

    # -- what others ask ---------------------------------------------------------------------------------

    @property
    def web_url(self) -> str:
        """Where the web application listens on this machine."""
        host, port = self._web.getsockname()[:2]
        return f"http://{host}:{port}"

    def pids(self, kind: str) -> list[int]:
        """Return the live processes of one kind: "worker", "clock", "web", "sink", "broker", "database"."""
        found = [part.pid for name, part in self.parts.items() if name.split("-")[0] == kind]
        return [pid for pid in found if pid is not None]

    # -- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring everything up, or take back what was begun and raise `EngineProblem`."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def tick(self) -> None:
        """Start again what died, after a delay that grows while it keeps dying."""
        events = [part.look(time.monotonic()) for part in self.parts.values()]
        for event in filter(None, events):
            self._say(event)
        if any(events):
            self._announce()

    def stop(self) -> None:
        """Stop everything in order, in under 5 s, or 12 s when a hand-over hangs."""
        forced = stop_in_order(groups(self.parts), self.parts, STOP_SECONDS)
        if forced:
            self._say(f"had to be ended: {', '.join(forced)}")
        self.parts.clear()
        self._held.close()

    def _start(self) -> None:
        self._data = self._held.enter_context(installation.locked(self.settings.data))
        self.settings = self.settings.replace(data=self._data, root_key=installation.root_key(self.settings))
        sockets = places.socket_folder(self._data)
        self._held.callback(places.remove_sockets, self._data)
        self._start_database(sockets)
        self._start_broker(sockets)
        self._start_sink()
        self._start_web()
        for number in range(1, self.settings.workers + 1):
            self._child(f"worker-{number}", self._commands["worker"])
        self._child("clock", self._commands["clock"])
        self._announce()

    def _start_database(self, sockets: Path) -> None:
        if self.settings.database_url is None:
            server = postgres.prepare(self._data, sockets)
            part = Part("database", lambda: postgres.start(server), server.log, signal.SIGINT, signal.SIGQUIT)
            part.adopt(postgres.bring_up(server))
            self.parts["database"] = part
            self.settings = self.settings.replace(
                database_url=server.url(), database_owner_url=server.url(postgres.OWNER)
            )
        make_ready(self.settings, folder=self._data)

    def _start_broker(self, sockets: Path) -> None:
        if self.settings.redis_url is None:
            server = valkey.prepare(self._data, sockets)
            part = Part("broker", lambda: valkey.start(server), server.log)
            part.adopt(valkey.bring_up(server))
            self.parts["broker"] = part
            self.settings = self.settings.replace(redis_url=server.url)

    def _start_sink(self) -> None:
        if not self.settings.providers:
            listening = self._listen("127.0.0.1", 0)
            options = ("--fd", str(listening.fileno()), "--latency", str(self._sink_latency))
            self._child("sink", (*self._commands["sink"], *options), listening)
            self.settings = self.settings.replace(smtp_url=f"smtp+plain://127.0.0.1:{listening.getsockname()[1]}")

    def _start_web(self) -> None:
        host, _, port = self.settings.web_listen.rpartition(":")
        self._web = self._listen(host.strip("[]"), int(port))
        part = self._child("web", (*self._commands["web"], "--fd", str(self._web.fileno())), self._web)
        wait_for_web(self._web, part)

    def _listen(self, host: str, port: int) -> socket.socket:
        """Return a listening socket that we hold: who is started anew behind it keeps its address."""
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listening = socket.create_server((host, port), family=family, backlog=256)
        except OSError as error:
            raise EngineProblem(f"{host}:{port} can't be listened on: {error.strerror}. Set WEB_LISTEN.") from error
        return self._held.enter_context(listening)

    def _child(self, name: str, command: Sequence[str], *sockets: socket.socket) -> Part:
        environ, fds = self.settings.environ(), [one.fileno() for one in sockets]
        log = self._data / "logs" / f"{name}.log"
        part = Part(name, lambda: spawn(command, log, environ=environ, pass_fds=fds), log)
        part.begin()
        self.parts[name] = part
        return part

    def _announce(self) -> None:
        addresses = {name: getattr(self.settings, name) for name in installation.ADDRESSES}
        pids = {name: part.pid for name, part in self.parts.items()}
        installation.announce(self._data, {"web": self.web_url, "pids": pids, **addresses})


def groups(names: Iterable[str]) -> list[Group]:
    """Return the order in which parts stop, and how long each may take."""
    workers = tuple(name for name in names if name.startswith("worker-"))
    return [
        Group(("clock",), 1.0, 0.1),
        Group(workers, WORKER_SECONDS, 0.0),
        Group(("web",), 2.0, 0.2),
        Group(("sink",), 0.5, 0.1),
        Group(("broker",), 0.5, 0.1),
        Group(("database",), 1.5, 0.2),
    ]


def make_ready(settings: Settings, folder: Path | None = None) -> None:
    """Migrate the database and refuse one that may forget: before anything else may use it.

    `folder`: look as its clock will whether the database was restored, before a worker begins.
    """
    if settings.database_url is None:
        raise EngineProblem("There is no database. Set DATABASE_URL, or start one with `askfirst up`.")
    owner = settings.database_owner_url or settings.database_url
    engine = create_engine_from(settings.database_url)
    try:
        migrate(owner, app_role=engine.url.username if owner != settings.database_url else None)
        check_database(engine)
        if folder is not None:
            check_restored(session_factory(engine), Folders(folder, settings.journal_copy), keeps=True)
    finally:
        engine.dispose()


def wait_for_web(listening: socket.socket, part: Part) -> None:
    """Return when the web application says it is well."""
    host, port = listening.getsockname()[:2]
    until = time.monotonic() + WEB_SECONDS
    while True:
        connection = http.client.HTTPConnection(host, port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except (OSError, http.client.HTTPException):
            pass  # not there yet
        finally:
            connection.close()
        if part.pid is None or time.monotonic() > until:
            raise EngineProblem(f"The web application did not start:\n{tail(part.log)}")
        time.sleep(0.05)


def run(supervisor: Supervisor, *, welcome: Callable[[Supervisor], None]) -> None:
    """Run until Ctrl-C, SIGTERM or a closed terminal; the first of them stops in order, later ones change nothing.

    Doesn't return then: the process ends.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        supervisor.start()
        welcome(supervisor)
        while True:
            supervisor.tick()
            time.sleep(LOOK_EVERY)
    except KeyboardInterrupt:
        supervisor.stop()
        _leave()


def _leave() -> Never:
    """End at once: taking the interpreter apart costs 0.3 s, more on a busy machine, and frees nothing of use."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _interrupt(_number: int, _frame: object) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def background(supervisor: Supervisor) -> Iterator[Supervisor]:
    """Run `supervisor` beside the caller, for the demo and for tests; it is up inside the `with` block.

    One thread does all of its life, since the kernel binds children to the thread that started them.
    """
    up, down = threading.Event(), threading.Event()
    problem: list[BaseException] = []

    def live() -> None:
        try:
            supervisor.start()
        except BaseException as error:  # noqa: BLE001  (raised again in the caller's thread)
            problem.append(error)
            return
        finally:
            up.set()
        while not down.wait(LOOK_EVERY):
            supervisor.tick()
        supervisor.stop()

    thread = threading.Thread(target=live, name="supervisor")
    thread.start()
    up.wait()
    try:
        if problem:
            raise problem[0]
        yield supervisor
    finally:
        down.set()
        thread.join()
