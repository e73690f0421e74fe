"""Where a worker is in a campaign: round and round over its people, in stripes that no other worker has just then.

A round begins somewhere of its own. What others have is left to them; what they leave lying for long is taken all the
same: T1 decides who has a row, the stripes only spare the two of them the work.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from mailer import pick, stripes
from mailer.pick import Candidate
from mailer.stripes import Claims

NOTHING_DUE_SECONDS = 2.0
"""How long a campaign in which nothing was due is left alone, unless rows that waited come back."""
LONGEST_REST_SECONDS = 60.0
PATIENCE_SECONDS = 15.0
"""Who has a stripe for so long while there is nothing else to do has stopped: its people are taken without a claim.
Longer than a hand-over may last."""


@dataclass
class Cursor:
    """Where this worker is in one campaign."""

    campaign_id: int
    claims: Claims
    after: int
    now: Callable[[], float] = time.monotonic
    _end: int | None = None
    """The last customer of the stripes at hand; None between two of them."""
    _count: int = 1
    _wrapped: bool = False
    _others_since: float | None = None
    _left_to_others: bool = False
    _picked: Sequence[Candidate] = ()
    _rest: float = NOTHING_DUE_SECONDS
    _rest_until: float = field(default=0.0)

    @classmethod
    def begin(cls, session: Session, campaign_id: int, claims: Claims) -> Cursor:
        """Begin anywhere: workers that begin at the same time seldom want the same."""
        start = random.randint(0, pick.last_customer(session, campaign_id))  # noqa: S311  (an offset, no secret)
        return cls(campaign_id, claims, start)

    def next(
        self, session: Session, limit: int, without: Collection[str] = (), *, soonest: float = math.inf
    ) -> Sequence[Candidate]:
        """Return up to `limit` people who are due and whom no other worker has in hand; none while it rests.

        Those at the domains `without` are passed over; in `soonest` seconds one of these may be due again.
        """
        if self.now() < self._rest_until:
            return ()
        while True:
            if self._end is None and not self._open(session, without):
                self._end_round(soonest)
                return ()
            found = pick.due(session, self.campaign_id, after=self.after, until=self._end, limit=limit, without=without)
            self._move(found, limit)
            if found:
                self._rest, self._picked = NOTHING_DUE_SECONDS, found
                return found

    def leave(self, unworked: Iterable[Candidate]) -> None:
        """Look again from the first of `unworked` on: they were picked and nothing was done about them."""
        picked = {candidate.delivery_id for candidate in self._picked}
        first = min((c.customer_id for c in unworked if c.delivery_id in picked), default=None)
        self._picked = ()
        if first is not None:
            self.after, self._end = first - 1, None

    def _move(self, found: Sequence[Candidate], limit: int) -> None:
        if len(found) == limit:
            self.after = found[-1].customer_id
            self._count = max(1, self._count // 2)
            return
        # Read to its end. Few people a stripe: the next time more of them at once.
        self.after, self._end = self._end or self.after, None
        self._count = min(stripes.MOST, self._count * 2)

    def _open(self, session: Session, without: Collection[str]) -> bool:
        """Find the next stripes with somebody in them that nobody else has; False when the round is over."""
        while True:
            first = pick.next_due(session, self.campaign_id, after=self.after, without=without)
            if first is None:
                if self._wrapped or self.after == 0:
                    return False
                self.after, self._wrapped = 0, True
                continue
            stripe = stripes.stripe_of(first)
            obtained = self.claims.take(self.campaign_id, stripe, self._count)
            if obtained:
                self._others_since = None
            if obtained or self._is_abandoned():
                self.after, self._end = first - 1, self._last_of(obtained[-1] if obtained else stripe)
                return True
            # They are on our heels, or we on theirs: what is left is taken in small pieces, so that both have some.
            self._left_to_others, self._count = True, 1
            self.after = self._last_of(stripe)

    def _is_abandoned(self) -> bool:
        return self._others_since is not None and self.now() - self._others_since > PATIENCE_SECONDS

    def _end_round(self, soonest: float) -> None:
        """Whatever is pending is being worked on, or waits."""
        self.claims.give_back(self.campaign_id)
        self.after, self._wrapped = 0, False
        self._rest_until = self.now() + min(self._rest, soonest)
        if self._left_to_others:
            self._others_since = self._others_since or self.now()
        else:
            self._others_since = None
            if soonest > self._rest:
                # Each empty round doubles the rest: reading a million rows that wait for the morning is no work.
                self._rest = min(2 * self._rest, LONGEST_REST_SECONDS)
        self._left_to_others = False

    @staticmethod
    def _last_of(stripe: int) -> int:
        return (stripe + 1) * stripes.WIDTH - 1
