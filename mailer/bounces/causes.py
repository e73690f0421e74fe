"""PURE: why a message came back, and what follows from it. One table; each row with its action and its source.

"5.x.x means suppress" is wrong for about two in five real bounces: only an address that is gone may stop a person.
A mailbox that is full, a server that is away and a policy that dislikes us say nothing about whether the person is
there. What the other side wrote in words is read before its numbers: servers give 5.1.1 for a full mailbox and 5.7.1
for an unknown user. Rows are tried from the top.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mailer.bounces import phrases


class Act(StrEnum):
    """What a cause leads to."""

    SUPPRESS = "suppress"
    """The address is gone: nothing is sent to it any more."""
    COUNT = "count"
    """It may pass: counted within a window, and forgotten when a message arrives."""
    ALERT = "alert"
    """It is about us, the sender: a person here is told, and the recipient is left alone."""
    NOTHING = "nothing"
    """News, not a failure."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A row: its name, what follows, where that comes from, and what it is known by."""

    name: str
    act: Act
    source: str
    words: re.Pattern[str] | None = None
    statuses: re.Pattern[str] | None = None


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


def _statuses(*numbers: str) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?:{number})" for number in numbers))


CAUSES = (
    Cause(
        "sender_refused",
        Act.ALERT,
        "RFC 3463 X.1.7, X.1.8: the sender's address is what is wrong",
        _words(*phrases.SENDER_REFUSED),
        _statuses(r"[45]\.1\.[78]"),
    ),
    Cause(
        "sender_not_authenticated",
        Act.ALERT,
        "RFC 7372 X.7.20-29; Gmail 5.7.25-5.7.29 and 4.7.x; Outlook 5.7.515, 5.7.509: SPF, DKIM, DMARC or reverse name",
        _words(*phrases.SENDER_NOT_AUTHENTICATED),
        _statuses(r"[45]\.7\.(?:2\d|3[0-2]|515|509|8|9|14)"),
    ),
    Cause(
        "mailbox_full",
        Act.COUNT,
        "RFC 3463 X.2.2: the person can make room again",
        _words(*phrases.MAILBOX_FULL),
        _statuses(r"[45]\.2\.2", r"[45]\.3\.1"),
    ),
    Cause(
        "too_large",
        Act.ALERT,
        "RFC 3463 X.2.3, X.3.4: the message is too large, which is ours to mend",
        _words(*phrases.TOO_LARGE),
        _statuses(r"5\.2\.3", r"5\.3\.4"),
    ),
    Cause(
        "domain_gone",
        Act.SUPPRESS,
        "RFC 3463 X.1.2, X.4.4 with no such domain or mail exchanger, RFC 7505: no mailbox can be there",
        _words(*phrases.DOMAIN_GONE),
        _statuses(r"5\.1\.2", r"5\.1\.10"),
    ),
    Cause(
        "mailbox_unknown",
        Act.SUPPRESS,
        "RFC 3463 X.1.1, X.1.3; Exchange Online 5.4.1, Outlook.com 5.5.0: there is no such mailbox",
        _words(*phrases.MAILBOX_UNKNOWN),
        _statuses(r"5\.1\.[136]"),
    ),
    Cause(
        "mailbox_closed",
        Act.SUPPRESS,
        "RFC 3463 X.2.1, X.1.6: the mailbox was closed, or its owner moved",
        _words(*phrases.MAILBOX_CLOSED),
        _statuses(r"5\.2\.1"),
    ),
    Cause(
        "mailbox_unavailable",
        Act.COUNT,
        "RFC 5321 4.2.3, 550 in its widest sense: said of mailboxes that are gone, and of mail that is not liked",
        _words(*phrases.MAILBOX_UNAVAILABLE),
    ),
    Cause(
        "recipients_filter",
        Act.COUNT,
        "RFC 3463 X.2.0, X.2.1, RFC 5228: the recipient's own rule; some say it with 5.1.1, but somebody is there",
        _words(*phrases.RECIPIENTS_FILTER),
    ),
    Cause(
        "refused_as_spam",
        Act.ALERT,
        "RFC 3463 X.7.1; providers' bulk rules: reputation and content are the sender's",
        _words(*phrases.REFUSED_AS_SPAM),
        _statuses(r"[45]\.7\.\d{1,3}"),
    ),
    Cause(
        "message_refused",
        Act.ALERT,
        "RFC 3463 X.5.x, X.6.x: how the message is written, or what was said on the wire",
        _words(*phrases.MESSAGE_REFUSED),
        _statuses(r"5\.5\.\d{1,3}", r"5\.6\.\d{1,3}"),
    ),
    Cause(
        "route_trouble",
        Act.COUNT,
        "RFC 3463 X.4.x: servers that are away, loops, time-outs",
        _words(*phrases.ROUTE_TROUBLE),
        _statuses(r"[45]\.4\.\d{1,3}", r"[45]\.3\.\d{1,3}"),
    ),
    Cause("temporary", Act.COUNT, "RFC 3463 class 4: it may pass", None, _statuses(r"4\.\d{1,3}\.\d{1,3}")),
    Cause("unclear", Act.COUNT, "nothing says that the address is gone: not guessed"),
)
BY_NAME = {cause.name: cause for cause in CAUSES}

FORWARD = Cause("forward_failed", Act.COUNT, "RFC 3464 2.3.1: the failed address is not the one that was written to")
DELAYED = Cause("delayed", Act.NOTHING, "RFC 3464 2.3.3: it is still being tried")
ARRIVED = Cause("arrived", Act.NOTHING, "RFC 3464 2.3.3: delivered, relayed or expanded")


def cause_of(words: str, status: str = "") -> Cause:
    """Return the cause of a failure from what was said about it and its status of RFC 3463, if there is one.

    An address is called gone only for good: what class 4 says about it may pass.
    """
    said = _ADDRESS.sub(" ", " ".join(words[:4000].split())).replace("_", " ")
    # Some words mean something by their number only, which a report may give elsewhere.
    by_words = _told_by(f"{status} {said}")
    by_status = next((row for row in CAUSES if row.statuses is not None and row.statuses.fullmatch(status)), None)
    found = by_words or by_status or BY_NAME["unclear"]
    if found.name == "mailbox_unavailable" and by_status is not None:
        # Words that say everything and nothing: here the number says more, and a reason of ours most.
        rest = found.words.sub(" ", said) if found.words else said
        ours = _told_by(rest, Act.ALERT) if by_status.act is Act.SUPPRESS else None
        found = ours or by_status
    if found.name == "mailbox_unknown" and _PLAINLY_UNKNOWN.search(said) and _mailbox_was_taken(said, status):
        found = BY_NAME["recipients_filter"]
    return BY_NAME["temporary"] if found.act is Act.SUPPRESS and _may_pass(said, status) else found


def _told_by(said: str, *acts: Act) -> Cause | None:
    rows = (row for row in CAUSES if row.words is not None and (not acts or row.act in acts))
    return next((row for row in rows if row.words is not None and row.words.search(said)), None)


# "User [name@example.com] does not exist": the address would tear the sentence apart
_ADDRESS = re.compile(r"[<\[(\"']?[^\s<>\[\]()\"']{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}[>\])\"']?")
_PASSES = re.compile(r"tempor[aä]|not found, try again|try (?:again )?later", re.IGNORECASE)
_CODE_4, _CODE_5 = (re.compile(rf"(?<![\d.]){number}[0-5]\d[ -](?=[#<A-Za-z{number}])") for number in (4, 5))


# Filters of whole domains say "unknown user" as well; by then the server had taken the recipient.
_PLAINLY_UNKNOWN = re.compile(r"unknown user|user unknown", re.IGNORECASE)
_AFTER_DATA = re.compile(r"(?:in reply to|after) (?:the )?end of data", re.IGNORECASE)


def _mailbox_was_taken(said: str, status: str) -> bool:
    """RFC 3463 X.2.0: the mailbox exists; RFC 5321 4.3.2: 550 after the message itself is about policies."""
    return status == "5.2.0" or (not status.startswith("5.1.") and bool(_AFTER_DATA.search(said)))


def _may_pass(said: str, status: str) -> bool:
    if status:
        return status.startswith("4") or bool(_PASSES.search(said))
    return bool(_PASSES.search(said) or (_CODE_4.search(said) and not _CODE_5.search(said)))
