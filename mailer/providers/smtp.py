"""Hand-over by SMTP: several connections under one selector loop, with the stage of each message known.

Where the server offers PIPELINING (RFC 2920) the end of one message and the beginning of the next go in one write.
`smtp_talk` knows what is said and what answers mean, `smtp_line` writes and reads; here are the connections, the
loop, and the time. A message is never tried again once its content was asked for.
"""

from __future__ import annotations

import selectors
import ssl
import time
from typing import TYPE_CHECKING

from mailer.providers.base import HAND_OVER_SECONDS, Envelope, Receipt, Window
from mailer.providers.smtp_batch import Batch
from mailer.providers.smtp_line import Line
from mailer.providers.smtp_opening import ConversationError
from mailer.providers.smtp_replies import Stage
from mailer.providers.smtp_target import Directory, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONNECTIONS = 8
IDLE_SECONDS = 20.0
"""A connection that rested longer is not trusted: routers forget it without a word, and D would pass in silence."""
FEWER_SECONDS = 60.0
"""How long a server that refused one connection more is not asked for it again."""
PATIENCE = 1.0
"""Seconds without any event after which the window is asked, whether waiting is still of use."""


class SmtpProvider:
    """Connections that are kept between hand-overs, opened when there is work for them, renewed when lost."""

    name = "smtp"

    def __init__(
        self,
        url: str,
        *,
        seconds: float = HAND_OVER_SECONDS,
        connections: int = CONNECTIONS,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.target = Target.from_url(url)
        self._seconds, self._connections = seconds, connections
        self._context = context or ssl.create_default_context()
        self._directory = Directory(self.target.host, self.target.port)
        self._selector: selectors.BaseSelector | None = None
        self._lines: list[Line] = []
        self._most, self._most_until = connections, 0.0

    def hand_over(self, envelopes: Sequence[Envelope], window: Window) -> Iterator[Receipt]:
        """As the interface says."""
        batch = Batch(envelopes, window, time.monotonic() + self._seconds)
        try:
            yield from self._carry(batch)
        finally:
            for line in [line for line in self._lines if line.is_busy]:  # only where it is left half way
                self._drop(line)

    def close(self) -> None:
        """Say goodbye on every connection, if that takes no longer than a second."""
        until = time.monotonic() + 1
        leaving = [line for line in self._lines if line.is_free]
        for line in leaving:
            line.goodbye()
        while leaving and self._selector and time.monotonic() < until:
            heard = [key.data for key, _ in self._selector.select(until - time.monotonic())]
            leaving = [line for line in leaving if line not in heard or not line.gone()]
            for line in [line for line in heard if line not in leaving]:
                self._drop(line)
        for line in self._lines[:]:
            self._drop(line)
        if self._selector is not None:
            self._selector.close()
        self._selector = None

    # -- the loop ----------------------------------------------------------------------------------------

    def _carry(self, batch: Batch) -> Iterator[Receipt]:
        self._look_over(batch)
        while batch.waiting or any(line.is_busy for line in self._lines):
            self._set_to_work(batch)
            yield from batch.told()
            left = batch.deadline - time.monotonic()
            if left <= 0:
                self._run_out(batch)
            elif batch.waiting and not self._lines:
                batch.unreachable()
            else:
                self._wait(batch, left)
            yield from batch.told()

    def _wait(self, batch: Batch, left: float) -> None:
        """Wait for the wires; where nothing happens, see whether it is still of use that messages wait."""
        if not batch.waiting:
            if any(line.is_busy for line in self._lines):
                self._events(batch, left)
        elif not self._events(batch, min(left, PATIENCE)):
            batch.is_open()

    def _set_to_work(self, batch: Batch) -> None:
        """Give what waits to connections that are free, and have enough of them."""
        if not batch.waiting:
            return
        self._open_more(batch)
        for line in self._lines[:]:
            if batch.waiting and line.is_free:
                self._work(line, batch)

    def _events(self, batch: Batch, seconds: float) -> bool:
        """Wait for the wires at most so long, and do what can be done then. Whether anything happened."""
        events = self._selector.select(seconds) if self._selector else []
        for key, _ in events:
            self._work(key.data, batch)
        return bool(events)

    def _work(self, line: Line, batch: Batch) -> None:
        if line not in self._lines:
            return  # gone, while its event waited
        try:
            line.work(batch, time.monotonic())
        except ConversationError as trouble:
            self._lost(line, batch, trouble)
        if line.talk is not None and line.talk.receipts:
            batch.receipts.extend(line.talk.receipts)
            line.talk.receipts.clear()

    def _run_out(self, batch: Batch) -> None:
        """D is over. Who is still silent loses the connection; nothing of these messages may leave later."""
        for line in self._lines[:]:
            if line.is_busy or line.talk is None:
                self._lost(line, batch, ConversationError(line.stage, "no answer in time"))
        if self._lines or batch.trouble is None:
            batch.run_out()
        batch.unreachable()

    # -- the connections ---------------------------------------------------------------------------------

    def _look_over(self, batch: Batch) -> None:
        """Part with connections that rested too long or never came about, and hear what came while nobody listened."""
        now = time.monotonic()
        for line in self._lines[:]:
            if line.talk is None and now - line.began > self._seconds:
                self._lost(line, batch, ConversationError(line.stage, "no answer in time"))
            elif line.talk is not None and now - line.used > IDLE_SECONDS:
                line.goodbye()
                self._drop(line)
        self._events(batch, 0)

    def _open_more(self, batch: Batch) -> None:
        """One connection for two messages that wait: fewer leave a slow server idle, more are for nothing."""
        most = self._most if time.monotonic() < self._most_until else self._connections
        while batch.trouble is None and len(self._lines) < min(most, (len(batch.waiting) + 1) // 2):
            try:
                addresses = self._directory.addresses(batch.deadline)
                self._selector = self._selector or selectors.DefaultSelector()
                self._lines.append(Line(self.target, addresses, self._context, self._selector))
            except OSError as error:
                batch.trouble = ConversationError(Stage.CONNECT, error.strerror or str(error))
            except ConversationError as trouble:
                batch.trouble = trouble

    def _lost(self, line: Line, batch: Batch, trouble: ConversationError) -> None:
        """Part with a connection. One that never came about, or several without use, and no more are opened."""
        self._drop(line)
        if line.talk is None:
            batch.trouble = trouble
            if trouble.stage is Stage.CONNECT:
                self._directory.pass_over()
            if self._lines:
                self._most, self._most_until = len(self._lines), time.monotonic() + FEWER_SECONDS
            return
        for turn in line.talk.lost(trouble.detail):
            batch.put_back(turn)
        batch.receipts.extend(line.talk.receipts)
        line.talk.receipts.clear()
        batch.barren += not line.talk.taken
        if batch.barren >= max(3, self._connections):
            batch.trouble = batch.trouble or ConversationError(Stage.MAIL, trouble.detail)

    def _drop(self, line: Line) -> None:
        line.drop()
        if line in self._lines:
            self._lines.remove(line)
