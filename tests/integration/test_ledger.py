"""The ledger in a real database: the chain, the projection, and the one rule told twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from mailer import customers
from mailer.consent import ledger
from mailer.consent.eligible import policy_floor
from mailer.consent.policy import SHOP_ZONE, Action, Allowed, Person, decide, fold
from mailer.errors import InputProblem, Underage
from mailer.models import Address, ConsentEvent, ConsentState, Customer, PolicyChange, StopRequest, Suppression
from mailer.suppression import lock_addresses, suppress
from tests import factories

PURPOSES = ("festive", "offer")


def state(session, customer, purpose="festive"):
    return session.execute(
        select(ConsentState.granted).where(ConsentState.customer_id == customer.id, ConsentState.purpose == purpose)
    ).scalar()


def test_a_grant_is_chained_dated_and_projected(session, keys):
    customer = factories.agreeing(session, keys)
    event = session.scalars(select(ConsentEvent).where(ConsentEvent.customer_id == customer.id)).one()
    assert (event.seq, event.action, len(event.hash)) == (1, "grant", 32)
    assert event.evidence_digest is not None
    assert state(session, customer) is True


def test_a_ledger_write_without_the_lock_is_refused_even_when_nobody_contends(session, keys):
    customer = factories.person(session, keys)
    session.commit()
    session.execute(text("SELECT set_config('askfirst.locked', '', true)"))
    with pytest.raises(DBAPIError, match="lock_customers"):
        ledger.record(session, [ledger.withdrawal(customer.id, "all", "helpline")])


@pytest.mark.parametrize("statement", ["UPDATE consent_events SET source = 'x'", "DELETE FROM consent_events"])
def test_the_ledger_is_append_only_for_the_application(session, keys, statement):
    """Check 101: the role has no right to change it."""
    factories.agreeing(session, keys)
    with pytest.raises(DBAPIError, match="permission denied"):
        session.execute(text(statement))


@pytest.mark.parametrize(
    "statement", ["UPDATE consent_events SET source = 'x'", "DELETE FROM consent_events", "TRUNCATE consent_events"]
)
def test_the_ledger_is_append_only_for_its_owner_too(committed, keys, statement):
    """Check 101: the triggers refuse whoever has the right."""
    with committed() as session:
        factories.agreeing(session, keys)
        session.commit()
    with committed.owner.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE consent_state SET granted = true",
        "INSERT INTO consent_state (customer_id, purpose, granted, seq, event_id) VALUES (1, 'offer', true, 1, 1)",
        "DELETE FROM consent_state",
        "UPDATE consent_heads SET withdrawn_all_at = NULL",
    ],
)
def test_the_application_can_make_a_yes_by_the_ledger_alone(session, keys, statement):
    """What the gate reads is derived by the ledger's trigger; the role may not write it."""
    factories.agreeing(session, keys)
    with pytest.raises(DBAPIError, match="permission denied"):
        session.execute(text(statement))


def test_a_grant_by_a_minor_changes_nothing(session, keys):
    """Check 117."""
    today = datetime.now(UTC).astimezone(SHOP_ZONE).date()
    customer = factories.person(session, keys, birth_date=today - timedelta(days=17 * 365))
    with pytest.raises(Underage):
        ledger.grant(session, customer.id, factories.wording(session).id, source="signup")
    assert state(session, customer) is None


def test_a_grant_of_unknown_age_changes_nothing(session, keys):
    """Check 119."""
    customer = factories.person(session, keys, declared_adult_at=None)
    with pytest.raises(Underage):
        ledger.grant(session, customer.id, factories.wording(session).id, source="signup")


def test_a_yes_is_a_yes_to_exact_words(session, keys):
    customer = factories.person(session, keys)
    with pytest.raises(InputProblem, match="wording"):
        ledger.grant(session, customer.id, 999_999_999, source="signup")


def test_an_open_stop_request_is_folded_before_a_newer_yes(session, keys):
    """A late fold would wipe out the newer yes."""
    customer = factories.agreeing(session, keys)
    session.add(StopRequest(customer_id=customer.id, scope="all", source="one_click"))
    session.flush()
    ledger.grant(session, customer.id, factories.wording(session).id, source="signup")
    events = ledger.events_of(session, customer.id)
    assert [event.action for event in events] == ["grant", "withdraw_all", "grant"]
    assert state(session, customer) is True


acts = st.lists(
    st.tuples(
        st.sampled_from(["grant", "grant_old", "withdraw", "withdraw_all"]),
        st.sampled_from(PURPOSES),
        st.one_of(st.none(), st.floats(min_value=0, max_value=40)),
    ),
    max_size=7,
)
people = st.fixed_dictionaries(
    {
        "account": st.sampled_from(["active", "active", "active", "deactivated", "erased"]),
        "birth_date": st.sampled_from([None, date(1990, 5, 5), date(2012, 5, 5)]),
        "declared_adult_at": st.sampled_from([None, factories.LONG_AGO]),
        "has_address": st.sampled_from([True, True, False]),
        "suppressed": st.sampled_from([None, None, "all", *PURPOSES]),
        "stop": st.sampled_from([None, None, "all", *PURPOSES]),
        "stop_address": st.booleans(),
        "change": st.sampled_from(["none", "past", "future"]),
    }
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=acts, facts=people)
def test_python_and_sql_tell_the_same_rule(session, keys, history, facts):
    """Check 98, over random histories: the fold equals the projection, `decide` equals `first_refusal`."""
    with session.begin_nested() as savepoint:
        _compare(session, keys, history, facts)
        savepoint.rollback()


def _compare(session, keys, history, facts):
    old, new = factories.policy(session), factories.policy(session)
    address = "" if facts["has_address"] else None
    account = {name: facts[name] for name in ("account", "birth_date", "declared_adult_at")}
    customer = factories.person(session, keys, address, **account)
    ledger.lock_customers(session, [customer.id])
    for action, purpose, age in history:
        happened = None if age is None else factories.days_ago(age)
        if action.startswith("grant"):
            words = factories.wording(session, purpose, old if action == "grant_old" else new)
            act = ledger.Act(
                customer.id, Action.GRANT, purpose, "signup", words.id, words.policy_version_id, happened, {"n": 1}
            )
        else:
            act = ledger.withdrawal(customer.id, "all" if action == "withdraw_all" else purpose, "helpline", happened)
        ledger.record(session, [act])
    if facts["change"] != "none":
        new.effective_at = datetime.now(UTC) + timedelta(days=-1 if facts["change"] == "past" else 1)
        session.add(PolicyChange(policy_version_id=new.id, purpose="festive"))
        session.flush()
    hashed = session.scalar(select(Address.address_hash).where(Address.customer_id == customer.id))
    if facts["suppressed"] and hashed is not None:
        lock_addresses(session, [hashed])
        suppress(session, hashed, facts["suppressed"], "complaint")
    if facts["stop"]:
        whom = (
            {"address_hash": hashed} if facts["stop_address"] and hashed is not None else {"customer_id": customer.id}
        )
        session.add(StopRequest(scope=facts["stop"], source="one_click", **whom))
        session.flush()

    now = datetime.now(UTC)
    standing = fold(ledger.events_of(session, customer.id))
    stored = session.scalars(select(ConsentState).where(ConsentState.customer_id == customer.id)).all()
    assert {
        row.purpose: (row.granted, row.seq, row.event_id, row.policy_version_id, row.withdrawn_at) for row in stored
    } == {
        purpose: (s.granted, s.seq, s.event_id, s.policy_version_id, s.withdrawn_at)
        for purpose, s in standing.purposes.items()
    }
    for purpose in PURPOSES:
        scopes = ("all", purpose)
        person = Person(
            account=customer.account,
            birth_date=customer.birth_date,
            declared_adult=customer.declared_adult_at is not None,
            has_address=hashed is not None,
            suppressed=facts["suppressed"] in scopes and hashed is not None,
            stop_requested=facts["stop"] in scopes,
        )
        floor = session.scalar(select(policy_floor(purpose, now)))
        today = now.astimezone(SHOP_ZONE).date()
        answer = decide(standing.purposes.get(purpose), person, policy_floor=floor, today=today)
        told = session.scalar(select(ledger.first_refusal(purpose, now)).where(Customer.id == customer.id))
        assert told == (None if isinstance(answer, Allowed) else answer.value)


def test_a_suppression_without_its_address_lock_is_refused(session, keys):
    session.add(Suppression(address_hash=b"x" * 32, scope="all", reason="complaint"))
    with pytest.raises(DBAPIError, match="lock_addresses"):
        session.flush()


def test_a_sign_up_by_a_minor_keeps_nothing_of_them(session, keys):
    """Check 117: the age is looked at before anything is stored."""
    before = session.scalar(text("SELECT count(*) FROM customers"))
    today = datetime.now(UTC).astimezone(SHOP_ZONE).date()
    for facts in ({"birth_date": today - timedelta(days=17 * 365)}, {}):
        with pytest.raises(Underage, match="18"):
            customers.sign_up(session, keys, Customer(**facts), "kid@example.com", [], source="signup")
    assert session.scalar(text("SELECT count(*) FROM customers")) == before


def test_a_sign_up_by_an_adult_is_a_person_with_their_yes(session, keys):
    words = factories.wording(session)
    adult = Customer(declared_adult_at=factories.LONG_AGO)
    customers.sign_up(session, keys, adult, "asha.new@example.com", [words.id], source="signup")
    assert state(session, adult) is True
