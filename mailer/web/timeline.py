"""What happened with one person, newest first: yes and no with their proof, messages with their why, acts of staff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, select
from sqlalchemy.orm import Session

from mailer.consent.policy import SHOP_ZONE
from mailer.models import (
    AudienceExclusion,
    ConsentEvent,
    ConsentEvidence,
    Delivery,
    KeptMail,
    Mandate,
    Operator,
    OperatorAct,
    PolicyVersion,
    Purpose,
    Revision,
    Wording,
)
from mailer.web.reasons import STATES, reason
from mailer.web.titles import readable
from mailer.web.words import full, visible

MOST = 200
SOURCES = {
    "one_click": "with the stop button of their mail program",
    "unsubscribe_page": "on the “Stop these e-mails” page",
    "preferences": "in their preferences",
    "typed_address": "by typing their address on the stop page",
    "helpline": "by the helpline",
    "complaint": "by reporting a message as spam",
    "provider_list": "at the mail provider, which stopped them before we did",
    "checkout": "when ordering, on the web",
    "store": "in a shop",
    "web_form": "on our sign-up form",
    "import": "brought in from an earlier list",
}
ACTS = {
    "reveal_address": "Address revealed",
    "stop_person": "All marketing stopped",
    "kept_mail_opt_out": "A mail of theirs taken as a no to all marketing",
    "kept_mail_bounce": "Their address taken as gone",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `kind` is the status word's, `grant` the seq of the yes it relied on."""

    at: datetime
    kind: str
    icon: str
    title: str
    text: str
    seq: int | None = None
    grant: int | None = None
    words: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    campaign_id: int | None = None
    letter_id: int | None = None
    """A mail that they wrote to us; only some may read it."""


def timeline(session: Session, customer_id: int) -> list[Entry]:
    """Return the newest entries of all kinds, in order of time."""
    entries = [
        *consent_entries(session, customer_id),
        *message_entries(session, customer_id),
        *left_out_entries(session, customer_id),
        *letter_entries(session, customer_id),
        *staff_entries(session, customer_id),
    ]
    return sorted(entries, key=lambda entry: (entry.at, entry.seq or 0), reverse=True)[:MOST]


def consent_entries(session: Session, customer_id: int) -> Iterable[Entry]:
    rows = session.execute(
        select(ConsentEvent, Purpose.name, Wording.words, Wording.locale, PolicyVersion.label, ConsentEvidence.document)
        .outerjoin(Purpose, Purpose.key == ConsentEvent.purpose)
        .outerjoin(Wording, Wording.id == ConsentEvent.wording_id)
        .outerjoin(PolicyVersion, PolicyVersion.id == ConsentEvent.policy_version_id)
        .outerjoin(
            ConsentEvidence,
            and_(ConsentEvidence.customer_id == ConsentEvent.customer_id, ConsentEvidence.seq == ConsentEvent.seq),
        )
        .where(ConsentEvent.customer_id == customer_id)
        .order_by(ConsentEvent.seq.desc())
        .limit(MOST)
    )
    return [consent_entry(row) for row in rows]


def consent_entry(row: Row[*tuple[Any, ...]]) -> Entry:
    event, purpose, wording, locale, policy, evidence = row
    granted = event.action == "grant"
    source = SOURCES.get(event.source, event.source.replace("_", " "))
    facts = {"Notice": f"Version {policy}" + (f", {locale}" if locale else "")} if policy else {}
    facts |= {key.replace("_", " ").capitalize(): str(value) for key, value in (evidence or {}).items()}
    if event.recorded_at - event.occurred_at > timedelta(minutes=1):
        # It is the writing down that later acts are compared with, so it is told where the two differ.
        facts["Written down"] = full(event.recorded_at, SHOP_ZONE)
    facts["Record"] = f"Ledger entry {event.id}, number {event.seq} of this person"
    return Entry(
        at=event.occurred_at,
        kind="yes" if granted else "no",
        icon="circle-check" if granted else "circle-x",
        title=f"Said {'yes' if granted else 'no'} to {purpose or 'all marketing'}",
        text=f"By the person, {source}.",
        seq=event.seq,
        words=wording,
        facts=facts,
    )


def message_entries(session: Session, customer_id: int) -> Iterable[Entry]:
    rows = session.execute(
        select(Delivery, ConsentEvent.seq, Revision.subject, Revision.kind, Revision.values)
        .outerjoin(Mandate, Mandate.campaign_id == Delivery.campaign_id)
        .outerjoin(Revision, Revision.id == Mandate.revision_id)
        .outerjoin(
            ConsentEvent,
            and_(ConsentEvent.customer_id == customer_id, ConsentEvent.id == Delivery.consent_event_id),
        )
        .where(Delivery.customer_id == customer_id)
        .order_by(Delivery.created_at.desc())
        .limit(MOST)
    )
    return [message_entry(delivery, grant, titled(*content)) for delivery, grant, *content in rows]


def titled(subject: str | None, kind: str | None, values: Mapping[str, Any] | None) -> str:
    return readable(subject, kind, values or {}) if subject and kind else "a message"


def message_entry(delivery: Delivery, grant: int | None, subject: str) -> Entry:
    kind, name, line = STATES.get(delivery.state, ("", delivery.state, ""))
    gone = delivery.state in {"accepted", "in_doubt", "unconfirmed", "refused_by_provider", "handing_over"}
    why = f"Not sent, because {reason(delivery.reason).because}." if delivery.state == "withheld" else f"{name}. {line}"
    return Entry(
        at=delivery.settled_at or delivery.intended_at or delivery.created_at,
        kind=kind,
        icon="mail" if gone else "mail-off",
        title=f"{'Sent' if delivery.state == 'accepted' else name}: {subject}",
        text=why,
        grant=grant,
        campaign_id=delivery.campaign_id,
    )


def left_out_entries(session: Session, customer_id: int) -> Iterable[Entry]:
    rows = session.execute(
        select(
            AudienceExclusion.campaign_id,
            AudienceExclusion.reason,
            Mandate.as_of,
            Revision.subject,
            Revision.kind,
            Revision.values,
        )
        .join(Mandate, Mandate.campaign_id == AudienceExclusion.campaign_id)
        .outerjoin(Revision, Revision.id == Mandate.revision_id)
        .where(AudienceExclusion.customer_id == customer_id, Mandate.as_of.is_not(None))
        .order_by(Mandate.as_of.desc())
        .limit(MOST)
    )
    return [
        Entry(
            at=as_of,
            kind="out",
            icon="mail-off",
            title=f"Left out: {titled(*content)}",
            text=f"Matched the segment, but {reason(why).because}.",
            campaign_id=campaign_id,
        )
        for campaign_id, why, as_of, *content in rows
    ]


def letter_entries(session: Session, customer_id: int) -> Iterable[Entry]:
    """What they wrote to us, and whether the helpline has it."""
    rows = session.execute(
        select(
            KeptMail.id,
            KeptMail.kind,
            KeptMail.subject,
            KeptMail.received_at,
            KeptMail.forwarded_at,
            KeptMail.handled_at,
        )
        .where(KeptMail.customer_id == customer_id)
        .order_by(KeptMail.id.desc())
        .limit(MOST)
    )
    return [letter_entry(row) for row in rows]


def letter_entry(row: Row[*tuple[Any, ...]]) -> Entry:
    letter_id, kind, subject, received_at, forwarded_at, handled_at = row
    wrote = "Wrote to us" if kind == "letter" else "A mail about them"
    text = "Somebody here dealt with it." if handled_at else "It waits for somebody here to read it."
    if forwarded_at and not handled_at:
        text = "It went on to the helpline."
    title = f"{wrote}: {visible(subject)}" if subject else wrote
    return Entry(at=received_at, kind="", icon="mail", title=title, text=text, letter_id=letter_id)


def staff_entries(session: Session, customer_id: int) -> Iterable[Entry]:
    rows = session.execute(
        select(OperatorAct, Operator.name)
        .outerjoin(Operator, Operator.id == OperatorAct.operator_id)
        .where(OperatorAct.subject == f"customer:{customer_id}")
        .order_by(OperatorAct.seq.desc())
        .limit(MOST)
    )
    return [
        Entry(
            at=act.at,
            kind="",
            icon="eye" if act.act == "reveal_address" else "users-group",
            title=f"{ACTS.get(act.act, act.act.replace('_', ' ').capitalize())} by {name or 'somebody'}",
            text=f"Reason given: “{act.document['why']}”" if act.document.get("why") else "",
        )
        for act, name in rows
    ]
