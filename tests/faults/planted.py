"""Bugs, each planted by putting something else in the place of one function or statement of ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import text

from mailer import delivery, gate, intents, optout, outcomes, reaper, stripes
from mailer.consent import ledger
from mailer.providers.base import Outcome, Receipt
from mailer.statements import Statement
from tests.faults.protocol_world import substituted

Planting = Callable[[], AbstractContextManager[None]]


def no_gate():
    def ask(_session, _job, candidates, _attempt_id):
        return [gate.Go(candidate.consent_event_id or 0) for candidate in candidates]

    return substituted(gate, "ask", ask)


def no_lock():
    return substituted(delivery, "lock_available", lambda _session, people: set(people))


def in_doubt_requeued():
    return _rewritten(reaper, "_REAP", "SET state = 'in_doubt'", "SET state = 'pending'")


def recorded_before_the_call():
    ours = delivery.hand_over

    def hand_over(sessions, provider, attempt, contents):
        told = [outcomes.result_of(c.delivery_id, Receipt(c.delivery_id, Outcome.TAKEN)) for c in attempt.candidates]
        with sessions() as session, session.begin():
            delivery._record(session, attempt, told)
        return ours(sessions, provider, attempt, contents)

    return substituted(delivery, "hand_over", hand_over)


def no_address_key():
    return substituted(intents, "_take_addresses", lambda _session, candidates, _common: (list(candidates), []))


def no_open_hand_overs():
    nothing = str(intents._INTEND)
    for ours, other in (
        ("FROM w ORDER BY customer_id", "FROM w WHERE false ORDER BY customer_id"),
        ("ARRAY(SELECT delivery_id FROM opened)", "ARRAY(SELECT id FROM w)"),
    ):
        assert ours in nothing
        nothing = nothing.replace(ours, other)
    return substituted(intents, "_INTEND", Statement(nothing))


def only_handed_over_holders_count():
    return substituted(intents, "STILL_OPEN", ("pending", "handing_over", "withheld", "cancelled", "expired"))


def pause_withholds():
    ours = gate._mandate

    def judge(facts, job):
        return gate.Withhold("campaign_paused") if facts.mandate == "paused" else ours(facts, job)

    return substituted(gate, "_mandate", judge)


def gate_joined_into_the_locking_statement():
    """A statement sees what was committed when it began; its locks come later. So: read, then lock, then judge."""
    seen = {}

    class Stack:
        """Both halves, planted together."""

        def __enter__(self):
            self.lock = substituted(delivery, "lock_available", lock)
            self.ask = substituted(gate, "ask", ask)
            self.lock.__enter__()
            self.ask.__enter__()

        def __exit__(self, *trouble):
            self.ask.__exit__(*trouble)
            self.lock.__exit__(*trouble)

    def lock(session, people):
        mine = session.execute(
            text("SELECT delivery_id, campaign_id FROM open_handovers WHERE customer_id = ANY(:p)"), {"p": people}
        ).all()
        facts = gate.facts_of(session, mine[0].campaign_id, [row.delivery_id for row in mine])
        seen[session] = {one.id: one for one in facts}
        return ledger.lock_available(session, people)

    def ask(session, job, candidates, attempt_id):
        facts = seen.pop(session)
        return [gate.judge(facts[c.delivery_id], job, attempt_id) for c in candidates]

    return Stack()


def window_restarted_by_progress():
    ours = delivery.HandoverWindow

    class Restarting(ours):
        """Every message that starts opens the window anew."""

        def open(self) -> bool:
            passed = super().open()
            if passed:
                self._until = self._now() + delivery.WINDOW_SECONDS
            return passed

    return substituted(delivery, "HandoverWindow", Restarting)


def reaper_without_the_later_check():
    blind = """
        WITH gone AS (DELETE FROM open_handovers WHERE delivery_id = ANY(CAST(:ids AS uuid[])))
        UPDATE deliveries SET state = 'in_doubt', reason = 'worker_lost'
         WHERE id = ANY(CAST(:ids AS uuid[])) AND cardinality(CAST(:attempts AS uuid[])) > 0 RETURNING id"""
    return substituted(reaper, "_REAP", text(blind))


def opt_out_without_the_stop_row():
    """The row is written as folded at once: no gate reads it, and the clock never folds it."""

    def rewritten(statement):
        columns, values = "source, document)", ":source, CAST(:document AS jsonb))"
        return text(
            statement.replace(columns, "source, document, folded_at)").replace(
                values, ":source, CAST(:document AS jsonb), clock_timestamp())"
            )
        )

    return substituted(optout, "text", rewritten)


def opt_out_answers_without_its_wait():
    return substituted(optout, "GATES_PASSED", 0.0)


def ledger_not_compared():
    return substituted(gate, "_changed_since_intent", lambda _facts, _allowed: None)


def claims_outlive_their_worker():
    """The stripes of one who was killed are left to him by all who come after."""
    ours, book = stripes.Claims.take, Path(os.environ["ASKFIRST_DATA"]) / "claimed"

    def take(self, campaign_id, first, count=1):
        book.touch()
        owners = dict(line.split() for line in book.read_text().splitlines())
        obtained = ours(self, campaign_id, first, count)
        if any(owners.get(f"{campaign_id}/{stripe}", str(os.getpid())) != str(os.getpid()) for stripe in obtained):
            return range(first, first)
        with book.open("a") as written:
            written.writelines(f"{campaign_id}/{stripe} {os.getpid()}\n" for stripe in obtained)
        return obtained

    return substituted(stripes.Claims, "take", take)


def _rewritten(module, name, ours, other):
    statement = str(getattr(module, name))
    assert ours in statement
    return substituted(module, name, text(statement.replace(ours, other)))


BUGS: dict[str, Planting] = {
    "no gate": no_gate,
    "no lock": no_lock,
    "in-doubt re-queued": in_doubt_requeued,
    "recorded before the call": recorded_before_the_call,
    "no address key": no_address_key,
    "no open hand-overs": no_open_hand_overs,
    "pause withholds": pause_withholds,
    "gate joined into the locking statement": gate_joined_into_the_locking_statement,
    "window restarted by progress": window_restarted_by_progress,
    "reaper without the later check": reaper_without_the_later_check,
    "opt-out without the stop row": opt_out_without_the_stop_row,
    "opt-out answers without its wait": opt_out_answers_without_its_wait,
    "ledger not compared": ledger_not_compared,
}
