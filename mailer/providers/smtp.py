"""Hand-over by SMTP, one message at a time on one connection, with the stage of each message known.

Before the final dot nothing was taken; from its first byte on, silence means *in doubt*. The dot is written apart
from the content, so that the two never mix. A message is never tried again after its content was begun.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailer.message import BadHeader, wire_address
from mailer.providers.base import HAND_OVER_SECONDS, Envelope, Outcome, Receipt, Window, not_started
from mailer.providers.smtp_replies import Reply, Stage, lost_at, outcome_of, queue_id
from mailer.providers.smtp_session import ConversationError, Session, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class SmtpProvider:
    """A connection that is kept between hand-overs and renewed when it is lost."""

    name = "smtp"

    def __init__(self, url: str, *, seconds: float = HAND_OVER_SECONDS, context: ssl.SSLContext | None = None) -> None:
        self.target = Target.from_url(url)
        self._seconds = seconds
        self._context = context or ssl.create_default_context()
        self._session: Session | None = None
        self._at_rest = False  # the last thing on this connection was a message taken, a moment ago
        self._has_carried = False  # it has taken a message, so losing it may be mere age

    def hand_over(self, envelopes: Sequence[Envelope], window: Window) -> Iterator[Receipt]:
        """As the interface says."""
        deadline = time.monotonic() + self._seconds
        self._at_rest = False
        trouble: ConversationError | None = None
        for place, envelope in enumerate(envelopes):
            if trouble is None:
                trouble = self._make_ready(deadline)
            if trouble is not None:
                # Nobody is home: the rest of the batch would only wait for the same answer, with the locks held.
                yield _unreachable(envelope, trouble)
                continue
            if not window.open():
                yield from not_started(envelopes[place:])
                return
            yield self._deliver(envelope, window, deadline)

    def close(self) -> None:
        """Say goodbye, if that takes no longer than a second."""
        if self._session is not None:
            self._session.deadline = time.monotonic() + 1
            with suppress(ConversationError):
                self._session.exchange(Stage.CONNECT, "QUIT")
            self._drop()

    # -- the connection ------------------------------------------------------------------------------

    def _make_ready(self, deadline: float) -> ConversationError | None:
        """Have a connection that answers; one that has gone since the last message is renewed once."""
        if self._session is not None:
            self._session.deadline = deadline
            if self._at_rest:
                return None
            with suppress(ConversationError):
                if self._session.exchange(Stage.CONNECT, "RSET").code == 250:
                    return None
            self._drop()
        return self._connect(deadline)

    def _connect(self, deadline: float) -> ConversationError | None:
        session = Session(self.target, deadline, self._context)
        try:
            session.open()
        except ConversationError as trouble:
            return trouble
        self._session, self._has_carried = session, False
        return None

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None

    # -- one message ---------------------------------------------------------------------------------

    def _deliver(self, envelope: Envelope, window: Window, deadline: float) -> Receipt:
        words = _words(envelope)
        if words is None:
            return Receipt(envelope.delivery_id, Outcome.REFUSED, code=UNSENDABLE)
        end = self._converse(words)
        if self._has_carried and end.stage is Stage.MAIL and (end.reply is None or end.reply.code == 421):
            # "Enough messages on this connection." Nothing of this one was taken: once more on a new one.
            self._drop()
            trouble = self._connect(deadline)
            if trouble is not None:
                return _unreachable(envelope, trouble)
            if not window.open():
                return Receipt(envelope.delivery_id, Outcome.NOT_STARTED)
            end = self._converse(words)
        return self._receipt(envelope, end)

    def _receipt(self, envelope: Envelope, end: _End) -> Receipt:
        if end.needs_smtputf8:
            return Receipt(envelope.delivery_id, Outcome.REFUSED, code=NEEDS_SMTPUTF8)
        reply, stage = end.reply, end.stage
        outcome = outcome_of(reply, stage) if reply else lost_at(stage)
        self._at_rest = outcome is Outcome.TAKEN
        self._has_carried = self._has_carried or self._at_rest
        if reply is None or reply.code == 421 or reply.code // 100 not in {2, 4, 5}:
            self._drop()  # gone, going, or no longer talking about the same thing
        return Receipt(
            envelope.delivery_id,
            outcome,
            code=reply.number if reply and reply.code > 0 else "",
            detail=f"{stage.name}: {reply.text if reply else end.silence}",
            provider_message_id=queue_id(reply) if reply and self._at_rest else None,
        )

    def _converse(self, words: _Words) -> _End:
        """Say it all; how far it came, and the reply that ended it."""
        session, stage = self._session, Stage.MAIL
        if session is None:
            return _End(stage, silence="no connection")
        if words.wide and not (session.has_extn("smtputf8") and session.has_extn("8bitmime")):
            return _End(stage, needs_smtputf8=True)
        encoding = "utf-8" if words.wide else "ascii"
        try:
            for stage, command in words.commands:
                reply = session.exchange(stage, command, encoding=encoding)
                if reply.code // 100 != (3 if stage is Stage.DATA else 2):
                    return _End(stage, reply)
            session.write(stage, words.content)
            stage = Stage.DOT
            session.write(stage, b".\r\n")
            return _End(stage, session.hear(stage))
        except ConversationError as trouble:
            return _End(stage, silence=trouble.detail)


NEEDS_SMTPUTF8 = "needs SMTPUTF8"
"""The address has letters that this server can't carry (RFC 6531). It says nothing about the mailbox."""
UNSENDABLE = "unsendable"
"""Address or content would break the conversation. We didn't say it, so nobody refused it."""


@dataclass(frozen=True, slots=True)
class _Words:
    """What will be said for one message."""

    commands: tuple[tuple[Stage, str], ...]
    content: bytes
    wide: bool


@dataclass(frozen=True, slots=True)
class _End:
    """How far a message came, and what ended it: a reply, or silence."""

    stage: Stage
    reply: Reply | None = None
    silence: str = ""
    needs_smtputf8: bool = False


def _words(envelope: Envelope) -> _Words | None:
    """What to say for this envelope, or None where saying it would say something else (ASVS 1.3.11)."""
    try:
        recipient, return_path = wire_address(envelope.recipient), wire_address(envelope.return_path)
    except BadHeader:
        return None
    if not _only_crlf(envelope.content):
        return None
    wide = not recipient.isascii()
    commands = (
        (Stage.MAIL, f"MAIL FROM:<{return_path}>" + (" SMTPUTF8 BODY=8BITMIME" if wide else "")),
        (Stage.RCPT, f"RCPT TO:<{recipient}>"),
        (Stage.DATA, "DATA"),
    )
    return _Words(commands, _dot_stuffed(envelope.content), wide)


def _unreachable(envelope: Envelope, trouble: ConversationError) -> Receipt:
    """The receipt of a message for which there was no connection. Nothing of it was written."""
    outcome = outcome_of(trouble.reply, trouble.stage) if trouble.reply else lost_at(trouble.stage)
    return Receipt(
        envelope.delivery_id,
        Outcome.MISCONFIGURED if trouble.ours else outcome,
        code=trouble.reply.number if trouble.reply and trouble.reply.code > 0 else "",
        detail=f"{trouble.stage.name}: {trouble.detail}",
    )


def _only_crlf(content: bytes) -> bool:
    """A bare CR or LF can hide a second message from servers that are lax about line ends ("SMTP smuggling")."""
    pairs = content.count(b"\r\n")
    return content.count(b"\r") == pairs and content.count(b"\n") == pairs


def _dot_stuffed(content: bytes) -> bytes:
    """RFC 5321 section 4.5.2, ending in CRLF so that the final dot stands on a line of its own."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"
