"""Somebody who agreed and was mailed, with the three links of that mail as paths."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from config.keys import Keys
from mailer.consent import ledger
from mailer.consent.links import Links
from mailer.models import ConsentState, Delivery
from tests import factories

SENTENCE = "Lives in Pune and bought sweets in the last 180 days."
BASE = "https://mail.example.com"


@dataclass(frozen=True)
class Mailed:
    customer_id: int
    ref: bytes
    delivery_id: UUID
    address: str
    unsubscribe: str
    preferences: str
    why: str


def mailed(
    sessions: sessionmaker[Session],
    keys: Keys,
    purpose: str = "offer",
    *,
    also: tuple[str, ...] = (),
    language: str = "en",
    issued_at: datetime | None = None,
    **facts: object,
) -> Mailed:
    """Make somebody who said yes to `purpose` (and `also`), and whom a campaign has just mailed."""
    with sessions() as session, session.begin():
        person = factories.agreeing(session, keys, purpose, **facts)
        for other in also:
            ledger.grant(session, person.id, factories.wording(session, other).id, source="shop")
        mandate = factories.sending(session, [person], purpose, audience_sentence=SENTENCE)
        sent = session.scalars(select(Delivery).where(Delivery.customer_id == person.id)).one()
        standing = session.get_one(ConsentState, (person.id, purpose))
        sent.state, sent.settled_at = "accepted", datetime.now(UTC)
        sent.consent_event_id, sent.revision_id = standing.event_id, mandate.revision_id
        links = Links(keys, BASE).for_mail(
            person.ref, purpose, sent.id, issued_at=issued_at or datetime.now(UTC), language=language
        )
        address = session.scalar(text("SELECT address FROM addresses WHERE customer_id = :id"), {"id": person.id})
        paths = (url.removeprefix(BASE) for url in (links.unsubscribe, links.preferences, links.why))
        return Mailed(person.id, person.ref, sent.id, address, *paths)


def standing(sessions: sessionmaker[Session], customer_id: int) -> dict[str, bool]:
    """Which purposes this person's ledger grants and which it doesn't."""
    with sessions() as session:
        rows = session.execute(
            select(ConsentState.purpose, ConsentState.granted).where(ConsentState.customer_id == customer_id)
        )
        return {row.purpose: row.granted for row in rows}


def everything(sessions: sessionmaker[Session]) -> dict[str, str]:
    """A digest of every row of every table: two of them differ if anything at all was changed."""
    with sessions() as session:
        tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")).all()
        digest = "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {} t"
        return {table: session.scalar(text(digest.format(table))) for table in tables}
