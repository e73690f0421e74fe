"""All that an operator may see of one person: choices, the answer to "may I mail them?", and what happened when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer import acts
from mailer.consent.eligible import first_refusal
from mailer.consent.policy import SHOP_ZONE, eighteen_years_before
from mailer.errors import InputProblem
from mailer.models import ConsentEvent, ConsentState, Customer, CustomerLimit, Purpose
from mailer.web.reasons import Reason, reason
from mailer.web.timeline import Entry, timeline


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person said about one purpose; `said` is yes, no or none."""

    purpose: Purpose
    said: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """May this person be mailed about a purpose? `refusal` None means yes, because of the event `seq`."""

    purpose: Purpose
    refusal: Reason | None
    seq: int | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Whole:
    """One person, as the page shows them."""

    customer: Customer
    choices: Sequence[Choice]
    answer: Answer
    age: str
    paused_until: datetime | None
    entries: Sequence[Entry]

    @property
    def open_choices(self) -> int:
        return sum(choice.said == "yes" for choice in self.choices)


def whole(session: Session, customer: Customer, about: str | None, now: datetime) -> Whole:
    """Return what the page shows; `about` is the purpose that is asked about, else the first."""
    choices = choices_of(session, customer.id)
    asked = next((choice for choice in choices if choice.purpose.key == about), choices[0])
    limit = session.get(CustomerLimit, customer.id)
    return Whole(
        customer=customer,
        choices=choices,
        answer=answer(session, customer.id, asked, now),
        age=age_in_words(customer, now.astimezone(SHOP_ZONE).date()),
        paused_until=limit.pause_until if limit and limit.pause_until and limit.pause_until > now else None,
        entries=timeline(session, customer.id),
    )


def choices_of(session: Session, customer_id: int) -> list[Choice]:
    rows = session.execute(
        select(Purpose, ConsentState.granted, ConsentEvent.occurred_at)
        .outerjoin(ConsentState, (ConsentState.purpose == Purpose.key) & (ConsentState.customer_id == customer_id))
        .outerjoin(ConsentEvent, (ConsentEvent.customer_id == customer_id) & (ConsentEvent.seq == ConsentState.seq))
        .order_by(Purpose.position)
    )
    said = {True: "yes", False: "no", None: "none"}
    return [Choice(purpose, said[granted], at) for purpose, granted, at in rows]


def answer(session: Session, customer_id: int, asked: Choice, now: datetime) -> Answer:
    """The rule that audiences are chosen by, for one person. What leaves is decided again, under the lock."""
    refusal = session.scalar(select(first_refusal(asked.purpose.key, now)).where(Customer.id == customer_id))
    seq = session.scalar(
        select(ConsentState.seq).where(
            ConsentState.customer_id == customer_id, ConsentState.purpose == asked.purpose.key
        )
    )
    return Answer(asked.purpose, reason(refusal) if refusal else None, seq, asked.since)


def age_in_words(customer: Customer, today: date) -> str:
    """18 or older, under 18, or not known. The birth date itself is nobody's business here."""
    if customer.birth_date is not None:
        return "18 or older" if customer.birth_date <= eighteen_years_before(today) else "under 18"
    return "declared to be 18 or older" if customer.declared_adult_at else "age not known"


def reveal(session: Session, customer_id: int, operator_id: int, why: str) -> str:
    """Return the address in full and write down who asked and why, in the operators' chain."""
    customer = session.get(Customer, customer_id)
    if customer is None or customer.address is None:
        raise InputProblem("We have no e-mail address of this person.")
    note_act(session, operator_id, "reveal_address", customer_id, why=why[:200])
    return customer.address.address


def note_act(session: Session, operator_id: int, act: str, customer_id: int, **document: Any) -> None:
    """Write down an operator's act on a person: last in its transaction."""
    acts.record(session, operator_id, act, f"customer:{customer_id}", **document)
