"""PURE: what SendGrid's answer to a mail send means (its pages "Errors", "Responses" and "Rate limits").

The question is always whether it could have taken the mail. SendGrid has no idempotency key, so whatever was written
and got no answer that we know is in doubt, and nobody sends it again by himself.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from mailer.providers.base import Outcome

LONGEST_REST = 300.0
"""Seconds. A clock that is wrong, theirs or ours, must not stop the mail for a day."""
USUAL_REST = 30.0
"""Where a 429 names no time: its headers may be missing."""
SHORTEST_REST = 1.0

_OUTCOMES = {
    202: Outcome.TAKEN,  # queued; delivered is only what an event says
    400: Outcome.REFUSED,  # this request is wrong and stays wrong
    413: Outcome.REFUSED,  # too large; the answer may be a page of HTML from a proxy
    401: Outcome.MISCONFIGURED,  # the key is wrong, or may not send mail
    403: Outcome.MISCONFIGURED,  # the sender isn't verified, or too many bad requests
    404: Outcome.MISCONFIGURED,  # 404 to 451: this is not the API, or not for us; no other person fares better
    405: Outcome.MISCONFIGURED,
    406: Outcome.MISCONFIGURED,
    415: Outcome.MISCONFIGURED,
    451: Outcome.MISCONFIGURED,
    429: Outcome.NOT_TAKEN,  # too many requests: this one was turned away
}

LONG_AGO = 1_000_000_000
"""No time that is still to come is before 2001: a smaller number counts seconds from now."""

_PLACE = re.compile(r"personalizations[.\[](\d+)")
_ADDRESS = re.compile(r"\S+@\S+")


def outcome_of(status: int, *, sandbox: bool = False) -> Outcome:
    """The meaning of an answer's number. 5xx, redirects and whatever we don't know: perhaps taken."""
    if sandbox and status == 200:
        return Outcome.TAKEN  # checked and thrown away, as was asked for
    return _OUTCOMES.get(status, Outcome.IN_DOUBT)


def rest(headers: Mapping[str, str], now: float, *, jitter: float | None = None) -> float:
    """Seconds to stay away after a 429: until Retry-After or X-RateLimit-Reset, a little later for each of us.

    `now` is in seconds since 1970, `jitter` between 0 and 1 (random if None): all workers at once would only meet
    the next 429.
    """
    reset = _reset(headers.get("x-ratelimit-reset", ""), now)
    if headers.get("retry-after", "").strip() == "0" and not (reset and reset > 0):
        return 0.0  # only this request was one too many
    named = [_retry_after(headers.get("retry-after", ""), now), reset]
    known = [seconds for seconds in named if seconds is not None]
    wanted = max(known) if known else USUAL_REST
    share = random.random() if jitter is None else jitter  # noqa: S311  (spreads load, keeps no secret)
    return min(max(wanted, SHORTEST_REST), LONGEST_REST) * (1 + 0.25 * share)


def words_of(body: bytes) -> str:
    """The provider's own words on one line, without addresses; whatever the body is."""
    errors = _errors(body)
    said = "; ".join(f"{e.get('field') or ''} {e.get('message') or ''}".strip() for e in errors)
    said = said or body[:300].decode("utf-8", "replace")
    printable = "".join(c if c.isprintable() else " " for c in said)
    return _ADDRESS.sub("(address)", " ".join(printable.split()))[:300]


def blamed(body: bytes) -> set[int]:
    """The places of the personalizations that a 400 names. Empty where it names none."""
    found = (_PLACE.search(str(error.get("field") or "")) for error in _errors(body))
    return {int(match.group(1)) for match in found if match}


def _errors(body: bytes) -> list[dict[str, object]]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return []
    errors = told.get("errors") if isinstance(told, dict) else None
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []


def _retry_after(value: str, now: float) -> float | None:
    """RFC 9110 10.2.3: seconds, or a date."""
    if value.strip().isdigit():
        return float(value)
    try:
        return parsedate_to_datetime(value).timestamp() - now
    except (TypeError, ValueError, OverflowError):
        return None


def _reset(value: str, now: float) -> float | None:
    """The time when it ends, in seconds since 1970; some endpoints are described as giving the seconds left."""
    try:
        told = float(value)
    except ValueError:
        return None
    if not math.isfinite(told):
        return None  # "nan" is a float, too
    return told if told < LONG_AGO else told - now
