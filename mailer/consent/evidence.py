"""PURE: the personal part of a proof, sealed: the chain covers a salted digest of it, so that it can be erased."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sealed:
    """Evidence as it is stored, and what the chain says of it."""

    salt: bytes
    document: str
    digest: bytes


def evidence_digest(salt: bytes, document: Mapping[str, Any]) -> bytes:
    """Return the salted digest that a chain covers instead of the evidence itself."""
    canonical = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(salt + canonical.encode()).digest()


def sealed(evidence: Mapping[str, Any] | None) -> Sealed | None:
    """Return evidence under a salt of its own; None where there is none."""
    if evidence is None:
        return None
    salt = secrets.token_bytes(16)
    return Sealed(salt, json.dumps(evidence, ensure_ascii=False), evidence_digest(salt, evidence))
