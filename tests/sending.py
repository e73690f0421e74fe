"""What tests of delivery share: a campaign that sends, and a worker's steps one by one."""

from __future__ import annotations

import time
from collections import Counter

from sqlalchemy import text

from mailer import delivery, doubts, optout, pick
from mailer.delivery import Prepared
from tests import factories


class Sending:
    """A campaign that sends in a database with real commits, and the steps of a worker on it."""

    def __init__(self, committed, keys) -> None:
        self.sessions, self.engine, self.owner, self.keys = committed.sessions, committed.engine, committed.owner, keys
        self.campaign_id = 0

    def people(self, count, **facts):
        with self.sessions() as session, session.begin():
            return [factories.agreeing(session, self.keys, **facts).id for _ in range(count)]

    def campaign(self, people, **mandate):
        with self.sessions() as session, session.begin():
            found = [session.get(factories.Customer, person) for person in people]
            self.campaign_id = factories.sending(session, found, **mandate).campaign_id
        return self.campaign_id

    def job(self, campaign_id=None):
        with self.sessions() as session:
            return pick.read_job(session, campaign_id or self.campaign_id)

    def due(self, campaign_id=None):
        with self.sessions() as session:
            campaign_id = campaign_id or self.campaign_id
            return pick.come_back(session, campaign_id) + pick.due(session, campaign_id, after=0)

    def deliver(self, provider, campaign_id=None, candidates=None) -> Counter[str]:
        candidates = self.due(campaign_id) if candidates is None else candidates
        prepared = [Prepared(c, b"mail" if c.worth_rendering else None) for c in candidates]
        return delivery.deliver(self.sessions, provider, self.job(campaign_id), prepared, worker="test:1")

    def intend(self, campaign_id=None):
        return delivery.intend(
            self.sessions, self.job(campaign_id), self.due(campaign_id), provider="memory", worker="test:1"
        )

    def hand_over(self, provider, attempt) -> Counter[str]:
        contents = {c.delivery_id: b"mail" for c in attempt.candidates}
        return delivery.hand_over(self.sessions, provider, attempt, contents)

    def states(self, campaign_id=None):
        rows = self.query(
            "SELECT customer_id, state, reason FROM deliveries WHERE campaign_id = :c",
            c=campaign_id or self.campaign_id,
        )
        return {row.customer_id: (row.state, row.reason) for row in rows}

    def send_again(self, person) -> None:
        """Two people decide that what is in doubt for `person` goes out once more."""
        self.run("UPDATE deliveries SET state = 'unconfirmed' WHERE customer_id = :p AND state = 'in_doubt'", p=person)
        with self.sessions() as session, session.begin():
            one, another = factories.operator(session).id, factories.operator(session).id
            request, _ = doubts.propose(session, self.campaign_id, one, "The line broke")
            doubts.approve(session, request, another)

    def fold(self, *, leaving: int = 0) -> None:
        """Fold stop requests as the clock does, until only so many are `leaving` open: what a tick has no time for
        is for the next.
        """
        until = time.monotonic() + 120
        while self.query("SELECT count(*) AS n FROM stop_requests WHERE folded_at IS NULL")[0].n > leaving:
            assert time.monotonic() < until, "it can't be folded"
            optout.fold_waiting(self.engine)

    def settled(self) -> None:
        """Return when no transaction runs that is older than what the journal has, in any database of this server.

        Other tests share the server; the journal waits for theirs as it would for anybody's.
        """
        until = time.monotonic() + 60
        over = """SELECT coalesce(max(xact), 0) < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
                    AS settled FROM journal"""
        while not self.query(over)[0].settled:
            assert time.monotonic() < until, "somebody's transaction never ends"
            time.sleep(0.01)

    def query(self, statement, **values):
        with self.sessions() as session:
            return session.execute(text(statement), values).all()

    def run(self, statement, **values):
        """Run a statement as the database's owner: what the application may not do, faults may."""
        with self.owner.begin() as connection:
            connection.execute(text(statement), values)
