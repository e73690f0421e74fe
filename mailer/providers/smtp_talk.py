"""PURE: the conversation about messages on one connection, and what each answer means for which message.

Where the server offers PIPELINING (RFC 2920), MAIL, RCPT and DATA of a message go out together, and behind the final
dot of the one before; else step by step. Answers come in the order of the commands, so each belongs to the oldest
command that waits for one. Content is given only to a server that asked for it with 354; before the final dot
nothing was taken; from its first byte on, silence means *in doubt*.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailer.providers.base import Envelope, Outcome, Receipt
from mailer.providers.smtp_replies import Reply, Stage, lost_at, meaning_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailer.providers.smtp_opening import Extensions
    from mailer.providers.smtp_words import Words

DATA = b"DATA\r\n"
DOT = b".\r\n"
_TAKEN = Outcome.TAKEN
_MAIL, _RCPT, _DATA, _DOT = Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.DOT


@dataclass(slots=True, eq=False)
class Turn:
    """One message on its way: told off to a connection, once more to another one if the first took nothing of it."""

    envelope: Envelope
    words: Words | None = None
    tries: int = 0
    # -- on the connection where it is now
    is_first: bool = True
    unsaid: list[tuple[Stage, bytes]] | None = None  # the next one last; where commands are said step by step
    answered: bool = False  # anything but silence came to its MAIL
    has_recipient: bool = False
    refusal: tuple[Stage, Reply] | None = None
    wanted: bool = False  # the server asked for the content
    dotted: bool = False  # a byte of the final dot may have left

    def receipt(self, stage: Stage, reply: Reply | None, silence: str = "") -> Receipt:
        """What became of it: `reply` ended it, or silence did."""
        if reply is None:
            return Receipt(self.envelope.delivery_id, lost_at(stage), "", f"{stage.name}: {silence}")
        return Receipt(self.envelope.delivery_id, *meaning_of(stage, reply))


class Talk:
    """What was said on one connection and waits for an answer."""

    def __init__(self, extensions: Extensions) -> None:
        self.extensions = frozenset(extensions)
        self.pipelining = "PIPELINING" in extensions
        self.turns: deque[Turn] = deque()
        """Messages begun here and not ended, the oldest first: two at most."""
        self.receipts: list[Receipt] = []
        """Of messages that have ended. The reader takes them out."""
        self.broken = ""
        """Why nothing more can be said here."""
        self.taken = 0
        self._awaited: deque[tuple[Turn | None, Stage]] = deque()
        self._unclean = False  # the server may still have a transaction open
        self._begun = 0

    # -- what is said ------------------------------------------------------------------------------------

    def begin(self, turn: Turn, words: Words) -> bytes:
        """What to say first for this message. Its first byte is that of MAIL."""
        if turn.words is not None:
            self._reset(turn)
        turn.words, turn.is_first = words, not self._begun
        self._begun += 1
        self.turns.append(turn)
        if not self.pipelining:
            turn.unsaid = [(Stage.DATA, DATA), (Stage.RCPT, words.rcpt), (Stage.MAIL, words.mail)]
            return self.more()
        self._awaited += ((turn, _MAIL), (turn, _RCPT), (turn, _DATA))
        return words.mail + words.rcpt + DATA

    def take_back(self, turn: Turn) -> None:
        """Nothing of this message, the last one begun, has left: as if it had not been begun."""
        self.turns.remove(turn)
        self._awaited = deque(pair for pair in self._awaited if pair[0] is not turn)
        self._begun -= 1

    def clean(self) -> bytes:
        """What to say before another message is begun, where the last one left something open."""
        if not self._unclean:
            return b""
        self._unclean = False
        self._awaited.append((None, Stage.CONNECT))
        return b"RSET\r\n"

    @property
    def is_free(self) -> bool:
        """Whether a message may be begun now."""
        return not self.turns and (self.pipelining or not self._awaited)

    def more(self) -> bytes:
        """The next command, where they are said step by step and the last one was answered."""
        if self._awaited or not self.turns or not self.turns[0].unsaid:
            return b""
        stage, words = self.turns[0].unsaid.pop()
        self._awaited.append((self.turns[0], stage))
        return words

    @property
    def due(self) -> Turn | None:
        """The message whose content, or with a recipient refused only its final dot, is to be written now."""
        turn = self.turns[0] if self.turns else None
        return turn if turn is not None and turn.wanted and not turn.dotted else None

    def finish(self, turn: Turn) -> None:
        """The final dot is about to be written. An answer to it will come."""
        self._awaited.append((turn, _DOT))

    def not_finished(self) -> None:
        """Not even the first byte of the final dot left."""
        self._awaited.pop()

    # -- what is heard -----------------------------------------------------------------------------------

    def hear(self, reply: Reply) -> None:
        """Take one answer."""
        if not self._awaited:
            self.broken = f"the server closes: {reply.text}" if reply.code == 421 else "answered before it was asked"
            return
        turn, stage = self._awaited.popleft()
        if turn is None:
            if reply.code // 100 != 2:
                self.broken = f"no new beginning: {reply.text}"
            return
        turn.answered = True
        if stage is _DOT:
            self._end(turn, *(turn.refusal or (stage, reply)))
            self._look_for_the_end(reply)
        elif reply.code == 354 and stage is _DATA:
            self._invited(turn)
        elif reply.code // 100 == 2 and stage is not _DATA:
            turn.has_recipient = stage is _RCPT
        else:
            self._refused(turn, stage, reply)

    def lost(self, why: str) -> Iterator[Turn]:
        """The connection is gone: what has not ended ends, in the receipts, but for what may go over another one."""
        for turn in self.turns:
            if turn.dotted and not turn.refusal:
                self.receipts.append(turn.receipt(Stage.DOT, None, why))
            elif self._took_nothing(turn) and not turn.tries:
                turn.tries += 1
                yield turn
            elif turn.refusal:
                self.receipts.append(turn.receipt(*turn.refusal))
            else:
                self.receipts.append(turn.receipt(self._stage_of(turn), None, why))
        self.turns.clear()
        self._awaited.clear()

    def _invited(self, turn: Turn) -> None:
        if turn.refusal and turn.has_recipient:
            # It refused the sender, and wants the content all the same: a final dot would make it an empty mail.
            self.broken = "asked for the content of a message that it had refused"
        turn.wanted = not self.broken

    def _refused(self, turn: Turn, stage: Stage, reply: Reply) -> None:
        if turn.refusal is None:
            turn.refusal = (stage, reply)
        self._look_for_the_end(reply)
        if reply.code // 100 == 2:
            self.broken = _ASTRAY
        if self.broken:
            return  # `lost` ends it
        turn.unsaid = None
        if stage is Stage.DATA or not self.pipelining:
            self._unclean = turn.refusal[0] is not Stage.MAIL or turn.has_recipient
            self._end(turn, *turn.refusal)

    def _end(self, turn: Turn, stage: Stage, reply: Reply) -> None:
        self.turns.popleft()
        receipt = turn.receipt(stage, reply)
        self.taken += receipt.outcome is _TAKEN
        self.receipts.append(receipt)

    def _look_for_the_end(self, reply: Reply) -> None:
        if reply.code // 100 == 2:
            return
        if reply.code == 421:
            self.broken = f"the server closes: {reply.text}"
        elif reply.code // 100 not in {4, 5}:
            self.broken = _ASTRAY

    def _took_nothing(self, turn: Turn) -> bool:
        """Whether it is mere age or number that ended this connection: it had carried, and not a word about this one.

        Or only the word 421 to its MAIL: "enough messages on this connection".
        """
        if turn.is_first or turn.wanted:
            return False
        return not turn.answered or (turn.refusal is not None and _is_goodbye(*turn.refusal))

    def _stage_of(self, turn: Turn) -> Stage:
        return next((stage for waiting, stage in self._awaited if waiting is turn), Stage.DATA)

    @staticmethod
    def _reset(turn: Turn) -> None:
        turn.answered = turn.has_recipient = turn.wanted = turn.dotted = False
        turn.refusal = None
        turn.unsaid = None


_ASTRAY = "the server no longer talks about the same thing"


def _is_goodbye(stage: Stage, reply: Reply) -> bool:
    return stage is Stage.MAIL and reply.code == 421
