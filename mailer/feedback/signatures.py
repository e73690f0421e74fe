"""PURE: who may knock at the doors for programs. SendGrid signs; mail servers know a secret made from the root key."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from config.keys import Keys

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
WIDE_SECONDS = 26 * 3600.0
"""Retries go on for 24 hours; older than this is said in the log, and left to the unique key (check 86)."""
LONGEST_SECONDS = 60 * 86400.0
"""Well within the time that events are known by their key (`retention.EVENT_DAYS`)."""


def is_signed(body: bytes, signature: str | None, timestamp: str | None, public_keys: Iterable[str]) -> bool:
    """Whether SendGrid signed exactly these bytes: ECDSA P-256 over timestamp and body (check 84).

    Any of `public_keys` (base64 SPKI as in SendGrid's pages) will do, so that one can be replaced by the next
    (check 87). Whatever is missing or malformed is not signed; nothing raises (check 85).
    """
    if not signature or not timestamp:
        return False
    try:
        seal = base64.b64decode(signature, validate=True)
        signed = timestamp.encode("latin-1") + body
    except (binascii.Error, ValueError):
        return False
    return any(_verifies(key, seal, signed) for key in public_keys)


def is_stale(timestamp: str | None, now: float) -> bool:
    """Whether a signature is older or newer than retries explain. An alarm, never a refusal."""
    try:
        return abs(now - float(timestamp or "")) > WIDE_SECONDS
    except ValueError:
        return True


def is_expired(timestamp: str | None, now: float) -> bool:
    """Whether a signature is so old that its events may be forgotten here: told again, they would count again."""
    try:
        return now - float(timestamp or "") > LONGEST_SECONDS
    except ValueError:
        return True


def usable_key(public_key: str) -> bool:
    """Whether this is a public key that can verify."""
    return _load(public_key) is not None


def inbound_secret(keys: Keys, key_id: int = 1) -> str:
    """What a mail server must say to hand in mail. Made from the root key, so there is nothing to keep."""
    return keys.derive("inbound", key_id).hex()


def knows_secret(keys: Keys, said: str | None) -> bool:
    """Whether `said` is the secret; two at a time, so that the next can be rolled out before the last is gone."""
    given = (said or "").strip().encode("utf-8", "replace")
    return any(hmac.compare_digest(given, inbound_secret(keys, key_id).encode()) for key_id in (1, 2))


def _verifies(public_key: str, seal: bytes, signed: bytes) -> bool:
    key = _load(public_key)
    if key is None:
        return False
    try:
        key.verify(seal, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _load(public_key: str) -> ec.EllipticCurvePublicKey | None:
    try:
        key = load_der_public_key(base64.b64decode(public_key.strip(), validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else None
