"""Mails in our words: who is meant, by names that only we and they know; what can't be proved stays a mail to read.

Trust comes from what a mail carries of ours, never from who it says it is from: a forged bounce carries nothing
(check 46). The one exception is somebody who asks to be left alone: that is believed (check 97).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import address as addresses
from mailer.bounces.causes import FORWARD, Act
from mailer.bounces.complaints import Meaning
from mailer.bounces.names import Names
from mailer.bounces.reports import Finding
from mailer.bounces.sorting import Kind, Sorted
from mailer.consent.links import Kind as LinkKind
from mailer.consent.links import Links
from mailer.errors import BadAddress
from mailer.feedback.facts import Fact, What


@dataclass(frozen=True, slots=True)
class Read:
    """What a mail comes to: facts to apply, or a reason why a person should read it."""

    facts: tuple[Fact, ...] = ()
    keep: str | None = None
    stop_address: str | None = None
    """Somebody who writes from this address wants no more mail."""
    delivery_id: UUID | None = None


_ADDRESS_HASH = text("SELECT address_hash FROM deliveries WHERE id = :id")
_WEIGHT = {Act.SUPPRESS: 3, Act.COUNT: 2, Act.ALERT: 1, Act.NOTHING: 0}
_WHAT = {"delivered": What.DELIVERED, "relayed": What.TAKEN, "expanded": What.TAKEN, "delayed": What.NOTHING}


def read(session: Session, keys: Keys, links: Links, mail: Sorted, at: datetime) -> Read:
    """Return what a mail comes to. Reads only."""
    if mail.kind is Kind.UNREADABLE:
        return Read(keep="unreadable")
    if mail.kind is Kind.AUTOMATIC:
        return Read()
    if mail.kind is Kind.COMPLAINT:
        return _complaints(mail, links, at)
    if mail.kind is Kind.BOUNCE:
        return _bounce(session, keys, links, mail, at)
    if mail.kind is Kind.OPT_OUT:
        return _opt_out(mail, links, at)
    return Read(keep="letter", delivery_id=delivery_named(mail.names, links, at))


def delivery_named(names: Names, links: Links, at: datetime) -> UUID | None:
    """Return the delivery that a mail proves to be about: by its return path, or by a link that we signed."""
    if names.bounced or names.stopped:
        return (names.bounced or names.stopped)[0]
    for token in names.tokens:
        for kind in LinkKind:
            claim = links.verify(token, kind, at)
            if claim is not None and claim.delivery_id is not None:
                return claim.delivery_id
    return None


def _complaints(mail: Sorted, links: Links, at: datetime) -> Read:
    facts = []
    for complaint in mail.complaints:
        delivery_id = delivery_named(complaint.names, links, at) or delivery_named(mail.names, links, at)
        if complaint.meaning is Meaning.COMPLAINT and delivery_id is not None:
            facts.append(Fact(What.COMPLAINED, delivery_id, at, words=complaint.type))
    wanted = [one for one in mail.complaints if one.meaning is not Meaning.HARMLESS]
    keep = None
    if len(facts) < len(wanted):
        keep = "unclear" if any(one.meaning is Meaning.UNCLEAR for one in wanted) else "unproved"
    return Read(tuple(facts), keep)


def _opt_out(mail: Sorted, links: Links, at: datetime) -> Read:
    if mail.names.stopped:
        # The address that a mail's List-Unsubscribe named: as much as that header's link, so that mail's purpose.
        return Read(tuple(Fact(What.UNSUBSCRIBED, one, at) for one in mail.names.stopped))
    delivery_id = delivery_named(mail.names, links, at)
    facts = (Fact(What.UNSUBSCRIBED, delivery_id, at, scope="all"),) if delivery_id else ()
    # Whoever answers from another address means both.
    return Read(facts, stop_address=mail.sender or None, keep=None if facts or mail.sender else "unproved")


def _bounce(session: Session, keys: Keys, links: Links, mail: Sorted, at: datetime) -> Read:
    delivery_id = delivery_named(mail.names, links, at)
    if delivery_id is None:
        return Read(keep="unproved")
    sent_to = session.scalar(_ADDRESS_HASH, {"id": delivery_id})
    findings = _about(keys, mail.findings, bytes(sent_to) if sent_to is not None else b"")
    finding = max(findings, key=lambda one: (one.action == "failed", _WEIGHT[one.cause.act], one.cause.name))
    if finding.action != "failed":
        return Read((Fact(_WHAT[finding.action], delivery_id, at),), delivery_id=delivery_id)
    fact = Fact(What.BOUNCED, delivery_id, at, cause=finding.cause, words=finding.words)
    return Read((fact,), delivery_id=delivery_id)


def _about(keys: Keys, findings: Sequence[Finding], sent_to: bytes) -> list[Finding]:
    """Those findings that speak of the address that was written to, or that name none.

    A report about another address is about where it was forwarded to: that says less about the person.
    """
    about = [one for one in findings if not one.recipients or sent_to in (_hash(keys, name) for name in one.recipients)]
    if about:
        return about
    return [
        Finding(one.action, FORWARD if one.cause.act is Act.SUPPRESS else one.cause, (), one.status, one.words)
        for one in findings
    ]


def _hash(keys: Keys, name: str) -> bytes | None:
    try:
        return addresses.hash_address(keys, addresses.parse(name).canonical)
    except BadAddress:
        return None
