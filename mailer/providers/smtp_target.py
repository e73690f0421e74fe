"""Where an SMTP server is, how the way there is protected, and its addresses."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

_DEFAULT_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}

Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""As `getaddrinfo` gives it."""


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


class Directory:
    """The addresses of one host, looked up again when they are a minute old."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._found: list[Address] = []
        self._until = 0.0

    def addresses(self, deadline: float) -> list[Address]:
        """The host's addresses, found before `deadline` (monotonic clock). Raises OSError."""
        if time.monotonic() >= self._until:
            self._found = _looked_up(self._host, self._port, deadline)
            self._until = time.monotonic() + 60
        return self._found

    def pass_over(self) -> None:
        """The first address did not lead there: next time another one comes first."""
        self._found = self._found[1:] + self._found[:1]


def _looked_up(host: str, port: int, deadline: float) -> list[Address]:
    """The resolver has no time-out of its own, so it is asked from a thread that we can leave."""
    found: list[Address] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)
        except UnicodeError as error:
            failed.append(OSError(f"{host} is no name of a host: {error}"))

    thread = threading.Thread(target=look_up, daemon=True, name="smtp-resolver")
    thread.start()
    thread.join(max(deadline - time.monotonic(), 0))
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"{host} was not resolved in time")
    return found


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
