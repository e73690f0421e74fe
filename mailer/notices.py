"""What a provider must be told about people whose data it had: an outbox that retries until it was heard.

A no is in force here at once and needs nobody else; this makes the provider cease too (DPDP s.6(6)). What is told is
the person's standing when it is told, so a notice may come late, twice or after another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

AT_ONCE = 100
FIRST_WAIT, LONGEST_WAIT = 60, 6 * 3600
"""Seconds until it is tried again, doubling; it never gives up."""


class Lists(Protocol):
    """A provider's own lists. Calls return what went wrong, or nothing. Saying it twice changes nothing."""

    name: str

    def stop(self, addresses: Sequence[str]) -> str:
        """Have nothing more sent to `addresses`."""
        ...

    def allow(self, addresses: Sequence[str]) -> str:
        """Take back a stop that we had asked for."""
        ...

    def erase(self, addresses: Sequence[str]) -> str:
        """Have what is kept about `addresses` erased."""
        ...

    def stopped(self, after: int) -> tuple[Sequence[str], bool, str]:
        """Return the addresses on its list after the first `after`, whether they are the last, and what went wrong."""
        ...


_KEEPER = text("INSERT INTO list_keepers (provider) VALUES (:provider) ON CONFLICT DO NOTHING")

# Mail is wanted only where something is granted and nothing stops the address: whatever is unclear is a stop.
_DUE = text("""
    SELECT n.id, n.kind, n.address,
           EXISTS (SELECT 1 FROM consent_state s WHERE s.customer_id = n.customer_id AND s.granted)
           AND EXISTS (SELECT 1 FROM addresses a WHERE a.customer_id = n.customer_id AND a.address = n.address
                         AND NOT EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = a.address_hash
                                            AND x.scope = 'all' AND x.lifted_at IS NULL)) AS wanted
      FROM provider_notices n
     WHERE n.provider = :provider AND n.told_at IS NULL AND n.not_before <= clock_timestamp()
       AND (n.kind = 'standing' OR NOT EXISTS (SELECT 1 FROM addresses o WHERE o.address_hash = n.address_hash))
     ORDER BY n.id LIMIT :limit FOR UPDATE OF n SKIP LOCKED
""")
_TOLD = text("""
    UPDATE provider_notices SET told_at = clock_timestamp(), address = NULL, address_hash = NULL,
           problem = NULL WHERE id = ANY(:ids)
""")
_AGAIN = text("""
    UPDATE provider_notices SET tries = tries + 1, problem = :problem,
           not_before = clock_timestamp()
                        + make_interval(secs => least(:first * power(2, least(tries, 20)), :longest))
     WHERE id = ANY(:ids)
""")


def keep(session: Session, lists: Lists) -> None:
    """Note that this provider keeps lists: from now on it is told. Before the first mail is handed to it."""
    session.execute(_KEEPER, {"provider": lists.name})


def tell(session: Session, lists: Lists) -> dict[str, int]:
    """Tell `lists` what is due; return how many were `told` and how many come `again`. The caller commits.

    Only the notices are locked meanwhile, so nobody waits for the provider but another teller.
    """
    due = session.execute(_DUE, {"provider": lists.name, "limit": AT_ONCE}).all()
    told = again = 0
    for ids, problem in _said(_calls(lists, due)):
        if problem:
            values = {"ids": ids, "problem": problem[:300], "first": FIRST_WAIT, "longest": LONGEST_WAIT}
            session.execute(_AGAIN, values)
            again += len(ids)
        else:
            session.execute(_TOLD, {"ids": ids})
            told += len(ids)
    return {"told": told, "again": again}


def _said(calls: Sequence[tuple[Call, Due]]) -> Iterator[tuple[list[int], str]]:
    for call, some in calls:
        problem = call(list(dict.fromkeys(notice.address for notice in some)))
        if problem.startswith(_WRONG) and len(some) > 1:
            # One that they can't read is refused with all that it came with: each alone, or none would ever be heard.
            yield from _said([(call, [notice]) for notice in some])
        else:
            yield [notice.id for notice in some], problem


_WRONG = "400"
Call: TypeAlias = Callable[[Sequence[str]], str]
Due: TypeAlias = Sequence[Row[Any]]


def _calls(lists: Lists, due: Due) -> list[tuple[Call, Due]]:
    standings = [notice for notice in due if notice.kind == "standing"]
    kinds: list[tuple[Call, Due]] = [
        (lists.stop, [notice for notice in standings if not notice.wanted]),
        (lists.allow, [notice for notice in standings if notice.wanted]),
        (lists.erase, [notice for notice in due if notice.kind == "erasure"]),
    ]
    return [(call, some) for call, some in kinds if some]
