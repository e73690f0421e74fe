"""An SMTP server that misbehaves as told, by message and stage, and knows what it really took.

Every return path names its message (`odd@...`), so a fault can be told for MAIL already. It answers command by
command, also where they come pipelined, and notes every piece it read as it came.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import contextmanager

from tests.integration.envelopes import envelope
from tests.integration.smtp_double import reset

DROP, SILENCE, TAKE_AND_DROP = object(), object(), object()


class Faulty:
    """`faults` by (message, stage): a reply, DROP, SILENCE, TAKE_AND_DROP, or what to do with the connection."""

    def __init__(self, faults=None, *, pipelining=True, lax=False, room=None):
        self.faults = dict(faults or {})
        self.pipelining = pipelining
        self.lax = lax
        """DATA is answered by 354 whatever came before."""
        self.taken = []
        self.begun = []
        self.pieces = []
        self.connections = 0
        self.released = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        if room is not None:  # what the kernel takes while nobody reads; connections inherit it
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self._links = []
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.released.set()
        self._listener.close()
        for link in self._links:
            link.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._links.append(link)
                self.connections += 1
                threading.Thread(target=self._converse, args=(link,), daemon=True).start()

    def _converse(self, link):
        with contextlib.suppress(OSError, ValueError, StopIteration):
            Conversation(self, link).run()
        with contextlib.suppress(OSError):
            link.close()


class Conversation:
    def __init__(self, server, link):
        self.server, self.link = server, link
        self.unread = b""
        self.start_over()

    def start_over(self):
        self.name, self.sender_ok, self.recipient = "", False, None

    def run(self):
        self.link.sendall(b"220 faulty\r\n")
        while True:
            line = self.until(b"\r\n").decode()
            verb = line[:4]
            if verb == "EHLO":
                self.link.sendall(
                    b"250-faulty\r\n" + b"250-PIPELINING\r\n" * self.server.pipelining + b"250 8BITMIME\r\n"
                )
            elif verb == "RSET":
                self.start_over()
                self.link.sendall(b"250 ok\r\n")
            elif verb in {"MAIL", "RCPT", "DATA"}:
                getattr(self, verb.lower())(line)
            else:
                self.link.sendall(b"221 bye\r\n")

    def mail(self, line):
        self.start_over()
        self.name = line.partition("<")[2].partition("@")[0]
        self.server.begun.append(self.name)
        self.sender_ok = self.answer("MAIL", b"250 ok\r\n")

    def rcpt(self, line):
        self.recipient = line.partition("<")[2].partition(">")[0]
        if not self.answer("RCPT", b"250 ok\r\n" if self.sender_ok else b"503 no sender\r\n"):
            self.recipient = None

    def data(self, _line):
        if not self.server.lax and self.recipient is None:
            self.link.sendall(b"554 no valid recipients\r\n")
            return
        if not self.answer("DATA", b"354 go\r\n"):
            return
        content = self.until(b"\r\n.\r\n", b"\r\n")
        fault = self.server.faults.get((self.name, "DOT"))
        if self.recipient and (fault is None or fault is TAKE_AND_DROP):
            self.server.taken.append((self.name, content))
        self.answer("DOT", b"250 2.0.0 ok\r\n")
        self.start_over()

    def answer(self, stage, usual):
        """Answer as told or as usual; whether it was a yes."""
        fault = self.server.faults.get((self.name, stage), usual)
        if fault is SILENCE:
            self.server.released.wait(60)
            raise StopIteration
        if fault in {DROP, TAKE_AND_DROP}:
            reset(self.link)
            raise StopIteration
        if callable(fault):
            fault(self.link)
            return False
        self.link.sendall(fault)
        return fault[:1] in b"23"

    def until(self, end, before=b""):
        """What comes up to `end`; `before` is taken to stand before the first byte."""
        self.unread = before + self.unread
        while end not in self.unread:
            piece = self.link.recv(65_536)
            if not piece:
                raise StopIteration
            self.server.pieces.append(piece)
            self.unread += piece
        found, _, self.unread = self.unread.partition(end)
        return found[len(before) :]


@contextmanager
def faulty(faults=None, **how):
    server = Faulty(faults, **how)
    try:
        yield server
    finally:
        server.close()


def named(*names, **changes):
    """Envelopes that the server knows by name."""
    return [envelope(f"{name}@example.com", return_path=f"{name}@x.example", **changes) for name in names]
