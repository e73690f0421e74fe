"""What a server refuses in our face is read by the same table as a mail that comes back. Checks 45 and 57."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from mailer import guards, records
from mailer.consent import ledger
from mailer.consent.links import Links
from mailer.feedback.applying import Applier
from mailer.feedback.refused import cause_of_refusal
from mailer.providers.memory import Act, Behaviour, MemoryProvider
from mailer.records import Result
from mailer.refusals import keep
from mailer.suppression import HARD_BOUNCE
from tests.mailed import BASE
from tests.sending import Sending


@pytest.fixture
def sends(committed, keys) -> Sending:
    return Sending(committed, keys)


def refuse(sends, code, detail="", people=1):
    """Everybody of a campaign is refused with these words; then the clock reads it."""
    sends.campaign(sends.people(people))
    sends.deliver(MemoryProvider(usually=Act(Behaviour.REFUSE, code=code, detail=detail)))
    return applier(sends).apply_refusals()


def applier(sends):
    return Applier(sends.engine, sends.keys, Links(sends.keys, BASE))


def follows(sends):
    """What followed: suppressions, soft bounces, alerts."""
    return (
        [tuple(row) for row in sends.query("SELECT scope, reason FROM suppressions WHERE lifted_at IS NULL")],
        [row.cause for row in sends.query("SELECT cause FROM soft_bounces")],
        [(row.cause, row.count) for row in sends.query("SELECT cause, count FROM alerts ORDER BY 1")],
    )


GONE = ("all", HARD_BOUNCE)


@pytest.mark.parametrize(
    ("code", "detail", "expected"),
    [
        ("550 5.1.1", "User unknown", ([GONE], [], [])),
        ("550", "no such user here", ([GONE], [], [])),
        ("552 5.2.2", "mailbox full", ([], ["mailbox_full"], [])),
        ("550", "not now", ([], ["unclear"], [])),
        ("554 5.7.1", "blocked using zen.spamhaus.org", ([], [], [("refused_as_spam", 1)])),
        ("552 5.3.4", "message too big", ([], [], [("too_large", 1)])),
        ("needs SMTPUTF8", "", ([], [], [])),
        ("unsendable", "user unknown", ([], [], [])),
        ("400", "invalid email address: does not exist", ([], [], [])),
        ("413", "user unknown", ([], [], [])),
    ],
)
def test_what_is_refused_follows_the_table_of_causes(sends, code, detail, expected):
    """Our own words and HTTP's answers to a request are about no mailbox: they are not even put down."""
    assert refuse(sends, code, detail) == sum(map(len, expected))
    assert follows(sends) == expected
    assert {state for state, _ in sends.states().values()} == {"refused_by_provider"}


def test_a_whole_campaign_of_refusals_is_read_once(sends):
    assert refuse(sends, "550 5.7.26", "asha@example.com is unauthenticated", people=7) == 7
    assert refuse_again(sends) == 0
    assert follows(sends) == ([], [], [("sender_not_authenticated", 7)])
    assert "asha@example.com" not in str(
        sends.query("SELECT sample FROM alerts") + sends.query("SELECT body FROM provider_events")
    )


def refuse_again(sends):
    """The record said once more from memory, and the clock again."""
    rows = sends.query("SELECT id, attempt_id FROM deliveries")
    with sends.sessions() as session, session.begin():
        for row in rows:
            keep(session, row.attempt_id, [(row.id, "550 5.7.26 said again")])
    return applier(sends).apply_refusals()


def test_a_record_repeated_from_memory_is_put_down_once(sends):
    """The transaction of the record may be lost and said again: one refusal."""
    sends.campaign(sends.people(1))
    attempt = sends.intend()
    [candidate] = attempt.candidates
    result = Result(candidate.delivery_id, "refused_by_provider", "refused_by_provider", "550 5.1.1 unknown")
    for _ in range(2):
        with sends.sessions() as session, session.begin():
            records.settle(
                session,
                attempt.job,
                [result],
                customers={candidate.delivery_id: candidate.customer_id},
                attempt_id=attempt.id,
                worker="test:1",
            )
    assert sends.query("SELECT count(*) AS n FROM provider_events")[0].n == 1


@pytest.mark.parametrize(
    ("code", "stopped"),
    [
        ("550 5.1.1 user unknown", [("", "bounces", "stop")]),
        ("550 5.7.26 unauthenticated", [("", "bounces", "stop")]),
        ("needs SMTPUTF8", []),
    ],
)
def test_refusals_in_our_face_are_bounces_of_their_campaign_and_stop_it(sends, code, stopped):
    """Check 45: where we bring mail to the receivers ourselves hardly anything comes back later."""
    refuse(sends, code, people=5)
    with sends.sessions() as session, session.begin():
        found = guards.watch(session, sends.campaign_id, guards.Watch())
    assert [(one.domain, one.what, one.level) for one in found] == stopped


def test_a_refusal_whose_delivery_somebody_holds_comes_again(sends):
    sends.campaign(sends.people(2))
    sends.deliver(MemoryProvider(usually=Act(Behaviour.REFUSE, code="550 5.7.26")))
    with sends.sessions() as holder, holder.begin():
        holder.execute(text("SELECT 1 FROM deliveries ORDER BY id LIMIT 1 FOR UPDATE"))
        assert applier(sends).apply_refusals() == 1
    assert applier(sends).apply_refusals() == 1
    assert follows(sends)[2] == [("sender_not_authenticated", 2)]


def test_somebody_who_is_held_waits_and_the_others_do_not(sends):
    """An opt-out under way is never made to wait by what a server said, nor the other way round."""
    people = sends.people(2)
    sends.campaign(people)
    sends.deliver(MemoryProvider(usually=Act(Behaviour.REFUSE, code="550 5.1.1")))
    with sends.sessions() as holder, holder.begin():
        ledger.lock_customers(holder, people[:1])
        assert applier(sends).apply_refusals() == 1
    assert applier(sends).apply_refusals() == 1
    assert len(follows(sends)[0]) == 2


def test_nothing_is_put_down_where_nothing_was_refused(sends):
    sends.campaign(sends.people(2))
    sends.deliver(MemoryProvider())
    assert sends.query("SELECT 1 FROM provider_events") == []


def test_a_refusal_of_a_delivery_that_is_gone_is_done_with(sends):
    """A restored backup may lack it; the queue goes on."""
    refuse(sends, "needs SMTPUTF8")
    with sends.sessions() as session, session.begin():
        session.execute(
            text("""INSERT INTO provider_events (source, dedupe_key, body) VALUES ('handover', '\\x01',
                    jsonb_build_object('delivery_id', gen_random_uuid(), 'said', '550 5.1.1'))""")
        )
    assert applier(sends).apply_refusals() == 1
    assert [row.outcome for row in sends.query("SELECT outcome FROM provider_events")] == ["unknown"]


def test_a_code_that_may_pass_never_calls_an_address_gone():
    assert cause_of_refusal("550 4.2.1 account is disabled for now").name == "temporary"
