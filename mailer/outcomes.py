"""What a receipt or a verdict comes to as a delivery's state. The table of docs/sending.md ("Outcomes"). Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

from mailer.gate import Cancel, Go, NotMine, Verdict, Wait, Withhold
from mailer.pick import Candidate
from mailer.providers.base import Outcome, Receipt
from mailer.records import Result

NOT_OBTAINED_WAIT = 0.3
"""Somebody else holds the person for a moment: another campaign's batch, or an opt-out."""
NOT_STARTED_WAIT = 0.0
TEMPORARY_WAIT = 15 * 60.0
"""RFC 5321 4.5.4.1: the first retry of a temporary failure not before about half an hour; check 39: 15 to 30 min."""
TURNED_AWAY_WAIT = 1.0
"""At least so long after a refusal that says "at once": else we would ask, and write it down, thirty times a second."""
UNREACHABLE_WAIT = 10.0
"""Nothing of the message was written: the provider itself was not there."""

_STATES = {
    Outcome.TAKEN: ("accepted", None),
    Outcome.REFUSED: ("refused_by_provider", "refused_by_provider"),
    Outcome.IN_DOUBT: ("in_doubt", "no_final_answer"),
    Outcome.NOT_TAKEN: ("pending", "not_taken"),
    Outcome.NOT_STARTED: ("pending", "window_closed"),
    Outcome.MISCONFIGURED: ("pending", "misconfigured"),
}


def result_of(delivery_id: UUID, receipt: Receipt | None) -> Result:
    """Return what a receipt comes to. No receipt at all: perhaps taken, so in doubt and never repeated by itself."""
    if receipt is None:
        return Result(delivery_id, "in_doubt", "no_receipt")
    state, reason = _STATES[receipt.outcome]
    return Result(
        delivery_id,
        state,
        reason,
        _kept(f"{receipt.code} {receipt.detail}".strip()),
        _kept(receipt.provider_message_id),
        _wait(receipt),
    )


@lru_cache(512)  # most answers are the same as the one before
def _kept(said: str | None) -> str | None:
    """What a provider said, as the database can keep it: what can't be written would put a whole batch in doubt."""
    if said and not said.isprintable():
        said = "".join(c if c.isprintable() else " " for c in said).strip()
    return said[:500] if said else None


def withheld(candidates: Iterable[Candidate], verdicts: Iterable[Verdict]) -> list[Result]:
    """Return the results of those that the gate did not let go. Rows that are not ours are left alone."""
    results = []
    for candidate, verdict in zip(candidates, verdicts, strict=True):
        match verdict:
            case Go() | NotMine():
                pass
            case Withhold(reason):
                results.append(Result(candidate.delivery_id, "withheld", reason))
            case Wait(reason, seconds):
                results.append(Result(candidate.delivery_id, "pending", reason, wait=seconds))
            case Cancel(reason):
                results.append(Result(candidate.delivery_id, "cancelled", reason))
    return results


def not_obtained(delivery_id: UUID) -> Result:
    """Return the result of a delivery whose person somebody else held."""
    return Result(delivery_id, "pending", "lock_not_obtained", wait=NOT_OBTAINED_WAIT)


def unrendered(delivery_id: UUID) -> Result:
    """Return the result of a delivery that may leave now but had nothing worth rendering when it was picked."""
    return Result(delivery_id, "pending", "changed_since_picked")


def _wait(receipt: Receipt) -> float:
    if receipt.outcome is Outcome.TAKEN:
        return 0.0
    if receipt.retry_after is not None and math.isfinite(receipt.retry_after):
        return max(receipt.retry_after, TURNED_AWAY_WAIT)
    if receipt.outcome is not Outcome.NOT_TAKEN:
        return NOT_STARTED_WAIT
    return TEMPORARY_WAIT if receipt.code[:1] == "4" else UNREACHABLE_WAIT
