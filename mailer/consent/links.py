"""Signed links: what a mail may carry about a person, and how we know that we wrote it.

A token is `v1.<key id>.<body>.<tag>`, always `LENGTH` characters. The body is the person's random reference, the
delivery, the purpose, the language of the mail and the day; no address, no name, no sequence. Each kind of link has
a key of its own (HKDF), so that one never opens another's door. Body and tag are multiples of three bytes: base64
leaves no slack bits, and no second spelling of a token exists. A token is still never used as a key of anything.
Signed rather than stored: a link outlives retention jobs and erasure (RFC 8058 s.3.1, CAN-SPAM, CASL s.11(2)).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from config.keys import Keys
from mailer.errors import UnknownPurpose
from mailer.seals import Seal


class Kind(StrEnum):
    """What a link is for. The value names its key and its place in the address."""

    UNSUBSCRIBE = "unsub"
    PREFERENCES = "prefs"
    CONFIRM = "confirm"
    WHY = "view"
    COMPLAINT = "report"
    """No link: what a complaint report names a mail by (RFC 9477)."""


PATHS = {Kind.UNSUBSCRIBE: "u", Kind.PREFERENCES: "p", Kind.CONFIRM: "s", Kind.WHY: "w"}
LIFETIMES = {Kind.PREFERENCES: timedelta(days=30), Kind.CONFIRM: timedelta(days=7)}
"""Kinds that are not named never expire: whoever kept a mail for ten years may still say no with it."""

# Written as their place in these rows: add at the end, never move and never remove.
PURPOSES = ("festive", "launch", "offer", "service")
LANGUAGES = ("en", "hi")

REF_BYTES, DELIVERY_BYTES, DAY_BYTES, TAG_BYTES = 16, 16, 2, 18
BODY_BYTES = REF_BYTES + DELIVERY_BYTES + 1 + 1 + DAY_BYTES
BODY_LENGTH, TAG_LENGTH = BODY_BYTES * 4 // 3, TAG_BYTES * 4 // 3
SHAPE = re.compile(rf"v1\.([0-9]{{2}})\.([A-Za-z0-9_-]{{{BODY_LENGTH}}})\.([A-Za-z0-9_-]{{{TAG_LENGTH}}})")
LENGTH = len("v1.01.") + BODY_LENGTH + 1 + TAG_LENGTH
NO_DELIVERY = UUID(int=0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IN_EVERY_MAIL = (Kind.UNSUBSCRIBE, Kind.PREFERENCES, Kind.WHY)
_TO_URL = bytes.maketrans(b"+/", b"-_")
_BAD_REF = f"A customer's reference has {REF_BYTES} bytes."


@dataclass(frozen=True, slots=True)
class Claim:
    """What a verified token says. `purpose` None means all marketing, `delivery_id` None no particular mail."""

    kind: Kind
    customer_ref: bytes
    delivery_id: UUID | None
    purpose: str | None
    language: str | None
    issued_on: datetime | None
    """Midnight UTC of the day of the mail; None if the link doesn't say."""


@dataclass(frozen=True, slots=True)
class MailLinks:
    """The three links that every marketing mail carries."""

    unsubscribe: str
    preferences: str
    why: str


class BatchLinks:
    """Writes the links of one batch of mails: the same words as `Links.for_mail`, each only when it is asked for."""

    __slots__ = ("_end", "_seals", "_start", "_starts")

    def __init__(self, start: bytes, end: bytes, starts: Mapping[Kind, bytes], seals: Mapping[Kind, Seal]) -> None:
        self._start, self._end, self._starts, self._seals = start, end, starts, seals

    def head(self, customer_ref: bytes, delivery_id: UUID) -> bytes:
        """Return what all links of one mail begin with, to be given to what `kind` returns."""
        if len(customer_ref) != REF_BYTES:
            raise ValueError(_BAD_REF)
        return self._start + _in_letters(customer_ref + delivery_id.bytes + self._end)

    def kind(self, kind: Kind) -> Callable[[bytes], str]:
        """Return what makes a link of this kind of a head."""
        start, digest = self._starts[kind], self._seals[kind].digest
        return lambda head: (start + head + b"." + _in_letters(digest(head)[:TAG_BYTES])).decode()


class Links:
    """Writes and reads links under `keys`; `public_url` is https and the address that customers see."""

    def __init__(self, keys: Keys, public_url: str, *, key_id: int = 1) -> None:
        if not 1 <= key_id <= 99:
            raise ValueError("A key id of links has two digits: between 1 and 99.")
        self._keys = keys
        self._base = public_url.rstrip("/")
        self._key_id = key_id
        # Four links in every mail: what is the same in all links of a kind is put together once.
        self._starts = {kind: f"{self._base}/{path}/".encode() for kind, path in PATHS.items()}
        self._seals = {kind: Seal(keys.derive(_name(kind), key_id)) for kind in Kind}

    def for_mail(
        self, customer_ref: bytes, purpose: str, delivery_id: UUID, *, issued_at: datetime, language: str = "en"
    ) -> MailLinks:
        """Return the links of one mail to one person."""
        head = self._head(_body(customer_ref, delivery_id, purpose, language, issued_at))
        return MailLinks(*[self._url(kind, head) for kind in _IN_EVERY_MAIL])

    def of_batch(self, purpose: str, *, issued_at: datetime, language: str = "en") -> BatchLinks:
        """Return what writes the links of many mails, all of one purpose, language and day."""
        start, end = b"v1.%02d." % self._key_id, _about_all(purpose, language, issued_at)
        return BatchLinks(start, end, self._starts, self._seals)

    def unsubscribe(
        self,
        customer_ref: bytes,
        purpose: str | None,
        delivery_id: UUID | None,
        *,
        issued_at: datetime | None = None,
        language: str | None = None,
    ) -> str:
        """Return the link that stops `purpose` (or all) for this person: by button, or by one-click POST."""
        return self._url(Kind.UNSUBSCRIBE, self._head(_body(customer_ref, delivery_id, purpose, language, issued_at)))

    def preferences(
        self,
        customer_ref: bytes,
        purpose: str | None,
        delivery_id: UUID | None,
        *,
        issued_at: datetime,
        language: str | None = None,
    ) -> str:
        """Return the link to the person's choices; it works for 30 days from `issued_at`."""
        return self._url(Kind.PREFERENCES, self._head(_body(customer_ref, delivery_id, purpose, language, issued_at)))

    def why(
        self,
        customer_ref: bytes,
        purpose: str | None,
        delivery_id: UUID | None,
        *,
        issued_at: datetime | None = None,
        language: str | None = None,
    ) -> str:
        """Return the link to the proof: which yes this mail relied on."""
        return self._url(Kind.WHY, self._head(_body(customer_ref, delivery_id, purpose, language, issued_at)))

    def address_of(self, path: str) -> str:
        """Return an address of ours that says nothing about anybody: a picture, the front page."""
        return f"{self._base}/{path}".rstrip("/")

    def also(self, claim: Claim, kind: Kind) -> str:
        """Return the token of another kind that the mail of `claim` carried: it says no more and lives no longer."""
        body = _body(claim.customer_ref, claim.delivery_id, claim.purpose, claim.language, claim.issued_on)
        return self._token(kind, self._head(body))

    def beside(self, link: str, kind: Kind) -> str:
        """Return the token of another kind for the mail that carries `link`, one of ours."""
        return self._token(kind, link.rpartition("/")[2].rpartition(".")[0].encode())

    def verify(self, token: str, kind: Kind, now: datetime) -> Claim | None:
        """Return what `token` says if we wrote it as a link of this `kind` and it still holds at `now`, else None.

        Whichever key id signed it: old ids verify for ever, because an opt-out must survive every rotation.
        """
        parts = SHAPE.fullmatch(token)
        if parts is None:
            return None
        key_id, body, tag = parts.groups()
        secret = self._keys.derive(_name(kind), int(key_id))
        if not hmac.compare_digest(_tag(secret, f"v1.{key_id}.{body}".encode()), tag.encode()):
            return None
        claim = _read(kind, base64.urlsafe_b64decode(body))
        return None if _expired(claim, now) else claim

    def _url(self, kind: Kind, head: bytes) -> str:
        return _signed(self._starts[kind], head, self._seals[kind])

    def _head(self, body: bytes) -> bytes:
        """What every link with this body begins with, whatever its kind."""
        return b"v1.%02d.%b" % (self._key_id, _in_letters(body))

    def _token(self, kind: Kind, head: bytes) -> str:
        return _signed(b"", head, self._seals[kind])


def _name(kind: Kind) -> str:
    return f"link:{kind.value}"


def _signed(start: bytes, head: bytes, seal: Seal) -> str:
    return (start + head + b"." + _in_letters(seal.digest(head)[:TAG_BYTES])).decode()


def _tag(secret: bytes, head: bytes) -> bytes:
    return _in_letters(hmac.digest(secret, head, "sha256")[:TAG_BYTES])


def _in_letters(whole: bytes) -> bytes:
    """Base64 with - and _ (RFC 4648 s.5), without the two calls around it."""
    return binascii.b2a_base64(whole, newline=False).translate(_TO_URL)


def _body(
    ref: bytes, delivery_id: UUID | None, purpose: str | None, language: str | None, issued_at: datetime | None
) -> bytes:
    if len(ref) != REF_BYTES:
        raise ValueError(_BAD_REF)
    return ref + (delivery_id or NO_DELIVERY).bytes + _about_all(purpose, language, issued_at)


def _about_all(purpose: str | None, language: str | None, issued_at: datetime | None) -> bytes:
    """The end of a body: what is the same in many mails."""
    if purpose is not None and purpose not in PURPOSES:
        raise UnknownPurpose(f"There is no purpose {purpose!r} that a link could name.")
    day = (issued_at - EPOCH).days if issued_at else 0
    return bytes((_place(purpose, PURPOSES), _place(language, LANGUAGES))) + day.to_bytes(DAY_BYTES, "big")


def _place(value: str | None, row: tuple[str, ...]) -> int:
    return row.index(value) + 1 if value in row else 0


def _read(kind: Kind, body: bytes) -> Claim:
    delivery_id = UUID(bytes=body[16:32])
    days = int.from_bytes(body[34:], "big")
    return Claim(
        kind=kind,
        customer_ref=body[:REF_BYTES],
        delivery_id=None if delivery_id == NO_DELIVERY else delivery_id,
        purpose=_at(body[32], PURPOSES),
        language=_at(body[33], LANGUAGES),
        issued_on=EPOCH + timedelta(days=days) if days else None,
    )


def _at(place: int, row: tuple[str, ...]) -> str | None:
    # A purpose that only a newer release knows reads as "all": a no is never too small.
    return row[place - 1] if 1 <= place <= len(row) else None


def _expired(claim: Claim, now: datetime) -> bool:
    lifetime = LIFETIMES.get(claim.kind)
    if lifetime is None:
        return False
    # The day is known, not the hour: a link that was promised 30 days gets the rest of the last one too.
    return claim.issued_on is None or now >= claim.issued_on + lifetime + timedelta(days=1)
