"""PURE: bounces that are only words: whether a mail is one, and the part of it in which a server speaks."""

from __future__ import annotations

import re

from mailer.bounces.automatic import is_answer_of_a_robot
from mailer.bounces.opening import Opened

# Below these the returned message begins, which says nothing about why it came back.
_RETURNED = re.compile(
    r"^(?:[>|\s*]*)(?:-{2,}+(?! ?server message)[^\n]{0,60}"
    r"(?:original|copy|returned|message|mensaje|below|enclosed|attachment|header)[^\n]{0,60}"
    r"|(?:the )?original message follows|\W{0,5}original message\b|your message reads|received: (?:from|by|\()"
    r"|return-path:"
    r"|the (?:first|header)[^\n]{0,60}(?:message|lines)[^\n]{0,40}follow|this is a copy of"
    r"|a copy of the (?:original )?message"
    r"|x-(?:originating|track|sender|mailer)[^\n]{0,20}:|mime-version:)"
    # Indented it is a list of what the message was, and the reason stands below it.
    r"|^(?:[>|*]+\s*)?message-id:",
    re.IGNORECASE | re.MULTILINE,
)
_ROBOT = re.compile(
    r"mailer.?daemon|postmaster|mail(?:er)? ?delivery (?:sub)?(?:system|service|agent)|delivery (?:sub)?system"
    r"|mailadm\b|mdaemon"
    r"|microsoftexchange[0-9a-f]{8,}|bounces?[-+@]",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"undeliver|non.?deliver|returned mail|returned to sender|returning message|failure notice"
    r"|delivery (?:failure|problem|status|has failed|report|error|notification|warning)"
    r"|mail (?:not delivered|delivery (?:failed|failure|problem|error|warning|system))|failed mail|(?:not"
    r"|could not be) (?:be )?delivered"
    r"|delivery.{0,20}(?:failed|delayed)|(?:message|mail) delayed|delayed mail|processing error"
    r"|mail (?:system )?error|unzustellbar|nicht zugestellt"
    r"|non (?:remis|distribu)|no se (?:pudo|ha podido) entregar|mancata consegna|не доставлен|メールエラー|退信",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"could not be delivered|could not deliver|did not reach|unable to deliver|not delivered|undeliverable"
    r"|failed recipient|non-?delivery report",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"\s*(?:re|fwd?|aw|wg)\s*:", re.IGNORECASE)
_DELAY = re.compile(
    r"warning message only|this is (?:just |only )?a (?:warning|notification about a delay)"
    r"|not yet been delivered|has been (?:delayed|postponed)"
    r"|will (?:be retried|continue (?:to )?(?:try|attempt)|keep trying)|delivery attempts will continue"
    r"|still being retried|advisory-only"
    r"|no action is required on your part|is delayed\b",
    re.IGNORECASE,
)
_DELAY_SUBJECT = re.compile(r"\bdelay(?:ed)?\b|^warning: message|delivery warning", re.IGNORECASE)


def is_bounce(opened: Opened) -> bool:
    """Whether a mail without a report is a bounce: a mail system speaks, and about a message that didn't arrive."""
    sender = opened.headers.get("from", "") or opened.headers.get("sender", "")
    subject = opened.headers.get("subject", "")
    daemon = bool(_ROBOT.search(sender)) or sender.rstrip().endswith("<>")
    null_path = opened.headers.get("return-path", "x").strip() in ("<>", "")
    if opened.content_type == "multipart/report" and not opened.receipt:
        return True  # its report could not be made out, or there is none
    if _SUBJECT.search(subject):
        return daemon or null_path or (not _ANSWER.match(subject) and bool(_FAILED.search(opened.text[:3000])))
    if null_path and not daemon and is_answer_of_a_robot(opened.headers):
        return False  # vacation notices have a null return path as well (RFC 3834 3.3), and speak of deliveries
    return (daemon or null_path) and bool(
        opened.returned
        or re.search(r"(?i)deliver|undeliver|returned|user unknown|unknown user|投递|退信", opened.text[:3000])
    )


def is_delay(opened: Opened) -> bool:
    """Whether it only says that the message is late."""
    return bool(
        _DELAY_SUBJECT.search(opened.headers.get("subject", "")) or _DELAY.search(said_by_server(opened.text)[:6000])
    )


def said_by_server(text: str) -> str:
    """Return what stands above the returned message."""
    lead = len(text) - len(text.lstrip())
    for found in _RETURNED.finditer(text):
        if found.start() > lead + 20:
            return text[: found.start()][:6000]
    return text[:6000]
