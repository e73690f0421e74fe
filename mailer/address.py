"""Addresses: what one is, when two are the same, and the keyed hash by which they are known. Pure.

Syntax by RFC 5321 (local part at most 64 octets, domain 255, together 254), domains as A-labels (RFC 5890). Two
spellings are one address when they differ only in case, Unicode form or the form of the domain. Provider aliases
(dots, plus tags) are different addresses: merging them would be a guess.
"""

from __future__ import annotations

import hmac
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from config.keys import Keys
from mailer.errors import BadAddress

HASH_KEY_ID = 1
"""The key id under which new hashes are made."""


@dataclass(frozen=True, slots=True)
class ParsedAddress:
    """An address as written, the form by which it is compared, and its domain as A-label."""

    written: str
    canonical: str
    domain: str


def parse(written: str) -> ParsedAddress:
    """Return the parts of an address; raise BadAddress, which says what is wrong. No look-up is made."""
    trimmed = unicodedata.normalize("NFC", written.strip())
    if any(unicodedata.category(char) in ("Cc", "Cf") for char in trimmed):
        raise BadAddress("This address holds a character that can't be seen. Type it again.")
    try:
        valid = validate_email(
            trimmed, check_deliverability=False, allow_smtputf8=True, test_environment=True, strict=True
        )
    except EmailNotValidError as problem:
        raise BadAddress(f"An address looks like name@example.com. {problem}") from problem
    domain = valid.ascii_domain.lower()
    local = unicodedata.normalize("NFC", valid.local_part.casefold())
    return ParsedAddress(trimmed, f"{local}@{domain}", domain)


def hash_address(keys: Keys, canonical: str, key_id: int = HASH_KEY_ID) -> bytes:
    """Return HMAC-SHA256 of the canonical form. A plain hash could be guessed; this needs the root key."""
    return hmac.digest(keys.derive("address", key_id), canonical.encode(), "sha256")


def mask(address: str) -> str:
    """Return an address that its owner recognises and nobody else learns: p•••a@example.com."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}•••{local[-1:] if len(local) > 2 else ''}@{domain}"
