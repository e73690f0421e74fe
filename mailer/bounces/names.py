"""PURE: our own names of a delivery, wherever a mail carries them: the only proof that it is about mail of ours.

Each holds 128 random bits or a signature, so nobody guesses one: return paths, addresses to opt out by, links.
Whether a link is really ours is for whoever has the keys to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from mailer.bounces.opening import Fields
from mailer.message import delivery_of, delivery_to_stop

_OUR_ADDRESS = re.compile(r"(?<![a-z0-9])[bu]-[a-z2-7]{26}@[a-z0-9.-]{1,253}", re.IGNORECASE)
_TOKEN = re.compile(r"(?<![A-Za-z0-9_.-])v1\.[0-9]{2}\.[A-Za-z0-9_-]{48}\.[A-Za-z0-9_-]{24}(?![A-Za-z0-9_-])")
_MOST = 20

ENVELOPE = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to", "cc", "x-rcpt-to")
RETURNED = ("return-path", "original-mail-from", "list-unsubscribe", "x-original-mail-from", "sender", "errors-to")


@dataclass(frozen=True, slots=True)
class Names:
    """Candidates, in the order found, each once."""

    bounced: tuple[UUID, ...] = ()
    """Deliveries named by a return path."""
    stopped: tuple[UUID, ...] = ()
    """Deliveries named by an address to opt out by."""
    tokens: tuple[str, ...] = ()
    """What looks like a link of ours; its signature is still to be checked."""


def names_in(fields: Iterable[Fields], *texts: str) -> Names:
    """Return the names in header fields that can carry one, and in whole texts."""
    values = list(texts)
    for one in fields:
        values += [one[name] for name in (*ENVELOPE, *RETURNED) if name in one]
        # There a token has colons for dots, and may be folded (RFC 9477 s.3.2).
        values.append("".join(one.get("cfbl-feedback-id", "").split()).replace(":", "."))
    everything = "\n".join(values)
    addresses = _OUR_ADDRESS.findall(everything)[:_MOST]
    return Names(
        tuple(dict.fromkeys(found for at in addresses if (found := delivery_of(at)))),
        tuple(dict.fromkeys(found for at in addresses if (found := delivery_to_stop(at)))),
        tuple(dict.fromkeys(_TOKEN.findall(everything)[:_MOST])),
    )
