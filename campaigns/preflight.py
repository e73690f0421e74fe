"""What must be right before a campaign may be approved: every problem at once, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from campaigns import options, rules
from campaigns.models import Campaign
from mailer.errors import Refused
from mailer.models import Revision, SenderIdentity

LARGEST_HTML = 102_000
"""Bytes; a large mailbox provider cuts what is longer, and with it the way to unsubscribe."""

_SENDER_NEEDS = {
    "postal_address": "has no postal address. Every message must name one: enter it at the sender.",
    "legal_name": "has no legal name. People must see which company writes: enter it at the sender.",
    "from_address": "has no address that mail comes from. Enter it at the sender.",
    "from_name": "has no name that people see. Enter it at the sender.",
    "care_email": "has no address of customer care. Enter it at the sender (E-Commerce Rules 2020 r.4(2)).",
    "care_phone": "has no phone number of customer care. Enter it at the sender (E-Commerce Rules 2020 r.4(2)).",
    "officer": "names no grievance officer. Enter the name at the sender (E-Commerce Rules 2020 r.4(4)).",
    "list_domain": "has no domain for its identifiers. Enter it at the sender.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that must be fixed, in a sentence that says how; `where` is the section of the form."""

    where: str
    words: str


class PreflightProblems(Refused):
    """The campaign isn't ready for approval. Nothing was changed."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(" ".join(problem.words for problem in problems))


def preflight(session: Session, campaign: Campaign) -> list[Problem]:
    """Return everything that keeps `campaign` from being approved; empty means it is ready."""
    sender = session.get(SenderIdentity, campaign.sender_id, populate_existing=True)
    revision = None if campaign.revision_id is None else session.get(Revision, campaign.revision_id)
    who, what, from_ = _who(campaign), _what(campaign, revision), _from(sender, campaign.purpose)
    return [*who, *what, *from_, *_when(campaign, datetime.now(UTC))]


def require_ready(session: Session, campaign: Campaign) -> None:
    """Raise `PreflightProblems` with everything that must be fixed first."""
    if problems := preflight(session, campaign):
        raise PreflightProblems(problems)


def _who(campaign: Campaign) -> Iterator[Problem]:
    try:
        rules.parse(campaign.rule)
    except rules.RuleProblems as wrong:
        for problem in wrong.problems:
            yield Problem("who", f"The segment can't be read: {problem}. Correct the rule.")


def _what(campaign: Campaign, revision: Revision | None) -> Iterator[Problem]:
    if revision is None:
        yield Problem("what", "There is no content yet. Write the message first.")
        return
    if revision.kind != campaign.kind:
        yield Problem(
            "what", f"The content is made for “{revision.kind}”, the campaign is “{campaign.kind}”. Write anew."
        )
    if not revision.subject.strip():
        yield Problem("what", "The subject is empty. Write one.")
    for part, body in (("page", revision.compiled_html), ("text part", revision.compiled_text)):
        if "links.unsubscribe" not in body:
            yield Problem("what", f"The {part} has no way to unsubscribe. Put {{{{ links.unsubscribe }}}} into it.")
    size = len(revision.compiled_html.encode())
    if size > LARGEST_HTML:
        yield Problem(
            "what", f"The page has {size // 1000} kB; over {LARGEST_HTML // 1000} kB are cut off. Shorten it."
        )


def _from(sender: SenderIdentity | None, purpose: str) -> Iterator[Problem]:
    if sender is None:
        yield Problem("from", "There is no such sender. Choose one.")
        return
    for field, words in _SENDER_NEEDS.items():
        if not getattr(sender, field).strip():
            yield Problem("from", f"The sender “{sender.name}” {words}")
    if purpose not in sender.purposes:
        words = "is not for this purpose. Choose another sender, or have an administrator allow it."
        yield Problem("from", f"The sender “{sender.name}” {words}")


def _when(campaign: Campaign, now: datetime) -> Iterator[Problem]:
    try:
        chosen = options.parse(campaign.options)
    except options.OptionProblems as wrong:
        for problem in wrong.problems:
            yield Problem("when", f"The options can't be used: {problem}.")
        return
    begins = max(now, campaign.scheduled_at or now)
    if chosen.ends_at is not None and chosen.ends_at <= begins:
        yield Problem("when", "The campaign ends before it begins. Choose a later end.")
