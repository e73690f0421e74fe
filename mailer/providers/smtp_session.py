"""One connection to an SMTP server, on which every wait ends by a deadline.

`smtplib` knows the words of the protocol (EHLO, AUTH); reading, writing and connecting are ours, because its
time-outs start anew with every byte: a server that answers one letter at a time would hold the locks for ever.
"""

from __future__ import annotations

import ipaddress
import smtplib
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from mailer.providers.smtp_replies import Reply, Stage

_DEFAULT_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
_LONGEST_LINE = 8192
# Servers name the client in their logs and in Received:. An address literal needs no look-up of our own name.
_HELO = "[127.0.0.1]"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to hand over, and how the way there is protected.

    `smtp://` demands STARTTLS, `smtps://` speaks TLS from the start, both check the certificate (RFC 8314);
    `smtp+plain://` is clear text and allowed to this very machine only.
    """

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def from_url(cls, url: str) -> Target:
        """Read an SMTP URL. Raises ValueError with what to write instead; never repeats the password."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("SMTP_URL can't be read: write smtp://user:password@host:587") from None
        if parts.scheme not in _DEFAULT_PORTS or not host:
            raise ValueError("SMTP_URL must look like smtp://user:password@host:587, smtps://... or smtp+plain://...")
        if parts.scheme == "smtp+plain" and not _is_this_machine(host):
            raise ValueError(f"smtp+plain:// sends in clear text, so only to this machine; use smtp:// for {host}")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], user, password)


class ConversationError(Exception):
    """The conversation can't go on: `reply` is what the server said, or None where it said nothing of use."""

    def __init__(self, stage: Stage, detail: str, reply: Reply | None = None, *, ours: bool = False) -> None:
        super().__init__(detail)
        self.stage, self.detail, self.reply = stage, detail, reply
        self.ours = ours
        """True where only an operator can mend it, whatever the server says next time."""


class Session(smtplib.SMTP):
    """An SMTP conversation under a deadline (of the monotonic clock), which the owner moves before each hand-over."""

    def __init__(self, target: Target, deadline: float, context: ssl.SSLContext) -> None:
        super().__init__(local_hostname=_HELO)
        self.target, self.deadline, self._context = target, deadline, context
        self._host = target.host  # what the certificate must say
        self._unread = b""

    def open(self) -> None:
        """Connect, protect, sign in. Raises ConversationError; then the session is closed."""
        try:
            self._open()
        except ConversationError:
            self.close()
            raise

    def exchange(self, stage: Stage, command: str, *, encoding: str = "ascii") -> Reply:
        """Say one command and hear the answer. Raises ConversationError where none comes."""
        self.command_encoding = encoding
        try:
            return _reply(*self.docmd(command))
        except (smtplib.SMTPException, OSError) as error:
            raise ConversationError(stage, str(error)) from error

    def write(self, stage: Stage, content: bytes) -> None:
        """Write bytes that are not a command. Raises ConversationError."""
        try:
            self.send(content)
        except (smtplib.SMTPException, OSError) as error:
            raise ConversationError(stage, str(error)) from error

    def hear(self, stage: Stage) -> Reply:
        """Hear one answer. Raises ConversationError where none comes."""
        try:
            return _reply(*self.getreply())
        except (smtplib.SMTPException, OSError) as error:
            raise ConversationError(stage, str(error)) from error

    # -- what smtplib would do without a deadline ---------------------------------------------------

    def send(self, s: Any) -> None:
        """Write all or raise, within the deadline."""
        if self.sock is not None:
            self.sock.settimeout(self._left())
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply, however many lines it has, within the deadline."""
        texts = []
        while True:
            line = self._line()
            texts.append(line[4:].strip())
            code = int(line[:3]) if line[:3].isdigit() else -1
            if code == -1 or line[3:4] != b"-":
                return code, b"\n".join(texts)  # what smtplib reads the extensions from

    def close(self) -> None:
        """Drop the connection without a word."""
        self._unread = b""
        super().close()

    def _line(self) -> bytes:
        while b"\n" not in self._unread:
            if self.sock is None or len(self._unread) > _LONGEST_LINE:
                self.close()
                raise smtplib.SMTPServerDisconnected("the server's answer has no end")
            self.sock.settimeout(self._left())
            more = self.sock.recv(4096)
            if not more:
                self.close()
                raise smtplib.SMTPServerDisconnected("the server closed the connection")
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left

    # -- opening, step by step ---------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self.sock = _connected(self.target, self.deadline)
            if self.target.scheme == "smtps":
                self._protect()
        except (OSError, UnicodeError) as error:
            raise ConversationError(Stage.CONNECT, str(error)) from error
        greeting = self.hear(Stage.GREETING)
        if greeting.code != 220:
            raise ConversationError(Stage.GREETING, greeting.text, greeting)
        self._greet()
        if self.target.scheme == "smtp":
            self._starttls()
            self._greet()
        if self.target.user:
            self._sign_in()

    def _greet(self) -> None:
        try:
            answer = _reply(*self.ehlo())
        except (smtplib.SMTPException, OSError) as error:
            raise ConversationError(Stage.GREETING, str(error)) from error
        if answer.code != 250:
            raise ConversationError(Stage.GREETING, answer.text, answer)

    def _starttls(self) -> None:
        if not self.has_extn("starttls"):
            # Somebody in between may have cut the offer out: going on in clear text is what he wants.
            raise ConversationError(
                Stage.TLS, "the server offers no STARTTLS, and mail is never sent in clear text", ours=True
            )
        answer = self.exchange(Stage.TLS, "STARTTLS")
        if answer.code != 220:
            raise ConversationError(Stage.TLS, answer.text, answer)
        if self._unread:
            raise ConversationError(Stage.TLS, "bytes in clear text came after the answer to STARTTLS")
        try:
            self._protect()
        except OSError as error:
            raise ConversationError(Stage.TLS, str(error)) from error
        # RFC 3207: forget what was said in clear text.
        self.ehlo_resp, self.esmtp_features = None, {}

    def _protect(self) -> None:
        if self.sock is not None:
            self.sock.settimeout(self._left())
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self._host)

    def _sign_in(self) -> None:
        try:
            self.login(self.target.user, self.target.password)
        except smtplib.SMTPResponseException as error:
            reply = _reply(error.smtp_code, error.smtp_error)
            raise ConversationError(Stage.AUTH, reply.text, reply) from None
        except smtplib.SMTPNotSupportedError:
            raise ConversationError(
                Stage.AUTH, "the server offers no sign-in, but SMTP_URL has a user", ours=True
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise ConversationError(Stage.AUTH, str(error)) from None


def _reply(code: int, text: bytes | str) -> Reply:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return Reply(code, "".join(c if c.isprintable() else " " for c in words)[:500])


def _connected(target: Target, deadline: float) -> socket.socket:
    """A connected socket; the addresses of a host share the time that is left."""
    problem: OSError = OSError(f"{target.host} has no address")
    for family, kind, protocol, _, address in _addresses(target.host, target.port, deadline):
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(max(deadline - time.monotonic(), 0.001))
            link.connect(address)
        except OSError as error:
            link.close()
            problem = error
        else:
            # The final dot is a small write after a large one: without this it waits 40 ms for an acknowledgement.
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return link
    raise problem


def _addresses(host: str, port: int, deadline: float) -> list[Any]:
    """The host's addresses. The resolver has no time-out of its own, so it is asked from a thread we can leave."""
    found: list[Any] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=look_up, daemon=True, name="smtp-resolver")
    thread.start()
    thread.join(max(deadline - time.monotonic(), 0))
    if failed:
        raise failed[0]
    if thread.is_alive():
        raise TimeoutError(f"{host} was not resolved in time")
    return found


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
