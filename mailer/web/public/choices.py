"""What a person has said to each purpose, as their own page tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer.consent.eligible import first_refusal
from mailer.consent.policy import Refusal
from mailer.models import Address, ConsentEvent, ConsentEvidence, ConsentState, Customer, CustomerLimit, Purpose


class Said(StrEnum):
    """How it stands, named as the texts name it."""

    YES = "yes"
    STOPPED = "stopped"
    NEVER = "never"
    CHANGED = "changed"
    NO = "no"


STANDINGS = {
    None: Said.YES,
    Refusal.SUPPRESSED: Said.STOPPED,
    Refusal.STOP_REQUESTED: Said.STOPPED,
    Refusal.WITHDRAWN: Said.STOPPED,
    Refusal.NEVER_ASKED: Said.NEVER,
    Refusal.ERASED: Said.NEVER,
    Refusal.POLICY_CHANGED: Said.CHANGED,
}
"""Whatever else speaks against it (age, a deactivated account) is plainly no: a page isn't the place to tell."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One purpose: how it stands, since when, and where the yes was given."""

    purpose: str
    said: Said
    since: datetime | None
    place: str | None


@dataclass(frozen=True, slots=True)
class Choices:
    """All purposes of one person. `address` is None if nobody is behind the link any more."""

    address: str | None
    of: tuple[Choice, ...]
    clicks: bool | None = None
    """Whether their clicks may be counted; None where no kind of e-mail counts any, so that there is no question."""

    @property
    def anything(self) -> bool:
        """Whether there is anything left to stop."""
        return any(choice.said is Said.YES for choice in self.of)


def choices(session: Session, customer_ref: bytes, now: datetime) -> Choices:
    """Return what the person named `customer_ref` has said; for nobody: that nothing was ever said."""
    purposes = list(session.scalars(select(Purpose.key).order_by(Purpose.position)))
    refusals = (first_refusal(purpose, now).label(purpose) for purpose in purposes)
    row = session.execute(
        select(Customer.id, Customer.account, *refusals).where(Customer.ref == customer_ref)
    ).one_or_none()
    if row is None or row.account == "erased":
        return Choices(None, tuple(Choice(purpose, Said.NEVER, None, None) for purpose in purposes))
    decided = _deciding_events(session, row.id)
    return Choices(
        session.scalar(select(Address.address).where(Address.customer_id == row.id)),
        tuple(_choice(purpose, row._mapping[purpose], decided.get(purpose)) for purpose in purposes),
        _clicks(session, row.id),
    )


def _clicks(session: Session, customer_id: int) -> bool | None:
    limit = select(CustomerLimit.clicks_uncounted).where(CustomerLimit.customer_id == customer_id)
    if session.scalar(limit):
        return False
    return True if session.scalar(select(Purpose.key).where(Purpose.click_tracking).limit(1)) else None


@dataclass(frozen=True, slots=True)
class _Deciding:
    occurred_at: datetime
    granted: bool
    place: str | None


def _deciding_events(session: Session, customer_id: int) -> dict[str, _Deciding]:
    rows = session.execute(
        select(
            ConsentState.purpose,
            ConsentState.granted,
            ConsentEvent.occurred_at,
            ConsentEvent.source,
            ConsentEvidence.document,
        )
        .join(
            ConsentEvent,
            (ConsentEvent.customer_id == ConsentState.customer_id) & (ConsentEvent.seq == ConsentState.seq),
        )
        .outerjoin(
            ConsentEvidence,
            (ConsentEvidence.customer_id == ConsentState.customer_id) & (ConsentEvidence.seq == ConsentState.seq),
        )
        .where(ConsentState.customer_id == customer_id)
    )
    return {row.purpose: _Deciding(row.occurred_at, row.granted, place(row.source, row.document)) for row in rows}


def place(source: str, document: dict[str, object] | None) -> str:
    """Where a yes was given: as the evidence says, while it is kept, else by what door it came in."""
    told = (document or {}).get("place")
    return told if isinstance(told, str) and told else source


def _choice(purpose: str, refusal: str | None, event: _Deciding | None) -> Choice:
    said = STANDINGS.get(Refusal(refusal) if refusal else None, Said.NO)
    if event is None:
        return Choice(purpose, said, None, None)
    # The date of a yes isn't the date of a stop: an address may be stopped by somebody who shares it.
    fits = event.granted if said in (Said.YES, Said.CHANGED) else not event.granted
    return Choice(purpose, said, event.occurred_at if fits else None, event.place if event.granted else None)
