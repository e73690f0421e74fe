"""What comes with time and from outside: the reaper, provider events, people's decisions, pause, cancel and its sweep.

`mailer/reaper.py` and `mailer/feedback` in small. Deadlines and the 24 hours may be over at any moment, and an event
settles a row even while its hand-over is open: more than can happen, never less.
"""

from __future__ import annotations

from tests.model.state import FREE, REAPER, SWEEP, SWEPT, Setup, State, Steps, put, released, spent, with_row


def steps(s: State, setup: Setup) -> Steps:
    """Everything that the clock, the provider's events and operators may do next."""
    for d in range(len(s.rows)):
        if s.row_locks[d] == FREE:
            yield from _of_row(s, d, setup)
    yield from _reap(s, setup)
    yield from _campaigns(s, setup)
    yield from _sweep(s, setup)


def _of_row(s: State, d: int, setup: Setup) -> Steps:
    row, mandate = s.rows[d], s.mandates[setup.rows[d][0]]
    broken: list[str] = []
    if row.state == "P" and mandate in SWEPT and not setup.row_locks and "swept only once" not in setup.bugs:
        yield f"clock sweeps row {d}", with_row(s, d, broken, state="X"), broken
    if setup.feedback and s.taken[d] and (row.state in "HDU" or (row.state == "P" and row.approvals)):
        yield f"a provider event settles row {d}", with_row(s, d, broken, state="A"), broken
    if row.state == "D":
        yield f"24 h: row {d} unconfirmed", with_row(s, d, broken, state="U"), broken
    if row.state == "U" and s.budget.resends:
        again = with_row(s, d, broken, state="P", approvals=row.approvals + 1)
        yield f"send row {d} again, a second person approves", spent(again, resends=s.budget.resends - 1), broken
        yield f"row {d} is closed", with_row(s, d, broken, state="Z"), broken


def _reap(s: State, setup: Setup) -> Steps:
    """Seen in one statement, locked in the next, decided in a third."""
    if not s.reaper:
        for person, held in enumerate(s.open):
            if held != FREE and not (setup.reap_only_dead and _is_held(s, *divmod(held, 2))):
                d, w = divmod(held, 2)
                yield f"reaper sees row {d} overdue", s._replace(reaper=(0, person, d, w)), ()
        return
    locked, person, d, w = s.reaper
    if locked:
        yield from _put_in_doubt(s, person, d, w, setup)
    elif s.person_locks[person] == FREE or "reaper ignores the lock" in setup.bugs:
        locks = put(s.person_locks, person, REAPER) if s.person_locks[person] == FREE else s.person_locks
        yield f"reaper locks person {person}", s._replace(person_locks=locks, reaper=(1, person, d, w)), ()
    else:
        yield f"reaper leaves row {d}: its person is locked", s._replace(reaper=()), ()


def _is_held(s: State, d: int, w: int) -> bool:
    return any(message.delivery == d for message in s.workers[w].batch)


def _put_in_doubt(s: State, person: int, d: int, w: int, setup: Setup) -> Steps:
    broken: list[str] = []
    after = released(s._replace(reaper=()), REAPER)
    same = s.open[person] == d * 2 + w
    if s.row_locks[d] != FREE:
        yield f"reaper leaves row {d}: it is locked", after, ()
        return
    mine = s.rows[d].state == "H" and s.rows[d].attempt == w
    if (same and mine) or "reaper without the later check" in setup.bugs:
        again = "in-doubt re-queued" in setup.bugs
        after = with_row(after, d, broken, state="P" if again else "D")
    if same:
        after = after._replace(open=put(after.open, person, FREE))
    yield f"reaper: row {d} is {after.rows[d].state}, COMMIT", after, broken


def _campaigns(s: State, setup: Setup) -> Steps:
    for campaign, mandate in enumerate(s.mandates):
        if mandate == "S" and s.budget.pauses:
            paused = s._replace(mandates=put(s.mandates, campaign, "P"))
            yield f"campaign {campaign} paused", spent(paused, pauses=s.budget.pauses - 1), ()
        if mandate == "P":
            yield f"campaign {campaign} goes on", s._replace(mandates=put(s.mandates, campaign, "S")), ()
        if mandate in "SP" and s.budget.cancels:
            yield from _end(s, campaign, setup)


def _end(s: State, campaign: int, setup: Setup) -> Steps:
    broken: list[str] = []
    after = spent(s, cancels=s.budget.cancels - 1)
    if "swept only once" in setup.bugs:
        for d, (which, _) in enumerate(setup.rows):
            if which == campaign and s.rows[d].state == "P":
                after = with_row(after, d, broken, state="X")
    cancelled = after._replace(mandates=put(s.mandates, campaign, "X"))
    yield f"campaign {campaign} cancelled", cancelled, broken
    if s.mandates[campaign] == "S":
        yield f"campaign {campaign} is over", after._replace(mandates=put(s.mandates, campaign, "E")), broken


def _sweep(s: State, setup: Setup) -> Steps:
    """The sweep row by row, where rows are locked one by one: it skips what is locked."""
    kind, rows, place = s.sweep
    if kind == "idle":
        due = tuple(d for d, (c, _) in enumerate(setup.rows) if s.mandates[c] in SWEPT and s.rows[d].state == "P")
        if setup.row_locks and due:
            order = due[::-1] if "sweep in another order, waiting" in setup.bugs else due
            yield f"sweep begins over {order}", s._replace(sweep=("locking", order, 0)), ()
    elif place < len(rows):
        d = rows[place]
        if s.row_locks[d] == FREE:
            # The row is locked before its state is looked at again, and stays locked whatever that says.
            after = s._replace(row_locks=put(s.row_locks, d, SWEEP), sweep=(kind, rows, place + 1))
            yield f"sweep locks row {d}", after, ()
        elif "sweep in another order, waiting" not in setup.bugs:
            yield f"sweep skips row {d}", s._replace(sweep=(kind, rows, place + 1)), ()
    else:
        broken: list[str] = []
        after = s
        for d in rows:
            if s.row_locks[d] == SWEEP and s.rows[d].state == "P":
                after = with_row(after, d, broken, state="X")
        yield "sweep COMMIT", released(after, SWEEP)._replace(sweep=("idle", (), 0)), broken
