"""PURE: complaint reports (ARF: RFC 5965, RFC 6591, RFC 6590): what kind each is, and which message it is about.

Outlook.com's Junk Mail Reporting Program attaches the message alone, marked by a header of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mailer.bounces.names import Names, names_in
from mailer.bounces.opening import Opened


class Meaning(StrEnum):
    """What a report's type means for us."""

    COMPLAINT = "complaint"
    """The person wants none of this: every marketing purpose stops."""
    HARMLESS = "harmless"
    """Good news, or a report about our signatures."""
    UNCLEAR = "unclear"
    """A type that nobody has defined, or "other": a person looks."""


TYPES = {
    "abuse": Meaning.COMPLAINT,
    "fraud": Meaning.COMPLAINT,
    "virus": Meaning.COMPLAINT,
    "opt-out": Meaning.COMPLAINT,
    "opt-out-list": Meaning.COMPLAINT,
    "not-spam": Meaning.HARMLESS,
    "auth-failure": Meaning.HARMLESS,
    "dmarc": Meaning.HARMLESS,
    "other": Meaning.UNCLEAR,
}


_JUNK_MAIL_REPORT = "x-hmxmroriginalrecipient"


@dataclass(frozen=True, slots=True)
class Complaint:
    """One report of a mail that may hold several."""

    type: str
    meaning: Meaning
    names: Names


def complaints_of(opened: Opened) -> tuple[Complaint, ...]:
    """Return every complaint report of a mail.

    Addresses in it may be blacked out (RFC 6590), so the message is known by what it carries of ours.
    """
    found = []
    for report in opened.reports:
        blocks = [block for block in report.blocks if "feedback-type" in block]
        if not report.kind.endswith("feedback-report") or not blocks:
            continue
        alone = len(blocks) == len(report.returned)
        for place, block in enumerate(blocks):
            # Reports side by side with their messages: each about its own; else all about all.
            returned = [report.returned[place]] if alone else report.returned
            kind = block["feedback-type"].split(";")[0].split("(")[0].strip().lower()
            found.append(Complaint(kind[:40], TYPES.get(kind, Meaning.UNCLEAR), names_in([block, *returned])))
    found += [
        Complaint("abuse", Meaning.COMPLAINT, names_in([message]))
        for message in opened.returned
        if _JUNK_MAIL_REPORT in message and not opened.reports
    ]
    return tuple(found)
