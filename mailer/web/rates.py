"""Counting how often something is asked for, in PostgreSQL: what a limit protects must not hang on the broker.

Windows are fixed (an hour from the full hour on), which lets at most twice the limit through at a border: enough for
what is counted here, where nothing that matters is ever refused.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from ipaddress import ip_network

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.keys import Keys

KEPT = timedelta(days=2)
NETWORK_BITS = {4: 24, 6: 48}
"""What one household or one office usually has."""

_COUNT = text("""
    INSERT INTO rate_counts (bucket, window_start, hits)
    VALUES (:bucket, date_bin(:window, clock_timestamp(), 'epoch'), 1)
    ON CONFLICT (bucket, window_start) DO UPDATE SET hits = rate_counts.hits + 1
    RETURNING hits
""")


def bucket(keys: Keys, what: str, value: str) -> bytes:
    """Return the name under which `value` is counted for `what`: keyed, so that it tells nothing by itself."""
    return hmac.digest(keys.derive("rates"), f"{what}\0{value}".encode(), "sha256")


def network_of(remote: str | None) -> str:
    """Return the /24 or /48 that a network address is in; what can't be read shares one name."""
    try:
        network = ip_network(remote or "", strict=False)
    except ValueError:
        return "unknown"
    return str(network.supernet(new_prefix=NETWORK_BITS[network.version]))


def count(session: Session, name: bytes, window: timedelta) -> int:
    """Count one more and return how many there are in this window. The edge commits, whatever comes of the rest."""
    hits = session.execute(_COUNT, {"bucket": name, "window": window}).scalar_one()
    if hits == 1:
        forget(session)
    return int(hits)


def forget(session: Session, at_most: int = 100) -> None:
    """Remove counts that nobody will ask for again; a few at a time, whenever a new one is begun."""
    session.execute(
        text("""DELETE FROM rate_counts WHERE ctid IN
                  (SELECT ctid FROM rate_counts WHERE window_start < clock_timestamp() - CAST(:kept AS interval)
                   ORDER BY window_start LIMIT :n FOR UPDATE SKIP LOCKED)"""),
        {"kept": KEPT, "n": at_most},
    )
