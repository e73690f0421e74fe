"""Addresses that must not be mailed, by keyed hash. They outlive the person's data: erasure keeps the hash.

A suppression is about an address, the ledger is about a person; an opt-out writes both. Nothing but a new act of
the person lifts one that came from an opt-out.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from mailer.consent.policy import ALL
from mailer.models import Suppression

OPT_OUT = "opt_out"
COMPLAINT = "complaint"
HARD_BOUNCE = "hard_bounce"
SOFT_BOUNCES = "soft_bounces"
STRENGTH = (SOFT_BOUNCES, HARD_BOUNCE, OPT_OUT, COMPLAINT)
"""Of two reasons the later in this row is kept, whichever came first."""


def lock_addresses(session: Session, hashes: Iterable[bytes]) -> None:
    """Lock addresses, sorted, at most 1,000: before any customer, as everywhere."""
    session.execute(text("SELECT lock_addresses(:hashes)"), {"hashes": sorted(set(hashes))})


def suppress(session: Session, address_hash: bytes, scope: str, reason: str) -> None:
    """Stop an address for a purpose or for `all`. The address and everybody who has it must be locked.

    Saying it again changes nothing; a stronger reason takes the place of a weaker one, and one that had been lifted
    is in force again.
    """
    session.execute(
        text("""INSERT INTO suppressions (address_hash, scope, reason) VALUES (:hash, :scope, :reason)
                ON CONFLICT (address_hash, scope, key_id) DO UPDATE
                   SET lifted_at = NULL, reason = excluded.reason,
                       created_at = CASE WHEN suppressions.lifted_at IS NULL THEN suppressions.created_at
                                         ELSE clock_timestamp() END
                 WHERE suppressions.lifted_at IS NOT NULL
                    OR array_position(CAST(:strength AS text[]), excluded.reason)
                       > array_position(CAST(:strength AS text[]), suppressions.reason)"""),
        {"hash": address_hash, "scope": scope, "reason": reason, "strength": list(STRENGTH)},
    )


def is_suppressed(session: Session, address_hash: bytes, purpose: str) -> bool:
    """Say whether mail about `purpose` to this address is stopped."""
    found = select(Suppression.scope).where(
        Suppression.address_hash == address_hash,
        Suppression.scope.in_([ALL, purpose]),
        Suppression.lifted_at.is_(None),
    )
    return session.execute(found.limit(1)).first() is not None
