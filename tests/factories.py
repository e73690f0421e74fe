"""People, wordings, operators and approved campaigns for tests: real rows, written through the real doors."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns.models import Approval, Campaign
from config.keys import Keys
from mailer import customers
from mailer.consent import ledger
from mailer.models import Customer, Mandate, Operator, PolicyVersion, Revision, SenderIdentity, Wording

_numbers = itertools.count(1)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
APPROVED = b"h" * 32


def policy(session: Session, label: str | None = None, effective_at: datetime = LONG_AGO) -> PolicyVersion:
    version = PolicyVersion(label=label or f"v{next(_numbers)}", summary="-", body="-", effective_at=effective_at)
    session.add(version)
    session.flush()
    return version


def wording(session: Session, purpose: str = "festive", version: PolicyVersion | None = None) -> Wording:
    version = version or session.scalars(select(PolicyVersion).order_by(PolicyVersion.id)).first() or policy(session)
    found = session.scalars(
        select(Wording).where(Wording.purpose == purpose, Wording.policy_version_id == version.id)
    ).first()
    if found is None:
        words = f"Yes, e-mail me about {purpose}."
        found = Wording(purpose=purpose, policy_version_id=version.id, locale="en", words=words)
        session.add(found)
        session.flush()
    return found


def person(session: Session, keys: Keys, address: str | None = "", **facts: Any) -> Customer:
    number = next(_numbers)
    facts.setdefault("declared_adult_at", LONG_AGO)
    facts.setdefault("given_name", f"Person {number}")
    address = f"person{number}@example.com" if address == "" else address
    return customers.add(session, keys, Customer(**facts), address)


def agreeing(
    session: Session, keys: Keys, purpose: str = "festive", address: str | None = "", **facts: Any
) -> Customer:
    customer = person(session, keys, address, **facts)
    ledger.grant(session, customer.id, wording(session, purpose).id, source="signup", evidence={"place": "web"})
    return customer


def operator(session: Session, name: str | None = None) -> Operator:
    name = name or f"operator{next(_numbers)}"
    found = Operator(email=f"{name}@example.com", name=name, fs_uniquifier=name)
    session.add(found)
    session.flush()
    return found


def sender(session: Session) -> SenderIdentity:
    number = next(_numbers)
    found = SenderIdentity(
        name=f"Anaar Home {number}",
        from_name="Anaar Home",
        from_address="hello@mail.example.com",
        legal_name="Anaar Home Private Limited",
        postal_address="14 Sample Road, Bengaluru 560 001, India",
        care_phone="1800 000 0000",
        care_email="care@example.com",
        officer="Meera Rao",
        list_domain="mail.example.com",
    )
    session.add(found)
    session.flush()
    return found


def sending(session: Session, people: list[Customer], purpose: str = "festive", **mandate: Any) -> Mandate:
    """An approved campaign that sends to `people`: approval by somebody else, mandate, pending deliveries."""
    author, approver, from_ = operator(session), operator(session), sender(session)
    campaign = Campaign(
        name="Diwali", kind=purpose, purpose=purpose, rule={}, sender_id=from_.id, author_id=author.id, state="waiting"
    )
    session.add(campaign)
    session.flush()
    revision = Revision(
        campaign_id=campaign.id,
        number=1,
        kind=purpose,
        subject="Happy Diwali, {{ person.first_name or 'friend' }}",
        preheader="A wish",
        mjml="-",
        text="-",
        compiled_html="<!doctype html><html lang=en><p>Dear {{ person.first_name }}</p>"
        '<a href="{{ links.unsubscribe }}">Unsubscribe</a></html>',
        compiled_text="Dear {{ person.first_name }}, stop: {{ links.unsubscribe }}",
        content_hash=b"c" * 32,
        author_id=author.id,
    )
    session.add(revision)
    session.flush()
    session.add(
        Approval(
            campaign_id=campaign.id,
            author_id=author.id,
            approver_id=approver.id,
            approved_hash=APPROVED,
            audience=len(people),
        )
    )
    session.flush()
    facts = {"expanded": True, "as_of": datetime.now(UTC)} | mandate
    sends = Mandate(
        campaign_id=campaign.id,
        state="sending",
        purpose=purpose,
        revision_id=revision.id,
        sender_id=from_.id,
        approved_hash=APPROVED,
        **facts,
    )
    campaign.revision_id = revision.id
    session.add(sends)
    session.flush()
    session.execute(
        text("""INSERT INTO deliveries (campaign_id, customer_id, address_hash, recipient_domain, purpose)
                SELECT :campaign, customer_id, address_hash, domain, :purpose FROM addresses
                 WHERE customer_id = ANY(:people) ORDER BY customer_id"""),
        {"campaign": campaign.id, "purpose": purpose, "people": [p.id for p in people]},
    )
    return sends


def days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)
