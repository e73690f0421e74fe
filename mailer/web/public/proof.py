"""The proof behind one mail: which yes it relied on, in which words, and whom the mail was meant for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from mailer.consent.eligible import first_refusal
from mailer.consent.links import Claim
from mailer.models import (
    Address,
    ConsentEvent,
    ConsentEvidence,
    Customer,
    Delivery,
    Mandate,
    PolicyVersion,
    Revision,
    Wording,
)
from mailer.models.deliveries import HANDED_OVER
from mailer.web.public.choices import place

PLACEHOLDER = re.compile(r"\{[{%#].*?[}%#]\}")


@dataclass(frozen=True, slots=True)
class Grant:
    """The yes, as it was stored: the words of that day, never today's."""

    number: str
    words: str
    language: str
    occurred_at: datetime
    place: str
    policy: str


@dataclass(frozen=True, slots=True)
class Mail:
    """What was sent. `sent_at` is None for a mail that never was."""

    purpose: str
    subject: str | None
    address: str | None
    sent_at: datetime | None
    chosen_because: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """A mail and the yes behind it; `stopped_now` tells whether that yes still holds."""

    mail: Mail
    grant: Grant | None
    stopped_now: bool


def proof(session: Session, claim: Claim, now: datetime) -> Proof | None:
    """Return the proof for the mail that carried the link, or None if nothing of it is kept any more."""
    row = session.execute(
        select(Delivery, Customer.account, Address.address, Mandate.audience_sentence)
        .join(Customer, Customer.id == Delivery.customer_id)
        .outerjoin(Address, Address.customer_id == Delivery.customer_id)
        .outerjoin(Mandate, Mandate.campaign_id == Delivery.campaign_id)
        .where(Customer.ref == claim.customer_ref, Delivery.id == claim.delivery_id)
    ).one_or_none()
    if row is None or row.account == "erased":
        return None
    return Proof(_mail(session, row), _grant(session, row.Delivery), _is_stopped(session, row.Delivery, now))


def _mail(session: Session, row: Row[Delivery, str, str, str | None]) -> Mail:
    sent = row.Delivery
    subject = session.scalar(select(Revision.subject).where(Revision.id == sent.revision_id))
    return Mail(
        purpose=sent.purpose,
        subject=PLACEHOLDER.sub("…", subject) if subject else None,
        address=row.address,
        sent_at=(sent.settled_at or sent.intended_at) if sent.state in HANDED_OVER else None,
        chosen_because=row.audience_sentence,
    )


def _grant(session: Session, sent: Delivery) -> Grant | None:
    row = session.execute(
        select(ConsentEvent, ConsentEvidence.document, Wording.words, Wording.locale, PolicyVersion.label)
        .join(Wording, Wording.id == ConsentEvent.wording_id)
        .join(PolicyVersion, PolicyVersion.id == ConsentEvent.policy_version_id)
        .outerjoin(
            ConsentEvidence,
            (ConsentEvidence.customer_id == ConsentEvent.customer_id) & (ConsentEvidence.seq == ConsentEvent.seq),
        )
        .where(ConsentEvent.customer_id == sent.customer_id, ConsentEvent.id == sent.consent_event_id)
    ).one_or_none()
    if row is None:
        return None
    said = row.ConsentEvent
    return Grant(
        # The first characters of the link's hash: whoever holds the ledger finds it, and it counts nobody.
        number=f"C-{said.hash.hex()[:4]}-{said.hash.hex()[4:8]}".upper(),
        words=row.words,
        language=row.locale,
        occurred_at=said.occurred_at,
        place=place(said.source, row.document),
        policy=row.label,
    )


def _is_stopped(session: Session, sent: Delivery, now: datetime) -> bool:
    refusal = first_refusal(sent.purpose, now)
    return session.scalar(select(refusal).where(Customer.id == sent.customer_id)) is not None
