"""Who is working where: stripes of customers that one worker has for a while, so that two seldom pick the same rows.

A claim is an advisory lock of a database session that the worker keeps for it: nothing is written, and a worker that
dies gives all back at once. It saves work and decides nothing: a row belongs to whoever gets it in T1, claimed or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mailer.db import SessionFactory

log = structlog.get_logger(__name__)

WIDTH = 256
"""Customer numbers in a stripe. The same for everybody, or claims would mean nothing. Fewer people than a worker picks
at once: who has the last stripe of a campaign works alone at its end."""
MOST = 128
"""Stripes that one worker has at a time: the lock table is shared by all. Few people in each cost it, no more."""
_SPACE = 0x5AF00000
"""Where these locks are among those of two numbers; campaigns far apart may share one, which costs a detour."""

# From the first stripe on, as far as nobody else has them; the one that somebody has ends it.
_TAKE = text("""
    WITH RECURSIVE mine AS (
      SELECT CAST(:first AS int) AS stripe, pg_try_advisory_lock(:space, :first) AS held
      UNION ALL
      SELECT stripe + 1, pg_try_advisory_lock(:space, stripe + 1) FROM mine
       WHERE held AND stripe + 1 < CAST(:first AS int) + CAST(:count AS int))
    SELECT count(*) FROM mine WHERE held
""")
_GIVE_BACK = text("""
    SELECT count(pg_advisory_unlock(:space, stripe))
      FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS stripe
""")
_GIVE_BACK_ALL = text("SELECT pg_advisory_unlock_all()")


def stripe_of(customer_id: int) -> int:
    """Return the stripe that a customer is in."""
    return customer_id // WIDTH


class Claims:
    """The stripes that this worker has. One thread uses it."""

    def __init__(self, sessions: SessionFactory) -> None:
        self._sessions = sessions
        self._session: Session | None = None
        self._held: dict[int, range] = {}

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """While a worker works; afterwards it has none."""
        try:
            yield
        finally:
            self.close()

    def take(self, campaign_id: int, first: int, count: int = 1) -> range:
        """Have up to `count` stripes from `first` on, in place of those of this campaign held before.

        Returns those obtained: none where another worker has the first one. Where the database can't say, all.
        """
        wanted = range(first, first + min(count, MOST))
        try:
            self.give_back(campaign_id)
            values = {"space": _space(campaign_id), "first": first, "count": len(wanted)}
            obtained = wanted[: int(self._connected().execute(_TAKE, values).scalar_one())]
        except SQLAlchemyError:
            # Without claims two may meet, and T1 tells them apart.
            self._lose()
            return wanted
        if obtained:
            self._held[campaign_id] = obtained
        return obtained

    def give_back(self, campaign_id: int) -> None:
        """Let others have the stripes of a campaign."""
        held = self._held.pop(campaign_id, None)
        if held is None:
            return
        try:
            values = {"space": _space(campaign_id), "first": held[0], "last": held[-1]}
            self._connected().execute(_GIVE_BACK, values)
        except SQLAlchemyError:
            self._lose()

    def close(self) -> None:
        """Give everything back, and the session."""
        if self._session is None:
            return
        try:
            self._session.execute(_GIVE_BACK_ALL)
        except SQLAlchemyError:
            self._lose()
        else:
            self._session.close()
        self._session = None
        self._held.clear()

    def _lose(self) -> None:
        # Whatever we held went with the session, of which nothing more can be had: one that was lost answers every
        # further statement with an error of SQLAlchemy's own. For good: given back to the pool it might hold locks.
        log.warning("claims_lost")
        session, self._session = self._session, None
        self._held.clear()
        if session is not None:
            session.invalidate()

    def _connected(self) -> Session:
        if self._session is None:
            self._session = self._sessions()
            self._session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        return self._session


def _space(campaign_id: int) -> int:
    return _SPACE + campaign_id % 0x100000
