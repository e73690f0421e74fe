"""PURE: what is said on a new connection before the first message: greeting, EHLO, STARTTLS, sign-in.

Generators that yield what to do next and get the server's answer. They hold no socket, so they can be read from top
to bottom.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from mailer.providers.smtp_replies import Reply, Stage

if TYPE_CHECKING:
    from mailer.providers.smtp_target import Target

# Servers name the client in their logs and in Received:. An address literal needs no look-up of our own name.
_HELO = "[127.0.0.1]"


@dataclass(frozen=True, slots=True)
class Say:
    """Say these words (none: only listen), and hear one answer."""

    stage: Stage
    words: bytes = b""


@dataclass(frozen=True, slots=True)
class Protect:
    """Begin TLS. No answer comes, and there may be none from before."""

    stage: Stage


Extensions: TypeAlias = dict[str, str]
"""What the server offers: the keyword in capitals, and its parameters (RFC 5321 section 4.1.1.1)."""
Opening: TypeAlias = Generator[Say | Protect, Reply, Extensions]


class ConversationError(Exception):
    """The conversation can't go on: `reply` is what the server said, or None where it said nothing of use."""

    def __init__(self, stage: Stage, detail: str, reply: Reply | None = None, *, ours: bool = False) -> None:
        super().__init__(detail)
        self.stage, self.detail, self.reply = stage, detail, reply
        self.ours = ours
        """True where only an operator can mend it, whatever the server says next time."""


def opening(target: Target) -> Opening:
    """Come to where messages may be given, by the way that `target` demands. Raises ConversationError."""
    if target.scheme == "smtps":
        yield Protect(Stage.CONNECT)
    greeting = yield Say(Stage.GREETING)
    if greeting.code != 220:
        raise ConversationError(Stage.GREETING, greeting.text, greeting)
    extensions = yield from _greet()
    if target.scheme == "smtp":
        if "STARTTLS" not in extensions:
            # Somebody in between may have cut the offer out: going on in clear text is what he wants.
            raise ConversationError(
                Stage.TLS, "the server offers no STARTTLS, and mail is never sent in clear text", ours=True
            )
        answer = yield Say(Stage.TLS, b"STARTTLS\r\n")
        if answer.code != 220:
            raise ConversationError(Stage.TLS, answer.text, answer)
        yield Protect(Stage.TLS)
        # RFC 3207: forget what was said in clear text.
        extensions = yield from _greet()
    if target.user:
        yield from _sign_in(target, extensions)
    return extensions


def _greet() -> Opening:
    answer = yield Say(Stage.GREETING, f"EHLO {_HELO}\r\n".encode())
    if answer.code != 250:
        raise ConversationError(Stage.GREETING, answer.text, answer)
    offers = (line.partition(" ") for line in answer.lines[1:])
    return {keyword.upper(): parameters for keyword, _, parameters in offers}


def _sign_in(target: Target, extensions: Extensions) -> Generator[Say, Reply]:
    """RFC 4954, with the first mechanism that both know. A wrong password is not tried another way."""
    offered = extensions.get("AUTH", "").upper().split()
    for mechanism, converse in _MECHANISMS.items():
        if mechanism not in offered:
            continue
        answer = yield from converse(target)
        if answer.code == 235:
            return
        if answer.code != 504:  # 504: offered, but not meant
            raise ConversationError(Stage.AUTH, answer.text, answer)
    raise ConversationError(Stage.AUTH, "the server offers no sign-in that we know, but SMTP_URL has a user", ours=True)


def _plain(target: Target) -> Generator[Say, Reply, Reply]:
    """RFC 4616."""
    return (yield Say(Stage.AUTH, b"AUTH PLAIN " + _coded(f"\0{target.user}\0{target.password}")))


def _login(target: Target) -> Generator[Say, Reply, Reply]:
    """Never a standard, offered by many."""
    answer = yield Say(Stage.AUTH, b"AUTH LOGIN\r\n")
    for word in (target.user, target.password):
        if answer.code != 334:
            break
        answer = yield Say(Stage.AUTH, _coded(word))
    return answer


def _cram_md5(target: Target) -> Generator[Say, Reply, Reply]:
    """RFC 2195: the password itself is not said."""
    answer = yield Say(Stage.AUTH, b"AUTH CRAM-MD5\r\n")
    if answer.code != 334:
        return answer
    try:
        challenge = base64.b64decode(answer.text)
    except ValueError:
        raise ConversationError(Stage.AUTH, "the server's challenge can't be read") from None
    proof = hmac.new(target.password.encode(), challenge, "md5").hexdigest()
    return (yield Say(Stage.AUTH, _coded(f"{target.user} {proof}")))


_MECHANISMS = {"PLAIN": _plain, "LOGIN": _login, "CRAM-MD5": _cram_md5}


def _coded(words: str) -> bytes:
    return base64.b64encode(words.encode()) + b"\r\n"
