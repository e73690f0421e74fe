"""DNS, asked of this machine's resolver: what `mailer.published` takes as a parameter, so that tests can stand in."""

from __future__ import annotations

from collections.abc import Sequence

import dns.exception
import dns.resolver

from mailer.published import LookUpFailed

SECONDS = 5.0


def ask_dns(name: str, kind: str = "TXT", *, seconds: float = SECONDS) -> Sequence[str]:
    """Return the records of a name; none where there are none. Raises LookUpFailed where nobody can tell."""
    try:
        answer = dns.resolver.resolve(name, kind, lifetime=seconds)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as trouble:
        raise LookUpFailed(type(trouble).__name__) from None
    if kind == "MX":
        return [record.exchange.to_text(omit_final_dot=True) for record in answer]
    return [b"".join(record.strings).decode("ascii", "replace") for record in answer]
