"""Send again or close: what two people decide about messages that nobody knows to have arrived (S1, step 8)."""

import threading
from collections import Counter

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from campaigns import operations
from mailer import doubts, reaper
from mailer.consent import ledger
from mailer.errors import InputProblem, NotAllowed, Refused, WrongState
from mailer.providers.memory import Act, Behaviour, MemoryProvider
from tests import campaigns_ready
from tests.desks import Staff
from tests.feedbacks import Feedback

AFTERWARDS = "settled_at = clock_timestamp() - interval '25 hours'"


class Doubt(Staff):
    """A campaign that was sent, and some of its messages lost on the way: nobody knows."""

    def __init__(self, committed, sends, people=3):
        super().__init__(committed)
        self.sends = sends
        self.anita, self.farhan = self.operator("anita", "author"), self.operator("farhan", "approver")
        self.operator("kavya", "author", "approver")
        self.whom = self.people(people)
        sends.campaign_id = self.campaign_id = self.sending("anita", "farhan")
        self.hand_over(MemoryProvider(usually=Act(Behaviour.RESET_AFTER_ACCEPT)))
        self.a_day_passes()

    def hand_over(self, provider):
        self.sends.deliver(provider)
        return provider

    def a_day_passes(self):
        self.sends.run(f"UPDATE deliveries SET {AFTERWARDS} WHERE state = 'in_doubt'")
        with self.committed() as session, session.begin():
            return reaper.give_up_waiting(session, self.campaign_id)

    def ask(self, who="anita", only=None, reason="The line broke at noon"):
        with self.committed() as session, session.begin():
            operations.ask_to_send_again(session, self.campaign_id, self.id_of(who), reason, only)
            return session.scalar(text("SELECT max(id) FROM resend_requests"))

    def approve(self, request, who="farhan"):
        with self.committed() as session, session.begin():
            return operations.send_again(session, self.campaign_id, request, self.id_of(who))

    def turn_down(self, request, who):
        with self.committed() as session, session.begin():
            return operations.turn_down(session, self.campaign_id, request, self.id_of(who))

    def is_away_for_a_moment(self):
        self.sends.run("UPDATE customers SET account = 'deactivated'")
        self.hand_over(MemoryProvider())
        self.sends.run("UPDATE customers SET account = 'active'")

    def close_all(self, only=None):
        with self.committed() as session, session.begin():
            return operations.close(session, self.campaign_id, self.id_of("anita"), only)

    def delivery_of(self, person):
        return self.sends.query("SELECT * FROM deliveries WHERE customer_id = :p", p=person)[0]

    def states(self):
        return Counter(state for state, _ in self.sends.states().values())

    def acts(self):
        rows = self.sends.query("SELECT act FROM operator_acts WHERE act ~ 'resend|unconfirmed' ORDER BY seq")
        return [row.act for row in rows]


@pytest.fixture
def doubt(committed, sends):
    return Doubt(committed, sends)


def test_in_doubt_is_unconfirmed_after_a_day_by_the_clock_of_the_database(committed, sends):
    """Step 8: not before, and whatever this process takes for the time."""
    doubt = Doubt(committed, sends)
    assert doubt.states() == {"unconfirmed": 3}
    sends.run(
        "UPDATE deliveries SET state = 'in_doubt', settled_at = clock_timestamp() - interval '23 hours 59 minutes'"
    )
    with committed() as session, session.begin():
        assert reaper.give_up_waiting(session, doubt.campaign_id) == 0


def test_a_second_message_leaves_when_another_person_approved_it_and_only_once(doubt):
    """S1. A finished campaign goes on for it, and ends again."""
    doubt.sends.run("UPDATE mandates SET state = 'finished'")
    assert doubt.state(doubt.campaign_id) == "sent"
    request = doubt.ask()
    assert doubt.states() == {"unconfirmed": 3}
    decided = doubt.approve(request)
    assert (decided.again, decided.settled, doubt.state(doubt.campaign_id)) == (3, 0, "sending")
    row = doubt.delivery_of(doubt.whom[0])
    assert (row.state, row.reason, row.resend_approved_by) == ("pending", "send_again", doubt.id_of("farhan"))
    provider = MemoryProvider()
    doubt.hand_over(provider)
    assert (len(provider.taken), doubt.states()) == (3, {"accepted": 3})
    assert doubt.delivery_of(doubt.whom[0]).resend_approved_by is None  # cleared by T1: the yes is spent
    assert doubt.acts() == ["resend_requested", "resend_approved"]
    assert not doubt.hand_over(MemoryProvider()).taken


def test_what_is_lost_twice_needs_two_people_again(doubt):
    doubt.approve(doubt.ask())
    doubt.hand_over(MemoryProvider(usually=Act(Behaviour.RESET_AFTER_ACCEPT)))
    assert doubt.states() == {"in_doubt": 3}
    with pytest.raises(Refused):
        doubt.ask()
    doubt.a_day_passes()
    doubt.approve(doubt.ask())
    assert len(doubt.hand_over(MemoryProvider()).taken) == 3


ENDS = {
    "withheld": lambda doubt: doubt.is_away_for_a_moment(),
    "cancelled": lambda doubt: doubt.sends.run("UPDATE mandates SET state = 'cancelled'"),
    "expired": lambda doubt: doubt.sends.run("UPDATE mandates SET ends_at = clock_timestamp() - interval '1 s'"),
    "closed": None,
}


@pytest.mark.parametrize("ended", ENDS)
@pytest.mark.parametrize("limit", ["cap", "less often"])
def test_what_may_have_arrived_counts_however_sending_it_again_ended(doubt, ended, limit):
    """S5, S11: the first message left. No limit on how much a person gets may forget it."""
    person = doubt.whom[0]
    if ended == "closed":
        doubt.close_all()
    else:
        doubt.approve(doubt.ask())
        ENDS[ended](doubt)
        with doubt.committed() as session, session.begin():
            reaper.sweep(session, doubt.campaign_id)
    assert doubt.sends.states()[person][0] == ended
    if limit == "less often":
        doubt.sends.run("INSERT INTO customer_limits (customer_id, min_gap_days) VALUES (:p, 7)", p=person)
    doubt.sends.campaign([person], **({"cap_messages": 1, "cap_days": 7} if limit == "cap" else {}))
    assert doubt.hand_over(MemoryProvider()).taken == []
    assert doubt.sends.states()[person] == ("withheld", "capped" if limit == "cap" else "less_often")


def test_a_message_and_the_one_sent_again_count_as_two(doubt):
    """Both may have arrived: whoever may get three gets one more."""
    person = doubt.whom[0]
    doubt.approve(doubt.ask())
    doubt.hand_over(MemoryProvider())
    for wanted in ("accepted", "withheld"):
        doubt.sends.campaign([person], cap_messages=3, cap_days=7)
        doubt.hand_over(MemoryProvider())
        assert doubt.sends.states()[person][0] == wanted


def test_nobody_approves_their_own_request(doubt):
    request = doubt.ask("kavya")
    with pytest.raises(NotAllowed):
        doubt.approve(request, "kavya")
    assert doubt.states() == {"unconfirmed": 3}


def test_only_an_approver_approves(doubt):
    request = doubt.ask("kavya")
    with pytest.raises(NotAllowed):
        doubt.approve(request, "anita")


def test_the_database_refuses_a_yes_by_the_same_person(doubt):
    """Whatever the code says: the check on the table, as with approvals."""
    request, kavya = doubt.ask("kavya"), doubt.id_of("kavya")
    with pytest.raises(IntegrityError, match="two_people"):
        doubt.sends.run(
            "UPDATE resend_requests SET decision = 'approved', decided_by = :who, decided_at = now() WHERE id = :id",
            who=kavya,
            id=request,
        )


@pytest.mark.parametrize("state", ["accepted", "refused_by_provider", "in_doubt", "unconfirmed", "closed"])
def test_the_database_refuses_any_other_way_back_to_pending(doubt, state):
    """Not without a request, not with one that nobody decided, not naming somebody who did not decide it."""
    doubt.ask()
    doubt.sends.run("UPDATE deliveries SET state = :s", s=state)
    for who in (None, doubt.id_of("anita"), doubt.id_of("farhan")):
        with pytest.raises(DBAPIError, match="unless a second person approved"):
            doubt.sends.run("UPDATE deliveries SET state = 'pending', resend_approved_by = :who", who=who)


def test_an_approval_covers_the_attempt_that_was_looked_at_and_no_other(doubt):
    request = doubt.ask()
    doubt.sends.run("UPDATE deliveries SET attempt_id = gen_random_uuid()")
    assert doubt.approve(request).again == 0
    assert doubt.states() == {"unconfirmed": 3}


def test_a_request_is_decided_once_and_stays(doubt):
    request = doubt.ask()
    doubt.approve(request)
    with pytest.raises(Refused, match="decided already"):
        doubt.approve(request, "kavya")
    for change in ("SET reason = 'another'", "SET decision = 'declined'", "SET decision = NULL, decided_by = NULL"):
        with pytest.raises(DBAPIError):
            doubt.sends.run(f"UPDATE resend_requests {change}")
    for table in ("resend_rows", "resend_requests"):
        with pytest.raises(DBAPIError):
            doubt.sends.run(f"DELETE FROM {table}")


def test_two_approvers_at_once_send_one_second_message(doubt):
    request, said = doubt.ask(), []
    doubt.operator("meera", "approver")
    together = threading.Barrier(2)

    def approve(who):
        together.wait()
        try:
            said.append(doubt.approve(request, who).again)
        except Refused:
            said.append(None)

    threads = [threading.Thread(target=approve, args=[who]) for who in ("farhan", "meera")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(said, key=str) == [3, None]
    assert len(doubt.hand_over(MemoryProvider()).taken) == 3
    assert not doubt.hand_over(MemoryProvider()).taken


def test_news_between_request_and_approval_wins(doubt, committed, keys):
    """A late report settles its row: that person is never sent a second message."""
    request = doubt.ask()
    arrived = doubt.delivery_of(doubt.whom[0])
    feedback = Feedback(committed, keys)
    feedback.delivery, feedback.attempt = arrived.id, arrived.attempt_id
    feedback.sendgrid(feedback.event("delivered"))
    decided = doubt.approve(request)
    assert (decided.again, decided.settled) == (2, 1)
    doubt.hand_over(MemoryProvider())
    assert doubt.states() == {"accepted": 3}
    assert doubt.sends.query("SELECT outcome FROM resend_rows WHERE delivery_id = :d", d=arrived.id) == [("settled",)]


def test_news_after_the_approval_and_before_the_message_leaves_wins_too(doubt, committed, keys):
    doubt.approve(doubt.ask())
    arrived = doubt.delivery_of(doubt.whom[0])
    feedback = Feedback(committed, keys)
    feedback.delivery, feedback.attempt = arrived.id, arrived.attempt_id
    feedback.sendgrid(feedback.event("delivered"))
    assert doubt.states() == {"accepted": 1, "pending": 2}
    taken = doubt.hand_over(MemoryProvider()).taken
    assert arrived.id not in {message.delivery_id for message in taken}


def test_a_row_that_feedback_holds_just_now_is_left_to_it(doubt, committed):
    request, held = doubt.ask(), doubt.delivery_of(doubt.whom[0])
    with committed() as feedback:
        feedback.execute(text("SELECT 1 FROM deliveries WHERE id = :id FOR UPDATE"), {"id": held.id})
        assert doubt.approve(request).again == 2
    assert doubt.delivery_of(doubt.whom[0]).state == "unconfirmed"


def test_who_said_no_meanwhile_is_withheld_by_the_gate(doubt, committed):
    doubt.approve(doubt.ask())
    with committed() as session, session.begin():
        ledger.withdraw(session, doubt.whom[0], "festive", source="preferences")
    assert len(doubt.hand_over(MemoryProvider()).taken) == 2
    assert doubt.sends.states()[doubt.whom[0]] == ("withheld", "withdrawn")


def test_a_request_may_be_about_some_and_the_others_can_still_be_asked_for(doubt):
    first = doubt.delivery_of(doubt.whom[0]).id
    request = doubt.ask(only=[first])
    other = doubt.ask("kavya")
    with pytest.raises(Refused, match="somebody asked already"):
        doubt.ask()
    assert (doubt.approve(request).again, doubt.approve(other).again) == (1, 2)


def test_a_request_taken_back_or_declined_sends_nothing_and_can_be_made_anew(doubt):
    assert doubt.turn_down(doubt.ask(), "anita") == "withdrawn"
    assert doubt.turn_down(doubt.ask(), "farhan") == "declined"
    with pytest.raises(NotAllowed):
        doubt.turn_down(doubt.ask("kavya"), "anita")
    assert (doubt.states(), doubt.hand_over(MemoryProvider()).taken) == ({"unconfirmed": 3}, [])
    assert doubt.acts() == [
        "resend_requested",
        "resend_withdrawn",
        "resend_requested",
        "resend_declined",
        "resend_requested",
    ]


def test_closed_is_closed_also_under_an_open_request(doubt):
    request, first = doubt.ask(), doubt.delivery_of(doubt.whom[0]).id
    assert doubt.close_all(only=[first]) == 1
    assert doubt.approve(request).again == 2
    assert doubt.sends.states()[doubt.whom[0]][0] == "closed"
    with pytest.raises(Refused):
        doubt.close_all()


def test_what_is_not_unconfirmed_is_neither_asked_for_nor_closed(doubt):
    doubt.sends.run("UPDATE deliveries SET state = 'in_doubt'")
    for act in (doubt.ask, doubt.close_all):
        with pytest.raises(Refused):
            act()


def test_sending_again_does_not_slip_past_numbers_that_came_after_the_end(doubt):
    with doubt.committed() as session, session.begin():
        campaigns_ready.tend(session)
    assert doubt.sends.query("SELECT state FROM campaigns")[0].state == "sent"
    doubt.sends.run(
        f"""INSERT INTO guard_counts (campaign_id, domain, what, reports, base, level)
            VALUES ({doubt.campaign_id}, '', 'complaints', 9, 1000, 'stop')"""
    )
    doubt.approve(doubt.ask())
    assert doubt.sends.query("SELECT state FROM mandates")[0].state == "paused"
    assert doubt.states() == {"pending": 3}
    with pytest.raises(Refused, match="Say what you found"), doubt.committed() as session, session.begin():
        operations.resume(session, doubt.campaign_id, doubt.id_of("anita"))


def test_a_stopped_or_ended_campaign_sends_nothing_again(doubt):
    request = doubt.ask()
    doubt.sends.run("UPDATE mandates SET ends_at = clock_timestamp()")
    with pytest.raises(Refused, match="end of this campaign"):
        doubt.approve(request)
    doubt.sends.run("UPDATE mandates SET state = 'cancelled'")
    with pytest.raises(WrongState):
        doubt.approve(request)
    assert doubt.states() == {"unconfirmed": 3}


def test_what_is_not_what_was_approved_any_more_is_not_sent_again(doubt):
    request = doubt.ask()
    doubt.sends.run("UPDATE senders SET from_name = 'Somebody else'")
    with pytest.raises(Refused, match="not what was approved"):
        doubt.approve(request)


def test_a_request_needs_a_reason_and_belongs_to_its_campaign(doubt):
    with pytest.raises(InputProblem):
        doubt.ask(reason="")
    with doubt.committed() as session, pytest.raises(InputProblem):
        operations.send_again(session, doubt.campaign_id, 12345, doubt.id_of("farhan"))
    with doubt.committed() as session, pytest.raises(InputProblem):
        doubts.approve(session, 12345, doubt.id_of("farhan"))
