"""PURE: which kind of mail came in. One function, from bytes to a `Sorted`; it never raises."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from email.utils import parseaddr
from enum import StrEnum

from mailer.bounces.automatic import is_answer_of_a_robot, is_automatic, is_pressed_by_a_person
from mailer.bounces.causes import DELAYED, cause_of
from mailer.bounces.complaints import Complaint, complaints_of
from mailer.bounces.names import Names, names_in
from mailer.bounces.opening import Fields, Opened, open_mail
from mailer.bounces.reports import Finding, findings_of, status_in
from mailer.bounces.wordings import is_bounce, is_delay, said_by_server


class Kind(StrEnum):
    """What came in."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    OPT_OUT = "opt_out"
    AUTOMATIC = "automatic"
    LETTER = "letter"
    """Somebody wrote to us."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Sorted:
    """A mail that was told apart. `names` are candidates for whom it is about."""

    kind: Kind
    names: Names = field(default_factory=Names)
    findings: tuple[Finding, ...] = ()
    complaints: tuple[Complaint, ...] = ()
    sender: str = ""
    subject: str = ""
    text: str = ""
    """What a person would read, above what is quoted; at most 2,000 characters."""


_STOP = re.compile(
    r"^\W*(?:re\s*:\s*)?(?:please\s+)?(?:unsubscribe|unsubscribe me|stop|opt[ -]?out|remove me|remove"
    r"|no more (?:e-?)?mails?|stop (?:e-?)?mails?"
    r"|take me off (?:your|this|the) list|सदस्यता (?:रद्द|समाप्त)[^\n]{0,20}|बंद करें|रोकें)(?:\s+please)?\W*$",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"^(?:>|On .{0,200} wrote:|-{2,} ?(?:Original|Forwarded)|From: |_{10,})", re.MULTILINE)


def sort(raw: bytes, sent_to: str = "") -> Sorted:
    """Return what a raw mail is. `sent_to` are the addresses it was delivered to, as the mail server tells them."""
    opened = open_mail(raw)
    if opened is None:
        return Sorted(Kind.UNREADABLE)
    try:
        return _sort(opened, sent_to)
    except Exception:  # noqa: BLE001  (nothing that a stranger wrote stops the door; a person looks at it)
        return Sorted(Kind.UNREADABLE)


def _sort(opened: Opened, sent_to: str) -> Sorted:
    headers = opened.headers
    to = names_in([{name: value for name, value in headers.items() if name not in _OF_SENDERS}], sent_to)
    mail = Sorted(
        _kind(opened, to),
        to,
        sender=parseaddr(headers.get("from", ""))[1][:254],
        subject=headers.get("subject", "")[:500],
        text=_above_quotes(opened.text),
    )
    if mail.kind is Kind.COMPLAINT:
        return replace(mail, complaints=complaints_of(opened))
    if mail.kind is Kind.BOUNCE:
        return replace(mail, names=_with_returned(to, opened), findings=findings_of(opened) or _in_words(opened))
    if mail.kind is Kind.LETTER:
        kind = Kind.OPT_OUT if _says_stop(mail) else Kind.LETTER
        return replace(mail, kind=kind, names=_with_returned(to, opened))
    return mail


def _kind(opened: Opened, to: Names) -> Kind:
    """The order matters: a report is a report whatever robot sent it; a robot's answer is never an opt-out."""
    if complaints_of(opened):
        return Kind.COMPLAINT
    if findings_of(opened) or _in_words(opened):
        return Kind.BOUNCE
    wanted = is_pressed_by_a_person(opened.headers) or not is_answer_of_a_robot(opened.headers)
    if to.stopped and wanted and not opened.receipt:
        return Kind.OPT_OUT
    return Kind.AUTOMATIC if opened.receipt or is_automatic(opened.headers) else Kind.LETTER


# Of the mail itself these tell who sent it, not to whom it goes.
_OF_SENDERS = ("return-path", "sender", "errors-to", "list-unsubscribe")


def _in_words(opened: Opened) -> tuple[Finding, ...]:
    if opened.receipt or not is_bounce(opened):
        return ()
    if is_delay(opened):
        return (Finding("delayed", DELAYED),)
    said = f"{opened.headers.get('subject', '')}\n{said_by_server(opened.text)}"
    # free text also speaks of versions: only failures count here
    status = status_in(said, "45")
    return (Finding("failed", cause_of(said, status), (), status, said[:500]),)


def _with_returned(to: Names, opened: Opened) -> Names:
    quoted: list[Fields] = opened.returned
    found = names_in(quoted, opened.text)
    return Names(to.bounced or found.bounced, to.stopped, (*to.tokens, *found.tokens))


def _says_stop(mail: Sorted) -> bool:
    first = next((line.strip() for line in mail.text.splitlines() if line.strip()), "")
    return bool(_STOP.match(mail.subject) or _STOP.match(first))


def _above_quotes(text: str) -> str:
    found = _QUOTED.search(text)
    return text[: found.start() if found else len(text)].strip()[:2000]
