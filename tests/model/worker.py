"""A worker's steps as built: pick (reads only), T1, lock, gate, check, first byte, outcome, record, or from memory.

`mailer/pick.py`, `mailer/intents.py`, `mailer/delivery.py`, `mailer/gate.py` and `mailer/records.py` in small. Bugs
are planted by name where the code would have them.
"""

from __future__ import annotations

from tests.model import promises
from tests.model.state import (
    FREE,
    HANDED_OVER,
    SENDING,
    Facts,
    Message,
    Row,
    Setup,
    Stage,
    State,
    Steps,
    idle,
    is_opted_out,
    put,
    released,
    spent,
    with_row,
    with_worker,
)

IN_SESSION = ("snapshot", "waiting", "locked", "checking", "starting", "writing", "taken", "recording")
"""Stages inside the transaction T2: a lost session is met there."""
HANDING = ("checking", "starting", "writing", "taken")


def steps(s: State, w: int, setup: Setup) -> Steps:
    """Everything worker `w` may do next, and everything that may be done to it."""
    worker = s.workers[w]
    if worker.at not in {"idle", "picked"}:
        yield from _faults(s, w, setup)
    if worker.lost and worker.at in {"snapshot", "waiting", "locked"}:
        # The statement fails before anything was handed over: its rows are left to the reaper.
        yield f"w{w} meets its lost session and leaves its rows to the reaper", idle(s, w), ()
        return
    yield from _STAGES[worker.at](s, w, setup)


def _faults(s: State, w: int, setup: Setup) -> Steps:
    worker, budget = s.workers[w], s.budget
    if budget.kills:
        yield f"w{w} KILLED while {worker.at}", idle(spent(s, kills=budget.kills - 1), w), ()
        if worker.at == "writing":
            broken: list[str] = []
            after = promises.take(spent(s, kills=budget.kills - 1), worker.batch[worker.place], setup, broken)
            yield f"w{w} KILLED, the provider took it", idle(after, w), broken
    if budget.losses and not worker.lost and worker.at in IN_SESSION:
        after = with_worker(released(spent(s, losses=budget.losses - 1), w), w, lost=1)
        yield f"w{w} SESSION LOST while {worker.at}", after, ()
    if budget.stops and not worker.stopped:
        yield f"w{w} SIGSTOP while {worker.at}", with_worker(spent(s, stops=budget.stops - 1), w, stopped=1), ()


def _pick(s: State, w: int, setup: Setup) -> Steps:
    for campaign, mandate in enumerate(s.mandates):
        if mandate not in SENDING:
            continue
        due = [d for d, (c, _) in enumerate(setup.rows) if c == campaign and s.rows[d].state == "P"]
        batches = [due] if due else []
        if setup.part_batches and len(due) > 1:
            batches += [[d] for d in due]
        for batch in batches:
            people = [setup.rows[d][1] for d in batch]
            read = tuple(Message(d, s.address[p], s.ledger[p], "") for d, p in zip(batch, people, strict=True))
            yield f"w{w} picks {batch}, renders", with_worker(s, w, at="picked", batch=read), ()


def _intend(s: State, w: int, setup: Setup) -> Steps:
    """T1: address keys for all, then open hand-overs for all, then the intents."""
    broken: list[str] = []
    after, keyed = _take_keys(s, w, setup, broken)
    opened = []
    for message, own in keyed:
        campaign, person = setup.rows[message.delivery]
        if after.open[person] != FREE and "no open hand-overs" not in setup.bugs:
            if own != FREE:
                after = after._replace(keys=put(after.keys, setup.key(campaign, own), FREE))
            continue
        after = after._replace(open=put(after.open, person, message.delivery * 2 + w))
        cited = FREE if "grant cited only when recorded" in setup.bugs else message.seq
        intent = {"state": "H", "attempt": w, "key": own, "cited": cited}
        after = with_row(after, message.delivery, broken, **intent)
        opened.append(message)
    label = f"w{w} T1 intends {[message.delivery for message in opened]}"
    yield label, with_worker(after, w, at="intended", batch=tuple(opened)) if opened else idle(after, w), broken


def _take_keys(s: State, w: int, setup: Setup, broken: list[str]) -> tuple[State, list[tuple[Message, int]]]:
    """Return who holds the key of their address now, with the address if this attempt has put it in."""
    mine = []
    after = s
    for message in s.workers[w].batch:
        d, campaign = message.delivery, setup.rows[message.delivery][0]
        # FOR UPDATE SKIP LOCKED, and only what is still pending under a mandate that still sends.
        if s.rows[d].state != "P" or s.mandates[campaign] not in SENDING or s.row_locks[d] != FREE:
            continue
        place = setup.key(campaign, message.address)
        holder = after.keys[place]
        if holder in {FREE, d} or "no address key" in setup.bugs:
            mine.append((message, message.address if holder == FREE else FREE))
            after = after._replace(keys=put(after.keys, place, d))
        elif s.rows[holder].state in _had_it(setup):
            after = with_row(after, d, broken, state="W")
    return after, mine


def _had_it(setup: Setup) -> frozenset[str]:
    # A holder that is final for another reason still holds the key: an earlier attempt of it may have been taken.
    return HANDED_OVER if "only handed-over holders count" in setup.bugs else HANDED_OVER | frozenset("WX")


def _begin(s: State, w: int, setup: Setup) -> Steps:
    if "gate joined into the locking statement" in setup.bugs:
        yield f"w{w} T2 (a) its statement begins", with_worker(s, w, at="snapshot", seen=facts(s)), ()
    elif "a batch waits for people" in setup.bugs:
        yield f"w{w} T2 (a) begins to lock", with_worker(s, w, at="waiting", place=0), ()
    else:
        yield from _lock(s, w, setup)


def _lock(s: State, w: int, setup: Setup) -> Steps:
    locks, batch = s.person_locks, []
    for message in s.workers[w].batch:
        person = setup.rows[message.delivery][1]
        if "no lock" in setup.bugs:
            batch.append(message._replace(flag="l"))
        elif locks[person] in {FREE, w}:
            locks = put(locks, person, w)
            batch.append(message._replace(flag="l"))
        else:
            batch.append(message._replace(flag="x"))
    missing = [message.delivery for message in batch if message.flag == "x"]
    after = with_worker(s._replace(person_locks=locks), w, at="locked", batch=tuple(batch))
    yield f"w{w} T2 (a) locks" + (f", not obtained: {missing}" if missing else ""), after, ()


def _wait_for_locks(s: State, w: int, setup: Setup) -> Steps:
    worker = s.workers[w]
    if worker.place == len(worker.batch):
        locked = tuple(message._replace(flag="l") for message in worker.batch)
        yield f"w{w} T2 (a) has all locks", with_worker(s, w, at="locked", batch=locked, place=0), ()
        return
    person = setup.rows[worker.batch[worker.place].delivery][1]
    if s.person_locks[person] in {FREE, w}:
        after = s._replace(person_locks=put(s.person_locks, person, w))
        yield f"w{w} T2 (a) locks person {person}", with_worker(after, w, place=worker.place + 1), ()


def facts(s: State) -> Facts:
    """Return what a statement reads now."""
    return Facts(s.ledger, s.suppressed, s.stop, s.mandates, s.address)


def _ask(s: State, w: int, setup: Setup) -> Steps:
    worker = s.workers[w]
    seen = worker.seen or facts(s)
    judged = tuple(
        message._replace(flag=verdict(s, w, message, seen, setup)) if message.flag == "l" else message
        for message in worker.batch
    )
    broken: list[str] = []
    after = s
    if "recorded before the call" in setup.bugs:
        for message in judged:
            after = _settle(
                after, w, message._replace(flag="A" if message.flag == "g" else message.flag), setup, broken
            )
        after = released(after, w)
    after = _next(with_worker(after, w, batch=judged, place=0, seen=None), w)
    yield f"w{w} T2 (b) gate {[(m.delivery, m.flag) for m in judged]}", after, broken


def verdict(s: State, w: int, message: Message, seen: Facts, setup: Setup) -> str:
    """Return the gate's letter: the first that holds, in the order of `mailer/gate.py`."""
    row, (campaign, person) = s.rows[message.delivery], setup.rows[message.delivery]
    now, mandate, bugs = seen.address[person], seen.mandates[campaign], setup.bugs
    stopped = seen.stop == 1 and is_opted_out(s, setup, person, now)
    holds = (
        ("f", not (row.state == "H" and row.attempt == w) and "no fence" not in bugs),
        ("g", "no gate" in bugs),
        ("w", seen.ledger[person] % 2 or seen.suppressed[now]),
        ("w", stopped and "gate does not read stop requests" not in bugs),
        ("p", seen.ledger[person] != message.seq and "ledger not compared" not in bugs),
        ("p", now != message.address and "address not compared" not in bugs),
        ("c", mandate == "X"),
        ("w", mandate == "P" and "pause withholds" in bugs),
        ("p", mandate in "PE"),
        ("w", setup.cap and _recent(s, message.delivery, person, setup) >= setup.cap),
    )
    return next((letter for letter, is_so in holds if is_so), "g")


def _recent(s: State, d: int, person: int, setup: Setup) -> int:
    counted = "ADU" if "a cap counts only what ended" in setup.bugs else "ADUH"
    return sum(e != d and p == person and s.rows[e].state in counted for e, (_, p) in enumerate(setup.rows))


def _check(s: State, w: int, setup: Setup) -> Steps:
    worker = s.workers[w]
    gone = worker.lost and "socket not watched" not in setup.bugs
    over = worker.window == 2 and "window restarted by progress" not in setup.bugs
    if not gone and not over:
        yield f"w{w} check passes for row {worker.batch[worker.place].delivery}", with_worker(s, w, at="starting"), ()
    if gone or over or setup.gives_up:
        rest = tuple(m._replace(flag="p") if m.flag == "g" else m for m in worker.batch)
        yield f"w{w} window closed, the rest goes back", with_worker(s, w, at="recording", batch=rest, place=0), ()


def _start(s: State, w: int, setup: Setup) -> Steps:
    worker = s.workers[w]
    message = worker.batch[worker.place]
    broken = promises.of_first_byte(s, w, message, setup)
    after = with_worker(s, w, at="writing", lost=2 if worker.lost else 0)
    yield f"w{w} FIRST BYTE of row {message.delivery} to address {message.address}", after, broken


def _write(s: State, w: int, setup: Setup) -> Steps:
    worker = s.workers[w]
    message = worker.batch[worker.place]
    if set("AD") & set(setup.outcomes):
        broken: list[str] = []
        after = promises.take(s, message, setup, broken)
        yield f"the provider takes row {message.delivery}", with_worker(after, w, at="taken"), broken
    for outcome in "RND":
        if outcome in setup.outcomes:
            yield f"w{w} outcome of row {message.delivery}: {outcome}", _told(s, w, outcome), ()


def _taken(s: State, w: int, setup: Setup) -> Steps:
    worker = s.workers[w]
    for outcome in "AD":
        if outcome in setup.outcomes:
            d = worker.batch[worker.place].delivery
            yield f"w{w} outcome of row {d}: {outcome} (taken)", _told(s, w, outcome), ()


def _told(s: State, w: int, outcome: str) -> State:
    worker = s.workers[w]
    told = put(worker.batch, worker.place, worker.batch[worker.place]._replace(flag=outcome))
    return _next(with_worker(s, w, batch=told), w)


def _next(s: State, w: int) -> State:
    worker = s.workers[w]
    place = next((i for i in range(worker.place, len(worker.batch)) if worker.batch[i].flag == "g"), None)
    if place is None:
        return with_worker(s, w, at="recording", place=0)
    return with_worker(s, w, at="checking", place=place)


def _record(s: State, w: int, setup: Setup) -> Steps:
    """T2 (d). Once the session is lost, or the answer to COMMIT is, it is said again from memory."""
    worker = s.workers[w]
    if "recorded before the call" in setup.bugs:
        yield f"w{w} done", idle(s, w), ()
    elif worker.lost and worker.at == "recording":
        yield f"w{w} T2 (d) fails, is repeated from memory", with_worker(s, w, at="remembering", place=0, lost=0), ()
    elif setup.row_locks and worker.place < len(worker.batch):
        yield from _lock_row(s, w)
    elif all(s.row_locks[message.delivery] in {FREE, w} for message in worker.batch):
        broken: list[str] = []
        after = s
        for message in worker.batch:
            after = _settle(after, w, message, setup, broken)
        label = f"w{w} T2 (d) COMMIT {[(m.delivery, m.flag) for m in worker.batch]}"
        yield label, idle(after, w), broken
        if s.budget.losses and worker.at == "recording":
            unknown = with_worker(released(after, w), w, at="remembering", place=0)
            yield f"{label}, its answer LOST", spent(unknown, losses=s.budget.losses - 1), broken


def _lock_row(s: State, w: int) -> Steps:
    worker = s.workers[w]
    d = sorted(message.delivery for message in worker.batch)[worker.place]
    if s.row_locks[d] in {FREE, w}:
        after = s._replace(row_locks=put(s.row_locks, d, w))
        yield f"w{w} T2 (d) locks row {d}", with_worker(after, w, place=worker.place + 1), ()


_BECOMES = {"A": "A", "R": "R", "N": "P", "D": "D", "x": "P", "p": "P", "w": "W", "c": "X", "g": "P"}


def _settle(s: State, w: int, message: Message, setup: Setup, broken: list[str]) -> State:
    """`records.settle` for one row: only this attempt's, and only where it is still open or in doubt."""
    if message.flag == "f":
        return s
    d, (campaign, person) = message.delivery, setup.rows[message.delivery]
    row, new = s.rows[d], _BECOMES[message.flag]
    after = s
    if _is_mine(row, w, new) or "feedback is overwritten" in setup.bugs:
        key = row.key
        if new in "PWX" and key != FREE:
            after = after._replace(keys=put(after.keys, setup.key(campaign, key), FREE))
            key = FREE
        cited = message.seq if "grant cited only when recorded" in setup.bugs else row.cited
        after = with_row(after, d, broken, state=new, key=key, cited=cited)
    if after.open[person] == d * 2 + w:
        after = after._replace(open=put(after.open, person, FREE))
    return after


def _is_mine(row: Row, w: int, new: str) -> bool:
    return row.attempt == w and (row.state == "H" or (row.state == "D" and new in "AR"))


_STAGES: dict[str, Stage] = {
    "idle": _pick,
    "picked": _intend,
    "intended": _begin,
    "snapshot": _lock,
    "waiting": _wait_for_locks,
    "locked": _ask,
    "checking": _check,
    "starting": _start,
    "writing": _write,
    "taken": _taken,
    "recording": _record,
    "remembering": _record,
}
