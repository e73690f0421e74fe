"""What goes wrong in a round. Each does its harm, waits as long as it takes to matter, and leaves things as they are:
healing comes after. `Round.victims` are the processes whose open hand-overs may end in doubt."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import text

from campaigns import operations
from tests.faults import disk, steps
from tests.faults.crowd import Crowd
from tests.faults.installation import Installation
from tests.faults.leavers import Leavers


@dataclass
class Round:
    """One campaign with what happens to it."""

    installation: Installation
    number: int
    draw: random.Random
    crowd: Crowd
    leavers: Leavers
    victims: set[int] = field(default_factory=set)
    everybody: bool = False
    """The database itself failed: any hand-over that was open may be in doubt."""
    hung: bool = False
    """The provider stood still in the middle of conversations: what it got and never answered is in doubt."""
    seconds: float = 2.0
    """How long is waited for somebody to come to a step. One who is missed does no harm."""
    told: list[str] = field(default_factory=list)
    healed: float = 0.0

    def moment(self) -> None:
        """Wait until some number of messages was begun, or none comes any more."""
        self.installation.post.behave(count_to=self.draw.randint(1, 90), seconds=0.002)
        self.installation.wait_until(lambda: self.installation.post.said("begun"), 0.8)

    def one_worker(self) -> int | None:
        live = self.installation.pids("worker")
        return self.draw.choice(live) if live else None


def killed_at_a_step(it: Round, step: str = "") -> None:
    """kill -9, exactly there; sometimes its session is ended too, before what it asked for is done."""
    step = step or it.draw.choice(steps.ALL)
    with steps.caught(it.installation, step, it.draw.randint(1, 60), it.seconds) as pid:
        it.told.append(f"{step} {'caught' if pid else 'missed'}")
        if pid is not None:
            it.victims.add(pid)
            it.installation.kill(pid)
            if it.draw.random() < 0.5:
                end_sessions(it.installation, pid)
            it.leavers.leave(3)
            it.installation.wait(0.02)


def killed_at_any_moment(it: Round) -> None:
    """kill -9 of one worker or both."""
    it.moment()
    for pid in it.installation.pids("worker")[: it.draw.randint(1, 2)]:
        it.victims.add(pid)
        it.installation.kill(pid)


def stopped_past_its_deadlines(it: Round) -> None:
    """SIGSTOP at a step; its session ends as after 15 s, its deadline passes, its people leave; then it goes on."""
    step = it.draw.choice(steps.ALL)
    with steps.caught(it.installation, step, it.draw.randint(1, 40), it.seconds) as pid:
        it.told.append(f"{step} {'caught' if pid else 'missed'}")
        if pid is None:
            return
        it.victims.add(pid)
        it.installation.halt(pid)
    one = it.installation
    held = one.ask("SELECT customer_id FROM open_handovers WHERE worker LIKE :w", w=f"%:{pid}")
    end_sessions(one, pid)
    deadlines_pass(one, {pid})
    for row in it.draw.sample(held, min(4, len(held))):
        it.leavers.leaves(row.customer_id)
    one.wait(it.draw.uniform(0.2, 1.2))
    one.resume(pid)


def sessions_ended(it: Round) -> None:
    """Backends terminated in the middle of whatever they do."""
    it.moment()
    for pid in it.installation.pids("worker"):
        it.victims.add(pid)
        end_sessions(it.installation, pid)


def left_between_intent_and_gate(it: Round) -> None:
    """Many say no, and are answered, while a worker stands with its intent written and its gate not asked."""
    with steps.caught(it.installation, it.draw.choice(("intent_written", "intent_commits")), 1, it.seconds) as pid:
        it.told.append("caught" if pid else "missed")
        it.leavers.leave(40)
        it.installation.wait_until(it.leavers.all_answered, 5.0)


def commit_unknown(it: Round) -> None:
    """The commit is on the disk and its answer never comes: the session ends while it waits for a replica."""
    one = it.installation
    it.moment()
    it.told.append(REPLICA)
    waits_for_a_replica(one, True)
    waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE :w"
    one.wait_until(lambda: one.ask(waiting, w="askfirst worker %")[0].n, 1.0)
    it.victims |= set(one.pids("worker"))
    with one.owner.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
    waits_for_a_replica(one, False)


def queue_lost(it: Round) -> None:
    """Valkey killed and restarted, or emptied: it costs seconds, not mail."""
    it.moment()
    for pid in it.installation.pids("broker"):
        it.installation.kill(pid)


def database_killed(it: Round) -> None:
    """kill -9 of PostgreSQL or of one of its sessions, which restarts all the others."""
    it.moment()
    it.everybody = True
    pids = it.installation.database_pids()
    it.installation.kill(it.draw.choice([pids[0], pids[-1]]))
    it.leavers.leave(2)
    it.installation.wait(0.1)


def database_frozen(it: Round) -> None:
    """All of PostgreSQL stopped for longer than W, then it goes on as if nothing had been."""
    it.moment()
    it.everybody = True
    pids = it.installation.database_pids()
    for pid in pids:
        it.installation.halt(pid)
    it.leavers.leave(2)
    it.installation.wait(it.draw.uniform(0.3, 1.3))
    for pid in pids:
        it.installation.resume(pid)


def disk_full(it: Round) -> None:
    """Not a page more can be stored: no intent can be committed then, so nothing is sent."""
    it.moment()
    it.everybody = True
    with disk.full(it.installation.disk):
        it.leavers.leave(2)
        it.installation.wait(it.draw.uniform(0.1, 0.5))
        if it.draw.random() < 0.5:
            it.told.append("and no new log")  # which a server does not survive
            it.installation.run_alone("SELECT pg_switch_wal()")
        it.installation.wait(it.draw.uniform(0.1, 0.4))


def provider_lies(it: Round) -> None:
    """Takes and resets, takes and says no, says nothing, is slow, or refuses: one message in five."""
    it.told.append("lies")
    it.installation.post.behave(lying=0.2, seed=it.draw.random(), seconds=0.001)
    it.installation.wait(it.draw.uniform(0.3, 0.9))


def provider_hangs(it: Round) -> None:
    """Silent in the middle of a conversation for longer than an opt-out waits."""
    one, it.hung = it.installation, True
    one.post.behave(stop_at=it.draw.choice(("MAIL", "DATA", "DOT", "TAKEN")), stop_after=it.draw.randint(1, 40))
    found: list[str] = []
    one.wait_until(lambda: found.extend(filter(None, [one.post.said("at")])) or found, 1.0)
    for row in one.ask("SELECT customer_id FROM open_handovers ORDER BY random() LIMIT 3"):
        it.leavers.leaves(row.customer_id)
    one.wait(it.draw.uniform(0.3, 1.6))


def clocks_fail(it: Round) -> None:
    """One clock killed, the other stopped for a while."""
    pids = it.installation.pids("clock")
    it.installation.kill(pids[0])
    for pid in pids[1:]:
        it.installation.halt(pid)
    it.installation.wait(it.draw.uniform(0.1, 0.8))


def paused(it: Round) -> None:
    """An operator holds the campaign for a moment, by the real operation."""
    it.moment()
    with suppress(Exception), it.installation.sessions() as session, session.begin():
        operations.pause(session, it.crowd.campaign_id, it.crowd.operator_id, "wait")
    it.installation.wait(it.draw.uniform(0.05, 0.3))


def end_sessions(installation: Installation, worker: int) -> None:
    """End the database sessions of one worker, as a time-out or an administrator does."""
    with installation.owner.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"),
            {"name": f"askfirst worker {worker}"},
        )


def deadlines_pass(installation: Installation, workers: set[int]) -> None:
    """Let the 13 s of these workers' open hand-overs be over."""
    installation.run(
        """UPDATE open_handovers SET deadline = clock_timestamp() - interval '1 s'
            WHERE split_part(worker, ':', 2) = ANY(:workers) AND deadline > clock_timestamp()""",
        workers=[str(pid) for pid in workers],
    )


def waits_for_a_replica(installation: Installation, waits: bool) -> None:
    name = "'nobody'" if waits else "''"
    installation.run_alone(f"ALTER SYSTEM SET synchronous_standby_names = {name}")
    installation.run_alone("SELECT pg_reload_conf()")


REPLICA = "synchronous_standby_names"
Mishap = Callable[[Round], None]
OFTEN: tuple[Mishap, ...] = (
    killed_at_a_step,
    killed_at_any_moment,
    stopped_past_its_deadlines,
    sessions_ended,
    commit_unknown,
    queue_lost,
    provider_lies,
    provider_hangs,
    clocks_fail,
    paused,
    left_between_intent_and_gate,
)
SELDOM: tuple[Mishap, ...] = (database_killed, database_frozen, *([disk_full] if disk.MAY_MOUNT else []))


def drawn(draw: random.Random) -> list[Mishap]:
    """Return what goes wrong in a round: two things or three, seldom the database itself."""
    chosen = draw.choices(OFTEN, weights=(6, 2, 3, 1, 1, 1, 2, 1, 1, 1, 1), k=draw.randint(1, 2))
    return [*chosen, draw.choice(SELDOM)] if draw.random() < 0.12 else chosen
