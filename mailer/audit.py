"""Can it be proved? Walks every chain, folds every ledger, and derives anew why each message was allowed to leave.

Written apart from the triggers and the gate on purpose: what one of them gets wrong, this finds. It reads people in
ranges, so memory stays flat however many there are. `askfirst audit verify` prints what it returns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, text
from sqlalchemy.orm import Session

from mailer import chains, digest
from mailer.consent.policy import fold

RANGE = 2000
SHOWN = 20


@dataclass
class Findings:
    """What was looked at, and what is off. `offenders` are the first few, in words."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    off: int = 0
    offenders: list[str] = field(default_factory=list)

    def say(self, words: str) -> None:
        """Note one thing that is off."""
        self.off += 1
        if len(self.offenders) < SHOWN:
            self.offenders.append(words)

    def say_all(self, words: Iterable[str]) -> None:
        """Note everything that is off."""
        for one in words:
            self.say(one)

    def report(self) -> dict[str, Any]:
        """Return the findings as one JSON object."""
        verdict = "ok" if self.off == 0 else "off"
        return {"audit": verdict, **self.counts, "off": self.off, "offenders": self.offenders}


def verify(session: Session) -> dict[str, Any]:
    """Return the findings over everything that is stored. Reads only; the caller's transaction must be a snapshot."""
    findings = Findings()
    floors = _floors(session)
    for low, high in _ranges(session):
        _verify_people(session, low, high, floors, findings)
    _verify_suppressions(session, findings)
    _verify_acts(session, findings)
    _verify_approvals(session, findings)
    for words in digest.problems(session):
        findings.say(words)
    return findings.report()


def verify_now(engine: Engine) -> dict[str, Any]:
    """Return the findings as of one moment, whatever is written meanwhile: a snapshot of its own, read only.

    Read statement by statement, an opt-out between two of them would look like a broken chain.
    """
    snapshot = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with Session(snapshot) as session:
        return verify(session)


def _ranges(session: Session) -> Iterator[tuple[int, int]]:
    after = 0
    while True:
        high = session.scalar(
            text("""SELECT max(id) FROM (SELECT customer_id AS id FROM consent_heads WHERE customer_id > :after
                    UNION SELECT customer_id FROM consent_events WHERE customer_id > :after
                    UNION SELECT customer_id FROM deliveries WHERE customer_id > :after ORDER BY 1 LIMIT :range) s"""),
            {"after": after, "range": RANGE},
        )
        if high is None:
            return
        yield after, high
        after = high


def _verify_people(session: Session, low: int, high: int, floors: Sequence[Row[Any]], findings: Findings) -> None:
    events = _by_customer(session, _EVENTS, low, high)
    states = _by_customer(session, "SELECT * FROM consent_state WHERE {range}", low, high)
    heads = _by_customer(session, "SELECT * FROM consent_heads WHERE {range}", low, high)
    deliveries = _by_customer(session, _DELIVERIES, low, high)
    for customer_id in sorted({*events, *states, *heads, *deliveries}):
        mine = events.get(customer_id, [])
        findings.counts["events"] += len(mine)
        findings.counts["chains"] += 1
        findings.say_all(chains.broken(customer_id, mine, heads.get(customer_id, [])))
        standings = chains.standings(mine, states.get(customer_id, []))
        findings.counts["standings"] += len(standings)
        findings.say_all(chains.misread(customer_id, standings))
        for delivery in deliveries.get(customer_id, []):
            findings.counts["deliveries"] += 1
            _delivery(delivery, mine, floors, findings)


def _by_customer(session: Session, statement: str, low: int, high: int) -> dict[int, list[Row[Any]]]:
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    ranged = statement.format(range="customer_id > :low AND customer_id <= :high")
    for row in session.execute(text(ranged), {"low": low, "high": high}):
        found[row.customer_id].append(row)
    return found


_EVENTS = """
    SELECT e.*, w.words, w.purpose AS words_purpose, w.policy_version_id AS words_policy, v.salt, v.document
      FROM (SELECT * FROM consent_events WHERE {range}) e
      LEFT JOIN wordings w ON w.id = e.wording_id
      LEFT JOIN consent_evidence v ON v.customer_id = e.customer_id AND v.seq = e.seq
     ORDER BY e.customer_id, e.seq"""

_DELIVERIES = """
    SELECT d.*, m.revision_id AS approved_revision, m.purpose AS approved_purpose, k.delivery_id AS key_of,
           (SELECT array_agg(a.outcome ORDER BY a.id) FROM delivery_attempts a
             WHERE a.customer_id = d.customer_id AND a.delivery_id = d.id AND a.attempt_id = d.attempt_id) AS outcomes
      FROM (SELECT * FROM deliveries WHERE {range} AND state IN
              ('accepted', 'refused_by_provider', 'in_doubt', 'unconfirmed', 'closed')) d
      LEFT JOIN mandates m ON m.campaign_id = d.campaign_id
      LEFT JOIN campaign_addresses k ON k.campaign_id = d.campaign_id AND k.address_hash = d.address_hash"""


def _delivery(row: Any, events: Sequence[Row[Any]], floors: Sequence[Row[Any]], findings: Findings) -> None:
    name = f"delivery {row.id} (campaign {row.campaign_id}, customer {row.customer_id})"
    for words in _delivery_problems(row, events, floors):
        findings.say(f"{name}: {words}")


def _delivery_problems(row: Any, events: Sequence[Row[Any]], floors: Sequence[Row[Any]]) -> Iterator[str]:
    if row.consent_event_id is not None or row.state in ("accepted", "refused_by_provider"):
        yield from _consent_problems(row, events, floors)
    # else: an intent that cites no grant can't have passed the gate. A worker died with it, and nothing had left.
    if row.revision_id != row.approved_revision or row.purpose != row.approved_purpose:
        yield "its content or purpose is not what was approved"
    if row.key_of != row.id:
        yield "its address is not the one it was handed over to"
    yield from _attempt_problems(row)


def _consent_problems(row: Any, events: Sequence[Row[Any]], floors: Sequence[Row[Any]]) -> Iterator[str]:
    # Only what the ledger held when the gate looked: a later no doesn't make an earlier message wrong.
    seen = [event for event in events if event.seq <= (row.ledger_seq_seen or 0)]
    standing = fold(map(chains.as_event, seen)).purposes.get(row.purpose)
    if len(seen) != row.ledger_seq_seen or row.ledger_seq_seen == 0:
        yield "it saw a ledger that was not there"
    if standing is None or not standing.granted or standing.event_id != row.consent_event_id:
        yield "the grant it cites was not in force at the sequence it saw"
    elif standing.policy_version_id != row.policy_version_id:
        yield "the grant it cites is under another policy version"
    elif (standing.policy_version_id or 0) < _floor(floors, row.purpose, row.intended_at):
        yield "the policy had changed materially since that grant"


def _attempt_problems(row: Any) -> Iterator[str]:
    outcomes = row.outcomes or []
    if outcomes.count("intent") != 1 or outcomes[:1] != ["intent"]:
        yield "there is not exactly one intent for its attempt"
    told = {"unconfirmed": "in_doubt", "closed": "in_doubt"}.get(row.state, row.state)
    if told not in outcomes:
        yield f"no attempt ended in {told}"


def _verify_suppressions(session: Session, findings: Findings) -> None:
    rows = session.execute(
        text("""SELECT encode(coalesce(s.address_hash, e.address_hash), 'hex') AS hash,
                       s.address_hash IS NULL AS gone, e.action, s.lifted_at, s.reason, e.reason AS told
                  FROM suppressions s FULL JOIN (
                    SELECT DISTINCT ON (address_hash, scope) * FROM suppression_events
                     ORDER BY address_hash, scope, id DESC) e
                    ON e.address_hash = s.address_hash AND e.scope = s.scope""")
    )
    for row in rows:
        findings.counts["suppressions"] += 1
        wanted = "lifted" if row.lifted_at is not None else "set"
        if row.gone or row.action != wanted or row.reason != row.told:
            findings.say(f"suppression {row.hash[:12]}…: it is not what its history says")


def _verify_acts(session: Session, findings: Findings) -> None:
    before, seq = chains.GENESIS, 0
    told = text("SELECT a.*, a.document::text AS told FROM operator_acts a ORDER BY seq")
    for act in session.execute(told, execution_options={"yield_per": 1000}):
        findings.counts["acts"] += 1
        seq += 1
        if act.seq != seq or bytes(act.prev_hash) != before or bytes(act.hash) != chains.act_hash(act):
            findings.say(f"operator act {act.seq}: the chain is broken here")
        before, seq = bytes(act.hash), act.seq


def _verify_approvals(session: Session, findings: Findings) -> None:
    rows = session.execute(
        text("""SELECT m.campaign_id, a.id IS NOT NULL AND a.approver_id <> a.author_id
                         AND a.approver_id IS DISTINCT FROM r.author_id AND a.author_id = c.author_id AS approved
                  FROM mandates m LEFT JOIN approvals a
                    ON a.campaign_id = m.campaign_id AND a.approved_hash = m.approved_hash
                  LEFT JOIN campaigns c ON c.id = m.campaign_id
                  LEFT JOIN revisions r ON r.id = m.revision_id
                 WHERE m.message_class = 'marketing'""")
    )
    for row in rows:
        findings.counts["approvals"] += 1
        if not row.approved:
            findings.say(f"campaign {row.campaign_id}: nobody else approved what it sends")


def _floors(session: Session) -> Sequence[Row[Any]]:
    return session.execute(
        text("""SELECT c.purpose, c.policy_version_id, v.effective_at FROM policy_changes c
                  JOIN policy_versions v ON v.id = c.policy_version_id""")
    ).all()


def _floor(floors: Sequence[Row[Any]], purpose: str, at: datetime | None) -> int:
    if at is None:
        return 2**31
    held = [f.policy_version_id for f in floors if f.purpose == purpose and f.effective_at <= at]
    return max(held, default=0)
