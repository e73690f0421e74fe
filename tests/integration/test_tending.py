from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, text, update

from campaigns import operations
from campaigns.audience import expand
from campaigns.models import Campaign, CampaignEvent
from mailer import doubts
from mailer.models import Delivery, Mandate, SenderIdentity
from mailer.records import pause as pause_by_gate
from tests import campaigns_ready, factories
from tests.campaigns_ready import tend


def in_hours(hours):
    return datetime.now(UTC) + timedelta(hours=hours)


def states(session, campaign):
    query = select(Campaign.state, Mandate.state).join(Mandate, Mandate.campaign_id == Campaign.id)
    return tuple(session.execute(query.where(Campaign.id == campaign.id)).one())


def events(session, campaign):
    return list(session.scalars(select(CampaignEvent.what).where(CampaignEvent.campaign_id == campaign.id)))


def expanded(session, campaign):
    while not expand(session, campaign.id).done:
        pass


def test_the_clock_starts_what_is_due_and_nothing_else(session):
    due = campaigns_ready.approved(session, scheduled_at=in_hours(-0.1))
    later = campaigns_ready.approved(session, scheduled_at=in_hours(1))
    by_hand = campaigns_ready.approved(session)
    assert tend(session)["start"] == [due.id]
    assert [states(session, c)[0] for c in (due, later, by_hand)] == ["sending", "approved", "approved"]


def test_a_schedule_found_over_an_hour_late_asks_first_and_says_so_once(session):
    late = campaigns_ready.approved(session, scheduled_at=in_hours(-1.1))
    for _ in range(2):
        assert tend(session)["start"] == []
    assert states(session, late) == ("approved", "approved")
    assert len([what for what in events(session, late) if what.startswith("Found too late")]) == 1
    assert operations.start(session, late.id, late.author_id).started, "a person may still start it"


def test_what_can_not_be_started_says_why_once_and_holds_up_nobody(session):
    broken = campaigns_ready.approved(session, scheduled_at=in_hours(-0.2))
    due = campaigns_ready.approved(session, scheduled_at=in_hours(-0.1))
    session.get(SenderIdentity, broken.sender_id).legal_name = "Somebody Else Limited"
    session.flush()
    assert tend(session)["start"] == [due.id]
    tend(session)
    assert [what[:15] for what in events(session, broken)].count("Could not start") == 1


def test_two_clocks_start_a_campaign_once(committed):
    with committed() as session, session.begin():
        due = campaigns_ready.approved(session, scheduled_at=in_hours(-0.1))

    def tick(_):
        with committed() as session, session.begin():
            return tend(session)["start"]

    with ThreadPoolExecutor(6) as pool:
        started = [campaign_id for found in pool.map(tick, range(6)) for campaign_id in found]
    assert started == [due.id]


def test_a_campaign_whose_sender_was_changed_is_paused(session):
    changed, same = campaigns_ready.started(session), campaigns_ready.started(session)
    session.get(SenderIdentity, changed.sender_id).postal_address = "Elsewhere"
    session.flush()
    tend(session)
    assert states(session, changed) == ("paused", "paused")
    assert states(session, same)[0] in ("sending", "sent")


def test_a_pause_by_the_gate_pauses_the_campaign_and_is_told_once(session):
    campaign = campaigns_ready.started(session)
    pause_by_gate(session, campaign.id, "the mail provider refused our key")
    assert states(session, campaign) == ("paused", "paused")
    assert [what for what in events(session, campaign) if "Paused" in what] == [
        "Paused: the mail provider refused our key"
    ]


def test_a_pause_by_the_gate_and_one_by_an_operator_never_deadlock(committed):
    with committed() as session, session.begin():
        campaign = campaigns_ready.started(session)

    def by_gate():
        with committed() as session, session.begin():
            pause_by_gate(session, campaign.id, "trouble")

    def by_hand():
        with committed() as session, session.begin():
            operations.pause(session, campaign.id, campaign.author_id, "a wrong price")

    for _ in range(15):
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(by_gate), pool.submit(by_hand)]:
                done.result(timeout=30)
        with committed() as session, session.begin():
            assert states(session, campaign) == ("paused", "paused")
            operations.resume(session, campaign.id, campaign.author_id)


def test_a_campaign_is_sent_when_nobody_waits_any_more(session, keys):
    for _ in range(2):
        factories.agreeing(session, keys)
    campaign = campaigns_ready.started(session)
    assert tend(session)["finish"] == [], "not before everybody was looked at"
    expanded(session, campaign)
    assert tend(session)["finish"] == []
    session.execute(update(Delivery).values(state="accepted"))
    assert tend(session)["finish"] == [campaign.id]
    assert states(session, campaign) == ("sent", "finished")
    assert tend(session)["finish"] == []


@pytest.mark.parametrize("state", ["pending", "handing_over"])
def test_one_who_waits_keeps_a_campaign_going(session, keys, state):
    for _ in range(2):
        factories.agreeing(session, keys)
    campaign = campaigns_ready.started(session)
    expanded(session, campaign)
    first = session.scalar(select(Delivery.customer_id).limit(1))
    session.execute(update(Delivery).where(Delivery.customer_id != first).values(state="withheld"))
    session.execute(text("UPDATE deliveries SET state = :state WHERE state <> 'withheld'"), {"state": state})
    assert tend(session)["finish"] == []


def test_in_doubt_does_not_keep_a_campaign_going(session, keys):
    factories.agreeing(session, keys)
    campaign = campaigns_ready.started(session)
    expanded(session, campaign)
    session.execute(update(Delivery).values(state="in_doubt"))
    assert tend(session)["finish"] == [campaign.id]


def test_a_clock_that_remembers_still_sees_who_is_sent_again(session, keys):
    people = [factories.agreeing(session, keys) for _ in range(3)]
    campaign = campaigns_ready.started(session)
    expanded(session, campaign)
    settled = {}
    first, last = people[0].id, people[-1].id
    session.execute(update(Delivery).where(Delivery.customer_id != last).values(state="accepted"))
    tend(session, settled)
    assert settled == {campaign.id: last - 1}
    session.execute(update(Delivery).values(state="accepted"))
    lost = {"state": "unconfirmed", "attempt_id": uuid4()}
    session.execute(update(Delivery).where(Delivery.customer_id == first).values(**lost))
    request, _ = doubts.propose(session, campaign.id, factories.operator(session).id, "The line broke")
    doubts.approve(session, request, factories.operator(session).id)
    assert tend(session, settled)["finish"] == []
    session.execute(update(Delivery).values(state="accepted"))
    assert tend(session, settled)["finish"] == [campaign.id]
    tend(session, settled)
    assert settled == {}, "what has ended is forgotten"
