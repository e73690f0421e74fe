"""Workers killed at random while a campaign goes out: nobody twice, nobody lost, and it comes to its end.

Two workers; every few seconds one of them gets SIGKILL and is started anew, as a supervisor would. The clock's duties
(hand-overs past their deadline) are done meanwhile. What the sink wrote down as taken is the oracle.
"""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench import sink as plain
from bench.hands import Hand, hired
from bench.scene import WORKERS, Scene, scene
from config.settings import Settings
from mailer import reaper
from workers.carriers import BATCH_MOST
from workers.measured import Counted

SIZES = (100_000,)
GROWS = False
EVERY = 3.0
LOOK_EVERY = 0.25
LONGEST = 300.0
"""Seconds, and a little for each person: a machine with other work to do starts workers slowly."""

_ENDED = text("SELECT a.address, d.state FROM deliveries d JOIN addresses a ON a.customer_id = d.customer_id")

_OVERDUE = text("""
    UPDATE open_handovers SET deadline = clock_timestamp() WHERE NOT worker = ANY(CAST(:living AS text[]))
""")
HOST = socket.gethostname()


def run(
    settings: Settings,
    n: int,
    *,
    seed: int,
    every: float | None = None,
    delay: float = 0.0,
    hurry: bool = False,
    **_options: Any,
) -> Counted:
    """Measure with an audience of `n` and a kill every `every` seconds.

    The sink may take `delay` seconds a message. In a hurry the dead are not waited for until their deadline.
    """
    draw = random.Random(seed)
    with TemporaryDirectory() as folder:
        log = Path(folder) / "taken"
        log.touch()
        arrived = time.monotonic()
        with plain.running(log=log, delay=delay) as port, scene(settings, n, ("127.0.0.1", port)) as made:
            began = time.monotonic()
            kills = storm(made, draw, every or EVERY, longest=LONGEST + n / 50, hurry=hurry)
            times = {"seconds": round(time.monotonic() - began, 1), "setup_seconds": round(began - arrived, 1)}
            return Counted(n, {"kills": kills, "k": BATCH_MOST, **judged(made, log, n, kills), **times, "seed": seed})


def storm(made: Scene, draw: random.Random, every: float, *, longest: float, hurry: bool) -> int:
    """Send and kill until everybody has an end; return how many were killed."""
    kills, until, due = 0, time.monotonic() + longest, time.monotonic() + every
    with hired(made.settings, made.campaign_id, WORKERS) as hands:
        for hand in hands:
            hand.begin()
        while made.left() > 0:
            if time.monotonic() > until:
                raise RuntimeError(f"{made.left()} deliveries have no end after {longest:.0f} s")
            with Session(made.engine) as session, session.begin():
                if hurry:
                    session.execute(_OVERDUE, {"living": [f"{HOST}:{hand.process.pid}" for hand in hands]})
                reaper.reap(session)
            if time.monotonic() >= due and still_pending(made):
                victim = draw.randrange(len(hands))
                hands[victim] = replaced(hands[victim], made)
                # Where it takes longer to start one than to the next kill, each gets some time to work all the same.
                kills, due = kills + 1, max(due + every, time.monotonic() + every / 2)
            time.sleep(LOOK_EVERY)
        for hand in hands:
            hand.end()
    return kills


def replaced(hand: Hand, made: Scene) -> Hand:
    """Kill a worker and start another. Ready first: who is killed while it starts does no harm."""
    hand.kill()
    new = Hand.hire(made.settings, made.campaign_id)
    new.hear("ready")
    new.begin()
    return new


def still_pending(made: Scene) -> bool:
    return made.states().get("pending", 0) > 0


def judged(made: Scene, log: Path, n: int, kills: int) -> dict[str, Any]:
    """Compare what the sink took with what is written about it, and with how many people there are.

    Lost: somebody without a row, or whose mail is not in doubt and was not taken either. Nobody here said no.
    """
    taken = Counter(line.split("\t")[3] for line in log.read_text().splitlines() if line.startswith("T"))
    with made.engine.connect() as connection:
        states = {row.address: row.state for row in connection.execute(_ENDED)}
    return {
        "duplicates": sum(count - 1 for count in taken.values()),
        "lost": n - sum(state == "in_doubt" or address in taken for address, state in states.items()),
        "in_doubt": sum(state == "in_doubt" for state in states.values()),
        "in_doubt_limit": kills * BATCH_MOST,
        "taken": len(taken),
    }
