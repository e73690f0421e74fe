"""What must hold (S1 to S9, S11 of docs/sending.md), from what the database says and what the provider really took.

S10, who sees and does what, is a matter of the pages and tested there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import text

from mailer.consent import ledger
from mailer.consent.policy import fold

TOOK = {"handing_over", "accepted", "in_doubt", "unconfirmed", "closed"}
SETTLED = {"accepted", "refused_by_provider", "withheld", "cancelled"}
OF_A_NO = {"withdrawn", "suppressed", "stop_requested"}


def at_first_byte(world, envelope) -> list[str]:
    """Return the promises that this first byte breaks, as the database has it committed."""
    row = world.query(
        """SELECT d.customer_id, d.state, d.attempt_id, d.consent_event_id, s.granted, s.event_id, h.seq,
                  d.ledger_seq_seen, a.address
             FROM deliveries d JOIN addresses a USING (customer_id) JOIN consent_heads h USING (customer_id)
             JOIN consent_state s ON s.customer_id = d.customer_id AND s.purpose = d.purpose WHERE d.id = :id""",
        id=envelope.delivery_id,
    )[0]
    earlier = sum(person == row.customer_id for person, _, _ in world.taken())
    broken = {
        "S2 after the opt-out's answer": row.customer_id in world.answered
        or envelope.recipient in world.closed_addresses,
        "S4 without the yes it cites": not row.granted
        or (row.event_id, row.seq) != (row.consent_event_id, row.ledger_seq_seen),
        "S7 of a row that is not this attempt's": (row.state, row.attempt_id) != ("handing_over", envelope.attempt_id),
        "S1 to an address that is no longer theirs": row.address != envelope.recipient,
        "S11 more than the cap": envelope.campaign_id == world.capped and earlier >= 1,
    }
    return [f"{what} (a first byte)" for what, holds in broken.items() if holds]


def now(world) -> list[str]:
    """Return every promise that is broken now, and remember the states for the next time (S8)."""
    rows = world.deliveries()
    people = Counter((person, campaign) for person, campaign, _ in world.taken())
    addresses = Counter((address, campaign) for _, campaign, address in world.taken())
    wrong = list(world.broken)
    wrong += [f"S1 {number} times to {who}" for who, number in (people + addresses).items() if number > 1]
    for row in rows:
        wrong += _of_row(row, people[row.customer_id, row.campaign_id], world)
    handing = Counter(row.customer_id for row in rows if row.state == "handing_over")
    wrong += ["S7 two open hand-overs of one person" for number in handing.values() if number > 1]
    if len(rows) != len(world.people) * len(world.campaigns):
        wrong.append("S5 the sums don't agree")
    world.before = {row.id: row.state for row in rows}
    return wrong + _of_approvals_and_attempts(world) + _of_ledgers(world)


def _of_row(row, taken: int, world) -> Iterator[str]:
    before = world.before.get(row.id)
    if taken and row.state not in TOOK:
        yield f"S5 taken and {row.state}"
    if row.state == "accepted" and not taken:
        yield "S5 accepted and never taken"
    if before in SETTLED and row.state != before:
        yield f"S8 {before} became {row.state}"
    if row.state == "withheld" and row.reason in OF_A_NO and row.customer_id not in world.said_no:
        yield f"S6 withheld as {row.reason} without a no"
    if row.state == "withheld" and row.reason not in {*OF_A_NO, "capped", "duplicate_address"}:
        yield f"S6 lost for good because of {row.reason}"


def _of_approvals_and_attempts(world) -> list[str]:
    unapproved = world.query(
        """SELECT 1 FROM mandates m WHERE m.campaign_id = ANY(:campaigns) AND NOT EXISTS (
             SELECT 1 FROM approvals a WHERE a.campaign_id = m.campaign_id AND a.approved_hash = m.approved_hash
                AND a.approver_id <> a.author_id)"""
    )
    # The reaper's "in doubt" may be followed by what the worker knew all along.
    twice = world.query(
        """SELECT 1 FROM delivery_attempts WHERE customer_id = ANY(:people)
            GROUP BY delivery_id, attempt_id HAVING count(*) FILTER (WHERE outcome = 'intent') > 1
               OR count(*) FILTER (WHERE outcome <> 'intent') > 2"""
    )
    return ["S3 a mandate without an approval"] * bool(unapproved) + ["S7 an attempt told twice"] * bool(twice)


def _of_ledgers(world) -> list[str]:
    wrong = []
    with world.plain() as session:
        for person in world.people:
            told = fold(ledger.events_of(session, person)).purposes["festive"]
            kept = session.execute(
                text("SELECT granted, seq FROM consent_state WHERE customer_id = :p AND purpose = 'festive'"),
                {"p": person},
            ).one()
            if (told.granted, told.seq) != (kept.granted, kept.seq):
                wrong.append("S9 the projection is not the fold of the ledger")
            if person in world.newest_yes and not kept.granted:
                wrong.append("S9 an old stop wiped out a newer yes")
    return wrong
