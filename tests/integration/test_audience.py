from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import func, select, text

from campaigns import audience, operations
from campaigns.audience import expand, funnel
from campaigns.models import ExpansionCursor
from campaigns.rules import EVERYBODY, LivesIn
from mailer import suppression
from mailer.consent import ledger
from mailer.models import AudienceExclusion, Delivery, Mandate, SenderIdentity
from tests import campaigns_ready, factories
from tests.statements import statements

PUNE = LivesIn(cities=("Pune",))


def crowd(session, keys):
    """Twelve people: six who may be mailed, one of each reason against, and one who lives elsewhere."""
    may = [factories.agreeing(session, keys, city="Pune") for _ in range(6)]
    factories.person(session, keys, city="Pune")
    gone = factories.agreeing(session, keys, city="Pune")
    ledger.withdraw(session, gone.id, "festive", source="link")
    minor = factories.agreeing(session, keys, city="Pune")
    minor.birth_date = date(2015, 1, 1)
    factories.person(session, keys, None, city="Pune")
    stopped = factories.agreeing(session, keys, city="Pune")
    suppression.lock_addresses(session, [stopped.address.address_hash])
    ledger.lock_customers(session, [stopped.id])
    suppression.suppress(session, stopped.address.address_hash, "all", "complaint")
    factories.agreeing(session, keys, city="Kochi")
    session.flush()
    return may


def whole(session, campaign_id, chunk=3):
    steps = []
    while not (step := expand(session, campaign_id, chunk)).done:
        assert step.stopped is None
        steps.append(step)
    return steps


def rows(session, model, campaign_id, *columns):
    return session.execute(select(*columns).where(model.campaign_id == campaign_id)).all()


def test_the_funnel_adds_up(session, keys):
    crowd(session, keys)
    counted = funnel(session, PUNE, "festive")
    assert counted.matched == 11
    assert counted.may_be_mailed == 6
    assert dict(counted.reasons) == {
        "no_address": 1,
        "minor": 1,
        "suppressed": 1,
        "never_asked": 1,
        "withdrawn": 1,
    }
    assert sum(counted.reasons.values()) + counted.may_be_mailed == counted.matched


def test_a_yes_to_one_purpose_is_none_to_another(session, keys):
    crowd(session, keys)
    assert funnel(session, PUNE, "offer").may_be_mailed == 0


def test_deliveries_and_exclusions_sum_to_the_matched_people(session, keys):
    may = crowd(session, keys)
    campaign = campaigns_ready.started(session, PUNE)
    steps = whole(session, campaign.id)
    people = {row.customer_id for row in rows(session, Delivery, campaign.id, Delivery.customer_id)}
    reasons = rows(session, AudienceExclusion, campaign.id, AudienceExclusion.customer_id, AudienceExclusion.reason)
    assert people == {person.id for person in may}
    assert sorted(row.reason for row in reasons) == ["minor", "never_asked", "no_address", "suppressed", "withdrawn"]
    assert sum(step.matched for step in steps) == len(people) + len(reasons) == 11
    cursor = session.get(ExpansionCursor, campaign.id, populate_existing=True)
    assert (cursor.matched, cursor.inserted, cursor.done) == (11, 6, True)
    assert session.get(Mandate, campaign.id, populate_existing=True).expanded


def test_a_delivery_carries_what_the_gate_will_ask_for(session, keys):
    person = factories.agreeing(session, keys, city="Pune", address="asha@shop.example.com")
    campaign = campaigns_ready.started(session, PUNE)
    whole(session, campaign.id)
    delivery = session.scalars(select(Delivery).where(Delivery.campaign_id == campaign.id)).one()
    assert (delivery.purpose, delivery.message_class, delivery.state) == ("festive", "marketing", "pending")
    assert delivery.address_hash == person.address.address_hash
    assert delivery.recipient_domain == "shop.example.com"


def test_delivery_ids_are_random_and_each_is_its_own(session, keys):
    crowd(session, keys)
    campaign = campaigns_ready.started(session, PUNE)
    whole(session, campaign.id, 100)
    ids = {row.id for row in rows(session, Delivery, campaign.id, Delivery.id)}
    assert len(ids) == 6
    assert {i.version for i in ids} == {4}


def test_two_records_with_one_address_are_both_in_the_audience(session, keys):
    for _ in range(2):
        factories.agreeing(session, keys, address="same@example.com", city="Pune")
    campaign = campaigns_ready.started(session, PUNE)
    whole(session, campaign.id)
    assert len(rows(session, Delivery, campaign.id, Delivery.id)) == 2


def test_who_has_a_delivery_already_is_neither_doubled_nor_excluded(session, keys):
    (first, *_) = crowd(session, keys)
    campaign = campaigns_ready.started(session, PUNE)
    session.execute(
        text("""INSERT INTO deliveries (campaign_id, customer_id, address_hash, recipient_domain, purpose)
                VALUES (:campaign, :person, 'x', 'example.com', 'festive')"""),
        {"campaign": campaign.id, "person": first.id},
    )
    whole(session, campaign.id)
    assert len(rows(session, Delivery, campaign.id, Delivery.id)) == 6
    assert len(rows(session, AudienceExclusion, campaign.id, AudienceExclusion.reason)) == 5


@pytest.mark.parametrize("chunk", [1, 2, 5, 1000])
def test_the_audience_is_the_same_in_chunks_of_any_size(session, keys, chunk):
    may = crowd(session, keys)
    campaign = campaigns_ready.started(session, PUNE)
    whole(session, campaign.id, chunk)
    people = {row.customer_id for row in rows(session, Delivery, campaign.id, Delivery.customer_id)}
    assert people == {person.id for person in may}


def test_the_snapshot_stops_when_the_campaign_is_paused_and_goes_on_when_it_resumes(session, keys):
    crowd(session, keys)
    campaign = campaigns_ready.started(session, PUNE)
    expand(session, campaign.id, 4)
    operations.pause(session, campaign.id, campaign.author_id, "a wrong price")
    assert expand(session, campaign.id, 4).stopped == "it is not being sent"
    operations.resume(session, campaign.id, campaign.author_id)
    whole(session, campaign.id)
    assert len(rows(session, Delivery, campaign.id, Delivery.id)) == 6


def test_nobody_is_taken_in_before_the_start(session, keys):
    crowd(session, keys)
    campaign = campaigns_ready.approved(session, PUNE)
    assert expand(session, campaign.id).stopped == "it was not started"
    assert rows(session, Delivery, campaign.id, Delivery.id) == []


def test_nobody_is_taken_in_for_something_that_was_not_approved(session, keys):
    crowd(session, keys)
    campaign = campaigns_ready.started(session, PUNE)
    session.get(SenderIdentity, campaign.sender_id).legal_name = "Somebody Else Limited"
    session.flush()
    assert expand(session, campaign.id).stopped == "it is not being sent"
    assert rows(session, Delivery, campaign.id, Delivery.id) == []


def test_a_step_that_is_rolled_back_is_taken_again_and_loses_nobody(committed, keys):
    with committed() as session, session.begin():
        may = crowd(session, keys)
        campaign = campaigns_ready.started(session, PUNE)
    with committed() as session:
        expand(session, campaign.id, 6)
        session.rollback()
    with committed() as session, session.begin():
        whole(session, campaign.id)
    with committed() as session:
        assert len(rows(session, Delivery, campaign.id, Delivery.id)) == len(may)
        assert session.scalar(select(func.count()).select_from(AudienceExclusion)) == 5


def test_two_expanders_never_duplicate_and_never_deadlock(committed, keys):
    with committed() as session, session.begin():
        for _ in range(120):
            factories.agreeing(session, keys)
        for _ in range(30):
            factories.person(session, keys)
        campaign = campaigns_ready.started(session)

    def run(_):
        taken = 0
        while True:
            with committed() as session, session.begin():
                step = expand(session, campaign.id, 7)
            taken += step.inserted
            if step.done:
                return taken

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(run, range(4)))
    with committed() as session:
        assert sum(taken) == len(rows(session, Delivery, campaign.id, Delivery.id)) == 120
        assert len(rows(session, AudienceExclusion, campaign.id, AudienceExclusion.reason)) == 30
        assert session.get(ExpansionCursor, campaign.id).matched == 150


def test_a_chunk_is_a_fixed_number_of_statements_whatever_its_size(session, keys):
    crowd(session, keys)
    campaign = campaigns_ready.started(session, PUNE)
    with statements(session) as few:
        expand(session, campaign.id, 1)
    with statements(session) as many:
        expand(session, campaign.id, 1000)
    assert len(many) == len(few) <= 9


def test_the_moment_of_the_start_is_the_moment_of_the_audience(session, keys):
    campaign = campaigns_ready.started(session)
    mandate = session.get(Mandate, campaign.id, populate_existing=True)
    assert mandate.as_of == campaign.started_at
    assert abs((datetime.now(UTC) - mandate.as_of).total_seconds()) < 60


def test_everybody_we_know_is_a_segment_too(session, keys):
    crowd(session, keys)
    assert audience.funnel(session, EVERYBODY, "festive").matched == 12
