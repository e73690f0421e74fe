from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from campaigns import operations
from campaigns.audience import expand
from campaigns.explain import explain, may_be_mailed
from campaigns.rules import AgeBand, And, LastOrder, LivesIn, Not, SpentTotal
from config.settings import Settings
from mailer import suppression
from mailer.consent import ledger
from mailer.consent.eligible import first_refusal
from mailer.consent.policy import Allowed, Refusal
from mailer.errors import InputProblem
from mailer.models import ConsentState, Customer, CustomerTotals, Delivery
from tests import campaigns_ready, factories
from workers.cli import main

RULE = And((LivesIn(cities=("Pune",)), SpentTotal(at_least=5000), Not(LastOrder(within_days=30))))


def shopper(session, keys, **facts):
    person = factories.agreeing(session, keys, **({"city": "Pune"} | facts))
    long_ago = datetime.now(UTC) - timedelta(days=60)
    session.add(
        CustomerTotals(
            customer_id=person.id, orders=3, spent_paise=720000, first_order_at=long_ago, last_order_at=long_ago
        )
    )
    session.flush()
    return person


def whole(session, campaign):
    while not expand(session, campaign.id).done:
        pass


def told(explanation):
    return "\n".join(step.words for step in explanation.steps)


def test_who_is_in_is_told_each_rule_with_its_facts_and_the_grant(session, keys):
    person = shopper(session, keys)
    campaign = campaigns_ready.started(session, RULE)
    whole(session, campaign)
    relied_on = session.scalar(select(ConsentState.event_id).where(ConsentState.customer_id == person.id))
    session.execute(update(Delivery).values(state="accepted", consent_event_id=relied_on))
    explanation = explain(session, campaign.id, person.id)
    assert explanation.matched
    assert explanation.delivery.state == "accepted"
    assert explanation.relied_on.id == relied_on
    assert isinstance(explanation.now, Allowed)
    words = told(explanation)
    assert "lives in Pune: lives in Pune" in words
    assert "spent ₹5,000 or more: spent ₹7,200" in words
    assert "last ordered on" in words
    assert "Handed to the mail provider" in words
    assert "Relied on the yes of" in words
    assert "now? Yes: the yes of" in words


def test_who_does_not_match_is_told_which_rule_failed(session, keys):
    person = shopper(session, keys, city="Kochi")
    campaign = campaigns_ready.started(session, RULE)
    whole(session, campaign)
    explanation = explain(session, campaign.id, person.id)
    assert not explanation.matched
    failed = [step.words for step in explanation.steps if step.holds is False]
    assert failed[0].startswith("Is not among those")
    assert failed[1] == "lives in Pune: lives in Kochi"
    assert len(failed) == 2
    assert "neither a message nor a reason" in told(explanation)


def test_who_matches_and_was_left_out_is_told_the_first_reason(session, keys):
    person = factories.person(session, keys, city="Pune")
    campaign = campaigns_ready.started(session, LivesIn(cities=("Pune",)))
    whole(session, campaign)
    explanation = explain(session, campaign.id, person.id)
    assert explanation.matched
    assert explanation.exclusion == "never_asked"
    assert explanation.now is Refusal.NEVER_ASKED
    assert "left out of the audience because they never said yes" in told(explanation)


def test_who_said_no_after_the_snapshot_is_told_both(session, keys):
    person = shopper(session, keys)
    campaign = campaigns_ready.started(session, RULE)
    whole(session, campaign)
    ledger.withdraw(session, person.id, "festive", source="link")
    session.execute(update(Delivery).values(state="withheld", reason="withdrawn"))
    explanation = explain(session, campaign.id, person.id)
    assert explanation.now is Refusal.WITHDRAWN
    assert "Withheld because they said no" in told(explanation)
    assert "now? No, because they said no" in told(explanation)


def test_before_the_start_and_in_the_middle_of_the_snapshot_it_says_so(session, keys):
    people = [shopper(session, keys) for _ in range(2)]
    campaign = campaigns_ready.approved(session, RULE)
    assert "was not started" in told(explain(session, campaign.id, people[0].id))
    operations.start(session, campaign.id, campaign.author_id)
    expand(session, campaign.id, 1)
    assert "turn has not come" in told(explain(session, campaign.id, people[1].id))


def test_somebody_of_unknown_age_is_told_that_rules_of_age_find_adults_only(session, keys):
    """check 119"""
    person = factories.person(session, keys, declared_adult_at=None)
    campaign = campaigns_ready.started(session, Not(AgeBand(from_age=60)))
    explanation = explain(session, campaign.id, person.id)
    assert not explanation.matched
    assert "only people known to be 18 or older" in told(explanation)


def test_what_does_not_exist_is_said_so(session, keys):
    campaign = campaigns_ready.started(session)
    person = factories.person(session, keys)
    for pair in ((campaign.id, 10**12), (10**9, person.id)):
        with pytest.raises(InputProblem, match="There is no"):
            explain(session, *pair)


def test_the_answer_for_one_person_is_the_answer_in_sql(session, keys):
    """The explanation folds the ledger; the audience reads the projection: both say the same about everybody."""
    number = iter(range(10_000))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        acts=st.lists(st.sampled_from(["yes", "no", "no_to_all", "yes_to_other"]), max_size=4),
        birth=st.sampled_from([None, date(2015, 1, 1), date(1990, 1, 1)]),
        account=st.sampled_from(["active", "active", "deactivated", "erased"]),
        stopped=st.booleans(),
        has_address=st.booleans(),
    )
    def agree(acts, birth, account, stopped, has_address):
        address = f"p{next(number)}@example.com" if has_address else None
        person = factories.person(session, keys, address, account="active")
        for act in acts:
            if act.startswith("yes"):
                words = factories.wording(session, "festive" if act == "yes" else "offer")
                ledger.grant(session, person.id, words.id, source="signup")
            else:
                ledger.withdraw(session, person.id, "festive" if act == "no" else "all", source="link")
        person.birth_date, person.account = birth, account
        if stopped and has_address:
            suppression.lock_addresses(session, [person.address.address_hash])
            ledger.lock_customers(session, [person.id])
            suppression.suppress(session, person.address.address_hash, "festive", "complaint")
        session.flush()
        now = datetime.now(UTC)
        by_fold = may_be_mailed(session, person.id, "festive", now)
        by_sql = session.scalar(select(first_refusal("festive", now)).where(Customer.id == person.id))
        assert (None if isinstance(by_fold, Allowed) else by_fold.value) == by_sql

    agree()


def test_the_command_prints_the_steps(committed, keys, tmp_path):
    with committed() as session, session.begin():
        person = shopper(session, keys, external_ref="H-17")
        campaign = campaigns_ready.started(session, RULE)
        whole(session, campaign)
    environ = {"DATABASE_URL": committed.url, "ASKFIRST_DATA": str(tmp_path), "ASKFIRST_ROOT_KEY": "00" * 32}
    found = CliRunner().invoke(
        main.get_command(None, "explain"), [str(campaign.id), "H-17"], obj=Settings.from_env(environ)
    )
    assert found.exit_code == 0, found.output
    assert "yes Is among those: lives in Pune and spent" in found.output
    by_number = CliRunner().invoke(
        main.get_command(None, "explain"), [str(campaign.id), str(person.id)], obj=Settings.from_env(environ)
    )
    assert by_number.output == found.output
    nobody = CliRunner().invoke(
        main.get_command(None, "explain"), [str(campaign.id), "H-18"], obj=Settings.from_env(environ)
    )
    assert nobody.exit_code == 1
    assert "There is no customer H-18" in nobody.output
