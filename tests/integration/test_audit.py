"""One byte of any kind of row, changed behind our back, is found."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from mailer import acts, audit, chains, optout, reaper
from mailer.consent import ledger
from mailer.providers.memory import MemoryProvider
from tests import factories


@pytest.fixture
def sent(sends):
    """Three people got a mail, one of them said no afterwards; an operator did something."""
    people = sends.people(3)
    sends.campaign(people)
    sends.deliver(MemoryProvider())
    optout.stop_person(sends.engine, customer_id=people[0], scope="festive", source="one_click", evidence={"n": 1})
    with sends.sessions() as session, session.begin():
        acts.record(session, factories.operator(session).id, "segment_saved", "segment:1", name="x")
    return sends


def findings(sends):
    with sends.sessions() as session:
        return audit.verify(session)


def test_what_was_sent_can_be_proved(sent):
    found = findings(sent)
    assert found["audit"] == "ok", found
    assert (found["deliveries"], found["events"], found["acts"], found["approvals"]) == (3, 4, 1, 1)


FLIP = "address_hash = set_byte(address_hash, 0, 255 - get_byte(address_hash, 0))"
CHANGES = {
    "a consent event's source": "UPDATE consent_events SET source = 'store' WHERE seq = 1",
    "a consent event's time": "UPDATE consent_events SET occurred_at = occurred_at - interval '1 microsecond'",
    "a consent event's hash": "UPDATE consent_events SET hash = set_byte(hash, 0, get_byte(hash, 0) # 1)",
    "a consent event's purpose": "UPDATE consent_events SET purpose = 'offer' WHERE seq = 1",
    "a consent event that is gone": "DELETE FROM consent_events WHERE seq = 2",
    "all of a person's events gone": "DELETE FROM consent_events WHERE customer_id = 1",
    "the evidence": 'UPDATE consent_evidence SET document = document || \'{"place": "shop"}\'',
    "the evidence's salt": "UPDATE consent_evidence SET salt = set_byte(salt, 0, get_byte(salt, 0) # 1)",
    "the words agreed to": "UPDATE wordings SET words = words || '.'",
    "a head": "UPDATE consent_heads SET hash = set_byte(hash, 31, get_byte(hash, 31) # 1)",
    "a standing": "UPDATE consent_state SET granted = NOT granted",
    "a standing's grant": "UPDATE consent_state SET event_id = event_id + 1",
    "a standing that is gone": "DELETE FROM consent_state",
    "the grant a delivery cites": "UPDATE deliveries SET consent_event_id = consent_event_id + 1",
    "the sequence a delivery saw": "UPDATE deliveries SET ledger_seq_seen = ledger_seq_seen + 1",
    "the policy a delivery cites": "UPDATE deliveries SET policy_version_id = policy_version_id + 1",
    "the content a delivery had": "UPDATE deliveries SET revision_id = revision_id + 1",
    "the address of a delivery": f"UPDATE deliveries SET {FLIP}",
    "the state of a delivery": "UPDATE deliveries SET state = 'in_doubt'",
    "an attempt": "UPDATE delivery_attempts SET outcome = 'in_doubt' WHERE outcome = 'accepted'",
    "an attempt that is gone": "DELETE FROM delivery_attempts WHERE outcome = 'intent'",
    "an operator's act": "UPDATE operator_acts SET subject = 'segment:2'",
    "an operator's words": "UPDATE operator_acts SET document = '{}'",
    "an approval's author": "UPDATE approvals SET author_id = 3, approver_id = 1",
    "an approval that is gone": "DELETE FROM approvals",
    "a suppression's reason": "UPDATE suppressions SET reason = 'complaint'",
    "a suppression that is gone": "DELETE FROM suppressions",
    "a suppression's address": f"UPDATE suppressions SET {FLIP}",
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_behind_our_back_is_found(sent, what):
    sent.run("SET LOCAL session_replication_role = replica; " + CHANGES[what])
    found = findings(sent)
    assert found["audit"] == "off"
    assert found["offenders"]


def test_a_message_under_a_policy_that_had_changed_is_found(sent):
    sent.run("""
        WITH v AS (INSERT INTO policy_versions (label, summary, body, effective_at)
                   VALUES ('late', '-', '-', '2026-01-01') RETURNING id)
        INSERT INTO policy_changes SELECT id, 'festive' FROM v""")
    found = findings(sent)
    assert any("policy" in words for words in found["offenders"])


@pytest.mark.parametrize("state, audited", [("in_doubt", "ok"), ("accepted", "off")])
def test_a_worker_lost_with_an_intent_for_somebody_who_had_said_no_is_no_offence(sends, state, audited):
    """Such an intent cites no grant, so the gate can't have let it go; one that was taken without a grant is found."""
    (person,) = sends.people(1)
    sends.campaign([person])
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")
    sends.intend()
    sends.run("UPDATE open_handovers SET deadline = clock_timestamp() - interval '1 s'")
    with sends.sessions() as session, session.begin():
        assert reaper.reap(session) == 1
    sends.run("UPDATE deliveries SET state = :state", state=state)
    assert findings(sends)["audit"] == audited


def test_a_no_after_the_message_does_not_make_it_wrong(sent):
    with sent.sessions() as session, session.begin():
        for person in session.scalars(text("SELECT id FROM customers")).all():
            ledger.withdraw(session, person, "all", source="helpline")
    assert findings(sent)["audit"] == "ok"


def test_erased_evidence_leaves_the_chain_whole(sent):
    """Each link covers a salted digest: the personal part can go."""
    sent.run("DELETE FROM consent_evidence")
    assert findings(sent)["audit"] == "ok"


def test_an_opt_out_while_the_audit_reads_is_no_finding(sent, monkeypatch):
    """It looks at one moment: what is committed between two of its statements is not there for it."""
    chain, said = chains.broken, []

    def interrupted(*args):
        if not said:
            said.append(optout.stop_person(sent.engine, customer_id=args[0], scope="all", source="one_click"))
        return chain(*args)

    monkeypatch.setattr(chains, "broken", interrupted)
    assert audit.verify_now(sent.engine)["audit"] == "ok"
    assert said[0].via == "ledger"
