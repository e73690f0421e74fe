"""One-click opt-outs while mail goes out at full speed: how long each answer takes, and whether any mail started after.

The real web process, two workers, the plain sink. Half of those who leave are in flight at that moment: a hand-over to
them is open. Late: the sink saw MAIL FROM of a message to somebody after the first line of their answer had been read,
by the same clock. Each comes by a connection of its own, as mailbox providers do.

Three times: at full speed; with a provider that takes 100 ms a message, in batches of 64 all the same; and with one
that stops answering after a while. `--provider` chooses one of them.
"""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import text

from bench import crowd
from bench import sink as plain
from bench.hands import ROOT, hired
from bench.scene import WORKERS, Scene, scene
from config.settings import Settings
from mailer.consent.links import Links
from workers.carriers import BATCH_MOST
from workers.measured import Counted

SIZES = (150_000,)
GROWS = False
HANGS_AFTER = 40
AT_ONCE = 4
LONGEST = 300.0
ANSWER_SECONDS = 60.0
START_SECONDS = 300.0
"""A machine with other work to do starts a web application slowly; nothing is measured yet."""
BODY, HEADERS = "List-Unsubscribe=One-Click", {"Content-Type": "application/x-www-form-urlencoded"}

_IN_FLIGHT = text("""
    SELECT o.customer_id, o.delivery_id FROM open_handovers o WHERE NOT o.customer_id = ANY(CAST(:known AS bigint[]))
     ORDER BY random() LIMIT 1
""")
_WAITING = text("""
    SELECT customer_id, id FROM deliveries
     WHERE campaign_id = :campaign AND customer_id > :after AND state = 'pending' ORDER BY customer_id LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Case:
    """How the provider is: what its sink does, how many say no, of how many people, and how large batches are held."""

    sink: Mapping[str, Any]
    trials: int
    most: int
    k: int | None = None


CASES = {
    "fast": Case({}, 2_000, 10**9),
    "slow": Case({"delay": 0.1}, 400, 20_000, BATCH_MOST),
    "hung": Case({"hang_after": HANGS_AFTER}, 200, 20_000),
}


def each(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the options of every run: all three unless one was asked for."""
    chosen = [options["provider"]] if options.get("provider") else list(CASES)
    return [{**options, "provider": provider} for provider in chosen]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one person met."""

    customer_id: int
    in_flight: bool
    seconds: float
    at: float


class Leavers:
    """People who say no, one after the other in each of a few threads."""

    def __init__(self, made: Scene, web: int, trials: int, draw: random.Random, n: int) -> None:
        self.made, self.web, self.trials, self.draw, self.n = made, web, trials, draw, n
        self.links = Links(made.keys, made.settings.public_url)
        self.answers: list[Answer] = []
        self._known: set[int] = set()
        self._asked = 0
        self._lock = threading.Lock()

    def leave(self, until: float) -> None:
        """Go on until enough have left, nobody is left to leave, or time is up."""
        while time.monotonic() < until and (found := self._somebody()) is not None:
            person, delivery_id, in_flight = found
            path = urlsplit(self.links.unsubscribe(crowd.ref(person), crowd.KIND, delivery_id)).path
            link = http.client.HTTPConnection("127.0.0.1", self.web, timeout=ANSWER_SECONDS)
            began = time.monotonic()
            link.request("POST", path, BODY, HEADERS)
            answer = link.getresponse()
            at = time.monotonic()
            answer.read()
            link.close()
            if answer.status != http.client.OK:
                raise RuntimeError(f"an opt-out was answered with {answer.status}")
            self.answers.append(Answer(person, in_flight, at - began, at))

    def _somebody(self) -> tuple[int, Any, bool] | None:
        """Return who leaves next, by turns somebody in flight and somebody who waits; None when it is enough."""
        with self._lock, self.made.engine.connect() as connection:
            if self._asked >= self.trials:
                return None
            self._asked += 1
            wanted = self._asked % 2 == 0
            until = time.monotonic() + 2
            row = None
            while wanted and row is None and time.monotonic() < until:
                row = connection.execute(_IN_FLIGHT, {"known": list(self._known)}).one_or_none()
            in_flight = row is not None
            tries = 0
            while row is None and tries < 20:
                tries += 1
                values = {"campaign": self.made.campaign_id, "after": self.draw.randrange(self.n)}
                row = connection.execute(_WAITING, values).one_or_none()
                row = None if row is not None and row[0] in self._known else row
            if row is None:
                return None
            self._known.add(row[0])
            return row[0], row[1], in_flight


def run(settings: Settings, n: int, *, seed: int, provider: str, trials: int | None = None, **_options: Any) -> Counted:
    """Measure with an audience of up to `n`, which must last as long as the trials do."""
    draw, case = random.Random(seed), CASES[provider]
    n = min(n, case.most)
    with TemporaryDirectory() as folder:
        log = Path(folder) / "seen"
        log.touch()
        with (
            plain.running(log=log, **case.sink) as port,
            scene(settings, n, ("127.0.0.1", port)) as made,
            website(made.settings) as web,
            hired(made.settings, made.campaign_id, WORKERS, k=case.k) as hands,
        ):
            leavers = Leavers(made, web, trials or case.trials, draw, n)
            for hand in hands:
                hand.begin()
            if provider == "hung":
                wait_until_it_hangs(log)
            until = time.monotonic() + LONGEST
            with ThreadPoolExecutor(AT_ONCE) as threads:
                for done in [threads.submit(leavers.leave, until) for _ in range(AT_ONCE)]:
                    done.result()
            time.sleep(1.0)  # what would be late gets time to be
            return Counted(n, {"provider": provider, **told(leavers.answers, log), "seed": seed})


def wait_until_it_hangs(log: Path) -> None:
    """Return when the sink has answered for all messages that it will answer for."""
    until = time.monotonic() + 30
    while log.read_text().count("T\t") < HANGS_AFTER and time.monotonic() < until:
        time.sleep(0.05)


def told(answers: list[Answer], log: Path) -> dict[str, Any]:
    """Sum up the answers, and find whom the sink saw a message to after theirs."""
    answered = {crowd.address(answer.customer_id): answer.at for answer in answers}
    late = 0
    for line in log.read_text().splitlines():
        what, at, _, recipient = line.split("\t")
        late += what == "B" and recipient in answered and float(at) > answered[recipient]
    times = sorted(answer.seconds * 1000 for answer in answers) or [0.0]
    return {
        "p50_ms": round(times[len(times) // 2], 1),
        "p99_ms": round(times[min(len(times) - 1, len(times) * 99 // 100)], 1),
        "max_ms": round(times[-1], 1),
        "late": late,
        "trials": len(answers),
        "in_flight": sum(answer.in_flight for answer in answers),
    }


@contextmanager
def website(settings: Settings) -> Iterator[int]:
    """Give the port of the web application, as `askfirst web` serves it."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        port: int = listening.getsockname()[1]
        command = [sys.executable, "-P", "-m", "workers.cli", "web", "--fd", str(listening.fileno())]
        environ = {**os.environ, **settings.environ(), "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=ROOT, env=environ, pass_fds=[listening.fileno()])
        try:
            wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def wait_for(port: int) -> None:
    """Return when it says it is well."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    link.request("GET", "/healthz")
    if link.getresponse().status != http.client.OK:
        raise RuntimeError("the web application is not well")
    link.close()
