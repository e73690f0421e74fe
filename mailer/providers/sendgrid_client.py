"""The `sendgrid` package's client, with its transport in our hands: kept connections, one deadline, no retries.

As it comes the client has no time-out, opens a connection for each request, raises what urllib raises, and writes
payload and API key to its log at DEBUG. Here it still knows addresses, headers and errors of the API; what goes over
the wire, and when, is ours. Nothing is logged.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from python_http_client import Client
from sendgrid import SendGridAPIClient

LONGEST_IDLE = 20.0
"""Seconds. A connection that rested longer may be gone at the other end without our knowing it."""

Begin = Callable[[], bool]


class NotBegun(Exception):
    """`begin` said no: not a byte was written."""


class Unwritten(Exception):
    """The request was never wholly written, so nobody can have acted on it. `reached`: there was a connection."""

    def __init__(self, why: str, *, reached: bool) -> None:
        super().__init__(why)
        self.reached = reached


class Unanswered(Exception):
    """The request was written and no whole answer came. Perhaps it was acted on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class _Kept:
    link: http.client.HTTPConnection
    since: float

    def is_fresh(self) -> bool:
        """Young, and silent: something to read before anything was asked can only be its end."""
        poll = select.poll()
        poll.register(self.link.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        return time.monotonic() - self.since < LONGEST_IDLE and not poll.poll(0)


class Connections:
    """Connections to one host, kept between requests. Any number of threads may use it."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._context = (context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._lock = threading.Lock()
        self._idle: list[_Kept] = []
        self._busy: set[http.client.HTTPConnection] = set()

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, until: float, begin: Begin
    ) -> Answer:
        """Send one request and return the whole answer; `until` is on the monotonic clock.

        `begin` is asked right before the first byte. Raises NotBegun, Unwritten or Unanswered, and nothing else.
        """
        link = self._take(until)
        try:
            answer = self._converse(link, method, path, headers, body, until) if begin() else None
        except BaseException:
            self._drop(link)
            raise
        self._give_back(link)
        if answer is None:
            raise NotBegun
        return answer

    def cut(self) -> None:
        """Break every connection that is in use: whoever waits on one hears of it at once."""
        with self._lock:
            busy = list(self._busy)
        for link in busy:
            with suppress(OSError, TypeError):
                # The plain socket's own: ssl's would take the session away under whoever reads from it.
                socket.socket.shutdown(link.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close what rests. May be called twice; a later request opens again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for kept in idle:
            kept.link.close()

    # -- one connection ------------------------------------------------------------------------------

    def _take(self, until: float) -> http.client.HTTPConnection:
        while (kept := self._pop()) is not None:
            if kept.is_fresh():
                return self._hold(kept.link)
            kept.link.close()
        link = self._hold(self._connection(_left(until)))
        link.auto_open = 0  # only we open, and only before the question whether it may begin
        try:
            link.connect()
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            self._drop(link)
            raise Unwritten(f"no connection: {_told(error)}", reached=False) from None
        return link

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        return http.client.HTTPSConnection(self._host, self._port, timeout=seconds, context=self._context)

    @staticmethod
    def _converse(
        link: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: bytes, until: float
    ) -> Answer:
        written = False
        try:
            link.sock.settimeout(_left(until))
            with suppress(BrokenPipeError, ConnectionResetError):
                # Cut short while writing: perhaps it has answered already and won't read the rest (413).
                link.request(method, path, body, dict(headers))
                written = True
            link.sock.settimeout(_left(until))
            response = link.getresponse()
            status, told = response.status, {name.lower(): value for name, value in response.getheaders()}
            body = response.read()
            if status != 204 and not {"content-length", "transfer-encoding"} & set(told):
                # http.client takes the end of the connection for the end of the headers.
                raise http.client.IncompleteRead(body)
            return Answer(status, told, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if written:
                raise Unanswered(_told(error)) from None
            raise Unwritten(_told(error), reached=True) from None

    def _pop(self) -> _Kept | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _hold(self, link: http.client.HTTPConnection) -> http.client.HTTPConnection:
        with self._lock:
            self._busy.add(link)
        return link

    def _give_back(self, link: http.client.HTTPConnection) -> None:
        with self._lock:
            if link in self._busy:
                self._busy.discard(link)
                # http.client has closed it by itself where the answer said that it would end.
                if link.sock is not None:
                    self._idle.append(_Kept(link, time.monotonic()))

    def _drop(self, link: http.client.HTTPConnection) -> None:
        with self._lock:
            known = link in self._busy
            self._busy.discard(link)
        if known:
            link.close()


class _Api(Client):  # type: ignore[misc]  # the package has no types
    """The package's client; what would open, log and raise goes over our connections instead."""

    def __init__(self, connections: Connections, path: list[str] | None = None, **facts: Any) -> None:
        super().__init__(url_path=path, **facts)
        self.connections = connections

    def _build_client(self, name: str | None = None) -> _Api:
        return _Api(
            self.connections,
            [*self._url_path, name] if name else self._url_path,
            host=self.host,
            version=self._version,
            request_headers=self.request_headers,
            timeout=self.timeout,
        )

    def post(self, request_body: Any, *, until: float | None = None, begin: Begin = lambda: True) -> Answer:
        return self._call("POST", request_body, until, begin)

    def get(self, *, query: Mapping[str, int] | None = None, until: float | None = None) -> Answer:
        return self._call("GET", None, until, lambda: True, query)

    def delete(self, *, until: float | None = None) -> Answer:
        return self._call("DELETE", None, until, lambda: True)

    def _call(
        self, method: str, given: Any, until: float | None, begin: Begin, query: Mapping[str, int] | None = None
    ) -> Answer:
        body = given if isinstance(given, bytes) else b"" if given is None else json.dumps(given).encode()
        parts = urlsplit(self._build_url(dict(query) if query else None))
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {**self.request_headers, "Content-Type": "application/json", "Connection": "keep-alive"}
        until = time.monotonic() + self.timeout if until is None else until
        return self.connections.exchange(method, path, headers, body, until=until, begin=begin)


def api(key: str, host: str, *, seconds: float, context: ssl.SSLContext | None = None) -> Any:
    """The `sendgrid` client of `host`: `api(...).mail.send.post(...)`. No request of it takes longer than `seconds`."""
    ours = SendGridAPIClient(key, host=host)
    ours.client = _Api(
        Connections(host, context),
        host=host.rstrip("/"),
        version=3,
        request_headers=ours._default_headers,
        timeout=seconds,
    )
    return ours.client


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0.001)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip(": ")[:200]
