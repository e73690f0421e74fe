"""DKIM signatures (RFC 6376) with RSA, for mail that no relay signs: relaxed/relaxed, headers oversigned.

Both unsubscribe headers are signed, else one-click is not to be believed (RFC 8058 s.3.1). Each signed name is said
once more than it occurs, so that nobody can add a second From, Subject or unsubscribe link on the way (s.8.15).
The library that tests verify with (dkimpy) takes twenty times as long to sign, so the few lines of signing are ours.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from config.settings import DkimKey
from mailer.errors import InputProblem
from mailer.wire_text import WireText

KEY_BITS = 2048
LEAST_BITS = 1024
"""What Gmail still takes. New keys have 2048."""

SIGNED = (
    b"from", b"to", b"reply-to", b"subject", b"date", b"message-id", b"mime-version", b"content-type",
    b"list-unsubscribe", b"list-unsubscribe-post", b"list-id", b"feedback-id", b"auto-submitted",
    b"cfbl-address", b"cfbl-feedback-id",
)  # fmt: skip
"""Signed where there is one, and then signed as absent once more: a second one breaks the signature."""
ALWAYS = frozenset({b"from", b"to", b"reply-to", b"subject", b"date", b"list-unsubscribe", b"list-unsubscribe-post"})
"""Signed as absent too: nobody can give a notice an unsubscribe link, or any message a Reply-To."""

_SPACES = re.compile(rb"[ \t]+")
_FOLDS = re.compile(rb"\r\n(?=[ \t])")


class BadKey(InputProblem):
    """A signing key that can't be used. Names its file, never what is in it."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one domain under one selector."""

    domain: str
    selector: str
    key: rsa.RSAPrivateKey = field(repr=False)

    def sign(self, message: bytes, now: int) -> bytes:
        """Return `message` with a signature before its headers; `now` in seconds since 1970."""
        head, _, body = message.partition(b"\r\n\r\n")
        headers = _fields(head)
        names = [name for name in SIGNED for _ in range(headers.count(name) + (name in headers or name in ALWAYS))]
        bare = b"\r\n\t".join(
            [
                b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;",
                b"d=%s; s=%s; t=%d;" % (self.domain.encode(), self.selector.encode(), now),
                *_folded(b"h=", names),
                b"bh=%s;" % base64.b64encode(hashlib.sha256(relaxed_body(body)).digest()),
                b"b=",
            ]
        )
        signed = b"".join(_chosen(head, names)) + relaxed_header(bare)
        tag = base64.b64encode(self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))
        lines = [tag[place : place + 72] for place in range(0, len(tag), 72)]
        whole = b"".join((bare, b"\r\n\t".join(lines), b"\r\n", message))
        return WireText(whole) if isinstance(message, WireText) else whole

    def record(self) -> tuple[str, str]:
        """Return name and value of the DNS record (TXT) by which others check the signatures."""
        public = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return f"{self.selector}._domainkey.{self.domain}", f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


class Signers:
    """All keys of an installation. The last one named for a domain signs; earlier ones only stay published."""

    def __init__(self, signers: Iterable[Signer] = ()) -> None:
        self.all: Sequence[Signer] = tuple(signers)
        self._newest: Mapping[str, Signer] = {signer.domain: signer for signer in self.all}

    def of(self, domain: str) -> Signer | None:
        """Return who signs for a sender's domain: its own key, or that of a domain above it (aligned, relaxed)."""
        labels = domain.lower().split(".")
        above = (".".join(labels[place:]) for place in range(max(len(labels) - 1, 1)))
        return next((self._newest[name] for name in above if name in self._newest), None)

    def sign(self, message: bytes, domain: str, now: int) -> bytes:
        """Return `message` signed for `domain`; unchanged where there is no key for it."""
        signer = self.of(domain)
        return message if signer is None else signer.sign(message, now)


def load(keys: Iterable[DkimKey]) -> Signers:
    """Read the keys that the settings name. Raises BadKey for one that is missing, weak or open to others."""
    return Signers(Signer(key.domain, key.selector, _read(key.path)) for key in keys)


def new_key() -> bytes:
    """Return a new signing key as PEM."""
    return rsa.generate_private_key(65537, KEY_BITS).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read(path: Path) -> rsa.RSAPrivateKey:
    try:
        mode, pem = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise BadKey(f"DKIM_KEYS: {path} can't be read: {error.strerror}.") from None
    if mode & 0o077:
        raise BadKey(f"DKIM_KEYS: {path} can be read by others. Run: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey(f"DKIM_KEYS: {path} holds no unencrypted private key in PEM.") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < LEAST_BITS:
        raise BadKey(f"DKIM_KEYS: {path} must be an RSA key of at least {LEAST_BITS} bits, better {KEY_BITS}.")
    return key


# -- canonical forms (RFC 6376 s.3.4) ----------------------------------------------------------------------


def relaxed_body(body: bytes) -> bytes:
    """Runs of blanks become one, those at the end of a line and empty lines at the end of all go (s.3.4.4)."""
    # On the wire every line has its end, the last one too. Plain replacing is thirty times as fast as a pattern.
    body = body.replace(b"\t", b" ") + (b"" if body.endswith(b"\r\n") else b"\r\n")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    body = body.replace(b" \r\n", b"\r\n")
    while body.endswith(b"\r\n\r\n"):
        body = body[:-2]
    return b"" if body == b"\r\n" else body


def relaxed_header(line: bytes) -> bytes:
    """Return one header: its name in lower case, unfolded, runs of blanks one (s.3.4.2)."""
    name, _, value = line.partition(b":")
    return name.strip().lower() + b":" + _SPACES.sub(b" ", _FOLDS.sub(b"", value)).strip()


def _fields(head: bytes) -> list[bytes]:
    return [line.partition(b":")[0].strip().lower() for line in _FOLDS.sub(b"", head).split(b"\r\n")]


def _chosen(head: bytes, names: Sequence[bytes]) -> Iterable[bytes]:
    """The headers named, each from the bottom up (s.5.4.2); a name said too often has nothing more to give."""
    left: dict[bytes, list[bytes]] = {}
    for line in _FOLDS.sub(b"", head).split(b"\r\n"):
        left.setdefault(line.partition(b":")[0].strip().lower(), []).append(line)
    for name in names:
        if left.get(name):
            yield relaxed_header(left[name].pop()) + b"\r\n"


def _folded(before: bytes, names: Sequence[bytes]) -> list[bytes]:
    lines, line = [], before
    for place, name in enumerate(names):
        more = name + (b";" if place == len(names) - 1 else b":")
        if len(line) + len(more) > 74:
            lines.append(line)
            line = b""
        line += more
    return [*lines, line]
