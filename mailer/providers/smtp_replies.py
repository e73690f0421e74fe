"""PURE: what a server's reply means, by the stage it answers (RFC 5321 section 4.2, RFC 3463, RFC 4954).

The stage matters as much as the number: before the final dot nothing was taken, whatever happened; after it, silence
means that nobody knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from mailer.providers.base import Outcome


class Stage(IntEnum):
    """How far a message, or the connection for it, has come."""

    CONNECT = 0
    GREETING = 1
    TLS = 2
    AUTH = 3
    MAIL = 4
    RCPT = 5
    DATA = 6
    DOT = 7


_DOT = Stage.DOT


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer; several lines are joined by a space, and in `lines` as they were. Code -1: no number."""

    code: int
    text: str = ""
    lines: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """`550 5.1.1`, or `550` where there is no enhanced code."""
        enhanced = self.enhanced
        return f"{self.code} {enhanced}" if enhanced else str(self.code)

    @property
    def enhanced(self) -> str:
        """The enhanced status code of RFC 3463, or nothing."""
        found = _ENHANCED.match(self.text)
        return found.group(1) if found else ""


class Reader:
    """Makes replies of bytes as they come. Keeps at most a line and a reply, however long a server talks."""

    def __init__(self) -> None:
        self.endless = False
        """What came last can't be an answer: it has no end. Replies before it count."""
        self._rest = b""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are complete now."""
        if not self._rest and not self._lines and data.endswith(b"\n") and len(data) <= LONGEST_LINE:
            first, _, rest = data.partition(b"\n")
            if first[3:4] != b"-" and (further := _single_lines(rest)) is not None:
                return [_one(first), *further]
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.endless = len(self._rest) > LONGEST_LINE
        replies = []
        for line in lines:
            if len(line) > LONGEST_LINE:  # as if it had come in pieces
                self.endless = True
                break
            if line[3:4] == b"-" and line[:3].isdigit():
                self._lines.append(line)
                if len(self._lines) > MOST_LINES:
                    self.endless = True
                    break
            elif self._lines:
                replies.append(_several([*self._lines, line]))
                self._lines = []
            else:
                replies.append(_one(line))
        return replies

    @property
    def unread(self) -> bool:
        """Whether there is a beginning of a reply that has not ended."""
        return bool(self._rest or self._lines)


LONGEST_LINE = 8_192
MOST_LINES = 100


@lru_cache(64)  # what follows the answer to a final dot is nearly always the same
def _single_lines(data: bytes) -> tuple[Reply, ...] | None:
    """The replies in these whole lines, if each is one of its own."""
    lines = data.split(b"\n")[:-1]
    return None if any(line[3:4] == b"-" for line in lines) else tuple(_one(line) for line in lines)


@lru_cache(512)  # most answers are the same as the one before
def _one(line: bytes) -> Reply:
    return Reply(_code(line), _words(line[4:]))


def _several(lines: list[bytes]) -> Reply:
    words = tuple(_words(line[4:]) for line in lines)
    return Reply(_code(lines[-1]), " ".join(words)[:_LONGEST_TEXT], words)


def _code(line: bytes) -> int:
    return int(line[:3]) if line[:3].isdigit() else -1


def _words(said: bytes) -> str:
    """What an operator may be shown: one line, nothing that moves a cursor."""
    text = said.decode("utf-8", "replace").strip()[:_LONGEST_TEXT]
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


_LONGEST_TEXT = 500
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})\b")
_QUEUED = re.compile(r"(?:queued as|\bid[= ])\s*<?([A-Za-z0-9._@-]{4,120})", re.IGNORECASE)
_RELAY = re.compile(r"\brelay(ing)?\b", re.IGNORECASE)
# Postfix refuses a sender only when the recipient is named (smtpd_delay_reject).
_REJECTED = re.compile(r"\b(sender address|client host|helo command) rejected\b", re.IGNORECASE)

# 530, 534, 535, 538: sign in first, or not like that (RFC 4954). They are said at any stage.
_OUR_CODES = {530, 534, 535, 538}
# 5.1.7 and 5.1.8 our own address (RFC 3463); 5.7.8 and 5.7.9 sign-in; 5.7.25 to 5.7.29 no reverse name, SPF, DKIM or
# DMARC; 5.7.515 Outlook: not authenticated.
# They are about who sends, never about who receives: to call them a bounce would suppress everybody.
_OUR_ENHANCED = {"5.1.7", "5.1.8", "5.7.8", "5.7.9", "5.7.14", "5.7.515"} | {f"5.7.{n}" for n in range(25, 30)}


def outcome_of(reply: Reply, stage: Stage) -> Outcome:
    """The meaning of a reply that is not the one hoped for, or of the reply to the final dot."""
    if reply.code // 100 == 2 and stage is Stage.DOT:
        return Outcome.TAKEN
    if reply.code // 100 == 4:
        return Outcome.NOT_TAKEN
    if reply.code // 100 == 5:
        return Outcome.MISCONFIGURED if stage <= Stage.MAIL or _is_about_us(reply) else Outcome.REFUSED
    # No number we know. After the dot nobody can tell; before it nothing was taken.
    return lost_at(stage)


def meaning_of(stage: Stage, reply: Reply) -> tuple[Outcome, str, str, str | None]:
    """What a receipt says where `reply` ended a message: outcome, number, words, and the server's own name for it."""
    return _dotted(reply.code, reply.text) if stage is _DOT else _ended(stage, reply)


@lru_cache(512)  # as above
def _dotted(code: int, text: str) -> tuple[Outcome, str, str, str | None]:
    return _ended(_DOT, Reply(code, text))


def _ended(stage: Stage, reply: Reply) -> tuple[Outcome, str, str, str | None]:
    outcome = outcome_of(reply, stage)
    name = queue_id(reply) if outcome is Outcome.TAKEN else None
    return outcome, reply.number if reply.code > 0 else "", f"{stage.name}: {reply.text}", name


def lost_at(stage: Stage) -> Outcome:
    """The meaning of silence: a connection lost or a time-out, after `stage` began."""
    return Outcome.IN_DOUBT if stage is Stage.DOT else Outcome.NOT_TAKEN


def queue_id(reply: Reply) -> str | None:
    """The server's own name for the message, if it tells one (`250 2.0.0 Ok: queued as 4F1A2`)."""
    found = _QUEUED.search(reply.text)
    return found.group(1) if found else None


def _is_about_us(reply: Reply) -> bool:
    if reply.code in _OUR_CODES or reply.enhanced in _OUR_ENHANCED or _REJECTED.search(reply.text):
        return True
    # "5.1.1 User unknown in relay recipient table" is about one person.
    return not reply.enhanced.startswith("5.1.") and bool(_RELAY.search(reply.text))
