"""What the explorer knows of the world: rows, locks, workers and people, as values that can be hashed.

One `State` is one moment between two atomic steps. A statement in PostgreSQL (READ COMMITTED) reads what is committed
at its step; locks are freed by commit, roll-back or the loss of a session, while the process may go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

FREE = -1
OPT_OUT, REAPER, FOLD, MOVE, SWEEP, NEW_YES = range(2, 8)
"""Who may hold a lock besides the workers 0 and 1."""

FINAL = frozenset("ARWXUZ")
HANDED_OVER = frozenset("ARDUZ")
"""Letters of states: Pending Handing_over Accepted Refused in_Doubt Unconfirmed Withheld cancelled(X) closed(Z)."""

SENDING = frozenset("SE")
"""Letters of mandates: Sending, Ended by its time (still sending, but the gate says no), Paused, cancelled(X)."""
SWEPT = frozenset("XE")

T = TypeVar("T")


class Row(NamedTuple):
    """A delivery. `key` is the address whose campaign key this very attempt has put in; `cited` a ledger sequence."""

    state: str
    attempt: int
    key: int
    cited: int
    approvals: int


class Message(NamedTuple):
    """One row in a worker's batch, with what was read at the pick.

    `flag`: blank, `l`ocked, `x` not obtained, the gate's `g`o `p`ending `w`ithheld `c`ancelled `f`oreign, or the
    provider's A R N D.
    """

    delivery: int
    address: int
    seq: int
    flag: str


class Worker(NamedTuple):
    """A process: where it is, whether its session lives (2: a byte was written since it was lost), its batch.

    `window`: 1 its hand-over began before the stop request was committed, 2 and W has passed since.
    """

    at: str = "idle"
    lost: int = 0
    stopped: int = 0
    batch: tuple[Message, ...] = ()
    place: int = 0
    window: int = 0
    seen: Facts | None = None


class Facts(NamedTuple):
    """What the gate reads, besides the row itself."""

    ledger: tuple[int, ...]
    suppressed: tuple[int, ...]
    stop: int
    mandates: tuple[str, ...]
    address: tuple[int, ...]


class Budget(NamedTuple):
    """How much may still happen."""

    kills: int
    losses: int
    stops: int
    pauses: int
    cancels: int
    resends: int
    yeses: int


class State(NamedTuple):
    """One moment. `ledger` counts events of a person: even means yes. The last three are known to nobody inside."""

    person_locks: tuple[int, ...]
    address_locks: tuple[int, ...]
    row_locks: tuple[int, ...]
    rows: tuple[Row, ...]
    open: tuple[int, ...]
    keys: tuple[int, ...]
    workers: tuple[Worker, ...]
    reaper: tuple[int, ...]
    opt_out: tuple[str, tuple[int, ...], tuple[int, ...]]
    folding: int
    move: tuple[str, int]
    sweep: tuple[str, tuple[int, ...], int]
    yes: tuple[str, int]
    mandates: tuple[str, ...]
    ledger: tuple[int, ...]
    ended: tuple[int, ...]
    suppressed: tuple[int, ...]
    stop: int
    stopped_address: int
    address: tuple[int, ...]
    budget: Budget
    taken: tuple[int, ...]
    mailed: tuple[int, ...]
    newest_yes: int


Step = tuple[str, State, Sequence[str]]
"""What happened, what is the case then, and which promises it broke."""
Steps = Iterator[Step]


@dataclass(frozen=True)
class Setup:
    """A configuration: who has what, what may happen, and the bug planted in the protocol, if any."""

    rows: tuple[tuple[int, int], ...] = ((0, 0), (0, 1))
    """(campaign, customer) of each delivery."""
    address: tuple[int, ...] = (0, 1)
    addresses: int = 3
    workers: int = 2
    outcomes: str = "ARND"
    opt_out: str = ""
    """`link` (customer 0), `typed` (the first address of customer 0), or none."""
    impatient: bool = False
    """The opt-out's second may be over whenever it waits."""
    moves: tuple[tuple[int, int], ...] = ()
    cap: int = 0
    kills: int = 0
    losses: int = 0
    stops: int = 0
    pauses: int = 0
    cancels: int = 0
    resends: int = 0
    yeses: int = 0
    part_batches: bool = False
    gives_up: bool = False
    """A worker may find its window over at any check."""
    feedback: bool = False
    reap_only_dead: bool = False
    """Deadlines are never over while a worker lives: with faults off nothing may end in doubt."""
    row_locks: bool = False
    """Rows are locked one by one where several are changed."""
    bugs: frozenset[str] = frozenset()

    @property
    def campaigns(self) -> int:
        """How many campaigns there are."""
        return 1 + max(campaign for campaign, _ in self.rows)

    def key(self, campaign: int, address: int) -> int:
        """Return the place of an address key."""
        return campaign * self.addresses + address

    def start(self) -> State:
        """Return the first state: everybody said yes and everything is pending."""
        people, rows = len(self.address), len(self.rows)
        return State(
            person_locks=(FREE,) * people,
            address_locks=(FREE,) * self.addresses,
            row_locks=(FREE,) * rows,
            rows=(Row("P", FREE, FREE, FREE, 0),) * rows,
            open=(FREE,) * people,
            keys=(FREE,) * (self.campaigns * self.addresses),
            workers=(Worker(),) * self.workers,
            reaper=(),
            opt_out=("idle", (), ()),
            folding=0,
            move=("idle", 0),
            sweep=("idle", (), 0),
            yes=("idle", 0),
            mandates=("S",) * self.campaigns,
            ledger=(0,) * people,
            ended=(0,) * people,
            suppressed=(0,) * self.addresses,
            stop=0,
            stopped_address=FREE,
            address=self.address,
            budget=Budget(self.kills, self.losses, self.stops, self.pauses, self.cancels, self.resends, self.yeses),
            taken=(0,) * rows,
            mailed=(0,) * (self.campaigns * self.addresses),
            newest_yes=0,
        )


Stage = Callable[[State, int, Setup], Steps]


def put(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    """Return `values` with one replaced."""
    return (*values[:place], value, *values[place + 1 :])


def released(s: State, who: int) -> State:
    """Free every lock of `who`: commit, roll-back, or a session that is gone."""
    if who in s.person_locks:
        s = s._replace(person_locks=tuple([FREE if holder == who else holder for holder in s.person_locks]))
    if who in s.address_locks:
        s = s._replace(address_locks=tuple([FREE if holder == who else holder for holder in s.address_locks]))
    if who in s.row_locks:
        s = s._replace(row_locks=tuple([FREE if holder == who else holder for holder in s.row_locks]))
    return s


def with_worker(s: State, w: int, **changes: object) -> State:
    """Return `s` with worker `w` changed."""
    return s._replace(workers=put(s.workers, w, s.workers[w]._replace(**changes)))  # type: ignore[arg-type]


def idle(s: State, w: int) -> State:
    """Return `s` with worker `w` at the start of its loop and its locks free."""
    return released(s._replace(workers=put(s.workers, w, Worker())), w)


def with_row(s: State, d: int, broken: list[str], **changes: object) -> State:
    """Return `s` with row `d` changed; what is settled may not become unsettled (S8)."""
    before = s.rows[d]
    after = before._replace(**changes)  # type: ignore[arg-type]
    if (before.state == "A" and after.state != "A") or (before.state in "RX" and after.state in "DP"):
        broken.append("S8 a settled row became unsettled")
    if after.state not in "HD":
        after = after._replace(attempt=FREE)
    return s._replace(rows=put(s.rows, d, after))


def spent(s: State, **less: int) -> State:
    """Return `s` with a piece of its budget gone."""
    return s._replace(budget=s.budget._replace(**less))


def is_opted_out(s: State, setup: Setup, customer: int, address: int) -> bool:
    """Say whether the opt-out of this run is about this person at this address."""
    return address == s.stopped_address or (setup.opt_out == "link" and customer == 0)
