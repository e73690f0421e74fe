"""The daily look at a provider's own list: whether it stops whom we stopped, and whom it stops that we don't.

Notices are told until they are heard, but a list can lose an entry, and people can say no at the provider (check
82). Read page by page, each in a transaction of its own, so that it goes on where it was cut short. Somebody on
their list whom we would mail is stopped here too: nobody knows what they said there, so it counts as a no. Nothing
is ever taken off a list by this.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer.address import hash_address, parse
from mailer.errors import InputProblem
from mailer.notices import Lists

log = structlog.get_logger(__name__)

EVERY_HOURS = 24
AGAIN_SECONDS = 15 * 60
"""After a page that could not be read."""
SOURCE = "provider_list"


# Asked first: a conflict with a row that another clock is writing would wait for that one.
_KNOWN = text("""
    INSERT INTO list_comparisons (provider)
    SELECT CAST(:provider AS varchar)
     WHERE NOT EXISTS (SELECT 1 FROM list_comparisons WHERE provider = :provider)
    ON CONFLICT DO NOTHING
""")
_MINE = text("""
    SELECT read, began_at, finished_at FROM list_comparisons
     WHERE provider = :provider AND not_before <= clock_timestamp()
       AND (finished_at IS NULL OR finished_at < clock_timestamp() - make_interval(hours => :hours))
       FOR UPDATE SKIP LOCKED
""")
_ANEW = text("""
    UPDATE list_comparisons SET began_at = clock_timestamp(), read = 0, finished_at = NULL, problem = NULL
     WHERE provider = :provider RETURNING read, began_at
""")
_SEEN = text("""
    INSERT INTO listed_addresses (provider, address_hash, seen_at)
    SELECT :provider, h, clock_timestamp() FROM unnest(CAST(:hashes AS bytea[])) AS h
    ON CONFLICT (provider, address_hash) DO UPDATE SET seen_at = excluded.seen_at
""")
_READ = text("UPDATE list_comparisons SET read = read + :n, problem = NULL WHERE provider = :provider")
_AGAIN = text("""
    UPDATE list_comparisons SET problem = :problem, not_before = clock_timestamp() + make_interval(secs => :seconds)
     WHERE provider = :provider
""")
_GONE = text("DELETE FROM listed_addresses WHERE provider = :provider AND seen_at < :began")
# Whoever has a notice that was told after their entry was read, or waits to be told, is not judged by that entry.
_THEIRS = text("""
    INSERT INTO stop_requests (customer_id, address_hash, scope, source, document)
    SELECT a.customer_id, a.address_hash, 'all', :source, jsonb_build_object('provider', CAST(:provider AS text))
      FROM listed_addresses l JOIN addresses a ON a.address_hash = l.address_hash
     WHERE l.provider = :provider
       AND EXISTS (SELECT 1 FROM consent_state s WHERE s.customer_id = a.customer_id AND s.granted)
       AND NOT EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = a.address_hash
                          AND x.scope = 'all' AND x.lifted_at IS NULL)
       AND NOT EXISTS (SELECT 1 FROM stop_requests r WHERE r.address_hash = a.address_hash
                          AND r.scope = 'all' AND r.folded_at IS NULL)
       AND NOT EXISTS (SELECT 1 FROM provider_notices n WHERE n.customer_id = a.customer_id
                          AND n.provider = :provider AND (n.told_at IS NULL OR n.told_at >= l.seen_at))
""")
_OURS = text("""
    INSERT INTO provider_notices (provider, kind, customer_id, address, address_hash)
    SELECT :provider, 'standing', a.customer_id, a.address, a.address_hash
      FROM (SELECT customer_id, max(told_at) AS told_at, bool_or(told_at IS NULL) AS waits FROM provider_notices
             WHERE provider = :provider AND kind = 'standing' GROUP BY customer_id) n
      JOIN addresses a ON a.customer_id = n.customer_id
     WHERE NOT n.waits AND n.told_at < :began
       AND (NOT EXISTS (SELECT 1 FROM consent_state s WHERE s.customer_id = a.customer_id AND s.granted)
            OR EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = a.address_hash
                          AND x.scope = 'all' AND x.lifted_at IS NULL))
       AND NOT EXISTS (SELECT 1 FROM listed_addresses l
                        WHERE l.provider = :provider AND l.address_hash = a.address_hash)
""")
_DONE = text("""
    UPDATE list_comparisons SET finished_at = clock_timestamp(), theirs_only = :theirs, ours_only = :ours
     WHERE provider = :provider
""")


def look(session: Session, provider: Lists, keys: Keys) -> bool:
    """Read one page of the provider's list if a look is due; return whether there is more to read at once.

    Holds only the look's own row meanwhile, so nobody waits for the provider. The caller commits.
    """
    name = {"provider": provider.name}
    session.execute(_KNOWN, name)
    mine = session.execute(_MINE, {**name, "hours": EVERY_HOURS}).one_or_none()
    if mine is None:
        return False
    if mine.finished_at is not None:  # a day ago: one that was cut short goes on instead
        mine = session.execute(_ANEW, name).one()
    addresses, last, problem = provider.stopped(mine.read)
    if problem:
        session.execute(_AGAIN, {**name, "problem": problem[:300], "seconds": AGAIN_SECONDS})
        log.warning("provider_list_not_read", provider=provider.name, why=problem[:300])
        return False
    session.execute(_SEEN, {**name, "hashes": _hashes(keys, addresses)})
    session.execute(_READ, {**name, "n": len(addresses)})
    if not last:
        return True
    session.execute(_GONE, {**name, "began": mine.began_at})
    theirs = session.execute(_THEIRS, {**name, "source": SOURCE}).rowcount  # type: ignore[attr-defined]
    ours = session.execute(_OURS, {**name, "began": mine.began_at}).rowcount  # type: ignore[attr-defined]
    session.execute(_DONE, {**name, "theirs": theirs, "ours": ours})
    log.info("provider_list_compared", provider=provider.name, theirs_only=theirs, ours_only=ours)
    return False


def _hashes(keys: Keys, addresses: Sequence[str]) -> list[bytes]:
    """The addresses' hashes, each once. What is no address to us was never mailed by us."""
    found = set()
    for address in addresses:
        try:
            found.add(hash_address(keys, parse(address).canonical))
        except InputProblem:
            continue
    return sorted(found)
