"""Every key askfirst uses, derived from one root, so that one secret has to be kept and none is used twice.

A key belongs to one purpose and one key id (NIST SP 800-108: separate keys for separate uses). Derivation is
HKDF-SHA256 (RFC 5869) without a salt: the root is random already.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ROOT_BYTES = 32
KEY_BYTES = 32


class Keys:
    """The keys below one root. Two objects of the same root derive the same keys, anywhere and at any time."""

    __slots__ = ("__dict__", "_derived", "_root")

    def __init__(self, root: bytes) -> None:
        if len(root) < ROOT_BYTES:
            raise ValueError(f"A root key has at least {ROOT_BYTES} bytes; this one has {len(root)}.")
        self._root = bytes(root)
        self._derived: dict[tuple[str, int], bytes] = {}

    def derive(self, purpose: str, key_id: int = 1) -> bytes:
        """Return the 32 bytes for `purpose` under `key_id`; the same arguments always give the same key."""
        if not purpose or "\0" in purpose or key_id < 0:
            raise ValueError("A key needs a purpose and a key id of 0 or more.")
        if (purpose, key_id) not in self._derived:
            info = b"askfirst\0" + purpose.encode() + b"\0" + str(key_id).encode()
            hkdf = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info)
            self._derived[purpose, key_id] = hkdf.derive(self._root)
        return self._derived[purpose, key_id]

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that tell roots apart and say nothing about any key."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return hashlib.sha256(self.derive("fingerprint", 0)).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Keys(fingerprint={self.fingerprint()!r})"

    def __reduce__(self) -> str:
        raise TypeError("Keys are not pickled: a root key does not travel.")
