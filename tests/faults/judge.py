"""The verdict on one round: what the post office really took against what the database says and people were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from campaigns import rules, segments
from campaigns.rules import LivesIn
from mailer.models import Delivery, Mandate
from tests.faults.leavers import Answered
from tests.faults.mishaps import Round
from workers.demo.verdict import Message, without_consent

ENDS = ("accepted", "refused_by_provider", "withheld", "in_doubt")
SAID_NOT_TAKEN = ("451",)
LEFT = ("duplicate_address", "withdrawn", "suppressed", "stop_requested")


@dataclass
class Verdict:
    """The numbers of one round; `words` says each broken promise so that it can be looked for."""

    duplicates: int = 0
    lost: int = 0
    after_opt_out: int = 0
    without_consent: int = 0
    in_doubt: int = 0
    words: list[str] = field(default_factory=list)

    def broken(self, promise: str, found: Sequence[object]) -> None:
        if found:
            setattr(self, promise, getattr(self, promise) + len(found))
            self.words += [f"{promise}: {one}" for one in found]


def judge(it: Round, lines: Sequence[dict], answers: Sequence[Answered]) -> Verdict:
    """Return the verdict; `lines` are the ledger's of this round."""
    verdict = Verdict()
    with it.installation.sessions() as session:
        campaign = it.crowd.campaign_id
        rows = {str(row.id): row for row in session.scalars(select(Delivery).where(Delivery.campaign_id == campaign))}
        taken = [line for line in lines if line["taken"]]
        messages = [
            Message(rows[line["delivery"]].id if line["delivery"] in rows else None, line["to"][0], line["begun"])
            for line in taken
        ]
        verdict.broken("duplicates", twice(taken))
        verdict.broken("after_opt_out", late(messages, answers))
        found = without_consent(session, messages, {row.id: row for row in rows.values()})
        verdict.broken("without_consent", ["somebody"] * found + uninvited(it, messages))
        verdict.broken("lost", [*missing(session, it, rows), *astray(it, rows, lines, answers)])
        verdict.in_doubt = Counter(row.state for row in rows.values())["in_doubt"]
    return verdict


def twice(taken: Sequence[dict]) -> list[str]:
    """Addresses and deliveries that got more than one, where the post office didn't itself ask for another.

    One that it took and then answered with 4xx is its own duplicate (RFC 5321: not taken, try again).
    """
    owned = [line for line in taken if line["said"] not in SAID_NOT_TAKEN]
    to = Counter(line["to"][0] for line in owned)
    deliveries = Counter(line["delivery"] for line in owned)
    return [f"{name} {count} times" for counted in (to, deliveries) for name, count in counted.items() if count > 1]


def late(messages: Sequence[Message], answers: Sequence[Answered]) -> list[str]:
    """Messages begun after their address was told that no more would be."""
    told: dict[str, float] = {}
    for answer in answers:
        told[answer.address] = min(answer.at, told.get(answer.address, answer.at))
    return [
        f"{message.recipient}, {message.begun_at - told[message.recipient]:.3f} s after the answer"
        for message in messages
        if message.begun_at > told.get(message.recipient, float("inf"))
    ]


def uninvited(it: Round, messages: Sequence[Message]) -> list[str]:
    """Mail to somebody who never said yes, or had said no before the campaign began."""
    never = {it.crowd.address[person] for person in it.crowd.unwilling}
    return [message.recipient for message in messages if message.recipient in never]


def missing(session, it: Round, rows) -> list[str]:
    """Whoever matched has a delivery or an exclusion, and the audience is expanded."""
    mandate = session.get_one(Mandate, it.crowd.campaign_id)
    rule = rules.to_json(LivesIn(cities=(f"Town {it.number}",)))
    matched = segments.count(session, rules.parse(rule), mandate.as_of)
    excluded = it.installation.ask(
        "SELECT count(*) AS n FROM audience_exclusions WHERE campaign_id = :c", c=it.crowd.campaign_id
    )[0].n
    short = matched - len(rows) - excluded
    return ["a person with no row"] * abs(short) + ([] if mandate.expanded else ["the audience is not expanded"])


def astray(it: Round, rows, lines: Sequence[dict], answers: Sequence[Answered]) -> list[str]:
    """Rows whose end is none, or is not what happened."""
    took = {line["delivery"] for line in lines if line["taken"]}
    unsaid = {line["delivery"] for line in lines if line["said"] in {"reset", "silence"}}
    refused = {line["delivery"] for line in lines if line["said"] == "554"}
    left = {answer.customer_id for answer in answers} | {None}
    stopped = {it.crowd.address[person] for person in left if person is not None}
    holders = {row.attempt_id: row for row in it.installation.ask(INTENTS, c=it.crowd.campaign_id)}
    found = []
    for name, row in rows.items():
        if row.state not in ENDS:
            found.append(f"{name} is still {row.state} ({row.reason})")
        elif row.state == "accepted" and name not in took:
            found.append(f"{name} is accepted and was not taken")
        elif row.state == "refused_by_provider" and name not in refused:
            found.append(f"{name} is refused and was not")
        elif row.state == "withheld" and name in took and not said_451(name, lines):
            found.append(f"{name} is withheld and was taken")
        elif row.state == "withheld" and row.reason not in LEFT:
            found.append(f"{name} is withheld for {row.reason}")
        elif row.state == "withheld" and row.reason != "duplicate_address" and not left_or_tried(it, row, stopped):
            found.append(f"{name} is withheld and never left")
        elif row.state == "in_doubt" and not may_be_in_doubt(it, name, row, unsaid, holders):
            found.append(f"{name} is in doubt for no reason ({row.reason})")
    return found


INTENTS = """
    SELECT a.attempt_id, a.delivery_id, a.worker FROM delivery_attempts a JOIN deliveries d ON d.id = a.delivery_id
     WHERE d.campaign_id = :c AND a.outcome = 'intent'
"""


def said_451(name: str, lines: Sequence[dict]) -> bool:
    return any(line["delivery"] == name and line["said"] in SAID_NOT_TAKEN for line in lines)


def left_or_tried(it: Round, row, stopped: set[str]) -> bool:
    """Whoever is withheld left, or tried to and heard no answer: a stop that was committed holds all the same."""
    address = it.crowd.address[row.customer_id]
    return address in stopped or address in it.leavers.asked


def may_be_in_doubt(it: Round, name: str, row, unsaid: set[str], holders) -> bool:
    """The worker came to harm, or the provider left without an answer, or was silent for long."""
    if it.everybody or name in unsaid or (it.hung and row.reason == "no_final_answer"):
        return True
    holder = holders.get(row.attempt_id)
    return holder is not None and int(holder.worker.rpartition(":")[2]) in it.victims
