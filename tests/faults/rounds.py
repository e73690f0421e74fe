"""`make faults N=200`: random rounds of harm over one installation, and one line of JSON that says what came of it.

A round: new people, a campaign to all of them, some leave, things go wrong at random, everything heals, verdict. Ends
with 0 only if nobody got a message twice, after their no or without their yes, and nobody was lost.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from campaigns import operations
from mailer import audit
from tests.faults import disk, judge, mishaps, steps
from tests.faults.crowd import gather
from tests.faults.installation import Installation, Standstill
from tests.faults.leavers import Leavers
from tests.faults.mishaps import Mishap, Round
from workers import actors
from workers.broker import make_broker
from workers.engines import places

HEAL_SECONDS = 40.0
CATCH_SECONDS = 20.0
"""For harm that was asked for: it must be done, however busy the machine is."""
PROMISES = ("duplicates", "lost", "after_opt_out", "without_consent")


class Rounds:
    """Rounds over one installation; `totals` adds up what the verdicts say."""

    def __init__(self, installation: Installation, seed: int) -> None:
        self.installation, self.seed = installation, seed
        self.done = 0
        self.totals = dict.fromkeys((*PROMISES, "in_doubt"), 0)
        self.words: list[str] = []
        self.last = ""
        """What went wrong in the last round, for whoever looks on."""

    def one(self, harm: Sequence[Mishap] | None = None, patience: float = HEAL_SECONDS) -> judge.Verdict:
        """Play one round; `harm` instead of what the seed would choose. It has `patience` seconds to come to an end."""
        number, draw = self.done, random.Random(f"{self.seed}/{self.done}")
        self.done += 1
        crowd = gather(self.installation, number, draw)
        it = Round(self.installation, number, draw, crowd, Leavers(self.installation, crowd, draw))
        if harm is not None:
            it.seconds = CATCH_SECONDS
        self._wake(crowd.campaign_id)
        it.leavers.leave(10, within=1.0)
        began = time.monotonic()
        chosen = mishaps.drawn(draw) if harm is None else harm
        for mishap in chosen:
            self._do(mishap, it)
        harmed = time.monotonic()
        self._heal(it, patience)
        it.told.append(f"{harmed - began:.1f} + {time.monotonic() - harmed:.1f} s")
        answers = it.leavers.finish()
        lines = self.installation.post.new_lines()
        verdict = judge.judge(it, lines, answers)
        for promise in self.totals:
            self.totals[promise] += getattr(verdict, promise)
        self.last = ", ".join([mishap.__name__ for mishap in chosen] + it.told)
        self.words += [f"round {number} ({self.last}): {word}" for word in verdict.words]
        return verdict

    def finish(self) -> dict[str, int]:
        """Let the audit look at all of it once more, and return the numbers."""
        found = audit.verify_now(self.installation.engine)
        if found["audit"] != "ok":
            self.totals["lost"] += 1
            self.words.append(f"audit: {found}")
        kept = {promise: self.totals[promise] for promise in (*PROMISES, "in_doubt")}
        return {"rounds": self.done, "kills": self.installation.kills, **kept, "seed": self.seed}

    def _do(self, mishap: Mishap, it: Round) -> None:
        try:
            mishap(it)
        except DBAPIError:
            # What one did to the database the next one may run into; that is harm enough.
            it.told.append("database away")
        except Standstill as what:
            it.told.append(str(what))

    def _heal(self, it: Round, patience: float) -> None:
        """Everything is well again, and the time passes that all the waiting would take; then there must be an end."""
        one = self.installation
        one.resume_all()
        one.post.behave()
        one.wait_until(one.is_up)
        it.healed = time.monotonic()
        one.wait_until(lambda: self._over(it), patience)

    def _over(self, it: Round) -> bool:
        one = self.installation
        try:
            if mishaps.REPLICA in it.told:
                mishaps.waits_for_a_replica(one, False)
            self._resume(it)
            # One that lives may have left a hand-over open all the same: it never heard that its intent was committed.
            live = set(one.pids("worker"))
            lost = it.victims | live if it.everybody else it.victims
            mishaps.deadlines_pass(one, lost - live if time.monotonic() < it.healed + 1.0 else lost)
            one.run(COME_BACK, campaign=it.crowd.campaign_id)
            one.wait(0.15)
            return not one.ask(UNFINISHED, campaign=it.crowd.campaign_id)[0].n
        except DBAPIError:
            return False

    def _resume(self, it: Round) -> None:
        """Whatever paused the campaign, its operator lets it go on."""
        with self.installation.sessions() as session, session.begin():
            state = self.installation.ask("SELECT state FROM campaigns WHERE id = :c", c=it.crowd.campaign_id)[0].state
            if state == "paused":
                operations.resume(session, it.crowd.campaign_id, it.crowd.operator_id, "looked at")

    def _wake(self, campaign_id: int) -> None:
        """So that the harm needn't wait for a clock. Afterwards nobody is woken but by the clocks."""
        broker = make_broker(self.installation.settings.redis_url)
        try:
            for _ in range(2):
                actors.wake(broker, campaign_id)
        except Exception:  # noqa: BLE001  (a queue that is away: the clocks look every second)
            return
        finally:
            broker.close()


# Whoever was told to wait has waited. A row that nobody told to is left where it is: only the product's own ways may
# find it, or what they never come to would not be seen as lost.
COME_BACK = """
    UPDATE come_back SET not_before = clock_timestamp() - interval '1 ms'
     WHERE campaign_id = :campaign AND not_before > clock_timestamp()
"""
UNFINISHED = """
    SELECT (SELECT count(*) FROM deliveries WHERE campaign_id = :campaign AND state IN ('pending', 'handing_over'))
         + (SELECT count(*) FROM mandates WHERE campaign_id = :campaign AND NOT expanded)
         + (SELECT count(*) FROM open_handovers)
         + (SELECT count(*) FROM stop_requests WHERE folded_at IS NULL) AS n
"""


@contextmanager
def rounds(seed: int, folder: Path) -> Iterator[Rounds]:
    """An installation in `folder`, ready for rounds; removed afterwards."""
    place = folder / "disk"
    place.mkdir(mode=0o711)
    with disk.mounted(place) if disk.MAY_MOUNT else nullcontext():
        installation = Installation(folder, place, seed)
        try:
            installation.begin()
            steps.build(installation)
            installation.wait_until(installation.is_ready)
            yield Rounds(installation, seed)
        finally:
            installation.close()
            places.remove_data(place / "askfirst")


def main(arguments: Sequence[str]) -> int:
    options = argparse.ArgumentParser(prog="make faults")
    options.add_argument("--n", type=int, default=20)
    options.add_argument("--seed", type=int, default=None)
    options.add_argument("--folder", type=Path, default=None)
    asked = options.parse_args(arguments)
    seed = secrets.randbelow(10**9) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    from tests.conftest import ground

    with tempfile.TemporaryDirectory(prefix="askfirst-faults-", dir=asked.folder or ground()) as folder:
        Path(folder).chmod(0o711)
        with rounds(seed, Path(folder)) as played:
            for number in range(asked.n):
                began, shown = time.monotonic(), len(played.words)
                verdict = played.one()
                took = time.monotonic() - began
                print(
                    f"round {number}: {took:.1f} s, in doubt {verdict.in_doubt}: {played.last}",
                    file=sys.stderr,
                    flush=True,
                )
                for word in played.words[shown:]:
                    print(word, flush=True)
            shown = len(played.words)
            numbers = played.finish()
            print(*played.words[shown:], sep="\n", end="\n" if played.words[shown:] else "", flush=True)
    print(json.dumps(numbers), flush=True)
    return int(any(numbers[promise] for promise in PROMISES))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
