"""One hand-over by SMTP: the messages that wait, whether they may still start, and the receipts so far."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from mailer.providers.base import Envelope, Outcome, Receipt, Window
from mailer.providers.smtp_opening import ConversationError
from mailer.providers.smtp_replies import lost_at, outcome_of
from mailer.providers.smtp_talk import Turn
from mailer.providers.smtp_words import Words, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Batch:
    """What waits for a connection. Every envelope leaves it by exactly one receipt, or as a turn somewhere."""

    def __init__(self, envelopes: Sequence[Envelope], window: Window, deadline: float) -> None:
        self.waiting = deque(Turn(envelope) for envelope in envelopes)
        self.receipts: deque[Receipt] = deque()
        self.deadline = deadline
        self.trouble: ConversationError | None = None
        """Why no more connections are opened."""
        self.barren = 0
        """Connections lost in this hand-over that never carried anything."""
        self._window = window

    def next(self, extensions: frozenset[str]) -> tuple[Turn, Words] | None:
        """The next message, to be begun at once on a server with these extensions; None if none may start."""
        while self.waiting:
            turn = self.waiting[0]
            words = words_of(turn.envelope, extensions)
            if isinstance(words, str):
                self.receipts.append(Receipt(turn.envelope.delivery_id, Outcome.REFUSED, code=words))
            elif not self.is_open():
                break
            else:
                return self.waiting.popleft(), words
            self.waiting.popleft()
        return None

    def put_back(self, turn: Turn) -> None:
        """Nothing of it was taken: it goes first on the next connection."""
        self.waiting.appendleft(turn)

    def is_open(self) -> bool:
        """Ask the window. Once it has closed nobody asks again: everything that waits was not started."""
        if time.monotonic() >= self.deadline:
            return False
        if not self._window.open():
            self._end(Outcome.NOT_STARTED)
            return False
        return True

    def run_out(self) -> None:
        """The time of the hand-over is over: what waits was not started, or surely not taken."""
        if self.waiting and not self._window.open():
            self._end(Outcome.NOT_STARTED)
        self._end(Outcome.NOT_TAKEN, detail="no time left in this hand-over")

    def unreachable(self) -> None:
        """There is no connection and there will be none: the rest would only wait, with the locks held."""
        trouble = self.trouble
        if trouble is None:
            self._end(Outcome.NOT_TAKEN, detail="no connection")
            return
        outcome = outcome_of(trouble.reply, trouble.stage) if trouble.reply else lost_at(trouble.stage)
        self._end(
            Outcome.MISCONFIGURED if trouble.ours else outcome,
            trouble.reply.number if trouble.reply and trouble.reply.code > 0 else "",
            f"{trouble.stage.name}: {trouble.detail}",
        )

    def told(self) -> Iterator[Receipt]:
        """The receipts that are known and not yet given."""
        while self.receipts:
            yield self.receipts.popleft()

    def _end(self, outcome: Outcome, code: str = "", detail: str = "") -> None:
        self.receipts.extend(Receipt(turn.envelope.delivery_id, outcome, code, detail) for turn in self.waiting)
        self.waiting.clear()
