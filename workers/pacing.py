"""A provider that all workers leave alone when it asked one of them to (SendGrid's 429; check 75)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog
from sqlalchemy.exc import DBAPIError

from mailer import rests
from mailer.db import SessionFactory
from mailer.providers.base import Envelope, Outcome, Provider, Receipt, Window

log = structlog.get_logger(__name__)


class Paced:
    """Hands on to `provider`, and tells the database when that one asks for a rest.

    In transactions of its own: what the provider asked for holds whatever becomes of the batch.
    """

    def __init__(self, provider: Provider, sessions: SessionFactory) -> None:
        self._provider, self._sessions = provider, sessions
        self.name = provider.name

    def hand_over(self, envelopes: Sequence[Envelope], window: Window) -> Iterator[Receipt]:
        """As the interface says."""
        with self._sessions() as session:
            left = rests.left(session, self.name)
        if left > 0:
            yield from (
                Receipt(e.delivery_id, Outcome.NOT_TAKEN, RESTING, "asked to wait", retry_after=left) for e in envelopes
            )
            return
        longest = 0.0
        try:
            for receipt in self._provider.hand_over(envelopes, window):
                if receipt.code == RESTING:
                    longest = max(longest, receipt.retry_after or 0.0)
                yield receipt
        finally:
            if longest > 0:
                self._tell(longest)

    def close(self) -> None:
        """Close the provider."""
        self._provider.close()

    def _tell(self, seconds: float) -> None:
        log.warning("provider_rests", provider=self.name, seconds=round(seconds, 1))
        try:
            with self._sessions() as session, session.begin():
                rests.ask(session, self.name, seconds, "429: too many requests")
        except DBAPIError:
            # The receipts matter more; the next worker hears it from the provider itself.
            log.exception("rest_not_shared", provider=self.name)


RESTING = "429"
