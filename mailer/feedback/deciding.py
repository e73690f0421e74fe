"""What a person here decides about a kept mail: whose it is, and what follows. Each only ever means less mail.

Decided once: whoever comes second is told. The caller commits and writes the act down.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer.consent.ledger import lock_customers
from mailer.consent.policy import ALL
from mailer.errors import InputProblem, WrongState
from mailer.suppression import HARD_BOUNCE, lock_addresses, suppress

DONE, OPT_OUT, BOUNCE = "done", "opt_out", "bounce"
DECISIONS = (DONE, OPT_OUT, BOUNCE)

_ABOUT = text("""
    SELECT k.customer_id, k.sender, k.handled_at, coalesce(d.address_hash, a.address_hash) AS address_hash
      FROM kept_mails k LEFT JOIN deliveries d ON d.id = k.delivery_id AND d.customer_id = k.customer_id
      LEFT JOIN addresses a ON a.customer_id = k.customer_id
     WHERE k.id = :id
""")
_HOLDERS = text("SELECT customer_id FROM addresses WHERE address_hash = :hash")
_ASSIGN = text("UPDATE kept_mails SET customer_id = :customer WHERE id = :id RETURNING id")
_HANDLE = text("""
    UPDATE kept_mails SET handled_at = clock_timestamp(), handled_by = :operator, handled_as = :decision
     WHERE id = :id AND handled_at IS NULL RETURNING id
""")


@dataclass(frozen=True, slots=True)
class About:
    """Whom a kept mail is about, as far as is known."""

    customer_id: int | None
    sender: str
    address_hash: bytes | None


def about(session: Session, mail_id: int) -> About:
    """Return whom a mail is about. Raises WrongState for one that is gone or was decided already."""
    row = session.execute(_ABOUT, {"id": mail_id}).one_or_none()
    if row is None or row.handled_at is not None:
        raise WrongState("Somebody has dealt with this mail already.")
    hashed = bytes(row.address_hash) if row.address_hash is not None else None
    return About(row.customer_id, row.sender, hashed)


def assign(session: Session, mail_id: int, customer_id: int) -> None:
    """Put a mail on a person's page."""
    if session.execute(_ASSIGN, {"id": mail_id, "customer": customer_id}).first() is None:
        raise WrongState("This mail is gone.")


def handle(session: Session, mail_id: int, operator_id: int, decision: str) -> None:
    """Write down what was decided. Raises WrongState if somebody was quicker."""
    values = {"id": mail_id, "operator": operator_id, "decision": decision}
    if session.execute(_HANDLE, values).first() is None:
        raise WrongState("Somebody has dealt with this mail already.")


def call_gone(session: Session, found: About) -> None:
    """Suppress the address that a mail is about, on a person's word."""
    if found.address_hash is None:
        raise InputProblem("Say first whom this mail is about: then we know the address.")
    lock_addresses(session, [found.address_hash])
    lock_customers(session, session.execute(_HOLDERS, {"hash": found.address_hash}).scalars())
    suppress(session, found.address_hash, ALL, HARD_BOUNCE)
