"""One socket to an SMTP server, in clear text or under TLS, which never waits.

What can't be done now is done when the selector calls again. It knows nothing of SMTP.
"""

from __future__ import annotations

import errno
import fcntl
import selectors
import socket
import ssl
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailer.providers.smtp_target import Address

READ_AT_ONCE = 16_384
_UNSENT = 0x894B if sys.platform == "linux" else None
"""SIOCOUTQNSD: how many bytes the kernel has taken from us and not yet put on the network."""
_NOTHING_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_ZERO = bytes(4)
_NO_FAREWELL = struct.pack("ii", 1, 0)


class Wire:
    """A connection to `address`; begun by the constructor, there when `connected` says so."""

    def __init__(self, address: Address) -> None:
        family, kind, protocol, _, place = address
        self._socket: socket.socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        # The final dot is a small write after a large one: without this it waits 40 ms for an acknowledgement.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError, AttributeError):  # not every system has it
            # "Writable" then means that everything has left, and the kernel hoards nothing for a server that is slow.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1)
        self.sealed = False
        """Under TLS. Then whatever `write` was given may have left, even if it says 0."""
        trouble = self._socket.connect_ex(place)
        if trouble not in {0, errno.EINPROGRESS}:
            self.abort()
            raise OSError(trouble, errno.errorcode.get(trouble, ""))

    def fileno(self) -> int:
        """The number that a selector knows it by; the same before and after `seal`."""
        return self._socket.fileno()

    def connected(self) -> None:
        """Look whether the connection that was begun has come about. Raises OSError."""
        trouble = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if trouble:
            raise OSError(trouble, errno.errorcode.get(trouble, ""))

    def seal(self, context: ssl.SSLContext, host: str) -> None:
        """From here on everything is under TLS, with a server that proves to be `host`."""
        self._socket = context.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        self.sealed = True

    def shake_hands(self) -> int:
        """Go on with the handshake; the selector's event it waits for, 0 when it is done. Raises OSError."""
        try:
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        return 0

    def read(self) -> bytes | None:
        """What has come; None if nothing has, empty if nothing ever will. Raises OSError."""
        try:
            data = self._socket.recv(READ_AT_ONCE)
            # What TLS has unpacked already never makes the socket readable again.
            while isinstance(self._socket, ssl.SSLSocket) and (more := self._socket.pending()):
                data += self._socket.recv(more)
        except _NOTHING_NOW:
            return None
        return data

    def write(self, data: bytes | memoryview) -> int:
        """How many of these bytes were accepted just now. Raises OSError."""
        try:
            return self._socket.send(data)
        except _NOTHING_NOW:
            return 0

    def drained(self) -> bool:
        """Whether all that was accepted is on its way: nothing waits in the kernel for a server that is slow."""
        try:
            return _UNSENT is None or fcntl.ioctl(self._socket.fileno(), _UNSENT, _ZERO) == _ZERO
        except OSError:
            return True  # a kernel that can't tell

    def close(self) -> None:
        """Let go; what was accepted may still arrive."""
        self._socket.close()

    def abort(self) -> None:
        """Let go at once: what has not left by now never does."""
        if self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_FAREWELL)
        self._socket.close()
