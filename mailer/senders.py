"""Who mail is from: sender identities, made and changed by administrators, each change in the chain of acts.

A change stops what is being sent under the sender and voids its approvals; the database sees to that (triggers).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mailer import acts
from mailer.address import parse
from mailer.errors import BadAddress, InputProblem
from mailer.message import BadHeader, wire_domain
from mailer.models import Purpose, SenderIdentity

LONGEST = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NEEDED = {
    "name": "Give it a name by which you find it again.",
    "from_name": "Enter the name that people see.",
    "legal_name": "Enter the legal name of the company.",
    "postal_address": "Enter the postal address. Every message must have one.",
    "care_phone": "Enter the phone number of customer care.",
    "officer": "Enter the name of the grievance officer.",
    "from_address": "Enter the address that mail comes from.",
    "care_email": "Enter the address of customer care.",
    "list_domain": "Enter the domain, such as mail.example.com.",
}
_ADDRESSES = ("from_address", "care_email", "reply_to")
_DOMAINS = ("list_domain", "return_domain")
_OF_OTHERS = re.compile(
    r"(gmail|googlemail|ymail|rocketmail|aol|msn|icloud|me|mac|rediffmail|protonmail|fastmail|zohomail)\.(com|in)"
    r"|(yahoo|hotmail|outlook|live|gmx)(\.[a-z]{2,3}){1,2}|proton\.me"
)
"""Domains of mailbox providers. They tell receivers to refuse mail from there that they did not send (DMARC)."""


@dataclass(frozen=True, slots=True)
class SenderFacts:
    """All that a sender is, as it was entered."""

    name: str = ""
    from_name: str = ""
    from_address: str = ""
    reply_to: str = ""
    legal_name: str = ""
    postal_address: str = ""
    care_phone: str = ""
    care_email: str = ""
    officer: str = ""
    list_domain: str = ""
    return_domain: str = ""
    provider: str = ""
    purposes: tuple[str, ...] = ()

    @classmethod
    def of(cls, sender: SenderIdentity) -> SenderFacts:
        """Return what a stored sender is."""
        known = {one.name: getattr(sender, one.name) or "" for one in fields(cls) if one.name != "purposes"}
        return cls(**known, purposes=tuple(sender.purposes))


class SenderProblems(InputProblem):
    """What was entered can't be used; `problems` has one sentence by field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(problems.values()))


def add(session: Session, operator_id: int, facts: SenderFacts, *, providers: Collection[str]) -> SenderIdentity:
    """Store a new sender. `providers` are the names that the settings have. The caller commits."""
    sender = SenderIdentity(**_checked(session, facts, providers))
    session.add(sender)
    _flush(session)
    acts.record(session, operator_id, "add_sender", f"sender:{sender.id}", **asdict(facts))
    return sender


def change(
    session: Session, operator_id: int, sender_id: int, facts: SenderFacts, *, providers: Collection[str]
) -> Sequence[str]:
    """Change a sender; return which facts changed. Campaigns that send under it pause. The caller commits."""
    sender = session.get_one(SenderIdentity, sender_id, with_for_update=True, populate_existing=True)
    before = asdict(SenderFacts.of(sender))
    wanted = _checked(session, facts, {*providers, sender.provider or ""})
    for name, value in wanted.items():
        if getattr(sender, name) != value:
            setattr(sender, name, value)
    _flush(session)
    after = asdict(SenderFacts.of(sender))
    changed = {name: {"from": before[name], "to": after[name]} for name in after if before[name] != after[name]}
    if changed:
        acts.record(session, operator_id, "change_sender", f"sender:{sender_id}", changed=changed)
    return list(changed)


def sending_now(session: Session, sender_id: int) -> Sequence[str]:
    """Return the names of campaigns that a change of this sender would stop."""
    found = text("""
        SELECT c.name FROM mandates m JOIN campaigns c ON c.id = m.campaign_id
         WHERE m.sender_id = :sender AND m.state = 'sending' ORDER BY c.name
    """)
    return session.execute(found, {"sender": sender_id}).scalars().all()


def _flush(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError as trouble:
        if "uq_senders_name" not in str(trouble.orig):
            raise
        raise SenderProblems({"name": "There is a sender of this name already."}) from None


def _checked(session: Session, facts: SenderFacts, providers: Collection[str]) -> dict[str, Any]:
    """Return the columns of a sender, or raise SenderProblems with everything that is wrong."""
    given = {one.name: str(getattr(facts, one.name)).strip() for one in fields(facts) if one.name != "purposes"}
    problems = _problems(given)
    if given["provider"] and given["provider"] not in providers:
        problems["provider"] = "The settings have no provider of this name."
    if set(facts.purposes) - set(session.scalars(select(Purpose.key))):
        problems["purposes"] = "Choose among the purposes that there are."
    if problems:
        raise SenderProblems(problems)
    given |= {name: wire_domain(given[name]) for name in _DOMAINS if given[name]}
    optional = {name: given[name] or None for name in ("reply_to", "return_domain", "provider")}
    return {**given, **optional, "purposes": sorted(set(facts.purposes))}


def _problems(given: Mapping[str, str]) -> dict[str, str]:
    """Say what is wrong, by field; the first thing that is."""
    found: dict[str, str] = {}
    for name, value in given.items():
        if not value:
            words = _NEEDED.get(name)
        elif len(value) > LONGEST:
            words = f"This is too long; {LONGEST} characters are enough."
        elif _CONTROL.search(value):
            words = "This holds a character that can’t be seen. Type it again."
        else:
            words = _form_problem(name, value)
        if words is not None:
            found[name] = words
    return found


def _form_problem(name: str, value: str) -> str | None:
    try:
        if name in _ADDRESSES:
            parse(value)
        if name == "from_address" and _OF_OTHERS.fullmatch(domain := wire_domain(value.rpartition("@")[2]).lower()):
            return f"Only {domain} itself may send mail from there; receivers refuse it. Use a domain of your own."
        if name in _DOMAINS:
            wire_domain(value)
    except BadAddress as problem:
        return str(problem)
    except BadHeader:
        return "Enter a domain such as mail.example.com."
    return None
