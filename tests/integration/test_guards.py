"""Complaints and bounces: warn at 0.1 %, stop at 0.3 % (check 53), the whole campaign or one domain of it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from campaigns import guarding, operations
from campaigns.models import Campaign
from mailer import guard_limits, guards
from mailer.errors import InputProblem, Refused
from mailer.guard_limits import Limit
from mailer.guards import Known, Watch, level_of
from mailer.pick import Prepared
from mailer.providers.memory import MemoryProvider
from tests import campaigns_ready, factories
from workers.carriers import Carrier
from workers.dispatch import Dispatcher


@pytest.mark.parametrize(
    ("reports", "base", "level"),
    [
        (0, 0, "ok"),
        (1, 50, "ok"),  # two per cent, and it says nothing
        (2, 100, "ok"),
        (3, 1000, "warn"),
        (3, 3000, "warn"),  # 0.1 % is reached, not only passed
        (3, 3001, "ok"),
        (4, 100, "warn"),  # too few to stop
        (5, 1667, "warn"),
        (5, 1666, "stop"),
        (300, 100_000, "stop"),
        (299, 100_000, "warn"),
        (99, 100_000, "ok"),
    ],
)
def test_the_limits_are_a_tenth_and_three_tenths_of_a_percent_from_a_few_reports_on(reports, base, level):
    assert level_of(reports, base, Known()) == level


@pytest.mark.parametrize(("reports", "level"), [(5, "ok"), (9, "warn"), (10, "stop")])
def test_what_a_person_has_seen_counts_only_once_it_grew(reports, level):
    assert level_of(reports, 100, Known(acknowledged=5)) == level


@pytest.mark.parametrize(("reports", "level"), [(149, "ok"), (150, "stop")])
def test_after_many_it_takes_half_as_many_again(reports, level):
    assert level_of(reports, 1000, Known(acknowledged=100)) == level


@pytest.mark.parametrize(
    ("reports", "base", "level"), [(6, 100, "warn"), (7, 100, "stop"), (4, 4, "warn"), (2, 2, "ok"), (9, 1000, "ok")]
)
def test_another_limit_holds_from_as_few_reports_on_as_ever(reports, base, level):
    """7 % of a hundred is seven, whatever 0.07 times a hundred is to a machine."""
    assert level_of(reports, base, Known(), Limit(0.02, 0.07)) == level


class Mailing:
    """A campaign whose people were all handed over, and what came back of it."""

    def __init__(self, session, keys) -> None:
        self.session = session
        self.operator = factories.operator(session).id
        people = [factories.agreeing(session, keys)]
        mandate = factories.sending(session, people)
        self.id = mandate.campaign_id
        session.execute(text("UPDATE campaigns SET state = 'sending' WHERE id = :id"), {"id": self.id})
        session.expire_all()
        self.watch = Watch()

    def handed_over(self, count: int, domain: str = "example.com") -> None:
        """Rows of people whom nobody else looks at: only their numbers matter here."""
        self.session.execute(
            text("""INSERT INTO deliveries (campaign_id, customer_id, address_hash, recipient_domain, purpose, state)
                    SELECT :c, 1000000 + n + coalesce((SELECT max(customer_id) FROM deliveries), 0), 'h', :domain,
                           'festive', 'accepted' FROM generate_series(1, :count) n"""),
            {"c": self.id, "count": count, "domain": domain},
        )

    def came_back(self, what: str, count: int, domain: str = "example.com") -> None:
        self.session.execute(
            text(f"""UPDATE deliveries SET {what}_at = clock_timestamp() WHERE id IN
                       (SELECT id FROM deliveries WHERE campaign_id = :c AND recipient_domain = :domain
                           AND state = 'accepted' AND {what}_at IS NULL LIMIT :count)"""),
            {"c": self.id, "count": count, "domain": domain},
        )

    def look(self) -> list[tuple[str, str, str]]:
        self.watch.counted.clear()
        return [(f.domain, f.what, f.level) for f in guarding.look(self.session, self.id, self.watch)]

    @property
    def state(self) -> tuple[str, str | None]:
        row = self.session.execute(
            text(
                "SELECT c.state, m.state_reason FROM campaigns c JOIN mandates m ON m.campaign_id = c.id WHERE c.id=:c"
            ),
            {"c": self.id},
        ).one()
        return row.state, row.state_reason

    @property
    def events(self) -> list[str]:
        found = text("SELECT what FROM campaign_events WHERE campaign_id = :c ORDER BY id")
        return list(self.session.scalars(found, {"c": self.id}))


@pytest.fixture
def mailing(session, keys):
    return Mailing(session, keys)


@pytest.mark.parametrize(("what", "verb"), [("complained", "complained"), ("bounced", "bounced")])
def test_a_campaign_is_warned_of_then_paused_with_the_reason(mailing, what, verb):
    mailing.handed_over(2000)
    mailing.came_back(what, 3)
    assert mailing.look()[0][2] == "warn"
    assert mailing.state == ("sending", None)
    assert mailing.look() == [], "said once"
    mailing.came_back(what, 3)
    assert mailing.look()[0] == ("", "complaints" if what == "complained" else "bounces", "stop")
    state, reason = mailing.state
    assert state == "paused"
    assert f"6 of 2000 {verb} (0.30%)" in reason
    assert "The limit is 0.3%" in reason


def test_the_limits_that_an_administrator_set_hold_at_once(mailing):
    mailing.handed_over(2000)
    guard_limits.change(mailing.session, mailing.operator, "bounces", 0.02, 0.05)
    mailing.came_back("bounced", 39)
    assert mailing.look() == []
    mailing.came_back("bounced", 1)
    assert mailing.look()[0] == ("", "bounces", "warn")
    assert "It stops by itself at 5%" in mailing.events[-1]
    mailing.came_back("complained", 6)
    assert mailing.look()[0] == ("", "complaints", "stop"), "the other kind has its own"
    assert "The limit is 0.3%" in mailing.state[1]
    guard_limits.change(mailing.session, mailing.operator, "bounces", 0.01, 0.02)
    assert mailing.look() == [("", "bounces", "stop")], "nothing more had to come back"


def test_a_higher_limit_takes_no_stop_back(mailing):
    mailing.handed_over(1000)
    mailing.came_back("bounced", 6)
    mailing.look()
    guard_limits.change(mailing.session, mailing.operator, "bounces", 0.05, 0.1)
    assert mailing.look() == []
    assert guards.stopped(mailing.session, mailing.id)


@pytest.mark.parametrize(("warn", "stop"), [(0, 0.003), (-0.1, 0.003), (0.003, 0.002), (0.001, 0.02), (0.001, 1)])
def test_limits_outside_the_bounds_are_refused_by_code_and_database(mailing, warn, stop):
    with pytest.raises(InputProblem):
        guard_limits.change(mailing.session, mailing.operator, "complaints", warn, stop)
    row = text("INSERT INTO guard_limits (what, warn, stop, set_by) VALUES ('complaints', :warn, :stop, :by)")
    with pytest.raises(IntegrityError, match="sane"), mailing.session.begin_nested():
        mailing.session.execute(row, {"warn": warn, "stop": stop, "by": mailing.operator})


def test_one_complaint_of_fifty_stops_nothing(mailing):
    mailing.handed_over(50)
    mailing.came_back("complained", 1)
    assert mailing.look() == []
    assert mailing.state == ("sending", None)


def test_a_domain_is_stopped_while_the_others_go_on(mailing):
    mailing.handed_over(5000)
    mailing.handed_over(1000, "example.org")
    mailing.came_back("complained", 5, "example.org")
    assert mailing.look() == [("example.org", "complaints", "stop")]
    assert mailing.state == ("sending", None)
    assert guards.stopped_domains(mailing.session, mailing.id) == {"example.org"}
    assert "Nothing more goes to example.org: 5 of 1000 at example.org complained (0.50%)" in mailing.events[-1]


def test_a_person_lets_a_domain_go_and_the_same_reports_do_not_stop_it_again(mailing):
    mailing.handed_over(5000)
    mailing.handed_over(1000, "example.org")
    mailing.came_back("complained", 5, "example.org")
    mailing.look()
    assert guarding.let_domain_go(mailing.session, mailing.id, mailing.operator, "example.org", "a wrong link, mended")
    assert guards.stopped_domains(mailing.session, mailing.id) == frozenset()
    assert mailing.look() == []
    mailing.came_back("complained", 4, "example.org")
    assert mailing.look() == [("", "complaints", "warn")]
    mailing.came_back("complained", 1, "example.org")
    assert ("example.org", "complaints", "stop") in mailing.look()
    assert "Goes to example.org again: a wrong link, mended" in mailing.events


def test_what_was_let_go_on_is_not_stopped_for_the_same_numbers(mailing):
    mailing.handed_over(1000)
    mailing.came_back("bounced", 5)
    mailing.look()
    assert guards.stopped(mailing.session, mailing.id)
    assert guards.acknowledge(mailing.session, mailing.id) == ["", "example.com"]
    assert not guards.stopped(mailing.session, mailing.id)
    mailing.session.execute(text("UPDATE mandates SET state = 'sending' WHERE campaign_id = :c"), {"c": mailing.id})
    assert mailing.look() == [], "the same numbers"
    assert mailing.state[0] == "sending"
    mailing.came_back("bounced", 5)
    assert mailing.look()[0] == ("", "bounces", "stop")


def test_resuming_is_an_act_with_its_reason(session):
    campaign = campaigns_ready.started(session)
    session.execute(
        text("""INSERT INTO guard_counts (campaign_id, domain, what, reports, base, level)
                VALUES (:c, '', 'complaints', 9, 1000, 'stop')"""),
        {"c": campaign.id},
    )
    operations.pause(session, campaign.id, None, "9 of 1000 complained")
    with pytest.raises(Refused, match="Say what you found"):
        operations.resume(session, campaign.id, campaign.author_id)
    assert operations.resume(session, campaign.id, campaign.author_id, "a double click in the list was mended")
    said = session.scalar(text("SELECT document->>'reason' FROM operator_acts ORDER BY seq DESC LIMIT 1"))
    assert said == "a double click in the list was mended"
    assert not guards.stopped(session, campaign.id)


def test_a_large_audience_is_counted_only_when_a_limit_could_have_been_reached(mailing, monkeypatch):
    """Counting is the only thing here that grows with the audience."""
    counted = []
    count = guards.bases_of
    monkeypatch.setattr(guards, "bases_of", lambda *asked: counted.append(1) or count(*asked))
    mailing.handed_over(4000)
    mailing.came_back("complained", 3)
    mailing.look()
    assert len(counted) == 1
    for _ in range(5):
        mailing.look()
    assert len(counted) == 1, "nothing new came back"
    mailing.came_back("complained", 1)
    mailing.look()
    assert len(counted) == 2, "4 of at least 4000 might be 0.1 %"
    mailing.came_back("complained", 1)
    assert guarding.look(mailing.session, mailing.id, Watch({mailing.id: (float("inf"), 1.0)})) == []
    assert len(counted) == 2, "the last count was only just done"


def test_reports_are_read_by_indexes_that_hold_nothing_else(mailing):
    plan = mailing.session.execute(text("EXPLAIN " + guards._REPORTS.text), {"campaign": mailing.id}).scalars().all()
    assert "ix_deliveries_complained" in "\n".join(plan)
    assert "ix_deliveries_bounced" in "\n".join(plan)


def test_two_clocks_stop_a_campaign_once(sends):
    people = sends.people(6)
    campaign_id = sends.campaign(people)
    sends.run("UPDATE campaigns SET state = 'sending'")
    sends.run("UPDATE deliveries SET state = 'accepted', bounced_at = now()")

    def tick(_):
        with sends.sessions() as session, session.begin():
            return guarding.look(session, campaign_id, Watch())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tick, range(4)))
    assert [row.state for row in sends.query("SELECT state FROM campaigns")] == ["paused"]
    paused = sends.query("SELECT count(*) AS n FROM operator_acts WHERE act = 'campaign_paused'")
    assert paused[0].n == 1


def test_the_campaign_that_is_paused_is_no_longer_looked_at(mailing):
    assert mailing.id in guarding.of_sending(mailing.session)
    mailing.session.get(Campaign, mailing.id).state = "paused"
    mailing.session.execute(text("UPDATE mandates SET state = 'paused' WHERE campaign_id = :c"), {"c": mailing.id})
    assert mailing.id not in guarding.of_sending(mailing.session)


def ended(mailing, ago: str) -> None:
    for change in (
        f"campaigns SET state = 'sent', ended_at = now() - interval '{ago}' WHERE id",
        "mandates SET state = 'finished' WHERE campaign_id",
    ):
        mailing.session.execute(text(f"UPDATE {change} = :c"), {"c": mailing.id})
    mailing.session.expire_all()


def test_a_campaign_that_ended_is_watched_for_a_week_and_warned_of(mailing):
    """A fast one is over before anybody has read it."""
    mailing.handed_over(1000)
    ended(mailing, "8 days")
    assert mailing.id not in guarding.of_sending(mailing.session)
    ended(mailing, "6 days")
    assert mailing.id in guarding.of_sending(mailing.session)
    mailing.came_back("complained", 5)
    assert mailing.look()[0] == ("", "complaints", "stop")
    assert mailing.events[-1] == (
        "Look at this before you write again: 5 of 1000 complained (0.50%). The limit is 0.3%"
    )
    assert mailing.state[0] == "sent"
    assert mailing.look() == [], "said once"
    assert guards.stopped(mailing.session, mailing.id)


def test_whoever_is_at_a_stopped_domain_is_not_picked_and_waits(sends):
    """Their rows are untouched, so nobody is lost when a person lets the domain go."""
    with sends.sessions() as session, session.begin():
        at = [
            factories.agreeing(session, sends.keys, address=f"a@{host}").id for host in ("example.com", "example.org")
        ]
    campaign_id = sends.campaign(at)
    sends.run(
        f"""INSERT INTO guard_counts (campaign_id, domain, what, reports, base, level)
            VALUES ({campaign_id}, 'example.org', 'bounces', 9, 1000, 'stop')"""
    )
    worker = Dispatcher(sends.sessions, OneCarrier(), "test:1", threading.Event())
    worker.run(campaign_id)
    assert [sends.states()[person][0] for person in at] == ["accepted", "pending"]
    with sends.sessions() as session, session.begin():
        guards.acknowledge(session, campaign_id, "example.org")
    worker.cursors.clear()
    worker.run(campaign_id)
    assert [sends.states()[person][0] for person in at] == ["accepted", "accepted"]


def test_a_worker_obeys_the_canary_and_renders_for_nobody_who_waits(sends):
    campaign_id = sends.campaign(sends.people(9), canary_messages=4, canary_minutes=1)
    carriers = OneCarrier()
    worker = Dispatcher(sends.sessions, carriers, "test:1", threading.Event())
    for _ in range(3):
        worker.run(campaign_id)
    assert [state for state, _ in sends.states().values()].count("accepted") == 4
    composed = carriers.composed
    worker.run(campaign_id)
    assert carriers.composed == composed


class OneCarrier:
    """A memory provider and a message for everybody."""

    def __init__(self) -> None:
        self.composed = 0
        self.carrier = Carrier(MemoryProvider(), self, 8)

    def of(self, _session, _job) -> Carrier:
        return self.carrier

    def close(self) -> None:
        pass

    def compose(self, _session, _job, batch, _attempt_id):
        self.composed += len(batch)
        return [Prepared(candidate, b"mail") for candidate in batch]
