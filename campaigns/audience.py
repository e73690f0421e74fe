"""Who gets a campaign: the funnel before it starts, and the snapshot, chunk by chunk, once it sends.

The snapshot is for the record and the queue. It lets nothing out: the gate asks everybody again at the last moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CTE, ColumnElement, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.dml import ReturningInsert

from campaigns.approval import approval_hash
from campaigns.models import Campaign, ExpansionCursor
from campaigns.rules import Rule, parse
from campaigns.segments import Span, condition
from mailer.consent.ledger import first_refusal
from mailer.consent.policy import Refusal
from mailer.db import database_time
from mailer.models import Address, AudienceExclusion, Customer, Delivery, Mandate

CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many match a rule, why some of them may not be mailed (each once, first reason), and how many may."""

    matched: int
    reasons: Mapping[str, int]
    """By reason, in the order in which the gate asks; they add up to `matched - may_be_mailed`."""
    may_be_mailed: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one step of the snapshot did."""

    matched: int = 0
    inserted: int = 0
    excluded: int = 0
    done: bool = False
    """Every matched person has a delivery or an exclusion now."""
    stopped: str | None = None
    """Why nothing was done: the campaign doesn't send, or isn't what was approved."""


def funnel(session: Session, rule: Rule, purpose: str, as_of: datetime | None = None) -> Funnel:
    """Count a rule's people for a purpose, in one statement."""
    now = database_time(session)
    why = first_refusal(purpose, now).label("why")
    matched = select(why).where(condition(rule, as_of or now)).subquery()
    rows = session.execute(select(matched.c.why, func.count()).group_by(matched.c.why))
    counts: dict[str | None, int] = dict(rows.all())
    reasons = {str(refusal): counts[refusal] for refusal in Refusal if refusal in counts}
    return Funnel(sum(counts.values()), reasons, counts.get(None, 0))


def expand(session: Session, campaign_id: int, chunk: int = CHUNK) -> Chunk:
    """Take the next `chunk` people we know into the audience or out of it; one transaction each, the caller's.

    Resumes where the last committed step ended; of two that try, the second waits and goes on from there.
    """
    if session.scalar(select(Mandate.expanded).where(Mandate.campaign_id == campaign_id)):
        return Chunk(done=True)
    # The cursor first, always: two steps that wrote several people in different orders would deadlock.
    cursor = session.scalars(
        select(ExpansionCursor)
        .where(ExpansionCursor.campaign_id == campaign_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if cursor is None:
        return Chunk(stopped="it was not started")
    if cursor.done:  # by whoever held the cursor meanwhile
        return Chunk(done=True)
    mandate = session.get(Mandate, campaign_id, populate_existing=True)
    if mandate is None or mandate.state != "sending" or mandate.as_of is None:
        return Chunk(stopped="it is not being sent")
    if approval_hash(session, campaign_id) != mandate.approved_hash:
        return Chunk(stopped="it is not what was approved")
    return _step(session, mandate, mandate.as_of, cursor, chunk)


def _step(session: Session, mandate: Mandate, as_of: datetime, cursor: ExpansionCursor, chunk: int) -> Chunk:
    up_to = _end_of_chunk(session, cursor.after_customer_id, chunk)
    if up_to is None:
        cursor.done = True
        session.execute(update(Mandate).where(Mandate.campaign_id == mandate.campaign_id).values(expanded=True))
        session.flush()
        return Chunk(done=True)
    rule = parse(session.scalar(select(Campaign.rule).where(Campaign.id == mandate.campaign_id)))
    span = Span(cursor.after_customer_id, up_to)
    matched, inserted, excluded = _take(session, mandate, condition(rule, as_of, span))
    cursor.after_customer_id = up_to
    cursor.matched += matched
    cursor.inserted += inserted
    session.flush()
    return Chunk(matched, inserted, excluded)


def _end_of_chunk(session: Session, after: int, chunk: int) -> int | None:
    ids = select(Customer.id).where(Customer.id > after).order_by(Customer.id).limit(chunk).subquery()
    end: int | None = session.scalar(select(func.max(ids.c.id)))
    return end


def _take(session: Session, mandate: Mandate, condition: ColumnElement[bool]) -> tuple[int, int, int]:
    """Insert deliveries and exclusions for everybody matched, in one statement; return how many of each.

    Nobody is lost: who was matched and not inserted is excluded, also when another row was quicker (RETURNING says
    who was inserted, not who was meant to be). Only who already has a delivery of this campaign needs neither.
    """
    # An alias: `first_refusal` asks for addresses itself and must not be tied to this one.
    own = aliased(Address)
    matched = (
        select(
            Customer.id,
            own.address_hash,
            own.domain,
            first_refusal(mandate.purpose, database_time(session)).label("why"),
        )
        .outerjoin(own, own.customer_id == Customer.id)
        .where(condition)
        .cte("matched")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    inserted = _insert_deliveries(mandate, matched).cte("inserted")
    already = exists().where(Delivery.campaign_id == mandate.campaign_id, Delivery.customer_id == matched.c.id)
    left_out = (
        select(literal(mandate.campaign_id), matched.c.id, func.coalesce(matched.c.why, "already_in_audience"))
        .outerjoin(inserted, inserted.c.customer_id == matched.c.id)
        .where(inserted.c.customer_id.is_(None), ~already)
        .order_by(matched.c.id)
    )
    excluded = (
        insert(AudienceExclusion)
        .from_select(["campaign_id", "customer_id", "reason"], left_out)
        .on_conflict_do_nothing()
        .returning(AudienceExclusion.customer_id)
        .cte("excluded")
    )
    counts = [select(func.count()).select_from(part).scalar_subquery() for part in (matched, inserted, excluded)]
    return session.execute(select(*counts)).one()


def _insert_deliveries(mandate: Mandate, matched: CTE) -> ReturningInsert[int]:
    """Return the INSERT of a pending delivery for each of `matched` against whom nothing speaks."""
    taken = (
        select(
            matched.c.id,
            literal(mandate.campaign_id),
            matched.c.address_hash,
            matched.c.domain,
            literal(mandate.message_class),
            literal(mandate.purpose),
        )
        .where(matched.c.why.is_(None), matched.c.address_hash.is_not(None))
        .order_by(matched.c.id)
    )
    columns = ["customer_id", "campaign_id", "address_hash", "recipient_domain", "message_class", "purpose"]
    return (
        insert(Delivery)
        # A bare server default, else SQLAlchemy draws one id for all the rows.
        .from_select(columns, taken, include_defaults=False)
        .on_conflict_do_nothing()
        .returning(Delivery.customer_id)
    )
