"""A provider as workers use it: left alone when it asks for it (SendGrid's 429; check 75) or when nobody is home.

What recipient domains say is written down for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from mailer import rests
from mailer.db import SessionFactory
from mailer.domains import Heard, words_of
from mailer.message import wire_domain
from mailer.providers.base import Envelope, Outcome, Provider, Receipt, Window
from workers.traffic import Traffic

log = structlog.get_logger(__name__)


class Paced:
    """Hands on to `provider`, and tells the database what all workers must know.

    In transactions of its own: what was heard holds whatever becomes of the batch.
    """

    def __init__(self, provider: Provider, sessions: SessionFactory, traffic: Traffic | None = None) -> None:
        self._provider, self._sessions = provider, sessions
        self.name = provider.name
        self.traffic = traffic or Traffic(provider.name)

    def hand_over(self, envelopes: Sequence[Envelope], window: Window) -> Iterator[Receipt]:
        """As the interface says."""
        if not envelopes:
            return
        if (wait := self._wait()) > 0:
            yield from (
                Receipt(e.delivery_id, Outcome.NOT_TAKEN, RESTING, "asked to wait", retry_after=wait) for e in envelopes
            )
            return
        receipts: list[Receipt] = []
        try:
            for receipt in self._provider.hand_over(envelopes, window):
                receipts.append(receipt)
                yield receipt
        finally:
            self._learn(envelopes, receipts)

    def _wait(self) -> float:
        """The seconds for which the provider is to be left alone."""
        if self.traffic.is_plain:
            return 0.0
        with self._sessions() as session, session.begin():
            self.traffic.look(session)
            return self.traffic.left() or (0.0 if self.traffic.may_try(session) else max(self.traffic.left(), 1.0))

    def close(self) -> None:
        """Close the provider."""
        self._provider.close()

    def _learn(self, envelopes: Sequence[Envelope], receipts: Sequence[Receipt]) -> None:
        if self.traffic.is_well and all(receipt.outcome is Outcome.TAKEN for receipt in receipts):
            return  # as always: nothing that anybody else should know
        longest = max((r.retry_after or 0.0 for r in receipts if r.code == RESTING), default=0.0)
        if longest > 0:
            log.warning("provider_rests", provider=self.name, seconds=round(longest, 1))
            self._tell(lambda session: rests.ask(session, self.name, longest, "429: too many requests"))
            self.traffic.asked(longest)
        reason = nobody_home(receipts)
        if reason is not None:
            self._tell(lambda session: self.traffic.nobody_home(session, reason))
        elif self.traffic.is_troubled and any(is_answer(receipt) for receipt in receipts):
            self._tell(self.traffic.somebody_home)
        elif self.traffic.is_trying:
            self._tell(self.traffic.not_tried)
        if heard := self._heard(envelopes, receipts):
            self._tell(lambda session: self.traffic.heard(session, heard))

    def _heard(self, envelopes: Sequence[Envelope], receipts: Sequence[Receipt]) -> dict[str, Heard]:
        """What is worth writing down: domains that said "later", and good news of those that had."""
        if not self.traffic.slowed and not any(is_later(receipt) for receipt in receipts):
            return {}
        heard: dict[str, Heard] = {}
        to = {envelope.delivery_id: envelope.recipient for envelope in envelopes}
        for receipt in receipts:
            if receipt.outcome is Outcome.TAKEN:
                heard.setdefault(domain_of(to[receipt.delivery_id]), Heard()).taken += 1
            elif is_later(receipt):
                heard.setdefault(domain_of(to[receipt.delivery_id]), Heard()).refused(receipt.code, receipt.detail)
        return {
            domain: told for domain, told in heard.items() if told.busy or (told.taken and self.traffic.knows(domain))
        }

    def _tell(self, what: Callable[[Session], object]) -> None:
        try:
            with self._sessions() as session, session.begin():
                what(session)
        except DBAPIError:
            # The receipts matter more; the next worker hears it from the provider itself.
            log.exception("not_shared", provider=self.name)


RESTING = "429"


def is_answer(receipt: Receipt) -> bool:
    """Whether somebody was there who answered for a message."""
    if receipt.outcome is Outcome.NOT_TAKEN:
        return is_later(receipt)
    return receipt.outcome in {Outcome.TAKEN, Outcome.REFUSED, Outcome.MISCONFIGURED}


def is_later(receipt: Receipt) -> bool:
    """Whether it is a "not now" to one recipient, in words of the server that takes its mail."""
    return receipt.outcome is Outcome.NOT_TAKEN and bool(receipt.code) and not receipt.about_server


def nobody_home(receipts: Sequence[Receipt]) -> str | None:
    """Say why a whole hand-over met nobody; None where somebody answered, or nothing was tried."""
    tried = [receipt for receipt in receipts if receipt.outcome is not Outcome.NOT_STARTED]
    if not tried or any(is_answer(receipt) for receipt in tried):
        return None
    return words_of(tried[-1].code, tried[-1].detail) or "no answer"


def domain_of(address: str) -> str:
    """Return the domain of an address as it is kept: in lower case, as A-label."""
    return wire_domain(address.rpartition("@")[2]).lower()
