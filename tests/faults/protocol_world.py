"""A small world on a real database: four people, three campaigns, two workers, a reaper, an opt-out; and its promises.

The code under test is the real one; what it may not do is in `protocol_promises`.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from mailer import customers, delivery, optout, pick, reaper, statements
from mailer.consent import ledger
from mailer.db import create_engine_from, session_factory
from mailer.errors import AddressMoved
from mailer.providers.memory import Act, Behaviour, MemoryProvider
from tests import factories
from tests.faults import protocol_promises as promises
from tests.faults.puppets import Clock, Puppet, SteppedSession, pause, stepped

ENDED = {"accepted", "refused_by_provider", "in_doubt", "withheld", "cancelled"}
BATCH = 4


class Broken(AssertionError):
    """A promise was broken."""


@contextmanager
def substituted(owner, name, value):
    """Put `value` in the place of a function or statement of ours, for a while."""
    ours = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, ours)


def engine_for(committed):
    """An engine on which nobody waits long for a process that stands still."""
    engine = create_engine_from(committed.url, pool_size=30)

    @event.listens_for(engine, "connect")
    def _impatient(connection, _record):
        connection.execute("SET lock_timeout = '100ms'")
        connection.commit()

    return engine


class Provider(MemoryProvider):
    """The double, with a stop before each check and after each message."""

    def hand_over(self, envelopes, window):
        for receipt in super().hand_over(envelopes, _Stepped(window)):
            pause()
            yield receipt


class _Stepped:
    def __init__(self, window) -> None:
        self._window = window

    def open(self) -> bool:
        pause()
        return self._window.open()


class World:
    """Everything that happens, one call each. Use it as a context manager: at the end all comes to its end."""

    def __init__(self, committed, engine, keys) -> None:
        self.owner, self.engine, self.keys = committed.owner, engine, keys
        self.plain = session_factory(engine)
        self.sessions = lambda: SteppedSession(engine, expire_on_commit=False)
        self.clock = Clock()
        self.workers: dict[int, Puppet] = {}
        self.providers = {w: Provider(on_first_byte=self._first_byte) for w in (0, 1)}
        self.reaper: Puppet | None = None
        self.leaver: Puppet | None = None
        self.moves = 0
        self.leaving: set[int] = set()
        self.answered: set[int] = set()
        self.closed_addresses: set[str] = set()
        self.said_no: set[int] = set()
        self.newest_yes: set[int] = set()
        self.broken: list[str] = []
        self.before: dict[object, str] = {}
        self._stack = ExitStack()

    def __enter__(self):
        clock = self.clock
        ours = delivery.HandoverWindow

        class Window(ours):
            def __init__(self, session, began) -> None:
                super().__init__(session, began, clock.monotonic)

        for owner, name, value in (
            (delivery, "clock", clock.monotonic),
            (delivery, "HandoverWindow", Window),
            (optout, "time", clock),
            (optout, "Session", SteppedSession),
            (statements, "run", stepped(statements.run)),
            (optout, "PATIENCE", 0.03),
        ):
            self._stack.enter_context(substituted(owner, name, value))
        with self.plain() as session, session.begin():
            found = [factories.agreeing(session, self.keys) for _ in range(3)]
            shared = session.scalar(text("SELECT address FROM addresses WHERE customer_id = :c"), {"c": found[2].id})
            found.append(factories.agreeing(session, self.keys, address=shared))
            self.people = [customer.id for customer in found]
            self.campaigns = [
                factories.sending(session, found).campaign_id,
                factories.sending(session, found, cap_messages=1, cap_days=7).campaign_id,
                factories.sending(session, found).campaign_id,
            ]
        self.capped = self.campaigns[1]
        return self

    def __exit__(self, *trouble) -> None:
        try:
            for puppet in (*self.workers.values(), self.reaper, self.leaver):
                if puppet is not None:
                    puppet.kill()
        finally:
            self._stack.close()

    # -- what workers do -------------------------------------------------------------------------

    def step(self, worker: int, n: int, outcome: Behaviour, campaign: int = 0) -> None:
        """Let a worker take `n` steps; one with nothing in hand takes up a campaign. `outcome` is its provider's."""
        self.providers[worker].usually = Act(outcome)
        if worker not in self.workers or self.workers[worker].done:
            self.workers[worker] = Puppet(lambda: self._work(worker, self.campaigns[campaign]))
        puppet = self.workers[worker]
        puppet.step(n)
        self._raise_unless_database(puppet)

    def _work(self, worker: int, campaign: int) -> None:
        with self.plain() as session:
            job = pick.read_job(session, campaign)
            due = [*pick.come_back(session, campaign), *pick.due(session, campaign, after=0)][:BATCH]
        pause()
        if job is None or not due:
            return
        contents = {c.delivery_id: b"mail" if c.worth_rendering else None for c in due}
        attempt = delivery.intend(self.sessions, job, due, provider="memory", worker=f"w{worker}")
        pause()
        if attempt.candidates:
            delivery.hand_over(self.sessions, self.providers[worker], attempt, contents)

    def kill(self, worker: int) -> None:
        """Kill a worker where it stands."""
        if worker in self.workers:
            self.workers[worker].kill()

    def cut(self) -> None:
        """End every session that is in a transaction, while the processes live on."""
        self._run(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
                  AND state = 'idle in transaction' AND pid <> pg_backend_pid()"""
        )

    def _first_byte(self, envelope) -> None:
        self.broken += promises.at_first_byte(self, envelope)

    def taken(self) -> list[tuple[int, int, str]]:
        """Return (person, campaign, address) of everything that was really taken."""
        people = {str(row.id): row.customer_id for row in self.deliveries()}
        return [
            (people[taken.delivery_id], taken.campaign_id, taken.recipient)
            for provider in self.providers.values()
            for taken in provider.taken
        ]

    # -- what people do --------------------------------------------------------------------------

    def leave(self, person: int, door: str, n: int) -> None:
        """Somebody says no, by link or by typing their address; or the one who is at it gets on by `n` steps."""
        if self.leaver is None:
            self.leaver = Puppet(lambda: self._say_no(self.people[person], door))
        self.leaver.step(n)
        trouble = self.leaver.trouble
        if self.leaver.done:
            self.leaver = None
        if trouble is not None:
            raise trouble

    def _say_no(self, customer_id: int, door: str) -> None:
        address = self._address(customer_id)
        self.said_no |= set(self._holders(address)) | {customer_id}
        self.newest_yes -= self.said_no
        if door == "link":
            self.leaving.add(customer_id)
            optout.stop_person(self.engine, customer_id=customer_id, scope="all", source="one_click")
            self.answered |= self.leaving & {customer_id}
        else:
            optout.stop_address(self.engine, self.keys, address=address, source="typed_address")
        self.closed_addresses.add(address)

    def agree(self, person: int) -> None:
        """Somebody says yes, again or anew."""
        customer_id, written = self.people[person], False
        with self._unless_locked(), self.plain() as session, session.begin():
            ledger.grant(session, customer_id, factories.wording(session).id, source="signup")
            written = True
        if written:
            # Newer than the no, also where that one is still to be answered. Their old address stays closed.
            self.answered.discard(customer_id)
            self.leaving.discard(customer_id)
            if self.leaver is None:
                self.newest_yes.add(customer_id)

    def move(self, person: int, to: int) -> None:
        """Somebody takes over the address of another, who gets a new one."""
        address = self._address(self.people[to])
        with self._unless_locked(), self.plain() as session, session.begin():
            if person != to:
                self.moves += 1
                fresh = f"moved{self.people[to]}-{self.moves}@example.com"
                customers.change_address(session, self.keys, self.people[to], fresh)
                customers.change_address(session, self.keys, self.people[person], address)
        if self.leaver is not None or address in self.closed_addresses or self._open_stops():
            # Whoever has an address when its stop is written down is meant by it, and so is a person's new address.
            meant = {self.people[person], *self._holders(address)}
            self.said_no |= meant
            self.newest_yes -= meant

    # -- what time and operators do --------------------------------------------------------------

    def lull(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds

    def pass_deadlines(self) -> None:
        """Every open hand-over is overdue now."""
        self._run(
            """UPDATE open_handovers SET deadline = clock_timestamp() - interval '1 s' WHERE customer_id IN
                 (SELECT customer_id FROM open_handovers WHERE customer_id = ANY(:people) FOR UPDATE SKIP LOCKED)"""
        )

    def reap(self, n: int) -> None:
        """Let the reaper begin, or get on, by `n` steps."""
        if self.reaper is None or self.reaper.done:
            self.reaper = Puppet(self._reap)
        self.reaper.step(n)
        self._raise_unless_database(self.reaper)

    def _reap(self) -> None:
        with self.sessions() as session, session.begin():
            reaper.reap(session)
            pause()

    def fold(self) -> None:
        """The clock folds what was answered before it could be written down, and sweeps."""
        optout.fold_waiting(self.engine)
        for campaign in self.campaigns:
            with self._unless_locked(), self.plain() as session, session.begin():
                reaper.sweep(session, campaign)

    def mandate(self, campaign: int, state: str) -> None:
        """An operator pauses, resumes or cancels. What is cancelled stays so."""
        self._run(
            "UPDATE mandates SET state = :state WHERE campaign_id = :campaign AND state <> 'cancelled'",
            campaign=self.campaigns[campaign],
            state=state,
        )

    # -- what must hold --------------------------------------------------------------------------

    def check(self) -> None:
        """Raise Broken unless every promise holds now."""
        if wrong := promises.now(self):
            raise Broken("; ".join(sorted(set(wrong))))

    def come_to_an_end(self) -> None:
        """S6: let everybody finish, then everything has an end, every stop is folded and nobody is lost."""
        for puppet in self.workers.values():
            puppet.finish()
        if self.leaver is not None:
            self.leave(0, "link", 1000)
        for campaign in range(len(self.campaigns)):
            self.mandate(campaign, "sending")
        for _ in range(5):
            self.pass_deadlines()
            self.reap(1000)
            self.fold()
            self._run("UPDATE come_back SET not_before = clock_timestamp() WHERE customer_id = ANY(:people)")
            for worker, campaign in ((0, 0), (1, 1), (0, 2)):
                self.step(worker, 1000, Behaviour.TAKE, campaign)
            self.check()
        left = Counter(row.state for row in self.deliveries() if row.state not in ENDED)
        if left or self._open_stops():
            raise Broken(f"S6 without an end: {dict(left)}, stop requests not folded: {self._open_stops()}")

    # -- the edge --------------------------------------------------------------------------------

    def _raise_unless_database(self, puppet: Puppet) -> None:
        """A lost session or a lock not obtained ends a worker's slice, as in `workers.dispatch`; nothing else may."""
        if puppet.trouble is not None and not isinstance(puppet.trouble, DBAPIError):
            raise puppet.trouble

    @contextmanager
    def _unless_locked(self):
        try:
            yield
        except (DBAPIError, AddressMoved) as trouble:
            if getattr(getattr(trouble, "orig", None), "sqlstate", "55P03") != "55P03":
                raise

    def deliveries(self):
        return self.query(
            "SELECT id, customer_id, campaign_id, state, reason FROM deliveries WHERE campaign_id = ANY(:campaigns)"
        )

    def _open_stops(self) -> int:
        return len(
            self.query(
                """SELECT 1 FROM stop_requests WHERE folded_at IS NULL AND (customer_id = ANY(:people)
                     OR address_hash IN (SELECT address_hash FROM addresses WHERE customer_id = ANY(:people)))"""
            )
        )

    def _address(self, customer_id: int) -> str:
        return self.query("SELECT address FROM addresses WHERE customer_id = :c", c=customer_id)[0].address

    def _holders(self, address: str) -> list[int]:
        return [r.customer_id for r in self.query("SELECT customer_id FROM addresses WHERE address = :a", a=address)]

    def query(self, statement: str, **values):
        with self.plain() as session:
            return session.execute(text(statement), self._known(statement, values)).all()

    def _run(self, statement: str, **values) -> None:
        with self.owner.begin() as connection:
            connection.execute(text(statement), self._known(statement, values))

    def _known(self, statement: str, values):
        ours = {"people": self.people, "campaigns": self.campaigns}
        return {name: value for name, value in ours.items() if f":{name}" in statement} | values
