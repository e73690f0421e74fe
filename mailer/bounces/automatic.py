"""PURE: answers that nobody wrote (RFC 3834): never an opt-out, a complaint, a bounce or a confirmation (check 24)."""

from __future__ import annotations

import re

from mailer.bounces.opening import Fields

_SUBJECT = re.compile(
    r"^\W{0,3}(?:auto(?:matic|mated|matische?|matica?|matique|matisch)?[\s:-]*(?:re(?:ply|sponse)|antwort|svar"
    r"|responder|respuesta|risposta|atbilde|antwoord)"
    r"|(?:autoreply|autoresponse|auto response|auto reply)|(?:r.ponse|respuesta|risposta|resposta) autom"
    r"|out of (?:the )?office|abwesen\w+|away from my mail"
    r"|vacation|on (?:annual |maternity )?leave|holiday notice|absence|urlaub|absent|atvalin\S{0,4}jums"
    r"|fuera de la oficina|fuori sede|afwezig\w*|automaattinen vastaus|automatyczna odpowied)"
    r"|automatiska atbilde|\bout of (?:the )?office\b|автоответ|आटो",
    re.IGNORECASE,
)
_OURS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponse",
    "x-mail-autoreply",
    "x-vacation",
    "x-ms-exchange-generated-message-source",
)
_BULK = re.compile(r"^(?:bulk|junk|list|auto_reply)\b", re.IGNORECASE)


def is_answer_of_a_robot(headers: Fields) -> bool:
    """Whether the mail says of itself that a program answered: vacation notices, tickets, receipts."""
    submitted = headers.get("auto-submitted", "no").split(";")[0].strip().lower()
    if submitted not in ("", "no"):
        return True
    return any(name in headers for name in _OURS) or bool(_SUBJECT.search(headers.get("subject", "")))


def is_pressed_by_a_person(headers: Fields) -> bool:
    """Whether a program wrote it because somebody pressed *unsubscribe* (RFC 2369 3.2): it says what we ask for.

    Apple Mail calls such a mail `Auto-Submitted: auto-replied`. Only for addresses to opt out by, whose owner is known.
    """
    asked = headers.get("subject", "").strip().lower() == "unsubscribe"
    return asked or headers.get("x-apple-unsubscribe", "").strip().lower() == "true"


def is_automatic(headers: Fields) -> bool:
    """Whether no person wrote the mail to us: a robot's answer, a list, a bulk mail, or one that wants no answer."""
    return (
        is_answer_of_a_robot(headers)
        or bool(_BULK.match(headers.get("precedence", "")))
        or headers.get("x-auto-response-suppress", "none").strip().lower() not in ("none", "")
        or headers.get("return-path", "x").strip() in ("<>", "")
        or any(name.startswith("list-") for name in headers)
    )
