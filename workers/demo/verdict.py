"""Was every promise kept? Told from what is in the inbox and what is in the database, never from the sender's counters.

The inbox is the only witness of what left: each message names its delivery (envelope sender) and when it was begun.
Against it stand the moments at which opt-outs were answered, and every person's ledger, folded here anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import rules, segments
from campaigns.models import Campaign
from mailer import inbox
from mailer.consent.ledger import as_event
from mailer.consent.policy import SHOP_ZONE, Allowed, Event, Person, decide, fold
from mailer.message import delivery_of
from mailer.models import (
    AudienceExclusion,
    ConsentEvent,
    Customer,
    Delivery,
    Mandate,
    PolicyChange,
    PolicyVersion,
    SuppressionEvent,
)
from workers.demo.leavers import Click

FOLDED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Message:
    """What the sink knows of a message: which delivery it is, whom it went to and when its first byte came."""

    delivery_id: UUID | None
    recipient: str
    begun_at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The numbers, and in words every promise that was not kept."""

    numbers: Mapping[str, Any]
    exclusions: Mapping[str, int]
    mailing_seconds: float
    """From the first byte of the first message to that of the last."""
    broken: Sequence[str] = field(default_factory=tuple)

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return not self.broken


def judge(
    session: Session,
    folder: Path,
    campaign_id: int,
    clicks: Sequence[Click],
    seconds: float,
    findings: Mapping[str, Any],
) -> Verdict:
    """Return the verdict over one campaign that has ended; `findings` are the audit's."""
    messages = messages_in(folder)
    deliveries = {row.id: row for row in session.scalars(select(Delivery).where(Delivery.campaign_id == campaign_id))}
    states = Counter(delivery.state for delivery in deliveries.values())
    exclusions = Counter(
        session.scalars(select(AudienceExclusion.reason).where(AudienceExclusion.campaign_id == campaign_id))
    )
    numbers = {
        "matched": matched(session, campaign_id),
        "audience": len(deliveries),
        "accepted": states["accepted"],
        "refused": states["refused_by_provider"],
        "withheld": dict(Counter(d.reason for d in deliveries.values() if d.state == "withheld")),
        "in_doubt": states["in_doubt"],
        "inbox": len(messages),
        "opted_out_while_sending": opted_out(session, campaign_id),
        "killed": killed(session, campaign_id),
        "duplicates": duplicates(messages),
        "after_opt_out": after_opt_out(messages, deliveries, clicks),
        "without_consent": without_consent(session, messages, deliveries),
        "audit": findings["audit"],
        "seconds": round(seconds, 1),
    }
    stopped = [click for click in clicks if click.waiting and _never_mailed(click, messages, deliveries)]
    broken = [*_sums(numbers, states, exclusions), *_promises(numbers, clicks, stopped), *findings["offenders"]]
    begun = [message.begun_at for message in messages]
    return Verdict(numbers, dict(exclusions), max(begun, default=0.0) - min(begun, default=0.0), tuple(broken))


def messages_in(folder: Path) -> list[Message]:
    """Return every message of the inbox, newest first."""
    return [
        Message(delivery_of(entry.sender), entry.recipients[0].lower(), entry.begun_at)
        for entry in inbox.list_messages(folder, limit=10**9)
    ]


def matched(session: Session, campaign_id: int) -> int:
    """Return how many people the approved rule comes to, asked once more, as of the moment of the start."""
    rule = session.scalars(select(Campaign.rule).where(Campaign.id == campaign_id)).one()
    as_of = session.scalars(select(Mandate.as_of).where(Mandate.campaign_id == campaign_id)).one()
    return segments.count(session, rules.parse(rule), as_of)


def opted_out(session: Session, campaign_id: int) -> int:
    """Return how many people's one-click no is in the ledger between the campaign's start and its end."""
    return int(
        session.execute(
            text("""SELECT count(DISTINCT e.customer_id) FROM consent_events e JOIN campaigns c ON c.id = :campaign
                     WHERE e.source = 'one_click' AND e.action <> 'grant'
                       AND e.recorded_at BETWEEN c.started_at AND c.ended_at"""),
            {"campaign": campaign_id},
        ).scalar_one()
    )


def killed(session: Session, campaign_id: int) -> int:
    """Return how many workers left a batch behind that the clock had to put in doubt."""
    return int(
        session.execute(
            text("""SELECT count(DISTINCT a.worker) FROM deliveries d
                      JOIN delivery_attempts a ON a.customer_id = d.customer_id AND a.delivery_id = d.id
                           AND a.attempt_id = d.attempt_id AND a.outcome = 'intent'
                     WHERE d.campaign_id = :campaign AND d.state = 'in_doubt' AND d.reason = 'worker_lost'"""),
            {"campaign": campaign_id},
        ).scalar_one()
    )


def duplicates(messages: Sequence[Message]) -> int:
    """Return how many messages came on top of the first one, to an address or of a delivery."""
    addresses = Counter(message.recipient for message in messages)
    named = Counter(message.delivery_id for message in messages)
    return max(len(messages) - len(addresses), len(messages) - len(named))


def after_opt_out(messages: Sequence[Message], deliveries: Mapping[UUID, Delivery], clicks: Sequence[Click]) -> int:
    """Return how many messages were begun after their person, or their address, had the answer to an opt-out."""
    answered: dict[bytes, float] = {}
    for click in clicks:
        if 200 <= click.status < 300 and click.delivery_id in deliveries:
            address = bytes(deliveries[click.delivery_id].address_hash)
            answered[address] = min(click.answered_at, answered.get(address, click.answered_at))
    return sum(
        message.begun_at > answered.get(bytes(delivery.address_hash), float("inf"))
        for message in messages
        if message.delivery_id is not None and (delivery := deliveries.get(message.delivery_id)) is not None
    )


def without_consent(session: Session, messages: Sequence[Message], deliveries: Mapping[UUID, Delivery]) -> int:
    """Return how many messages left for somebody who, at that moment, had no valid yes to their purpose.

    Each person's ledger is cut at the moment at which the message was begun, and folded anew. A message of no known
    delivery is one without consent.
    """
    known = [(m, deliveries[m.delivery_id]) for m in messages if m.delivery_id and m.delivery_id in deliveries]
    missing = len(messages) - len(known)
    people = sorted({delivery.customer_id for _, delivery in known})
    floors = _floors(session)
    histories = _histories(session, people)
    customers = {customer.id: customer for customer in session.scalars(select(Customer).where(Customer.id.in_(people)))}
    stops = _stops(session)
    for message, delivery in known:
        at = datetime.fromtimestamp(message.begun_at, UTC)
        customer = customers[delivery.customer_id]
        person = Person(
            account=customer.account,
            birth_date=customer.birth_date,
            declared_adult=customer.declared_adult_at is not None,
            has_address=True,
            suppressed=_stopped(stops.get(bytes(delivery.address_hash), ()), delivery.purpose, at),
            stop_requested=False,
        )
        events = [event for event in histories.get(delivery.customer_id, ()) if event.recorded_at < at]
        standing = fold(events).purposes.get(delivery.purpose)
        floor = max((v for v, purpose, since in floors if purpose == delivery.purpose and since <= at), default=0)
        today = at.astimezone(SHOP_ZONE).date()
        missing += not isinstance(decide(standing, person, policy_floor=floor, today=today), Allowed)
    return missing


def _sums(numbers: Mapping[str, Any], states: Counter[str], exclusions: Counter[str]) -> list[str]:
    told = numbers["accepted"] + numbers["refused"] + sum(numbers["withheld"].values()) + numbers["in_doubt"]
    checks = (
        (numbers["matched"] == numbers["audience"] + exclusions.total(), "matched is not audience and exclusions"),
        (told == numbers["audience"], f"the states don't add up to the audience: {dict(states)}"),
        (
            numbers["accepted"] <= numbers["inbox"] <= numbers["accepted"] + numbers["in_doubt"],
            "the inbox holds fewer messages than were accepted, or more than that and those in doubt",
        ),
        (numbers["accepted"] > 0, "nobody was mailed"),
    )
    return [words for holds, words in checks if not holds]


def _promises(numbers: Mapping[str, Any], clicks: Sequence[Click], stopped: Sequence[Click]) -> list[str]:
    answers = Counter(click.status for click in clicks if click.status != 200)
    checks = (
        (numbers["duplicates"] == 0, "somebody was mailed twice"),
        (numbers["after_opt_out"] == 0, "somebody was mailed after their opt-out was answered"),
        (numbers["without_consent"] == 0, "somebody was mailed without a valid yes"),
        (numbers["audit"] == "ok", "the audit found something: run `askfirst audit verify`"),
        (numbers["killed"] == 1, "no worker was killed while it held a batch"),
        (not answers, f"not every opt-out was answered with 200: {dict(answers)}"),
        (any(not click.waiting for click in clicks), "nobody who was just mailed said no"),
        (bool(stopped), "nobody who still waited said no in time"),
    )
    return [words for holds, words in checks if not holds]


def _never_mailed(click: Click, messages: Sequence[Message], deliveries: Mapping[UUID, Delivery]) -> bool:
    delivery = deliveries.get(click.delivery_id)
    mailed = any(message.delivery_id == click.delivery_id for message in messages)
    return delivery is not None and delivery.state == "withheld" and not mailed


def _histories(session: Session, people: Sequence[int]) -> dict[int, list[Event]]:
    histories: dict[int, list[Event]] = {}
    for start in range(0, len(people), FOLDED_AT_ONCE):
        some = people[start : start + FOLDED_AT_ONCE]
        for row in session.scalars(select(ConsentEvent).where(ConsentEvent.customer_id.in_(some))):
            histories.setdefault(row.customer_id, []).append(as_event(row))
    return histories


def _floors(session: Session) -> list[tuple[int, str, datetime]]:
    rows = session.execute(
        select(PolicyChange.policy_version_id, PolicyChange.purpose, PolicyVersion.effective_at).join(
            PolicyVersion, PolicyVersion.id == PolicyChange.policy_version_id
        )
    )
    return [(row.policy_version_id, row.purpose, row.effective_at) for row in rows]


def _stops(session: Session) -> dict[bytes, list[SuppressionEvent]]:
    stops: dict[bytes, list[SuppressionEvent]] = {}
    for event in session.scalars(select(SuppressionEvent).order_by(SuppressionEvent.id)):
        stops.setdefault(bytes(event.address_hash), []).append(event)
    return stops


def _stopped(history: Sequence[SuppressionEvent], purpose: str, at: datetime) -> bool:
    last = {event.scope: event.action for event in history if event.at < at and event.scope in ("all", purpose)}
    return "set" in last.values()
