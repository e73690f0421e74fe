"""PURE: delivery status notifications (RFC 3464, RFC 6533): what became of each recipient that a report names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parseaddr

from mailer.bounces.causes import ARRIVED, DELAYED, Cause, cause_of
from mailer.bounces.opening import Fields, Opened
from mailer.bounces.wordings import said_by_server

_STATUS = re.compile(r"(?<![\d.])([245])(\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_WHEN = re.compile(r"in reply to\s+(?:the\s+)?end\s+of\s+DATA")
_ACTIONS = {
    "failed": "failed",
    "failure": "failed",  # some servers say it so
    "delayed": "delayed",
    "delivered": "delivered",
    "relayed": "relayed",
    "expanded": "expanded",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one report says about one recipient."""

    action: str
    """failed, delayed, delivered, relayed or expanded."""
    cause: Cause
    recipients: tuple[str, ...] = ()
    """The addresses it names, canonical enough to be compared; empty where the report hides them."""
    status: str = ""
    words: str = ""


def findings_of(opened: Opened) -> tuple[Finding, ...]:
    """Return a finding for every recipient block of every report in a mail."""
    found = []
    for report in opened.reports:
        if report.kind.endswith("delivery-status"):
            blocks = [
                block for block in report.blocks if "action" in block or "status" in block or "diagnostic-code" in block
            ]
            # Words beside the report tell why where the report itself is silent, but only if it speaks of one person.
            aside = opened.text if len(blocks) == 1 else ""
            found += [_finding(block, aside) for block in blocks]
    return tuple(found)


def _finding(block: Fields, aside: str) -> Finding:
    diagnostic = block.get("diagnostic-code", "")
    status = status_in(diagnostic) if block.get("status", "").endswith(".0.0") else ""
    status = status or status_in(block.get("status", "")) or status_in(diagnostic)
    action = _action(block, status)
    names = tuple(filter(None, (_address(block.get(name, "")) for name in ("final-recipient", "original-recipient"))))
    words = f"{diagnostic} {_comment(block.get('status', ''))}".strip()
    return Finding(action, _cause(action, words, aside, status), names, status, words[:500])


def _cause(action: str, words: str, aside: str, status: str) -> Cause:
    if action != "failed":
        return DELAYED if action == "delayed" else ARRIVED
    # When the server refused stands only in the words for people.
    when = _WHEN.search(aside)
    cause = cause_of(f"{words} {when.group()}" if when else words, status)
    if cause.name != "unclear":
        return cause
    return cause_of(said_by_server(aside), status)


def status_in(text: str, classes: str = "245") -> str:
    """Return the first enhanced status code of these classes (RFC 3463) in a text, or nothing."""
    return next((f"{one}{rest}" for one, rest in _STATUS.findall(text) if one in classes), "")


def _comment(status: str) -> str:
    # "5.1.1 (unknown user)", and "553 Exceeded maximum inbound message size" from servers that mix up the fields
    return re.sub(r"^[\d.\s]+", "", status)


def _action(block: Fields, status: str) -> str:
    said = re.split(r"[^a-z]", block.get("action", "").lower().strip(), maxsplit=1)[0]
    if said in _ACTIONS:
        return _ACTIONS[said]
    return {"2": "delivered", "4": "delayed", "5": "failed"}.get(status[:1], "delayed")


def _address(field: str) -> str:
    _, _, value = field.rpartition(";")
    address = parseaddr(value.strip())[1].lower()
    return address if address.count("@") == 1 else ""
