"""A local mail server that keeps what it gets in the inbox folder, whoever it is for, and sends nothing on.

It listens on this machine only. It stands in for the relay when SMTP_URL is not set, so that nobody is mailed by
accident: what is in the inbox is exactly what would have left.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from config.settings import is_loopback
from mailer.inbox import write_message

MESSAGE_LIMIT = 30_000_000
LINE_LIMIT = 998
"""Octets without CRLF, RFC 5322, 2.1.1."""
WRITERS = 16


class Keeper:
    """aiosmtpd's handler: accepts every recipient and answers 250 when the message is on the disk."""

    def __init__(self, folder: Path, latency: float = 0.0) -> None:
        self._folder = folder
        self._latency = latency
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="inbox")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def handle_EHLO(  # noqa: N802  (aiosmtpd's name)
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer pipelining (RFC 2920), as every relay does."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_MAIL(  # noqa: N802  (aiosmtpd's name)
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Note when the message was begun: no hand-over may begin after an opt-out's answer."""
        session.begun_at = time.time()  # type: ignore[attr-defined]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Store the message, then, if wanted, take as long as a real relay does."""
        await asyncio.get_running_loop().run_in_executor(self._writers, self._store, session, envelope, time.time())
        if self._latency:
            await asyncio.sleep(self._latency)
        return "250 2.0.0 kept"

    def _store(self, session: Any, envelope: Envelope, received_at: float) -> None:
        content = envelope.original_content or b""
        write_message(
            self._folder,
            content,
            sender=envelope.mail_from or "",
            recipients=envelope.rcpt_tos,
            begun_at=session.begun_at,
            received_at=received_at,
        )

    def close(self) -> None:
        self._writers.shutdown()


class WholeSMTP(SMTP):
    """aiosmtpd's server, except that it takes the text of a message in one piece.

    Its own reads line by line with room for two lines, which costs 3 ms for a mail of 40 KB.
    """

    line_length_limit = MESSAGE_LIMIT

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802  (aiosmtpd's name)
        """Take one message (RFC 5321, 4.1.1.4), undo its dot-stuffing (4.5.2) and hand it to the handler."""
        if self.envelope is None or not self.envelope.rcpt_tos or arg:
            await self.push("501 Syntax: DATA" if arg else "503 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        stuffed = await self._read_text()
        if max(map(len, stuffed.split(b"\r\n"))) > LINE_LIMIT:
            status: Any = "500 Line too long (RFC 5321, 4.5.3.1.6)"
        else:
            content = (b"\r\n" + stuffed).replace(b"\r\n.", b"\r\n")[2:]
            self.envelope.content = self.envelope.original_content = content
            status = await self._call_handler_hook("DATA")
        self.envelope = Envelope()
        await self.push(status)

    async def _read_text(self) -> bytes:
        """Return the text up to, and without, the line that is only a dot."""
        text = bytearray()
        while not (text == b".\r\n" or text.endswith(b"\r\n.\r\n")):
            text += await self._reader.readuntil(b".\r\n")
            if len(text) > MESSAGE_LIMIT:
                raise ConnectionAbortedError("message too large")
        return bytes(text[:-3])


async def serve(folder: Path, listening: socket.socket, latency: float = 0.0) -> None:
    """Take mail on `listening` until SIGTERM or SIGINT."""
    if not is_loopback(listening.getsockname()[0]):
        raise ValueError("The sink listens on this machine only.")
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    keeper = Keeper(folder, latency)
    server = await loop.create_server(
        lambda: WholeSMTP(keeper, hostname="localhost", data_size_limit=MESSAGE_LIMIT, enable_SMTPUTF8=True, loop=loop),
        sock=listening,
    )
    await done.wait()
    server.close()
    keeper.close()


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Return a listening socket; port 0 takes a free one."""
    return socket.create_server((host, port), backlog=128)
