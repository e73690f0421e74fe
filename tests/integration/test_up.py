"""The supervisor as people use it: `askfirst up` in a process of its own, killed, interrupted and started again."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from config.settings import Settings
from workers import installation
from workers.engines import places
from workers.engines.places import EngineProblem
from workers.up import STOP_SECONDS, WORKER_SECONDS, Supervisor, background

PATIENCE = 100.0
UP = (sys.executable, "-P", "-m", "workers.cli", "up")
QUIET = "import time\nwhile True: time.sleep(1)"
HUNG = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("hung", flush=True)
while True: time.sleep(1)
"""
WELL = """
import http.server, socket, sys
class Well(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
handed = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
server = http.server.HTTPServer(handed.getsockname(), Well, bind_and_activate=False)
server.socket.close()
server.socket = handed
server.serve_forever()
"""
PLAIN = {
    "web": (sys.executable, "-c", WELL),
    "worker": (sys.executable, "-c", QUIET),
    "clock": (sys.executable, "-c", QUIET),
}
"""Commands that are quick to start, for tests that are about the supervisor and not about what it runs."""
WITH_HUNG_WORKERS = f"""
import os, sys
from config.settings import Settings
from workers.up import Supervisor, run
commands = {{**{PLAIN!r}, "worker": (sys.executable, "-c", {HUNG!r})}}
run(Supervisor(Settings.from_env(os.environ), commands=commands), welcome=print)
"""
PLAINLY = f"""
import os
from config.settings import Settings
from workers.up import Supervisor, run
run(Supervisor(Settings.from_env(os.environ), commands={PLAIN!r}), welcome=print)
"""


@pytest.fixture
def data() -> Iterator[Path]:
    with folder_of_its_own() as folder:
        yield folder


@contextmanager
def folder_of_its_own() -> Iterator[Path]:
    folder = Path(os.environ["ASKFIRST_TEST_RUN"]).parent / f"askfirst-up-{secrets.token_hex(4)}"
    yield folder
    places.remove_data(folder)


class Running:
    """An `askfirst up` that is up."""

    def __init__(self, data: Path, command: tuple[str, ...] = UP) -> None:
        self.data = data
        places.make_data(data)
        with (data / "up.log").open("w") as output:
            self.process = subprocess.Popen(
                command, env=environ(data), stdout=output, stderr=output, start_new_session=True
            )
        try:
            self.facts = self._wait()
        except BaseException:
            self.end(signal.SIGKILL)
            raise

    def _wait(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while (facts := installation.running(self.data)) is None or not all(facts["pids"].values()):
            assert self.process.poll() is None, (self.data / "up.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        return facts

    def family(self) -> set[int]:
        """Every process below the supervisor, children's children too."""
        return {self.process.pid, *descendants(self.process.pid)}

    def end(self, number: signal.Signals) -> float:
        """Send `number` to the supervisor and return the seconds until it was gone."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        return time.monotonic() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGTERM)


def environ(data: Path) -> dict[str, str]:
    taken = {str(field.alias) for field in Settings.model_fields.values()}
    return {name: value for name, value in os.environ.items() if name not in taken} | {"ASKFIRST_DATA": str(data)}


def descendants(pid: int) -> set[int]:
    children: dict[int, set[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            children.setdefault(int(fields[1]), set()).add(int(stat.parent.name))
    found, front = set[int](), {pid}
    while front:
        front = {child for one in front for child in children.get(one, ())}
        found |= front
    return found


def alive(pids: set[int]) -> set[int]:
    running = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            running.add(pid)
    return running


def wait_until_gone(pids: set[int], seconds: float) -> set[int]:
    until = time.monotonic() + seconds
    while (left := alive(pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310  (our own address)
        return int(answer.status)


def test_everything_is_up_and_ctrl_c_stops_it_without_the_wait_for_a_hung_hand_over(data):
    with Running(data) as site:
        assert set(site.facts["pids"]) == {"database", "broker", "sink", "web", "worker-1", "worker-2", "clock"}
        assert get(site.facts["web"] + "/healthz") == 200
        family = site.family()
        assert site.end(signal.SIGINT) < WORKER_SECONDS
    assert site.process.returncode == 0
    assert not alive(family)
    assert not (data / "running.json").exists()


def test_a_killed_supervisor_leaves_nothing_running_and_the_next_start_works(data):
    with Running(data) as site:
        family = site.family()
        assert len(family) > 8
        site.end(signal.SIGKILL)
    assert not wait_until_gone(family, PATIENCE)
    with Running(data) as again:
        assert get(again.facts["web"] + "/healthz") == 200
        assert again.end(signal.SIGTERM) < WORKER_SECONDS


def test_with_a_hung_hand_over_ctrl_c_gives_it_its_time_and_then_ends_it(data):
    """At most 12 s where nothing else runs; the bound here is one that a busy machine keeps, too."""
    with Running(data, (sys.executable, "-c", WITH_HUNG_WORKERS)) as site:
        family = site.family()
        wait_for_words(data / "logs" / "worker-1.log", "hung")
        wait_for_words(data / "logs" / "worker-2.log", "hung")
        seconds = site.end(signal.SIGINT)
    assert WORKER_SECONDS - 1 < seconds < 2 * STOP_SECONDS
    assert not alive(family)
    assert "had to be ended: worker-1, worker-2" in (data / "up.log").read_text()


def wait_for_words(log: Path, words: str) -> None:
    until = time.monotonic() + PATIENCE
    while words not in log.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_second_supervisor_on_the_same_folder_is_refused_and_changes_nothing(data):
    with Running(data, (sys.executable, "-c", PLAINLY)) as site:
        second = subprocess.run(UP, env=environ(data), capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert second.returncode == 1
        assert f"already runs on {data} (process {site.process.pid})" in second.stderr
        assert get(site.facts["web"] + "/healthz") == 200


def test_other_commands_reach_the_running_installation(data):
    with Running(data, (sys.executable, "-c", PLAINLY)):
        told = subprocess.run([*UP[:-1], "migrate"], env=environ(data), capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("kind", ["worker", "clock", "sink", "broker", "database", "web"])
def test_what_dies_is_started_again_at_the_same_address(quiet, kind):
    (first, *_) = quiet.pids(kind)
    web, addresses = quiet.web_url, (quiet.settings.database_url, quiet.settings.redis_url, quiet.settings.smtp_url)
    os.kill(first, signal.SIGKILL)
    until = time.monotonic() + PATIENCE
    while first in quiet.pids(kind) or len(quiet.pids(kind)) < (2 if kind == "worker" else 1):
        assert time.monotonic() < until
        time.sleep(0.05)
    wait_for_health(web, until)
    assert (quiet.settings.database_url, quiet.settings.redis_url, quiet.settings.smtp_url) == addresses
    assert quiet.web_url == web


def wait_for_health(web: str, until: float) -> None:
    while True:
        try:
            if get(web + "/healthz") == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture(scope="module")
def quiet() -> Iterator[Supervisor]:
    """A supervisor in this process whose parts, engines apart, do as good as nothing."""
    with folder_of_its_own() as folder:
        settings = Settings.from_env({"ASKFIRST_DATA": str(folder)})
        with background(Supervisor(settings, say=lambda _: None, commands=PLAIN)) as site:
            yield site


def test_the_addresses_of_a_running_installation_are_readable_by_us_only(quiet):
    data = quiet.settings.data
    assert (data / "running.json").stat().st_mode & 0o077 == 0
    assert json.loads((data / "running.json").read_text())["web"] == quiet.web_url


def test_engines_of_ones_own_replace_the_embedded_ones(data, committed, valkey_url):
    settings = Settings.from_env(
        {
            "ASKFIRST_DATA": str(data),
            "DATABASE_URL": committed.url,
            "DATABASE_OWNER_URL": committed.owner_url,
            "REDIS_URL": valkey_url,
            "SMTP_URL": "smtp+plain://127.0.0.1:2525",
        }
    )
    with background(Supervisor(settings, say=lambda _: None, commands=PLAIN)) as site:
        assert {name.split("-")[0] for name in site.parts} == {"web", "worker", "clock"}
        assert get(site.web_url + "/healthz") == 200


def test_a_web_application_that_can_not_start_takes_everything_down_and_says_why(data):
    broken = (sys.executable, "-c", "raise SystemExit('no templates here')")
    supervisor = Supervisor(
        Settings.from_env({"ASKFIRST_DATA": str(data)}), say=lambda _: None, commands={"web": broken}
    )
    with pytest.raises(EngineProblem, match="no templates here"), background(supervisor):
        pass
    assert not supervisor.parts
    assert not installation.is_locked(data)


def test_a_port_that_is_taken_is_said_plainly(data, quiet_port):
    settings = Settings.from_env({"ASKFIRST_DATA": str(data), "WEB_LISTEN": f"127.0.0.1:{quiet_port}"})
    with pytest.raises(EngineProblem, match="Set WEB_LISTEN"), background(Supervisor(settings, say=lambda _: None)):
        pass


@pytest.fixture
def quiet_port() -> Iterator[int]:
    """A port on which somebody listens already."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]
