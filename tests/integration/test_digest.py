"""The daily digest finds what a chain can't tell of itself: that it is gone."""

from __future__ import annotations

import pytest

from mailer import audit, digest, optout
from mailer.models import LedgerDigest


@pytest.fixture
def digested(sends):
    """Two people's chains, a day old, and the digest of today."""
    people = sends.people(2)
    optout.stop_person(sends.engine, customer_id=people[0], scope="all", source="one_click")
    sends.run("""
        SET LOCAL session_replication_role = replica;
        UPDATE suppression_events SET at = at - interval '2 days'""")
    with sends.sessions() as session, session.begin():
        # The chain covers its times, so the day is moved instead: a digest of the day after tomorrow.
        now = session.scalar(digest.text("SELECT clock_timestamp()::date + 2"))
        taken = LedgerDigest(day=now, prev_hash=digest.GENESIS, **digest._figures(session, now))
        taken.hash = digest.link(taken)
        session.add(taken)
    return sends


def offenders(sends):
    with sends.sessions() as session:
        return [words for words in audit.verify(session)["offenders"] if "digest" in words]


def test_what_was_digested_still_fits(digested):
    assert offenders(digested) == []


@pytest.mark.parametrize(
    "statement",
    [
        (
            "DELETE FROM consent_events WHERE customer_id = 2; DELETE FROM consent_heads WHERE customer_id = 2;"
            "DELETE FROM consent_state WHERE customer_id = 2; DELETE FROM consent_evidence WHERE customer_id = 2"
        ),
        "DELETE FROM suppressions; DELETE FROM suppression_events",
        "UPDATE ledger_digests SET chains = chains - 1",
    ],
    ids=["a person's whole chain", "the suppressions with their history", "the digest"],
)
def test_removing_something_without_a_trace_is_found(digested, statement):
    digested.run("SET LOCAL session_replication_role = replica; " + statement)
    assert offenders(digested)


def test_a_digest_is_taken_once_a_day(sends):
    sends.people(1)
    with sends.sessions() as session, session.begin():
        first = digest.take_if_due(session)
        assert first is not None
        assert digest.take_if_due(session) is None
    assert set(digest.as_json(first)) >= {"day", "chains", "chains_digest", "hash"}
