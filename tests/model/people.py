"""Doors of people: the opt-out with its stop row first and its wait, the clock that folds, moves of address, a new yes.

`mailer/optout.py`, `mailer/customers.py` and `mailer/consent/ledger.py` in small.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.model.state import (
    FOLD,
    FREE,
    MOVE,
    NEW_YES,
    OPT_OUT,
    Setup,
    State,
    Steps,
    put,
    released,
    spent,
)

IN_T2 = frozenset({"snapshot", "waiting", "locked", "checking", "starting", "writing", "taken"})


def steps(s: State, setup: Setup) -> Steps:
    """Everything that people, and the clock on their behalf, may do next."""
    if setup.opt_out:
        yield from _opt_out(s, setup)
        yield from _fold(s, setup)
    if s.move[1] < len(setup.moves):
        yield from _move(s, setup)
    if s.budget.yeses:
        yield from _new_yes(s)


def _opt_out(s: State, setup: Setup) -> Steps:
    stage, addresses, wanted = s.opt_out
    if stage == "idle":
        yield "opt-out arrives: its stop request is COMMITTED", _asked(s, setup), ()
    elif stage == "looking":
        found = _addresses(s, setup)
        yield f"opt-out reads addresses {found}", s._replace(opt_out=("address", found, ())), ()
    elif stage == "address":
        if all(s.address_locks[address] == FREE for address in addresses):
            after = _with_addresses(s, addresses, OPT_OUT)
            # In a later statement than the lock.
            people = _holders(after, addresses, setup)
            yield "opt-out locks the addresses", after._replace(opt_out=("people", addresses, people)), ()
        else:
            yield from _out_of_patience(s, setup)
    elif stage == "people":
        yield from _lock_people(s, addresses, wanted, setup)
    elif stage == "locked":
        yield from _write(s, addresses, wanted, setup)
    elif stage == "waiting":
        yield from _wait_for_gates(s)


def _asked(s: State, setup: Setup) -> State:
    address = setup.address[0] if setup.opt_out == "typed" else s.address[0]
    windows = tuple(worker._replace(window=1) if worker.at in IN_T2 else worker for worker in s.workers)
    stop = 0 if "opt-out without the stop row" in setup.bugs else 1
    return s._replace(stop=stop, stopped_address=address, workers=windows, opt_out=("looking", (), ()))


def _lock_people(s: State, addresses: tuple[int, ...], wanted: tuple[int, ...], setup: Setup) -> Steps:
    missing = [person for person in wanted if s.person_locks[person] != OPT_OUT]
    if not missing:
        yield "opt-out has all locks", s._replace(opt_out=("locked", addresses, wanted)), ()
    elif s.person_locks[missing[0]] == FREE:
        after = s._replace(person_locks=put(s.person_locks, missing[0], OPT_OUT))
        yield f"opt-out locks person {missing[0]}", after, ()
    else:
        yield from _out_of_patience(s, setup)


def _write(s: State, addresses: tuple[int, ...], wanted: tuple[int, ...], setup: Setup) -> Steps:
    if _addresses(s, setup) != addresses or _holders(s, addresses, setup) != wanted:
        yield "opt-out: an address moved, again", released(s, OPT_OUT)._replace(opt_out=("looking", (), ())), ()
    else:
        after = released(_folded(s, addresses, wanted, setup), OPT_OUT)
        # The answer follows at once: a first byte between COMMIT and answer is one before the answer.
        yield "opt-out COMMIT and answer", after._replace(opt_out=("answered", (), ())), ()


def _out_of_patience(s: State, setup: Setup) -> Steps:
    if setup.impatient:
        stage = "answered" if "opt-out answers without its wait" in setup.bugs else "waiting"
        yield "opt-out: a second is over, roll back", released(s, OPT_OUT)._replace(opt_out=(stage, (), ())), ()


def _wait_for_gates(s: State) -> Steps:
    """W has passed since the stop request: who passed a check before has written, unless stopped or cut off."""
    if any(w.window and w.at == "starting" and not w.lost and not w.stopped for w in s.workers):
        return
    workers = tuple(worker._replace(window=2) if worker.window else worker for worker in s.workers)
    yield "opt-out: W has passed, answer", s._replace(workers=workers, opt_out=("answered", (), ())), ()


def _addresses(s: State, setup: Setup) -> tuple[int, ...]:
    """The address that was meant, and the one that the person has now."""
    now = s.address[0] if setup.opt_out == "link" else s.stopped_address
    return tuple(sorted({s.stopped_address, now}))


def _holders(s: State, addresses: Sequence[int], setup: Setup) -> tuple[int, ...]:
    return tuple(
        person
        for person, address in enumerate(s.address)
        if address in addresses or (setup.opt_out == "link" and person == 0)
    )


def _with_addresses(s: State, addresses: Sequence[int], who: int) -> State:
    locks = s.address_locks
    for address in addresses:
        locks = put(locks, address, who)
    return s._replace(address_locks=locks)


def _folded(s: State, addresses: Sequence[int], people: Sequence[int], setup: Setup) -> State:
    suppressed = s.suppressed
    for address in addresses:
        suppressed = put(suppressed, address, 1)
    return _ended(s, people, setup)._replace(suppressed=suppressed, stop=2)


def _ended(s: State, people: Sequence[int], setup: Setup) -> State:
    """`fold_stop_requests`: a withdrawal for each, unless one was written since the request."""
    ledger, ended = s.ledger, s.ended
    for person in people:
        if ledger[person] % 2 == 0 and (not ended[person] or "late fold" in setup.bugs):
            ledger = put(ledger, person, ledger[person] + 1)
        ended = put(ended, person, 1)
    return s._replace(ledger=ledger, ended=ended)


def _fold(s: State, setup: Setup) -> Steps:
    if s.stop != 1 or "stop requests are never folded" in setup.bugs:
        return
    addresses = _addresses(s, setup)
    people = _holders(s, addresses, setup)
    if s.folding:
        folded = released(_folded(s, addresses, people, setup), FOLD)._replace(folding=0)
        yield "clock folds the stop request, COMMIT", folded, ()
    elif all(s.address_locks[a] == FREE for a in addresses) and all(s.person_locks[p] == FREE for p in people):
        locks = s.person_locks
        for person in people:
            locks = put(locks, person, FOLD)
        after = _with_addresses(s, addresses, FOLD)
        yield "clock locks to fold", after._replace(person_locks=locks, folding=1), ()


def _move(s: State, setup: Setup) -> Steps:
    stage, number = s.move
    person, address = setup.moves[number]
    both = {s.address[person], address}
    if stage == "idle":
        if all(s.address_locks[a] == FREE for a in both):
            after = _with_addresses(s, sorted(both), MOVE)._replace(move=("addressed", number))
            yield f"person {person} moves to {address}: address locks", after, ()
    elif stage == "addressed":
        if s.person_locks[person] == FREE:
            after = s._replace(person_locks=put(s.person_locks, person, MOVE), move=("locked", number))
            yield f"move locks person {person}", after, ()
    else:
        moved = s._replace(address=put(s.address, person, address), move=("idle", number + 1))
        yield f"move COMMIT: person {person} has address {address}", released(moved, MOVE), ()


def _new_yes(s: State) -> Steps:
    """Customer 0 says yes (again): open stop requests are folded first, then the yes is written."""
    if s.yes[0] == "idle":
        if s.person_locks[0] == FREE:
            after = s._replace(person_locks=put(s.person_locks, 0, NEW_YES), yes=("locked", 0))
            yield "a new yes of person 0 locks", after, ()
        return
    after = s
    if s.stop == 1:
        after = _ended(s, (0,), Setup())
    seq = after.ledger[0] + (1 if after.ledger[0] % 2 else 2)
    after = after._replace(
        ledger=put(after.ledger, 0, seq), yes=("idle", 0), newest_yes=int(s.stop > 0 or s.opt_out[0] != "idle")
    )
    yield "a new yes of person 0 COMMIT", released(spent(after, yeses=s.budget.yeses - 1), NEW_YES), ()
