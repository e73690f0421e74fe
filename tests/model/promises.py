"""What must hold (S1 to S11 of docs/sending.md), asked at a first byte, when a provider takes a message, and anywhere.

A promise broken by a worker that was stopped, or whose session was lost, exactly between its check and the write is
the documented limit: its name ends in `LIMITS`' words and is told apart.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.model.state import FINAL, FREE, OPT_OUT, SWEEP, Message, Row, Setup, State, Worker, is_opted_out, put

LIMITS = (" (session lost)", " (worker stopped)")
SETTLED = frozenset("ARWXZ")
OPEN = ("locked", *("checking", "starting", "writing", "taken", "recording"))


def of_first_byte(s: State, w: int, message: Message, setup: Setup) -> list[str]:
    """Return the promises that this first byte breaks."""
    worker, row = s.workers[w], s.rows[message.delivery]
    person = setup.rows[message.delivery][1]
    mine = row.state == "H" and row.attempt == w
    broken = {
        "S2 a first byte after the opt-out's answer": s.opt_out[0] == "answered"
        and is_opted_out(s, setup, person, message.address),
        "S1 a first byte of a settled row": not mine and row.state in SETTLED and not row.approvals,
        "S7 a first byte of a row that is not this attempt's": not mine and row.state not in SETTLED,
        "S4 a first byte without the yes it cites": mine and not _cites_a_standing_yes(s, row, person),
        "S1 a first byte to an address that is no longer theirs": message.address != s.address[person],
    }
    found = [name for name, holds in broken.items() if holds]
    limit = _limit(worker)
    if limit:
        return [name + limit for name in found] + (
            ["SOCKET a second first byte without a session"] if worker.lost == 2 else []
        )
    return found


def _cites_a_standing_yes(s: State, row: Row, person: int) -> bool:
    # Cited only at the end: whoever dies in between leaves it uncited, which `of_state` finds.
    return s.ledger[person] % 2 == 0 and row.cited in {FREE, s.ledger[person]}


def _limit(worker: Worker) -> str:
    if worker.lost:
        return LIMITS[0]
    return LIMITS[1] if worker.stopped else ""


def take(s: State, message: Message, setup: Setup, broken: list[str]) -> State:
    """The provider takes a message: count it, for the row, the person, the address and the cap."""
    d, (campaign, person) = message.delivery, setup.rows[message.delivery]
    place = setup.key(campaign, message.address)
    taken = put(s.taken, d, min(3, s.taken[d] + 1))
    mailed = put(s.mailed, place, min(3, s.mailed[place] + 1))
    approved = s.rows[d].approvals
    if taken[d] > 1 + approved:
        broken.append("S1 taken twice for a person")
    if mailed[place] > 1 + approved:
        broken.append("S1 taken twice for an address")
    theirs = [e for e, (_, who) in enumerate(setup.rows) if who == person]
    if setup.cap and sum(taken[e] for e in theirs) > setup.cap + sum(s.rows[e].approvals for e in theirs):
        broken.append("S11 more than the cap")
    return s._replace(taken=taken, mailed=mailed)


def of_state(s: State, setup: Setup) -> list[str]:
    """Return the promises that this moment breaks."""
    broken = [name for d, row in enumerate(s.rows) for name in _of_row(s, d, row, setup)]
    handing = [setup.rows[d][1] for d, row in enumerate(s.rows) if row.state == "H"]
    if len(handing) != len(set(handing)):
        broken.append("S7 two open hand-overs of one person")
    if s.newest_yes and s.ledger[0] % 2:
        broken.append("S9 an old stop wiped out a newer yes")
    waiting = _waits(s, setup)
    if any(worker in waiting and s.workers[worker].at == "waiting" for worker in range(setup.workers)):
        broken.append("LIVE a batch waits for a person")
    if _goes_round(waiting):
        broken.append("LIVE deadlock")
    return broken


def _of_row(s: State, d: int, row: Row, setup: Setup) -> list[str]:
    taken, (campaign, person) = s.taken[d], setup.rows[d]
    live = _holder(s, d, row)
    broken = {
        "S5 accepted and never taken": row.state == "A" and not taken,
        "S5 taken and " + row.state: taken and not row.approvals and row.state not in "ADUZH",
        "S4 taken without a citation": taken and row.state in "ADUZ" and row.cited == FREE and live is None,
        "S5 a live hand-over was reaped": row.state == "D" and live is not None and not live.stopped,
        "S6 in doubt with faults off": row.state in "DU" and setup.reap_only_dead and "D" not in setup.outcomes,
        "S6 a pause lost somebody": row.state == "W"
        and s.mandates[campaign] == "P"
        and s.ledger[person] == 0
        and not (any(s.suppressed) or s.stop or setup.cap),
        "S6 withheld for nothing": row.state == "W" and _for_nothing(s, d, setup),
    }
    return [name for name, holds in broken.items() if holds]


def _for_nothing(s: State, d: int, setup: Setup) -> bool:
    """Nobody said no, nothing is capped, and no other record had the campaign."""
    others = [row for e, row in enumerate(s.rows) if e != d]
    idle = all(row.state in "PXW" and not row.approvals for row in others) and sum(s.taken) == s.taken[d]
    return idle and not setup.opt_out and not setup.cap and "pause withholds" not in setup.bugs


def _holder(s: State, d: int, row: Row) -> Worker | None:
    """Return the live worker that has this row in hand and has not yet recorded it."""
    if not 0 <= row.attempt < len(s.workers):
        return None
    worker = s.workers[row.attempt]
    handing = any(message.delivery == d and message.flag and message.flag in "gARND" for message in worker.batch)
    return worker if handing and worker.at in OPEN and not worker.lost else None


def _waits(s: State, setup: Setup) -> Mapping[int, int]:
    """Return who waits for whom."""
    waiting = {w: holder for w in range(setup.workers) if (holder := _worker_waits(s, w, setup)) is not None}
    stage, addresses, wanted = s.opt_out
    held = [s.address_locks[address] for address in addresses if s.address_locks[address] not in {FREE, OPT_OUT}]
    if stage == "address" and held:
        waiting[OPT_OUT] = held[0]
    if stage == "people":
        missing = [person for person in wanted if s.person_locks[person] != OPT_OUT]
        if missing and s.person_locks[missing[0]] != FREE:
            waiting[OPT_OUT] = s.person_locks[missing[0]]
    kind, rows, place = s.sweep
    if kind == "locking" and place < len(rows) and s.row_locks[rows[place]] not in {FREE, SWEEP}:
        waiting[SWEEP] = s.row_locks[rows[place]]
    return waiting


def _worker_waits(s: State, w: int, setup: Setup) -> int | None:
    worker = s.workers[w]
    if worker.place >= len(worker.batch):
        return None
    if worker.at == "waiting":
        holder = s.person_locks[setup.rows[worker.batch[worker.place].delivery][1]]
    elif worker.at in {"recording", "remembering"} and setup.row_locks:
        holder = s.row_locks[sorted(message.delivery for message in worker.batch)[worker.place]]
    else:
        return None
    return holder if holder not in {FREE, w} else None


def _goes_round(waiting: Mapping[int, int]) -> bool:
    for first in waiting:
        seen, who = set[int](), first
        while who in waiting and who not in seen:
            seen.add(who)
            who = waiting[who]
        if who in seen:
            return True
    return False


def is_done(s: State) -> bool:
    """Say whether every row is final and every stop request folded: S6 wants a way here from everywhere."""
    return all(row.state in FINAL for row in s.rows) and s.stop != 1 and s.opt_out[0] in {"idle", "answered"}
