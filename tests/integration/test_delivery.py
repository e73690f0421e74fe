"""The protocol step by step: what leaves, what doesn't, and what is written about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from mailer import optout, reaper, throttle
from mailer.consent import ledger
from mailer.customers import change_address, learn_birth_date
from mailer.models import CustomerLimit, PolicyChange, PolicyVersion
from mailer.providers.memory import Act, Behaviour, MemoryProvider
from tests import factories

EMPTY = "SELECT (SELECT count(*) FROM open_handovers) + (SELECT count(*) FROM come_back) AS n"


def test_who_agreed_gets_it_once_and_the_row_cites_the_grant(sends):
    people = sends.people(3)
    sends.campaign(people)
    provider = MemoryProvider()
    assert sends.deliver(provider) == {"accepted": 3}
    assert sends.deliver(provider) == {}
    assert len(provider.taken) == 3
    rows = sends.query("""
        SELECT d.state, d.ledger_seq_seen, d.provider, d.revision_id, d.policy_version_id = e.policy_version_id AS same,
               e.action, e.purpose, e.customer_id = d.customer_id AS theirs
          FROM deliveries d JOIN consent_events e ON e.id = d.consent_event_id""")
    assert {(r.state, r.ledger_seq_seen, r.provider, r.same, r.action, r.purpose, r.theirs) for r in rows} == {
        ("accepted", 1, "memory", True, "grant", "festive", True)
    }
    assert all(row.revision_id for row in rows)
    outcomes = sends.query("SELECT outcome, count(*) AS n FROM delivery_attempts GROUP BY 1 ORDER BY 1")
    assert [(row.outcome, row.n) for row in outcomes] == [("accepted", 3), ("intent", 3)]
    assert sends.query(EMPTY)[0].n == 0


def reasons():
    def minor(sends, person):
        with sends.sessions() as session, session.begin():
            learn_birth_date(session, person, datetime.now(UTC).date() - timedelta(days=16 * 365))

    def withdraws(sends, person):
        with sends.sessions() as session, session.begin():
            ledger.withdraw(session, person, "festive", source="helpline")

    def withdraws_all(sends, person):
        with sends.sessions() as session, session.begin():
            ledger.withdraw(session, person, "all", source="helpline")

    def asks_to_stop(sends, person):
        sends.run("INSERT INTO stop_requests (customer_id, scope, source) VALUES (:p, 'all', 'x')", p=person)

    def address_asks_to_stop(sends, person):
        sends.run(
            """INSERT INTO stop_requests (address_hash, scope, source)
               SELECT address_hash, 'festive', 'x' FROM addresses WHERE customer_id = :p""",
            p=person,
        )

    def complains(sends, person):
        with sends.sessions() as session, session.begin():
            hashed = session.scalar(text("SELECT address_hash FROM addresses WHERE customer_id = :p"), {"p": person})
            optout.lock_addresses(session, [hashed])
            optout.suppress(session, hashed, "all", "complaint")

    def deactivates(sends, person):
        sends.run("UPDATE customers SET account = 'deactivated' WHERE id = :p", p=person)

    def is_erased(sends, person):
        sends.run("UPDATE customers SET account = 'erased' WHERE id = :p", p=person)

    def policy_changes(sends, person):
        with sends.sessions() as session, session.begin():
            version = PolicyVersion(label="new", summary="-", body="-", effective_at=factories.days_ago(1))
            session.add(version)
            session.flush()
            session.add(PolicyChange(policy_version_id=version.id, purpose="festive"))

    def wants_less(sends, person):
        with sends.sessions() as session, session.begin():
            session.add(CustomerLimit(customer_id=person, min_gap_days=7))
            other = factories.sending(session, [session.get(factories.Customer, person)])
            session.execute(
                text("""UPDATE deliveries SET state = 'accepted', intended_at = clock_timestamp() - interval '1 day'
                         WHERE campaign_id = :c"""),
                {"c": other.campaign_id},
            )

    return {
        "minor": minor,
        "withdrawn": withdraws,
        "withdrawn (all)": withdraws_all,
        "stop_requested": asks_to_stop,
        "stop_requested (address)": address_asks_to_stop,
        "suppressed": complains,
        "deactivated": deactivates,
        "erased": is_erased,
        "policy_changed": policy_changes,
        "less_often": wants_less,
    }


@pytest.mark.parametrize("when", ["before the pick", "between T1 and T2"])
@pytest.mark.parametrize("reason", reasons())
def test_whatever_forbids_a_message_withholds_it_at_any_step(sends, reason, when):
    """Checks 16, 98, 118, 126: the answer is the one at the moment of leaving, not at the snapshot."""
    person = sends.people(1)[0]
    sends.campaign([person])
    provider = MemoryProvider()
    if when == "before the pick":
        reasons()[reason](sends, person)
        sends.deliver(provider)
    else:
        attempt = sends.intend()
        reasons()[reason](sends, person)
        sends.hand_over(provider, attempt)
    assert provider.taken == []
    assert sends.states()[person] == ("withheld", reason.split(" ")[0])
    assert sends.query("SELECT * FROM campaign_addresses WHERE campaign_id = :c", c=sends.campaign_id) == []
    assert sends.query("SELECT * FROM open_handovers") == []


def test_a_newer_yes_between_intent_and_gate_goes_back_and_is_cited_next_time(sends):
    person = sends.people(1)[0]
    sends.campaign([person])
    provider = MemoryProvider()
    attempt = sends.intend()
    with sends.sessions() as session, session.begin():
        ledger.grant(session, person, factories.wording(session).id, source="signup")
    assert sends.hand_over(provider, attempt) == {"pending": 1}
    assert sends.states()[person] == ("pending", "ledger_changed")
    assert sends.deliver(provider) == {"accepted": 1}
    assert sends.query("SELECT ledger_seq_seen FROM deliveries")[0].ledger_seq_seen == 2


def test_two_records_with_one_address_get_one_mail(sends):
    """S1: never twice to an address."""
    first, second = sends.people(1, address="asha@example.com") + sends.people(1, address="ASHA@Example.com")
    sends.campaign([first, second])
    provider = MemoryProvider()
    sends.deliver(provider)
    sends.deliver(provider)
    assert len(provider.taken) == 1
    assert sorted(sends.states().values()) == [("accepted", None), ("withheld", "duplicate_address")]


def test_an_address_that_moves_to_another_record_is_not_mailed_twice(sends):
    """The key is the address as rendered."""
    first, second = sends.people(2)
    sends.campaign([first, second])
    provider = MemoryProvider()
    stale = sends.due()
    sends.deliver(provider, candidates=stale[:1])
    with sends.sessions() as session, session.begin():
        was = session.scalar(text("SELECT address FROM addresses WHERE customer_id = :p"), {"p": first})
        change_address(session, sends.keys, first, "elsewhere@example.com")
        change_address(session, sends.keys, second, was)
    sends.deliver(provider)
    assert [taken.recipient for taken in provider.taken] == [was]
    assert sends.states()[second] == ("withheld", "duplicate_address")


def test_a_change_of_address_after_rendering_goes_back_and_reaches_the_new_one(sends):
    person = sends.people(1)[0]
    sends.campaign([person])
    provider = MemoryProvider()
    attempt = sends.intend()
    with sends.sessions() as session, session.begin():
        change_address(session, sends.keys, person, "new@example.com")
    assert sends.hand_over(provider, attempt) == {"pending": 1}
    assert sends.deliver(provider) == {"accepted": 1}
    assert provider.taken[0].recipient == "new@example.com"


def test_one_person_in_two_campaigns_has_one_open_hand_over(sends):
    """S7 and S11: two campaigns never hand over to one person at once, and neither loses them."""
    person = sends.people(1)[0]
    first = sends.campaign([person])
    second = sends.campaign([person])
    provider = MemoryProvider()
    attempt = sends.intend(first)
    assert len(attempt.candidates) == 1
    assert sends.intend(second).candidates == []
    sends.hand_over(provider, attempt)
    assert sends.deliver(provider, second) == {"accepted": 1}


def test_a_cap_counts_what_was_taken_and_what_may_have_been(sends):
    """S11."""
    person = sends.people(1)[0]
    first = sends.campaign([person])
    second = sends.campaign([person], cap_messages=1, cap_days=7)
    sends.deliver(MemoryProvider(usually=Act(Behaviour.RESET_AFTER_ACCEPT)), first)
    assert sends.states(first)[person][0] == "in_doubt"
    sends.deliver(MemoryProvider(), second)
    assert sends.states(second)[person] == ("withheld", "capped")


@pytest.mark.parametrize(
    "behaviour, state",
    [
        (Behaviour.TAKE, ("accepted", None)),
        (Behaviour.REFUSE, ("refused_by_provider", "refused_by_provider")),
        (Behaviour.NOT_TAKEN, ("pending", "not_taken")),
        (Behaviour.RESET_AFTER_ACCEPT, ("in_doubt", "no_final_answer")),
        (Behaviour.RAISE, ("in_doubt", "no_receipt")),
        (Behaviour.MISCONFIGURED, ("pending", "misconfigured")),
    ],
)
def test_each_outcome_has_its_state(sends, behaviour, state):
    """The table of docs/sending.md."""
    person = sends.people(1)[0]
    sends.campaign([person])
    sends.deliver(MemoryProvider(usually=Act(behaviour)))
    assert sends.states()[person] == state
    assert sends.query("SELECT * FROM open_handovers") == []


def test_trouble_of_our_own_making_pauses_the_campaign_and_says_why(sends):
    person = sends.people(1)[0]
    sends.campaign([person])
    sends.deliver(MemoryProvider(usually=Act(Behaviour.MISCONFIGURED, code="535", detail="sign-in failed")))
    mandate = sends.query("SELECT state, state_reason FROM mandates")[0]
    assert mandate.state == "paused"
    assert "535" in mandate.state_reason
    assert sends.query("SELECT state FROM campaigns")[0].state == "paused"
    assert sends.job() is None


@pytest.mark.parametrize(
    "change, state",
    [
        ("UPDATE mandates SET state = 'paused'", ("pending", "campaign_paused")),
        ("UPDATE mandates SET state = 'cancelled'", ("cancelled", "campaign_cancelled")),
        ("UPDATE installation SET hold = true", ("pending", "on_hold")),
        ("UPDATE mandates SET ends_at = clock_timestamp()", ("pending", "campaign_over")),
    ],
)
def test_pause_cancel_hold_and_end_between_intent_and_gate_send_nothing(sends, change, state):
    """A pause loses nobody: what did not leave is pending, and comes again."""
    person = sends.people(1)[0]
    sends.campaign([person])
    attempt = sends.intend()
    sends.run(change)
    provider = MemoryProvider()
    sends.hand_over(provider, attempt)
    assert provider.taken == []
    assert sends.states()[person] == state


def test_a_paused_campaign_goes_on_with_everybody(sends):
    people = sends.people(5)
    sends.campaign(people)
    attempt = sends.intend()
    sends.run("UPDATE mandates SET state = 'paused'")
    provider = MemoryProvider()
    sends.hand_over(provider, attempt)
    sends.run("UPDATE mandates SET state = 'sending'")
    assert sends.deliver(provider) == {"accepted": 5}


def test_quiet_hours_and_a_pause_of_the_person_wait_and_lose_nobody(sends):
    quiet, paused = sends.people(2)
    sends.campaign([quiet], quiet_from=time(0, 0), quiet_until=time(23, 59, 59))
    sends.deliver(MemoryProvider())
    assert sends.states()[quiet] == ("pending", "quiet_hours")
    with sends.sessions() as session, session.begin():
        until = datetime.now(UTC) + timedelta(days=3)
        session.add(CustomerLimit(customer_id=paused, pause_until=until))
    sends.campaign([paused])
    sends.deliver(MemoryProvider())
    assert sends.states()[paused] == ("pending", "pause_until")
    wait = sends.query("SELECT not_before FROM come_back WHERE customer_id = :p", p=paused)[0].not_before
    assert abs((wait - until).total_seconds()) < 60
    assert sends.due() == []


def test_a_worker_lost_after_its_intent_leaves_the_row_in_doubt_never_pending(sends):
    """S5: what may have been taken is not tried again by itself."""
    person = sends.people(1)[0]
    sends.campaign([person])
    sends.intend()
    with sends.sessions() as session, session.begin():
        assert reaper.reap(session) == 0
    sends.run("UPDATE open_handovers SET deadline = clock_timestamp() - interval '1 s'")
    with sends.sessions() as session, session.begin():
        assert reaper.reap(session) == 1
    assert sends.states()[person] == ("in_doubt", "worker_lost")
    assert sends.deliver(MemoryProvider()) == {}


def test_a_worker_that_wakes_up_after_the_reaper_sends_nothing(sends):
    person = sends.people(1)[0]
    sends.campaign([person])
    attempt = sends.intend()
    sends.run("UPDATE open_handovers SET deadline = clock_timestamp() - interval '1 s'")
    with sends.sessions() as session, session.begin():
        reaper.reap(session)
    provider = MemoryProvider()
    sends.hand_over(provider, attempt)
    assert provider.taken == []
    assert sends.states()[person][0] == "in_doubt"


def test_the_reaper_leaves_a_live_hand_over_alone(sends):
    person = sends.people(1)[0]
    sends.campaign([person])
    reaped = []

    def look(_envelope):
        sends.run("UPDATE open_handovers SET deadline = clock_timestamp() - interval '1 s'")
        with sends.sessions() as session, session.begin():
            reaped.append(reaper.reap(session))

    assert sends.deliver(MemoryProvider(on_first_byte=look)) == {"accepted": 1}
    assert reaped == [0]


def test_cancelled_rows_are_swept_at_every_tick_not_only_once(sends):
    """Rows come back to pending after the first sweep."""
    people = sends.people(3)
    sends.campaign(people)
    attempt = sends.intend()
    sends.run("UPDATE mandates SET state = 'cancelled'")
    with sends.sessions() as session, session.begin():
        assert reaper.sweep(session, sends.campaign_id) == 0
    sends.hand_over(MemoryProvider(), attempt)
    assert {state for state, _ in sends.states().values()} == {"cancelled"}


def test_a_mandate_needs_an_approval_of_exactly_its_hash(sends):
    """S3: the database refuses it, whoever asks."""
    person = sends.people(1)[0]
    sends.campaign([person])
    with pytest.raises(DBAPIError, match="no approval"):
        sends.run("UPDATE mandates SET approved_hash = sha256('other')")


def test_a_message_without_a_gate_of_its_own_is_not_sent(sends):
    person = sends.people(1)[0]
    sends.campaign([person])
    sends.run("UPDATE deliveries SET message_class = 'notice'")
    provider = MemoryProvider()
    sends.deliver(provider)
    assert provider.taken == []
    assert sends.states()[person] == ("withheld", "no_gate_for_this_message")


@pytest.mark.parametrize("odd", ["a\x00b", "a\udcffb"])
def test_what_a_provider_says_never_keeps_an_outcome_from_being_recorded(sends, odd):
    """The database refuses such letters: without care a whole batch that was taken would be in doubt."""
    sends.campaign(sends.people(2))

    class Odd(MemoryProvider):
        def hand_over(self, envelopes, window):
            taken = super().hand_over(envelopes, window)
            return (replace(receipt, detail=odd, provider_message_id=odd) for receipt in taken)

    assert sends.deliver(Odd()) == {"accepted": 2}
    assert {row.provider_message_id for row in sends.query("SELECT provider_message_id FROM deliveries")} == {"a b"}


def test_what_the_provider_puts_off_for_days_is_given_up(sends):
    """RFC 5321 4.5.4.1: four to five days; a campaign must come to an end."""
    person = sends.people(1)[0]
    sends.campaign([person])
    sends.deliver(MemoryProvider(usually=Act(Behaviour.NOT_TAKEN)))
    with sends.sessions() as session, session.begin():
        assert reaper.give_up_trying(session) == 0
    sends.run("UPDATE deliveries SET created_at = created_at - interval '5 days'")
    with sends.sessions() as session, session.begin():
        assert reaper.give_up_trying(session) == 0  # it waited for us, and was put off only once
    sends.run("ALTER TABLE delivery_attempts DISABLE TRIGGER USER")
    sends.run("UPDATE delivery_attempts SET at = at - interval '5 days'")
    with sends.sessions() as session, session.begin():
        assert reaper.give_up_trying(session) == 1
    assert sends.states()[person] == ("expired", "gave_up")
    assert sends.query("SELECT * FROM come_back") == []


def test_a_rate_reserves_room_and_refuses_what_is_too_far_away(sends):
    sends.campaign(sends.people(1), rate_per_second=1)
    with sends.sessions() as session, session.begin():
        assert throttle.reserve(session, sends.campaign_id, 50, patience=10) == 0
        assert 0 < throttle.reserve(session, sends.campaign_id, 200, patience=50) <= 50
        assert 100 < throttle.reserve(session, sends.campaign_id, 100, patience=500) <= 250
        assert throttle.reserve(session, sends.campaign_id, 100, patience=100) is None
