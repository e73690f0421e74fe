"""The daily digest: what all chains came to at midnight, chained itself and exported.

A person's chain proves that nothing in it was changed; it can't prove that it is still there. The digest over the
sorted ends of all chains, and over the history of suppressions, can. It covers what was recorded before a day began
and is taken no earlier than an hour later, when no transaction of that day can still be open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from mailer.models import LedgerDigest

GENESIS = hashlib.sha256(b"askfirst").digest()
GRACE = timedelta(hours=1)
STREAM = {"yield_per": 5000}
"""Read through a cursor of the server: memory stays flat."""

_CHAINS = text("""
    SELECT DISTINCT ON (customer_id) customer_id, seq, hash FROM consent_events
     WHERE recorded_at < :midnight ORDER BY customer_id, seq DESC
""")
_SUPPRESSIONS = text("""
    SELECT id, address_hash, scope, action, reason FROM suppression_events WHERE at < :midnight ORDER BY id
""")


def take_if_due(session: Session) -> LedgerDigest | None:
    """Take the digest of today, UTC, unless it was taken or the day is too young. The caller commits."""
    now: datetime = session.scalar(select(func.clock_timestamp())) or datetime.now(UTC)
    day = (now.astimezone(UTC) - GRACE).date()
    if session.get(LedgerDigest, day) is not None:
        return None
    session.execute(text("SELECT pg_advisory_xact_lock(7220643)"))
    last = session.scalars(select(LedgerDigest).order_by(LedgerDigest.day.desc()).limit(1)).one_or_none()
    if last is not None and last.day >= day:
        return None
    digest = LedgerDigest(day=day, prev_hash=last.hash if last else GENESIS, **_figures(session, day))
    digest.hash = link(digest)
    session.add(digest)
    session.flush()
    return digest


def problems(session: Session) -> Iterator[str]:
    """Say what no longer fits: the digests' own chain, and the newest digest derived anew from what is stored."""
    before = GENESIS
    digests = session.scalars(select(LedgerDigest).order_by(LedgerDigest.day)).all()
    for digest in digests:
        if bytes(digest.prev_hash) != before or bytes(digest.hash) != link(digest):
            yield f"digest of {digest.day}: the chain of digests is broken here"
        before = bytes(digest.hash)
    if digests:
        found = _figures(session, digests[-1].day)
        for name in ("chains", "chains_digest", "suppressions", "suppressions_digest"):
            if found[name] != getattr(digests[-1], name):
                yield f"digest of {digests[-1].day}: {name.replace('_', ' ')} no longer fit, something was removed"


def link(digest: LedgerDigest) -> bytes:
    """Return the hash of a digest: SHA-256 over the one before it and its figures."""
    figures = f"{digest.day.isoformat()}|{digest.chains}|{digest.suppressions}|".encode()
    return hashlib.sha256(
        bytes(digest.prev_hash) + figures + bytes(digest.chains_digest) + bytes(digest.suppressions_digest)
    ).digest()


def as_json(digest: LedgerDigest) -> dict[str, Any]:
    """Return a digest as it is exported: to be kept somewhere else than the database."""
    return {
        "day": digest.day.isoformat(),
        "chains": digest.chains,
        "chains_digest": bytes(digest.chains_digest).hex(),
        "suppressions": digest.suppressions,
        "suppressions_digest": bytes(digest.suppressions_digest).hex(),
        "hash": bytes(digest.hash).hex(),
    }


def _figures(session: Session, day: date) -> dict[str, Any]:
    midnight = {"midnight": datetime(day.year, day.month, day.day, tzinfo=UTC)}
    chains, ends = 0, hashlib.sha256()
    for row in session.execute(_CHAINS, midnight, execution_options=STREAM):
        chains += 1
        ends.update(f"{row.customer_id}|{row.seq}|".encode() + bytes(row.hash))
    suppressions, history = 0, hashlib.sha256()
    for row in session.execute(_SUPPRESSIONS, midnight, execution_options=STREAM):
        suppressions += 1
        history.update(f"{row.id}|{row.scope}|{row.action}|{row.reason}|".encode() + bytes(row.address_hash))
    return {
        "chains": chains,
        "chains_digest": ends.digest(),
        "suppressions": suppressions,
        "suppressions_digest": history.digest(),
    }
