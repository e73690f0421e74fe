"""After a restore: bring back what people said that the backup doesn't know. It only ever stops, it lifts nothing.

Applying a file again changes nothing: what the database knew already, or was told before, is left alone, and so is a
yes that somebody gave since.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from mailer import optout
from mailer.consent.ledger import lock_customers
from mailer.suppression import OPT_OUT, lock_addresses, suppress

SOURCE = "journal"

_KNOWN = {
    "stop": text("SELECT 1 FROM stop_requests WHERE id = :origin AND requested_at = :at"),
    "withdraw": text("SELECT 1 FROM consent_events WHERE customer_id = :customer AND seq = :origin AND hash = :hash"),
    "suppress": text("SELECT 1 FROM suppression_events WHERE id = :origin AND address_hash = :address AND at = :at"),
    "erase": text("SELECT 1 FROM customers WHERE id = :customer AND sha256(ref) = :ref AND account = 'erased'"),
}
_PERSON = text("SELECT id FROM customers WHERE id = :customer AND sha256(ref) = :ref")
_SEEN = text("INSERT INTO journal_applied (digest) VALUES (:digest) ON CONFLICT DO NOTHING")
_HOLDERS = text("SELECT customer_id FROM addresses WHERE address_hash = :hash ORDER BY 1")


def apply(engine: Engine, lines: Iterable[str]) -> Counter[str]:
    """Bring back every line; count what was `applied`, `known`, about `nobody` here, or `unreadable`."""
    done: Counter[str] = Counter()
    for line in filter(None, (line.strip() for line in lines)):
        try:
            said = _read(line)
        except (ValueError, KeyError, TypeError):
            done["unreadable"] += 1
            continue
        done[_apply_one(engine, hashlib.sha256(line.encode()).digest(), said)] += 1
    return done


def _read(line: str) -> dict[str, Any]:
    said = json.loads(line)
    found: dict[str, Any] = {name: said.get(name) for name in ("customer", "origin", "reason")}
    found |= {name: bytes.fromhex(said[name]) if name in said else None for name in ("ref", "address", "hash")}
    found |= {"kind": said["kind"], "scope": str(said["scope"]), "at": datetime.fromisoformat(said["at"])}
    if found["kind"] not in _KNOWN:
        raise ValueError(found["kind"])
    return found


def _apply_one(engine: Engine, digest: bytes, said: Mapping[str, Any]) -> str:
    with Session(engine) as session:
        told = session.scalar(text("SELECT 1 FROM journal_applied WHERE digest = :digest"), {"digest": digest})
        known = told is not None or session.scalar(_KNOWN[said["kind"]], dict(said)) is not None
        person: int | None = session.scalar(_PERSON, {"customer": said["customer"], "ref": said["ref"]})
    if known:
        return "known"
    if person is None and said["address"] is None:
        return "nobody"
    if said["kind"] == "suppress":
        _suppress(engine, said["address"], said["scope"], said["reason"])
    else:
        if person is not None:
            optout.stop_person(engine, customer_id=person, scope=said["scope"], source=SOURCE)
        if said["address"] is not None:
            optout.stop_hash(engine, said["address"], scope=said["scope"], source=SOURCE)
    if said["kind"] == "erase" and person is not None:
        _erase(engine, person, said["address"])
    with Session(engine) as session, session.begin():
        session.execute(_SEEN, {"digest": digest})
    return "applied"


def _suppress(engine: Engine, address_hash: bytes, scope: str, reason: str) -> None:
    with Session(engine) as session, session.begin():
        lock_addresses(session, [address_hash])
        lock_customers(session, session.execute(_HOLDERS, {"hash": address_hash}).scalars())
        suppress(session, address_hash, scope, reason)


def _erase(engine: Engine, customer_id: int, address_hash: bytes | None) -> None:
    """Take the address away and mark the account, as it was. What else is personal is listed for whoever erases."""
    with Session(engine) as session, session.begin():
        if address_hash is not None:
            lock_addresses(session, [address_hash])
        lock_customers(session, [customer_id])
        if address_hash is not None:
            suppress(session, address_hash, "all", OPT_OUT)
        session.execute(text("UPDATE customers SET account = 'erased' WHERE id = :id"), {"id": customer_id})
        session.execute(text("DELETE FROM addresses WHERE customer_id = :id"), {"id": customer_id})
