"""What events do: once each, in any order, only ever less mail. Checks 17, 24, 38, 44 to 47, 57 and 89 to 94, 97."""

from __future__ import annotations

import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import text

from mailer import audit
from mailer.consent import ledger
from mailer.consent.links import Kind
from mailer.feedback import softs, store
from mailer.message import optout_address
from mailer.providers.memory import MemoryProvider
from mailer.suppression import COMPLAINT, HARD_BOUNCE, OPT_OUT, SOFT_BOUNCES
from tests import factories
from tests.feedbacks import LATER, Feedback
from tests.sending import Sending
from workers.broker import make_broker
from workers.clock import Clock


@pytest.fixture
def feedback(committed, keys) -> Feedback:
    return Feedback(committed, keys)


GONE = {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 User unknown"}
BOTH = {"offer": True, "festive": True}


# -- what each word means ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "more", "suppressed", "standing"),
    [
        ("processed", {}, set(), BOTH),
        ("delivered", {}, set(), BOTH),
        ("open", {}, set(), BOTH),
        ("click", {}, set(), BOTH),
        ("deferred", {"response": "451 4.2.0 try again later"}, set(), BOTH),
        ("bounce", GONE, {("all", HARD_BOUNCE)}, BOTH),
        ("bounce", GONE | {"type": "blocked"}, set(), BOTH),
        ("bounce", {"type": "bounce", "status": "5.2.2", "reason": "552 5.2.2 mailbox full"}, set(), BOTH),
        ("bounce", {"type": "bounce", "status": "5.7.26", "reason": "550 5.7.26 unauthenticated"}, set(), BOTH),
        ("dropped", {"reason": "Bounced Address"}, {("all", HARD_BOUNCE)}, BOTH),
        ("dropped", {"reason": "Unsubscribed Address"}, {("all", OPT_OUT)}, {"offer": False, "festive": False}),
        ("dropped", {"reason": "Spam Reporting Address"}, {("all", COMPLAINT)}, {"offer": False, "festive": False}),
        ("dropped", {"reason": "Invalid SMTPAPI header"}, set(), BOTH),
        ("spamreport", {}, {("all", COMPLAINT)}, {"offer": False, "festive": False}),
        ("unsubscribe", {}, {("all", OPT_OUT)}, {"offer": False, "festive": False}),
        ("group_unsubscribe", {"asm_group_id": 1}, {("offer", OPT_OUT)}, {"offer": False, "festive": True}),
        ("group_resubscribe", {"asm_group_id": 1}, set(), BOTH),
        ("something_new", {"with": ["things"]}, set(), BOTH),
    ],
)
def test_each_event_means_what_the_table_says(feedback, word, more, suppressed, standing):
    """Checks 45, 88 and 92."""
    feedback.mailed()
    feedback.sendgrid(feedback.event(word, **more))
    assert feedback.suppressions() == suppressed
    assert feedback.standing() == standing
    assert feedback.row().state == "accepted"


def test_dropped_is_never_delivered_and_an_open_by_a_machine_is_no_open(feedback):
    """Check 92."""
    feedback.mailed()
    feedback.sendgrid(feedback.event("dropped", reason="Bounced Address"), feedback.event("open", sg_machine_open=True))
    assert (feedback.row().delivered_at, feedback.row().opened_at) == (None, None)
    assert feedback.row().bounced_at is not None


def test_what_is_held_against_the_sender_alerts_and_leaves_the_person_alone(feedback):
    """Check 57: Gmail's and Outlook's rejects are about us; the alert names no address."""
    feedback.mailed()
    said = "550 5.7.26 mail to asha@example.com is unauthenticated"
    feedback.sendgrid(
        feedback.event("bounce", type="blocked", status="5.7.26", reason=said),
        feedback.event("deferred", response="421 4.7.28 unusual rate of unsolicited mail"),
    )
    alerts = {row.cause: row.sample for row in feedback.query("SELECT * FROM alerts")}
    assert set(alerts) == {"sender_not_authenticated", "refused_as_spam"}
    assert "asha@example.com" not in str(alerts)
    assert feedback.suppressions() == set()


# -- order and number -------------------------------------------------------------------------------------------


def story(feedback):
    return [
        feedback.event("processed", timestamp=LATER),
        feedback.event("delivered", timestamp=LATER + 5),
        feedback.event("open", timestamp=LATER + 60),
        feedback.event("bounce", timestamp=LATER + 90, **GONE),
        feedback.event("spamreport", timestamp=LATER + 100),
        feedback.event("group_unsubscribe", timestamp=LATER + 110),
    ]


def test_any_order_of_events_ends_in_the_same_state(committed, keys):
    """Check 91 and S8: opened before delivered, bounced after, complaint first."""
    ends = set()
    orders = list(itertools.permutations(range(6)))
    for order in random.Random(7).sample(orders, 12):
        feedback = Feedback(committed, keys)
        feedback.mailed("in_doubt")
        events = story(feedback)
        for place in order:
            feedback.sendgrid(events[place])
        row = feedback.row()
        hashed = bytes(row.address_hash)
        mine = feedback.query("SELECT scope, reason FROM suppressions WHERE address_hash = :hash", hash=hashed)
        times = (row.delivered_at, row.opened_at, row.bounced_at, row.complained_at, row.unsubscribed_at)
        ends.add((row.state, times, tuple(sorted(map(tuple, mine))), tuple(sorted(feedback.standing().items()))))
    assert len(ends) == 1
    assert ends.pop()[0] == "accepted"


def test_a_batch_sent_46_times_in_any_order_counts_once(feedback):
    """Check 90 and S8."""
    feedback.mailed("in_doubt")
    events = [*story(feedback), feedback.event("bounce", status="4.2.2", reason="mailbox full", type="blocked")]
    unnamed = {name: value for name, value in feedback.event("delivered").items() if name != "sg_event_id"}
    events.append(unnamed)
    feedback.sendgrid(*events)
    before, stored = feedback.everything(), len(feedback.outcomes())
    shuffler = random.Random(46)
    for _ in range(46):
        feedback.sendgrid(*shuffler.sample(events, len(events)))
    assert feedback.everything() == before
    assert len(feedback.outcomes()) == stored == len(events)


def test_an_opt_out_is_never_lifted_by_anything_that_comes_later(feedback):
    """Check 92: no event adds consent."""
    feedback.mailed()
    feedback.sendgrid(feedback.event("unsubscribe"))
    for word in ("group_resubscribe", "delivered", "open", "click", "processed"):
        feedback.sendgrid(feedback.event(word, timestamp=LATER + 999))
    assert feedback.standing() == {"offer": False, "festive": False}
    assert ("all", OPT_OUT) in feedback.suppressions()


# -- late events settle what nobody knew ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["in_doubt", "unconfirmed", "pending"])
@pytest.mark.parametrize("word", ["processed", "delivered", "open", "bounce", "spamreport"])
def test_a_late_event_with_our_ids_settles_a_delivery(feedback, state, word):
    """S5 and step 8: in doubt, unconfirmed, or pending after an attempt that was taken all the same."""
    feedback.mailed(state)
    feedback.sendgrid(feedback.event(word, **(GONE if word == "bounce" else {})))
    assert feedback.row().state == "accepted"
    assert feedback.query("SELECT 1 FROM delivery_attempts WHERE outcome = 'accepted' AND code = 'feedback'")


def test_dropped_settles_what_was_in_doubt_as_refused_and_delivered_is_stronger(feedback):
    feedback.mailed("in_doubt")
    feedback.sendgrid(feedback.event("dropped", reason="Recipient List over Package Quota"))
    assert feedback.row().state == "refused_by_provider"
    feedback.sendgrid(feedback.event("delivered"))
    assert feedback.row().state == "accepted"


def test_a_pending_delivery_that_was_taken_is_not_sent_again(committed, keys):
    """`pending -> accepted` by a late event: no other record with the same address gets a second mail either."""
    sends = Sending(committed, keys)
    person = sends.people(1)
    sends.campaign(person)
    attempt = sends.intend()
    sends.run("UPDATE deliveries SET state = 'pending'")
    sends.run("DELETE FROM open_handovers")
    sends.run("DELETE FROM campaign_addresses")
    feedback = Feedback(committed, keys)
    feedback.delivery, feedback.attempt = attempt.candidates[0].delivery_id, attempt.id
    feedback.sendgrid(feedback.event("delivered"))
    provider = MemoryProvider()
    assert sends.deliver(provider) == {}
    assert sends.query("SELECT count(*) AS n FROM campaign_addresses")[0].n == 1


@pytest.mark.parametrize("state", ["withheld", "cancelled", "closed", "render_failed", "refused_by_provider"])
def test_an_event_never_wakes_what_was_ended(feedback, state):
    feedback.mailed(state)
    feedback.sendgrid(feedback.event("delivered"))
    assert feedback.row().state == state


def test_an_event_that_is_quicker_than_our_own_record_waits_for_it(feedback):
    """Webhooks may come before T2 has recorded: the outcome of the hand-over is ours to write."""
    feedback.mailed("handing_over")
    feedback.sendgrid(feedback.event("delivered"), feedback.event("spamreport"))
    assert feedback.row().state == "handing_over"
    assert feedback.outcomes() == [None, None]
    assert feedback.standing() == {"offer": False, "festive": False}
    feedback.run("UPDATE deliveries SET state = 'accepted' WHERE id = :delivery")
    feedback.run("UPDATE provider_events SET not_before = clock_timestamp()")
    feedback.apply()
    assert feedback.row().delivered_at is not None
    assert sorted(feedback.outcomes()) == ["complained", "delivered"]


def test_an_event_of_an_attempt_that_never_was_changes_nothing(feedback):
    feedback.mailed("in_doubt")
    feedback.sendgrid(feedback.event("delivered", attempt_id=uuid4().hex))
    assert (feedback.row().state, feedback.outcomes()) == ("in_doubt", ["unknown"])


# -- unknown and erased people ----------------------------------------------------------------------------------------


def test_an_event_about_nobody_makes_nobody_and_keeps_nothing_personal(feedback):
    """Checks 93 and 94: Message-ID and address are not what an event is known by."""
    feedback.mailed()
    people = feedback.one("SELECT count(*) FROM customers")
    feedback.sendgrid(
        feedback.event("spamreport", delivery_id=uuid4().hex),
        {"event": "bounce", "email": feedback.address(), "smtp-id": "<x@y>", "sg_event_id": "a", **GONE},
        feedback.event("delivered", delivery_id="not an id"),
    )
    assert feedback.one("SELECT count(*) FROM customers") == people
    assert feedback.outcomes() == ["unknown"] * 3
    assert "@" not in str(feedback.query("SELECT body FROM provider_events"))
    assert feedback.suppressions() == set()


def test_an_event_about_somebody_erased_keeps_the_stop_and_brings_nobody_back(feedback):
    """Check 94."""
    feedback.mailed()
    feedback.run("UPDATE customers SET account = 'erased', given_name = NULL WHERE id = :customer")
    with feedback.sessions() as session, session.begin():
        ledger.lock_customers(session, [feedback.customer])
        session.execute(text("DELETE FROM addresses WHERE customer_id = :id"), {"id": feedback.customer})
    feedback.sendgrid(feedback.event("spamreport"), feedback.event("delivered"))
    assert feedback.suppressions() == {("all", COMPLAINT)}
    assert feedback.one("SELECT account FROM customers WHERE id = :customer") == "erased"
    assert feedback.query("SELECT 1 FROM addresses WHERE customer_id = :customer") == []


# -- bounces by mail ---------------------------------------------------------------------------------------------------


def test_a_bounce_by_mail_is_known_by_its_return_path_even_without_an_address(feedback):
    """Check 38."""
    feedback.mailed("in_doubt", provider="smtp")
    raw = b"\n".join(line for line in feedback.dsn().split(b"\n") if not line.startswith(b"Final-Recipient"))
    feedback.mail(raw)
    assert feedback.suppressions() == {("all", HARD_BOUNCE)}
    assert (feedback.row().state, feedback.row().bounced_at is not None) == ("accepted", True)


def test_a_forged_bounce_changes_nothing_and_is_kept_for_a_person(feedback):
    """Check 46: a bounce for a live address without our own name of a delivery is anybody's writing."""
    feedback.mailed()
    before = feedback.everything()
    for raw in (feedback.dsn(to="hello@mail.example.com"), feedback.dsn(to=f"b-{'a' * 26}@mail.example.com")):
        feedback.mail(raw)
    assert feedback.everything() == before
    assert [row.kind for row in feedback.query("SELECT kind FROM kept_mails")] == ["unproved"] * 2


@pytest.mark.parametrize("action", ["delayed", "relayed", "expanded", "delivered"])
def test_a_report_that_is_no_failure_suppresses_nobody(feedback, action):
    """Check 44."""
    feedback.mailed()
    feedback.mail(feedback.dsn(action=action))
    assert feedback.suppressions() == set()
    assert (feedback.row().delivered_at is not None) == (action == "delivered")


def test_a_bounce_of_where_it_was_forwarded_to_says_less_about_the_person(feedback):
    """RFC 3464 2.3.1: counted, not believed at once."""
    feedback.mailed()
    feedback.mail(feedback.dsn(who="elsewhere@example.net"))
    assert feedback.suppressions() == set()
    assert feedback.one("SELECT cause FROM soft_bounces") == "forward_failed"


def test_a_changed_address_is_not_stopped_by_a_bounce_of_the_old_one(feedback, keys):
    feedback.mailed()
    old = feedback.address()
    with feedback.sessions() as session, session.begin():
        factories.customers.change_address(session, keys, feedback.customer, "new@example.com")
    feedback.mail(feedback.dsn(who=old))
    assert feedback.suppressions() == {("all", HARD_BOUNCE)}
    stopped = "SELECT 1 FROM suppressions s JOIN addresses a USING (address_hash) WHERE a.customer_id = :customer"
    assert feedback.query(stopped) == []


ARF = (
    "From: fbl@example.net\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nSpam\n"
    "--b\nContent-Type: message/feedback-report\n\nFeedback-Type: {kind}\nOriginal-Rcpt-To: redacted@example.net\n\n"
    "--b\nContent-Type: message/rfc822\n\nFrom: hello@mail.example.com\nList-Unsubscribe: <{link}>\n\nBuy\n--b--\n"
)


@pytest.mark.parametrize(
    ("kind", "stopped"),
    [(kind, True) for kind in ("abuse", "fraud", "virus", "opt-out", "opt-out-list")]
    + [(kind, False) for kind in ("not-spam", "auth-failure", "dmarc", "other")],
)
def test_a_complaint_by_mail_is_known_by_our_link_in_the_message(feedback, kind, stopped):
    """Check 47: every type; the address is blacked out."""
    feedback.mailed()
    link = feedback.links.unsubscribe(feedback.ref, "offer", feedback.delivery)
    feedback.mail(ARF.format(kind=kind, link=link).encode())
    assert feedback.suppressions() == ({("all", COMPLAINT)} if stopped else set())
    assert feedback.standing() == {"offer": not stopped, "festive": not stopped}
    assert (feedback.row().complained_at is not None) == stopped


def test_a_complaint_with_a_forged_link_is_kept_for_a_person(feedback):
    """Checks 23 and 46."""
    feedback.mailed()
    link = feedback.links.unsubscribe(feedback.ref, "offer", feedback.delivery)
    feedback.mail(ARF.format(kind="abuse", link=link[:-3] + "AAA").encode())
    assert feedback.suppressions() == set()
    assert [row.kind for row in feedback.query("SELECT kind FROM kept_mails")] == ["unproved"]


@pytest.mark.parametrize("forged", [False, True])
def test_a_complaint_is_known_by_the_id_that_the_message_asked_to_be_named_by(feedback, forged):
    """Check 23: signed, so that nobody can complain for another; no link shows."""
    feedback.mailed()
    token = feedback.links.beside(feedback.links.unsubscribe(feedback.ref, "offer", feedback.delivery), Kind.COMPLAINT)
    body, _, tag = token.replace(".", ":").rpartition(":")
    named = f"CFBL-Feedback-ID: {body}:\n {'A' * len(tag) if forged else tag}"
    feedback.mail(ARF.format(kind="abuse", link="removed").replace("List-Unsubscribe: <removed>", named).encode())
    assert feedback.suppressions() == (set() if forged else {("all", COMPLAINT)})
    assert [row.kind for row in feedback.query("SELECT kind FROM kept_mails")] == (["unproved"] if forged else [])


# -- people who write ----------------------------------------------------------------------------------------


def written(to, sender="asha@example.com", subject="", body="", headers=""):
    return f"From: {sender}\nTo: {to}\nSubject: {subject}\n{headers}\n{body}\n".encode()


def test_a_mail_to_the_address_in_the_header_stops_that_purpose_whoever_sends_it(feedback):
    """Check 17 and 97: no From to match, and a DKIM that fails doesn't matter: the address is the proof."""
    feedback.mailed()
    to = optout_address(feedback.delivery, "mail.example.com")
    failing = "Authentication-Results: mx; dkim=fail; spf=fail\n"
    feedback.mail(written(to, sender="robot@example.net", headers=failing))
    assert feedback.standing() == {"offer": False, "festive": True}
    assert feedback.row().unsubscribed_at is not None


def test_a_written_stop_without_a_token_is_believed_by_its_sender(feedback):
    """Check 97: err towards the no."""
    feedback.mailed(address="asha@example.com")
    feedback.mail(written("care@example.com", sender="Asha <ASHA@example.com>", subject="Unsubscribe"))
    assert feedback.standing() == {"offer": False, "festive": False}
    assert feedback.suppressions() == {("all", OPT_OUT)}
    kept = feedback.query("SELECT * FROM kept_mails")[0]
    assert (kept.customer_id, kept.subject, kept.handled_as) == (feedback.customer, "Unsubscribe", "opt_out")


@pytest.mark.parametrize("words", ["subscribe", "yes please", "confirm", "I consent to all of it", "resubscribe"])
def test_no_mail_ever_opts_anybody_in(feedback, words):
    """Check 97."""
    feedback.mailed(address="asha@example.com")
    feedback.sendgrid(feedback.event("unsubscribe"))
    events = feedback.one("SELECT count(*) FROM consent_events WHERE action = 'grant'")
    feedback.mail(written(optout_address(feedback.delivery, "mail.example.com"), subject=words, body=words))
    feedback.mail(written("care@example.com", subject=words, body=words))
    assert feedback.standing() == {"offer": False, "festive": False}
    assert feedback.one("SELECT count(*) FROM consent_events WHERE action = 'grant'") == events


@pytest.mark.parametrize("headers", ["Auto-Submitted: auto-replied\n", "Precedence: bulk\n", "Return-Path: <>\n"])
def test_answers_of_robots_change_nothing(feedback, headers):
    """Check 24."""
    feedback.mailed(address="asha@example.com")
    before = feedback.everything()
    feedback.mail(written(feedback.verp(), subject="unsubscribe", body="unsubscribe", headers=headers))
    assert feedback.everything() == before
    assert feedback.query("SELECT 1 FROM kept_mails") == []


def test_a_letter_is_kept_for_the_helpline_with_the_person_it_is_from(feedback):
    """Letters of customers go to their page, and on to the helpline."""
    feedback.mailed(address="asha@example.com")
    feedback.mail(written("hello@mail.example.com", subject="Sizes", body="Is it large?"))
    kept = feedback.query("SELECT * FROM kept_mails")[0]
    assert (kept.kind, kept.customer_id) == ("letter", feedback.customer)
    assert (kept.subject, kept.text) == ("Sizes", "Is it large?")
    assert kept.forwarded_at is None


def test_what_cannot_be_read_is_kept_for_a_person(feedback):
    feedback.mailed()
    feedback.mail(b"\x00\xff\x00")
    assert [row.kind for row in feedback.query("SELECT kind FROM kept_mails")] == ["unreadable"]


# -- failures that may pass ----------------------------------------------------------------------------------


def softly(feedback, days):
    """A full mailbox on each of these days, for as many messages to the same person."""
    hashed = bytes(feedback.row().address_hash)
    for day in days:
        with feedback.sessions() as session, session.begin():
            session.execute(
                text("""INSERT INTO soft_bounces (address_hash, delivery_id, customer_id, cause, at)
                        VALUES (:hash, gen_random_uuid(), :customer, 'mailbox_full',
                                clock_timestamp() - make_interval(days => :day))"""),
                {"hash": hashed, "customer": feedback.customer, "day": day},
            )


@pytest.mark.parametrize(
    ("days", "worn_out"),
    [
        ([30, 24, 18, 12, 6], True),
        ([30, 24, 18, 12], False),
        ([6, 6, 5, 5, 4], False),
        ([200, 180, 160, 140, 6], False),
        ([30, 24, 18, 12, 0], False),
    ],
    ids=["five in a month", "four", "all in one week", "too old", "the last may still be followed by a success"],
)
def test_an_address_has_its_chances(feedback, days, worn_out):
    feedback.mailed("pending")
    softly(feedback, days)
    assert feedback.applier.judge_softs() == int(worn_out)
    assert feedback.suppressions() == ({("all", SOFT_BOUNCES)} if worn_out else set())


def test_a_message_that_arrived_forgets_the_failures_before_it(feedback):
    feedback.mailed("accepted")
    softly(feedback, [30, 24, 18, 12, 6])
    feedback.run("UPDATE deliveries SET delivered_at = clock_timestamp() - interval '10 days' WHERE id = :delivery")
    assert feedback.applier.judge_softs() == 0
    assert softs.CHANCES == 5


def test_the_same_soft_bounce_counts_once_however_often_it_is_told(feedback):
    feedback.mailed()
    for _ in range(4):
        feedback.sendgrid(feedback.event("bounce", type="blocked", status="4.2.2", reason="mailbox full"))
    assert feedback.one("SELECT count(*) FROM soft_bounces") == 1


def test_a_new_yes_after_a_complaint_is_not_undone_by_the_same_event_again(feedback):
    """The unique key: an event that was applied is never applied again."""
    feedback.mailed()
    complaint = feedback.event("spamreport")
    feedback.sendgrid(complaint)
    with feedback.sessions() as session, session.begin():
        ledger.grant(session, feedback.customer, factories.wording(session, "offer").id, source="signup")
    feedback.sendgrid(complaint)
    assert feedback.standing()["offer"] is True


# -- the clock ------------------------------------------------------------------------------------------------------


def test_the_clock_applies_what_was_stored(feedback, tmp_path, valkey_url):
    feedback.mailed()
    with feedback.sessions() as session, session.begin():
        store.keep_events(session, [feedback.event("delivered"), feedback.event("spamreport")])
    Clock(feedback.engine, make_broker(valkey_url), 1, tmp_path, applier=feedback.applier).apply_feedback()
    assert sorted(feedback.outcomes()) == ["complained", "delivered"]


def test_two_clocks_apply_each_event_once(feedback):
    feedback.mailed()
    alerts = [feedback.event("deferred", response="421 4.7.28 unsolicited mail") for _ in range(40)]
    with feedback.sessions() as session, session.begin():
        store.keep_events(session, [*alerts, *(feedback.event("open") for _ in range(60))])
    with ThreadPoolExecutor(2) as clocks:
        list(clocks.map(lambda _: feedback.apply(), range(2)))
    # what one clock found locked by the other comes again
    feedback.run("UPDATE provider_events SET not_before = clock_timestamp() WHERE applied_at IS NULL")
    feedback.apply()
    assert feedback.one("SELECT count FROM alerts") == 40
    assert None not in feedback.outcomes()


def test_after_all_of_it_the_audit_finds_nothing(committed, keys):
    """S9: a message that really left, and everything that can be told of it: chains, projections, suppressions fit."""
    sends = Sending(committed, keys)
    sends.campaign(sends.people(1))
    sends.deliver(MemoryProvider())
    feedback = Feedback(committed, keys)
    feedback.delivery, feedback.attempt = sends.query("SELECT id, attempt_id FROM deliveries")[0]
    feedback.sendgrid(*story(feedback))
    assert feedback.row().complained_at is not None
    with feedback.sessions() as session:
        assert audit.verify(session)["offenders"] == []


def test_an_event_that_cannot_be_applied_stays_stored_and_comes_again(feedback):
    """Nothing is lost: while somebody holds the delivery, its events wait."""
    feedback.mailed()
    with feedback.sessions() as holder, holder.begin():
        holder.execute(text("SELECT 1 FROM deliveries WHERE id = :id FOR UPDATE"), {"id": feedback.delivery})
        feedback.sendgrid(feedback.event("delivered"))
        assert feedback.outcomes() == [None]
    feedback.run("UPDATE provider_events SET not_before = clock_timestamp()")
    assert feedback.apply().outcomes() == ["delivered"]
