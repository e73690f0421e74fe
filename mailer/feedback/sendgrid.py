"""PURE: SendGrid's events in our words (checks 88 to 93). Unknown words change nothing and are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from mailer.bounces.causes import BY_NAME, Act, Cause, cause_of
from mailer.feedback.facts import Fact, What

SOURCE = "sendgrid"
DELIVERY, ATTEMPT = "delivery_id", "attempt_id"
"""Names of our own ids in a message's custom_args; Message-ID and smtp-id are not relied on (check 93)."""

_PLAIN = {
    "processed": What.TAKEN,
    "delivered": What.DELIVERED,
    "open": What.OPENED,
    "click": What.CLICKED,
    "bounce": What.BOUNCED,
    "spamreport": What.COMPLAINED,
    "unsubscribe": What.UNSUBSCRIBED,
    "group_unsubscribe": What.UNSUBSCRIBED,
    # A tick in SendGrid's pages is no consent of ours (check 92).
    "group_resubscribe": What.NOTHING,
}
BLOCKED = Cause("blocked", Act.ALERT, "SendGrid: type=blocked is about the sender or the moment, not the address")
_PERSONAL = ("email", "ip", "useragent", "url", "url_offset", "reason", "response", "smtp-id", "category", "pool")
_DROPPED = (
    ("bounced address", BY_NAME["mailbox_unknown"]),
    ("recipient list over package quota", BLOCKED),
    ("invalid smtpapi header", BY_NAME["message_refused"]),
    ("spam content", BY_NAME["refused_as_spam"]),
)


def dedupe_key(event: Mapping[str, Any]) -> bytes:
    """Return what an event is known by: SendGrid's id of it, or its whole content where it has none (check 90)."""
    known = event.get("sg_event_id")
    if isinstance(known, str) and 0 < len(known) <= 100:
        return hashlib.sha256(b"id:" + known.encode("utf-8", "replace")).digest()
    return hashlib.sha256(b"whole:" + json.dumps(event, sort_keys=True, default=str).encode()).digest()


def minimal(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event without what is personal: all that is kept about somebody unknown or erased (check 94)."""
    return {name: value for name, value in event.items() if name not in _PERSONAL}


def fact_of(event: Mapping[str, Any], now: datetime) -> Fact | None:
    """Return what an event says, or None where it carries no id of ours."""
    delivery_id = _uuid(event.get(DELIVERY))
    if delivery_id is None:
        return None
    what, cause, scope = _meaning(event)
    words = str(event.get("reason") or event.get("response") or "")[:500]
    return Fact(what, delivery_id, _time(event, now), _uuid(event.get(ATTEMPT)), cause, scope, words)


def _meaning(event: Mapping[str, Any]) -> tuple[What, Cause | None, str | None]:
    word = str(event.get("event", ""))
    if word == "dropped":
        return _dropped(str(event.get("reason", "")).lower())
    if word == "deferred":
        # Only what is held against us is worth a word: the rest passes, or ends as a bounce.
        cause = _cause({**event, "reason": event.get("response", "")})
        return What.NOTHING, cause if cause.act is Act.ALERT else None, None
    if word in ("open", "click") and event.get("sg_machine_open") in (True, "true", 1):
        return What.NOTHING, None, None
    what = _PLAIN.get(word, What.NOTHING)
    # The purpose of that mail where a group was left, all marketing else.
    return what, _cause(event) if what is What.BOUNCED else None, "all" if word == "unsubscribe" else None


def _cause(event: Mapping[str, Any]) -> Cause:
    cause = cause_of(str(event.get("reason", "")), str(event.get("status", "")))
    if event.get("type") == "blocked" and cause.act is Act.SUPPRESS:
        return BLOCKED
    return cause


def _dropped(reason: str) -> tuple[What, Cause | None, str | None]:
    if "unsubscribed" in reason:
        return What.UNSUBSCRIBED, None, "all"
    if "spam reporting" in reason:
        return What.COMPLAINED, None, None
    return What.DROPPED, next((cause for words, cause in _DROPPED if words in reason), BLOCKED), None


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _time(event: Mapping[str, Any], now: datetime) -> datetime:
    told = event.get("timestamp")
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 < told < 10**11:
        return now
    return min(datetime.fromtimestamp(told, UTC), now)
