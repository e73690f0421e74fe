"""Links that are counted: a delivery and the number of a link in it, signed. PURE.

`https://…/c/v1.<key id>.<body>.<tag>`, always `LENGTH` characters, with a key of its own (HKDF). Where it leads is
not in it: the number is looked up among the destinations of the approved revision, so it can lead nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from uuid import UUID

from config.keys import Keys
from mailer.seals import Seal

PURPOSE = "link:counted"
_TAG = 18
_TO_URL = bytes.maketrans(b"+/", b"-_")
_SHAPE = re.compile(r"v1\.([0-9]{2})\.([A-Za-z0-9_-]{24})\.([A-Za-z0-9_-]{24})")
LENGTH = len("v1.01.") + 24 + 1 + 24


@dataclass(frozen=True, slots=True)
class Followed:
    """What a verified link says: which mail, which of its links."""

    delivery_id: UUID
    number: int


class ClickLinks:
    """Writes and reads counted links under `keys`; `public_url` is the address that customers see."""

    def __init__(self, keys: Keys, public_url: str, *, key_id: int = 1) -> None:
        self._keys, self._start = keys, f"{public_url.rstrip('/')}/c/".encode()
        self._head, self._seal = b"v1.%02d." % key_id, Seal(keys.derive(PURPOSE, key_id))

    def url(self, delivery_id: UUID, number: int) -> str:
        """Return the link that stands for link `number` in this delivery's mail."""
        head = self._head + _letters(delivery_id.bytes + number.to_bytes(2, "big"))
        return (self._start + head + b"." + _letters(self._seal.digest(head)[:_TAG])).decode()

    def verify(self, token: str) -> Followed | None:
        """Return what `token` says if we wrote it, whichever key id signed it, else None."""
        parts = _SHAPE.fullmatch(token)
        if parts is None:
            return None
        key_id, body, tag = parts.groups()
        secret = self._keys.derive(PURPOSE, int(key_id))
        expected = _letters(hmac.digest(secret, f"v1.{key_id}.{body}".encode(), "sha256")[:_TAG])
        if not hmac.compare_digest(expected, tag.encode()):
            return None
        whole = base64.urlsafe_b64decode(body)
        return Followed(UUID(bytes=whole[:16]), int.from_bytes(whole[16:], "big"))


def _letters(whole: bytes) -> bytes:
    return binascii.b2a_base64(whole, newline=False).translate(_TO_URL)
