"""Worker processes for benchmarks: the real dispatcher, told when to begin, who say what it cost them.

Run as a program it works on one campaign: says "ready", waits for a line, works until its standard input ends, and
says as JSON what CPU and memory it used. It says "idle" whenever nothing was due. Given a second number, it hands over
so many messages at a time, however long that takes.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from config.logging import configure
from config.settings import Settings
from workers.measured import peak_rss_mb
from workers.runtime import dispatching

ROOT = Path(__file__).parent.parent
LOOK_EVERY = 0.05


@dataclass
class Hand:
    """A worker process, seen from outside."""

    process: subprocess.Popen[str]

    @classmethod
    def hire(cls, settings: Settings, campaign_id: int, k: int | None = None) -> Hand:
        """Start one, that holds to batches of `k`. It waits to be told."""
        asked = [str(campaign_id), *([] if k is None else [str(k)])]
        return cls(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "bench.hands", *asked],
                cwd=ROOT,
                env={**os.environ, **settings.environ(), "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )

    def hear(self, word: str) -> None:
        """Return when it has said `word`."""
        while (said := _of(self.process.stdout).readline().strip()) != word:
            if not said:
                raise RuntimeError(f"a worker ended before it said {word}")

    def begin(self) -> None:
        """Tell it to begin."""
        print("go", file=_of(self.process.stdin), flush=True)

    def end(self) -> Mapping[str, float]:
        """Let it finish its batch; return what it cost: `cpu` in seconds, `rss` in megabytes."""
        _of(self.process.stdin).close()
        said = _of(self.process.stdout).read().split("\n")
        self.leave()
        cost: Mapping[str, float] = json.loads(next(line for line in said if line.startswith("{")))
        return cost

    def kill(self) -> None:
        """End it where it stands."""
        self.process.kill()
        self.leave()

    def leave(self) -> None:
        """Wait for its end, and close what we spoke through."""
        self.process.wait(30)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def hired(settings: Settings, campaign_id: int, count: int, *, k: int | None = None) -> Iterator[list[Hand]]:
    """Give so many workers, all ready. Whoever still runs at the end is killed."""
    hands = [Hand.hire(settings, campaign_id, k) for _ in range(count)]
    try:
        for hand in hands:
            hand.hear("ready")
        yield hands
    finally:
        for hand in hands:
            if hand.process.poll() is None:
                hand.process.kill()
            hand.leave()


class Held(dict[str, float]):
    """A batch has so many messages, whatever the last one took."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self._k = k

    def get(self, *_: Any) -> float:
        return self._k


def work(campaign_id: int, told: IO[str], k: int | None = None) -> None:
    """What such a worker does."""
    stop = threading.Event()
    configure("WARNING")
    with dispatching(Settings.from_env(os.environ), stop) as dispatcher:
        if k is not None:
            dispatcher.batches = Held(k)
        print("ready", flush=True)
        told.readline()
        threading.Thread(target=_wait_for_the_end, args=(told, stop), daemon=True).start()
        began, sent = _cpu(), time.monotonic()
        while not stop.is_set():
            if not dispatcher.run(campaign_id):
                print("idle", flush=True)
                stop.wait(LOOK_EVERY)
        print(json.dumps({"cpu": _cpu() - began, "rss": peak_rss_mb(), "seconds": time.monotonic() - sent}), flush=True)


def _wait_for_the_end(told: IO[str], stop: threading.Event) -> None:
    told.read()
    stop.set()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _of(pipe: Any) -> IO[str]:
    if pipe is None:
        raise RuntimeError("a worker without a pipe")
    return pipe  # type: ignore[no-any-return]


if __name__ == "__main__":
    work(int(sys.argv[1]), sys.stdin, *map(int, sys.argv[2:]))
