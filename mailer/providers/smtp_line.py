"""One connection to the server: opened step by step, then kept for message after message. Never waits.

The final dot is written apart from the content, and only when all content has left this machine; behind it, in the
same write, the first commands of the next message. So a server that reads slowly never finds a message in its queue
that was begun long after its window, and as long as content is held up nothing is in doubt.
"""

from __future__ import annotations

import selectors
import ssl
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from mailer.providers.smtp_opening import ConversationError, Protect, opening
from mailer.providers.smtp_replies import Reader, Reply, Stage
from mailer.providers.smtp_talk import DOT, Talk, Turn
from mailer.providers.smtp_wire import Wire

if TYPE_CHECKING:
    from mailer.providers.smtp_target import Address, Target
    from mailer.providers.smtp_words import Words

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
PROMPT_SECONDS = 0.1
"""A server that took longer to answer the last dot gets no message begun behind a dot: it would lie there unread."""


class Supply(Protocol):
    """Where the next message comes from, if it may still start."""

    def next(self, extensions: frozenset[str]) -> tuple[Turn, Words] | None:
        """Asks the window: to be called right before the first byte is written."""
        ...

    def put_back(self, turn: Turn) -> None:
        """Nothing of it was said."""
        ...


class Line:
    """A connection; `talk` is there once messages may be given."""

    def __init__(
        self, target: Target, addresses: Sequence[Address], context: ssl.SSLContext, selector: selectors.BaseSelector
    ) -> None:
        """Begin to connect. Raises ConversationError where no address can even be tried."""
        self.talk: Talk | None = None
        self.stage = Stage.CONNECT
        self.began = self.used = time.monotonic()
        self._host, self._context, self._selector = target.host, context, selector
        self._reader = Reader()
        self._steps = opening(target)
        self._wants = 0  # events that the selector watches for
        self._asked = False
        self._protecting = False
        self._unsent: memoryview | None = None
        self._given: Turn | None = None  # whose content was handed to the wire
        self._dotted: Turn | None = None
        self._dotted_at = 0.0
        self._prompt = False
        self._places = iter(addresses)
        self._connecting = True
        self._dial("the host has no address")

    @property
    def is_free(self) -> bool:
        """Whether it could begin a message now."""
        return self.talk is not None and self.talk.is_free and self._unsent is None

    @property
    def is_busy(self) -> bool:
        """Whether a message is on it."""
        return self.talk is not None and bool(self.talk.turns)

    def work(self, supply: Supply, now: float) -> None:
        """Do all that can be done now. Raises ConversationError when the connection is of no more use."""
        wants = _READ
        try:
            if self._connecting and not self._has_connected():
                return
            if self._protecting and (wants := self._wire.shake_hands()):
                return
            if self._protecting:
                self._protecting = False
                self._go_on(None)
            wants = _READ
            self._listen(now)
            wants |= self._speak(supply, now)
        except (OSError, UnicodeError) as error:
            raise ConversationError(self.stage, _words(error)) from None
        finally:
            if wants != self._wants and not self._connecting and self._wire.fileno() >= 0:
                self._selector.modify(self._wire.fileno(), wants, self)
                self._wants = wants
        if self.talk is not None and self.talk.broken:
            raise ConversationError(self.stage, self.talk.broken)

    def goodbye(self) -> None:
        """Say QUIT, without waiting for an answer."""
        if self.is_free:
            self._wire.write(b"QUIT\r\n")

    def gone(self) -> bool:
        """Whether the server has answered the goodbye or left."""
        try:
            return self._wire.read() is not None
        except OSError:
            return True

    def drop(self) -> None:
        """Let go, at once: nothing that has not left this machine by now leaves later."""
        if self._wire.fileno() < 0:
            return
        self._selector.unregister(self._wire.fileno())
        if self._unsent is not None or not self._wire.drained():
            self._wire.abort()
        else:
            self._wire.close()

    # -- opening -----------------------------------------------------------------------------------------

    def _dial(self, problem: str) -> None:
        for address in self._places:
            try:
                self._wire = Wire(address)
            except OSError as error:
                problem = _words(error)
            else:
                self._wants = selectors.EVENT_WRITE
                self._selector.register(self._wire.fileno(), self._wants, self)
                return
        raise ConversationError(Stage.CONNECT, problem)

    def _has_connected(self) -> bool:
        try:
            self._wire.connected()
        except OSError as error:
            self.drop()
            self._dial(_words(error))
            return False
        self._connecting = False
        self._go_on(None)
        return True

    def _go_on(self, reply: Reply | None) -> None:
        """Take the next step of the opening, with the answer to the last one if there was any."""
        try:
            step = next(self._steps) if reply is None else self._steps.send(reply)
        except StopIteration as end:
            self.talk = Talk(end.value)
            return
        self.stage = step.stage
        if isinstance(step, Protect):
            if self._reader.unread:
                raise ConversationError(step.stage, _CLEAR)
            self._protecting = True
            self._wire.seal(self._context, self._host)
            self._protecting = bool(self._wire.shake_hands())
            if not self._protecting:
                self._go_on(None)
            return
        self._asked = True
        self._write(step.words)

    # -- listening and speaking ---------------------------------------------------------------------------

    def _listen(self, now: float) -> None:
        data = None if self._protecting else self._wire.read()
        if data is None:
            return
        if not data:
            raise ConversationError(self.stage, "the server closed the connection")
        self._hear(self._reader.feed(data))
        if self._reader.endless:
            raise ConversationError(self.stage, "the server's answer has no end")
        if self._dotted is not None and self.talk is not None and self._dotted not in self.talk.turns:
            self._prompt = now - self._dotted_at <= PROMPT_SECONDS
            self._dotted = None

    def _hear(self, replies: Sequence[Reply]) -> None:
        if self.talk is None and replies and (len(replies) > 1 or not self._asked):
            raise ConversationError(self.stage, _CLEAR if self.stage is Stage.TLS else "answered before it was asked")
        for reply in replies:
            if self.talk is None:
                self._asked = False
                self._go_on(reply)
            elif not self.talk.broken:
                self.talk.hear(reply)

    def _speak(self, supply: Supply, now: float) -> int:
        """Write what may be written; the event of the selector that more has to wait for."""
        while self._unsent is None or self._flushed():
            talk = self.talk
            if talk is None or talk.broken:
                return 0
            turn = talk.due
            if turn is not None:
                return self._end(talk, turn, supply, now)
            if not (self._said_more(talk) if talk.turns else self._begun(talk, supply, now)):
                return 0
        return _WRITE

    def _end(self, talk: Talk, turn: Turn, supply: Supply, now: float) -> int:
        """Write the content and, when all of it has left, the dot. What follows waits for answers."""
        if self._given is not turn:
            self._given = turn
            if turn.words is not None and not turn.refusal:
                self._write(turn.words.content)
        if not self._flushed() or not self._wire.drained() or not self._finished(talk, turn, supply, now):
            return _WRITE
        return 0 if self._unsent is None else _WRITE

    def _said_more(self, talk: Talk) -> bool:
        words = talk.more()
        self._write(words)
        return bool(words)

    def _begun(self, talk: Talk, supply: Supply, now: float) -> bool:
        """Begin a message, if the connection is free for one and one may still start."""
        self._write(talk.clean() if talk.is_free else b"")
        if not talk.is_free or self._unsent is not None or (following := supply.next(talk.extensions)) is None:
            return False
        turn, _ = following
        words = talk.begin(*following)
        left = self._wire.write(words)
        if not left and not self._wire.sealed:
            talk.take_back(turn)
            supply.put_back(turn)
            return False
        self._keep(words, left)
        self.used = now
        return True

    def _finished(self, talk: Talk, turn: Turn, supply: Supply, now: float) -> bool:
        """Write the final dot, and behind it the first words of the next message. False: nothing has left."""
        following = None
        talk.finish(turn)
        words = DOT
        if talk.pipelining and self._prompt and not turn.refusal:
            following = supply.next(talk.extensions)
            words += talk.begin(*following) if following else b""
        written = self._wire.write(words)
        left = len(words) if self._wire.sealed else written
        if following and left <= len(DOT):
            # What waits in our own buffer could leave after the window: it counts as not begun.
            talk.take_back(following[0])
            supply.put_back(following[0])
            words = DOT
        if not left:
            talk.not_finished()
            return False
        turn.dotted = True
        self._dotted, self._dotted_at, self.used = turn, now, now
        self._keep(words, written)
        return True

    def _write(self, words: bytes) -> None:
        """Write, or keep until there is room. Not for the first words of a message, nor for its dot."""
        if words:
            self._keep(words, self._wire.write(words))

    def _keep(self, words: bytes | memoryview, written: int) -> None:
        """Keep what of `words` is still to be written."""
        self._unsent = memoryview(words)[written:] if written < len(words) else None

    def _flushed(self) -> bool:
        while self._unsent is not None:
            written = self._wire.write(self._unsent)
            if not written:
                return False
            self._keep(self._unsent, written)
        return True


_CLEAR = "bytes in clear text came after the answer to STARTTLS"


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    return str(error)
