"""PURE: addresses as servers read them, and those of ours that name a delivery.

What comes from people is checked before it stands in a command or a header: a line break in a name must never become
a header of its own.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from uuid import UUID

import idna

from mailer.errors import InputProblem


class BadHeader(InputProblem):
    """Something that can't become a header or an address of a message. Says what, never the whole value."""


def return_path(delivery_id: UUID, domain: str) -> str:
    """The envelope sender: a bounce that hides the address still names the delivery (RFC 3461; opaque, random).

    Lower-case letters and digits only, so that it survives servers which change the case of a mailbox name.
    """
    return _named("b", delivery_id, domain)


def delivery_of(return_path: str) -> UUID | None:
    """The delivery that a return path names, or None where it isn't one of ours."""
    return _delivery_in("b", return_path)


def optout_address(delivery_id: UUID, domain: str) -> str:
    """Where a mail of any content means no to what this delivery was about (RFC 2369 3.2, `mailto:`)."""
    return _named("u", delivery_id, domain)


def delivery_to_stop(address: str) -> UUID | None:
    """The delivery whose purpose a mail to this address stops, or None where it isn't one of ours."""
    return _delivery_in("u", address)


def _named(letter: str, delivery_id: UUID, domain: str) -> str:
    whole = delivery_id.int << 2
    # In halves: shifting a long number costs by its length.
    above, below = whole >> 70, whole >> 10 & _SIXTY_BITS
    said = "".join([_PAIRS[half >> place & 1023] for half in (above, below) for place in _PLACES])
    return f"{letter}-{said}{_PAIRS[whole & 1023]}@{wire_domain(domain)}"


def _delivery_in(letter: str, address: str) -> UUID | None:
    found = _OUR_ADDRESS.match(address.strip().strip("<>").lower())
    if not found or not found.group(0).startswith(letter):
        return None
    try:
        return UUID(bytes=base64.b32decode(found.group(1).upper() + "======"))
    except (binascii.Error, ValueError):
        return None


@lru_cache(4096)
def wire_address(address: str) -> str:
    """The address as servers read it: the domain in A-labels, the mailbox name untouched (RFC 5321, 5891).

    Raises BadHeader for whatever can't stand in a command or header as it is.
    """
    return address if PLAIN.fullmatch(address) else by_the_rules(address)


def by_the_rules(address: str) -> str:
    """As `wire_address`, for any address."""
    local, at, domain = address.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or _FORBIDDEN_HERE.search(address):
        raise BadHeader("this is not an address that can be written on an envelope")
    wire = f"{local}@{wire_domain(domain)}"
    if len(local.encode()) > 64 or len(wire.encode()) > 254:
        raise BadHeader("this address is longer than servers accept (64 before the @, 254 in all)")
    return wire


@lru_cache(4096)
def wire_domain(domain: str) -> str:
    """The domain in lower-case A-labels: `उदाहरण.भारत` is `xn--p1b6ci4b4b3a.xn--h2brj9c`."""
    try:
        wire = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise BadHeader("this domain can't be written in A-labels") from None
    if not _DOMAIN.fullmatch(wire) or len(wire) > 253:
        raise BadHeader("this is not a domain")
    return wire


# Base32 (RFC 4648 s.6) ten bits at a time: the library takes four times as long for 16 bytes.
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(first + second for first in _LETTERS for second in _LETTERS)
_PLACES = (50, 40, 30, 20, 10, 0)
_SIXTY_BITS = (1 << 60) - 1
# C0, DEL, C1 and the two line separators of Unicode: each can end or hide a header somewhere on the way.
FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FORBIDDEN_HERE = re.compile(rf"{FORBIDDEN.pattern}|\s")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a0-\U0010ffff-]+"
_LOCAL = re.compile(rf"{_ATOM}(\.{_ATOM})*")
_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Nearly all addresses: the rules leave these as they are.
PLAIN = re.compile(
    r"(?=[^@]{1,64}@)(?=.{1,254}\Z)[A-Za-z0-9+_-]+(\.[A-Za-z0-9+_-]+)*@"
    r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
_OUR_ADDRESS = re.compile(r"[bu]-([a-z2-7]{26})@")
