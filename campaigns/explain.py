"""Why one person is in or out of one campaign, step by step, and whether they may be mailed about its purpose now.

The segment's rule is evaluated on this person's facts (`campaigns.facts`), the consent on their own ledger
(`mailer.consent.policy`): the pure twins of what was done in SQL for everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from campaigns import rules
from campaigns.facts import Facts, Finding, Moment, find, is_adult, matches
from campaigns.models import Campaign, ExpansionCursor
from campaigns.segments import facts_of
from mailer.consent.eligible import policy_floor
from mailer.consent.ledger import events_of
from mailer.consent.policy import ALL, SHOP_ZONE, Allowed, Person, Refusal, decide, fold
from mailer.errors import InputProblem
from mailer.models import (
    Address,
    AudienceExclusion,
    ConsentEvent,
    Customer,
    Delivery,
    Mandate,
    PolicyVersion,
    StopRequest,
    Suppression,
)
from mailer.web.reasons import STATES, reason
from mailer.web.words import day


@dataclass(frozen=True, slots=True)
class Step:
    """One step: whether it speaks for the person being in (None: neither), and a sentence."""

    holds: bool | None
    words: str
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """All steps, and the parts that they tell of."""

    campaign: Campaign
    customer_id: int
    as_of: datetime
    matched: bool
    finding: Finding
    exclusion: str | None
    delivery: Delivery | None
    relied_on: ConsentEvent | None
    now: Allowed | Refusal
    steps: tuple[Step, ...]


def explain(session: Session, campaign_id: int, customer_id: int) -> Explanation:
    """Return why this person is in or out. Raises InputProblem if there is no such campaign or person.

    The rule is read for the moment of the start, or for now if it wasn't started, on the facts as they are now.
    """
    campaign = session.get(Campaign, campaign_id, populate_existing=True)
    facts = facts_of(session, customer_id)
    if campaign is None or facts is None:
        missing = f"campaign {campaign_id}" if campaign is None else f"customer {customer_id}"
        raise InputProblem(f"There is no {missing}.")
    mandate = session.get(Mandate, campaign_id, populate_existing=True)
    rule = rules.parse(campaign.rule)
    now = datetime.now(UTC)
    moment = Moment((mandate.as_of if mandate else None) or now)
    finding = find(rule, facts, moment)
    matched = matches(rule, facts, moment)
    delivery = session.scalars(
        select(Delivery).where(Delivery.campaign_id == campaign_id, Delivery.customer_id == customer_id)
    ).one_or_none()
    exclusion = session.scalar(
        select(AudienceExclusion.reason).where(
            AudienceExclusion.campaign_id == campaign_id, AudienceExclusion.customer_id == customer_id
        )
    )
    relied_on = _event(session, customer_id, delivery.consent_event_id) if delivery is not None else None
    answer = may_be_mailed(session, customer_id, campaign.purpose, now)
    steps = (
        Step(None, f"Campaign {campaign.id} “{campaign.name}” is about “{campaign.purpose}” and is {campaign.state}."),
        *_rule_steps(finding, rule, facts, moment, matched=matched),
        *_audience_steps(session, campaign, customer_id, delivery, exclusion),
        *_grant_steps(session, relied_on),
        _now_step(session, customer_id, campaign.purpose, answer),
    )
    return Explanation(
        campaign, customer_id, moment.at, matched, finding, exclusion, delivery, relied_on, answer, steps
    )


def may_be_mailed(session: Session, customer_id: int, purpose: str, now: datetime) -> Allowed | Refusal:
    """Return the grant because of which this person may be mailed about `purpose` now, or the first reason against.

    Folds the person's own ledger. It lets nothing out: only the gate does, under the lock.
    """
    row = session.execute(
        select(
            Customer.account,
            Customer.birth_date,
            Customer.declared_adult_at,
            Address.address_hash,
            policy_floor(purpose, now).label("floor"),
            exists()
            .where(
                Suppression.address_hash == Address.address_hash,
                Suppression.scope.in_([ALL, purpose]),
                Suppression.lifted_at.is_(None),
            )
            .label("suppressed"),
            exists()
            .where(
                StopRequest.folded_at.is_(None),
                StopRequest.scope.in_([ALL, purpose]),
                or_(StopRequest.customer_id == Customer.id, StopRequest.address_hash == Address.address_hash),
            )
            .label("stop_requested"),
        )
        .outerjoin(Address, Address.customer_id == Customer.id)
        .where(Customer.id == customer_id)
    ).one_or_none()
    if row is None:
        raise InputProblem(f"There is no customer {customer_id}.")
    person = Person(
        account=row.account,
        birth_date=row.birth_date,
        declared_adult=row.declared_adult_at is not None,
        has_address=row.address_hash is not None,
        suppressed=row.suppressed,
        stop_requested=row.stop_requested,
    )
    standing = fold(events_of(session, customer_id)).purposes.get(purpose)
    return decide(standing, person, policy_floor=row.floor, today=now.astimezone(SHOP_ZONE).date())


def _rule_steps(finding: Finding, rule: rules.Rule, facts: Facts, moment: Moment, *, matched: bool) -> Iterator[Step]:
    among = finding.words if rule == rules.EVERYBODY else f"those: {finding.words}"
    yield Step(matched, f"{'Is' if matched else 'Is not'} among {among}.")
    yield from _findings(finding, 1)
    if rules.mentions_age(rule) and not is_adult(facts, moment):
        yield Step(False, "A rule that asks for an age finds only people known to be 18 or older.", 1)


def _findings(finding: Finding, depth: int) -> Iterator[Step]:
    inner = finding
    while isinstance(inner.rule, rules.Not):
        inner = inner.below[0]
    if not inner.below:
        if inner.because:
            yield Step(finding.holds, f"{finding.words}: {inner.because}", depth)
        return
    nested = depth > 1 or inner is not finding
    if nested:
        yield Step(finding.holds, finding.words, depth)
    for below in inner.below:
        yield from _findings(below, depth + nested)


def _audience_steps(
    session: Session, campaign: Campaign, customer_id: int, delivery: Delivery | None, exclusion: str | None
) -> Iterator[Step]:
    if exclusion is not None:
        yield Step(False, f"Was left out of the audience because {reason(exclusion).because}.")
    if delivery is not None:
        _, name, line = STATES[delivery.state]
        why = f" because {reason(delivery.reason).because}" if delivery.state == "withheld" else ""
        yield Step(delivery.state not in ("withheld", "cancelled", "expired"), f"The message: {name}{why}. {line}")
    if delivery is None and exclusion is None:
        yield Step(None, _not_looked_at(session, campaign, customer_id))


def _not_looked_at(session: Session, campaign: Campaign, customer_id: int) -> str:
    cursor = session.get(ExpansionCursor, campaign.id, populate_existing=True)
    if cursor is None:
        return "The campaign was not started: nobody is in its audience yet."
    if not cursor.done and cursor.after_customer_id < customer_id:
        return "The audience is still being taken in; this person's turn has not come."
    return "Was not in the segment when the audience was taken: has neither a message nor a reason."


def _grant_steps(session: Session, event: ConsentEvent | None) -> Iterator[Step]:
    if event is not None:
        yield Step(True, f"Relied on {_said(session, event)}.")


def _now_step(session: Session, customer_id: int, purpose: str, answer: Allowed | Refusal) -> Step:
    if isinstance(answer, Refusal):
        return Step(False, f"May I mail this person about “{purpose}” now? No, because {reason(answer).because}.")
    event = _event(session, customer_id, answer.event_id)
    because = f": {_said(session, event)}" if event is not None else ""
    return Step(True, f"May I mail this person about “{purpose}” now? Yes{because}.")


def _event(session: Session, customer_id: int, event_id: int | None) -> ConsentEvent | None:
    if event_id is None:
        return None
    return session.scalars(
        select(ConsentEvent).where(ConsentEvent.customer_id == customer_id, ConsentEvent.id == event_id)
    ).one_or_none()


def _said(session: Session, event: ConsentEvent) -> str:
    version = session.scalar(select(func.max(PolicyVersion.label)).where(PolicyVersion.id == event.policy_version_id))
    under = f" under policy version {version}" if version else ""
    return f"the yes of {day(event.occurred_at, SHOP_ZONE)} ({event.source}, entry {event.seq} of their ledger){under}"
