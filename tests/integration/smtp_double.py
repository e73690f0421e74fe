"""Real SMTP servers for tests: one that aiosmtpd speaks, one whose every word is scripted, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

START_SECONDS = 60.0


class Mailbox:
    """An aiosmtpd handler that keeps what it took, and answers as told by stage and recipient.

    A told answer is a reply, or `reset` (the connection is cut without a word), `take and reset`, or `hang`.
    """

    def __init__(self) -> None:
        self.taken = []
        self.conversation = []
        self.told = defaultdict(dict)
        self.after = {}
        self.sessions = set()
        self.offers = []

    def tell(self, stage: str, recipient: str, answer: str) -> None:
        self.told[stage][recipient] = answer

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return [*responses[:-1], *self.offers, responses[-1]]

    async def handle_MAIL(self, server, session, envelope, address, options):
        self.sessions.add(id(session))
        answer = self.told["MAIL"].pop(address, None) or self.told["MAIL"].get("*")
        self.conversation.append(("MAIL", address, tuple(options)))
        if answer is None:
            envelope.mail_from = address
        return await self._answer(server, answer)

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.conversation.append(("RCPT", address, tuple(options)))
        answer = self.told["RCPT"].get(address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return await self._answer(server, answer)

    async def handle_RSET(self, server, session, envelope):
        self.conversation.append(("RSET", "", ()))
        return "250 2.0.0 OK"

    async def handle_DATA(self, server, session, envelope):
        (recipient,) = envelope.rcpt_tos
        answer = self.told["DOT"].get(recipient)
        if answer is None or answer.startswith(("take", "2")):
            self.taken.append((recipient, envelope.mail_from, envelope.original_content))
        return await self._answer(server, answer, "250 2.0.0 Ok: queued as 4F1A2B3C")

    async def _answer(self, server, answer, usual="250 2.0.0 OK"):
        if answer in {"reset", "take and reset"}:
            server.transport.abort()
            return usual
        if answer in {"hang", "take and hang"}:
            await asyncio.Event().wait()
        return answer or usual


class _Speaker(SMTP):
    """aiosmtpd, which can also answer DATA itself as told: it has no hook for that."""

    async def smtp_DATA(self, arg):
        told = self.event_handler.told["DATA"]
        recipient = self.envelope.rcpt_tos[-1] if self.envelope.rcpt_tos else ""
        if recipient in told:
            await self.push(told[recipient])
        else:
            await super().smtp_DATA(arg)


@contextmanager
def listening(mailbox, *, tls=None, smtps=False, sign_in=None, smtputf8=True, pipelining=False):
    """An aiosmtpd server on a free port. `tls` makes it offer STARTTLS, with `smtps` it speaks TLS from the start."""
    mailbox.offers = ["250-PIPELINING"] * pipelining

    listener = socket.create_server(("127.0.0.1", 0))

    class Here(Controller):
        def _create_server(self):
            return self.loop.create_server(self._factory_invoker, sock=listener, ssl=self.ssl_context)

        def factory(self):
            return _Speaker(
                self.handler,
                hostname="double.example",
                enable_SMTPUTF8=smtputf8,
                decode_data=False,
                tls_context=None if smtps else tls,
                require_starttls=bool(tls) and not smtps,
                authenticator=sign_in,
                auth_require_tls=bool(tls) and not smtps,
                auth_required=sign_in is not None,
            )

    port = listener.getsockname()[1]
    server = Here(
        mailbox, hostname="127.0.0.1", port=port, ssl_context=tls if smtps else None, ready_timeout=START_SECONDS
    )
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def accepting(user, password):
    """A sign-in that knows one user."""

    def authenticate(server, session, envelope, mechanism, data):
        right = (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=right, handled=right)

    return authenticate


@contextmanager
def scripted(*conversations):
    """A server that plays one conversation a connection: what to say first, then an answer for each line heard.

    Each answer is bytes to send; a callable gets the connection; None closes it. After a DATA answered with 354 the
    content up to the dot counts as one line heard. Yields port and the list of lines heard.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    heard = []

    def serve():
        for conversation in conversations:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link:
                _play(link, conversation, heard)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        listener.close()
        thread.join(START_SECONDS)


def _play(link, conversation, heard):
    with link.makefile("rb") as reader, contextlib.suppress(OSError):
        in_data = False
        for place, answer in enumerate(conversation):
            if place:
                line = reader.readline()
                while in_data and line not in {b"", b".\r\n"}:
                    line = reader.readline()
                if not line:
                    return
                heard.append(line.decode().strip())
            if answer is None:
                return
            if callable(answer):
                answer(link)
            else:
                link.sendall(answer)
            in_data = not callable(answer) and answer.startswith(b"354")
        reader.readline()  # until the client leaves


def reset(link):
    """Cut the connection the hard way: what was not yet sent or read is lost."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.shutdown(socket.SHUT_RD)
    link.close()


def certificate(folder, name="localhost"):
    """A server context for `name` with a fresh self-signed certificate, and a client context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    both = folder / f"{name}.pem"
    both.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(both)
    return server, ssl.create_default_context(cafile=both)
