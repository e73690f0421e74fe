"""The limit of handing mail over by SMTP: a bare pipelining client, and nothing else.

All bytes are made before the clock runs. One selector loop over a few connections; the content of a message, its
final dot and MAIL, RCPT and DATA of the next go in one write (RFC 2920). It knows nothing of consent, of windows, of
failures: any answer but the expected one ends it.

`python -m bench.bare --smtp HOST:PORT --n 20000 --size 40000` prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

CONNECTIONS = 8
EXPECTED = (b"250", b"250", b"250", b"354")
"""The answers between two contents: to the dot, to MAIL, RCPT and DATA."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What came of it."""

    n: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Return messages a second."""
        return self.n / self.seconds


class Line:
    """One connection: the message it is at, and what was read of the answers so far."""

    __slots__ = ("answers", "content", "link", "unsent")

    def __init__(self, place: tuple[str, int]) -> None:
        self.link = socket.create_connection(place)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.content = self.answers = b""
        self.unsent: list[memoryview] = []
        with self.link.makefile("rb") as lines:
            lines.readline()
            self.link.sendall(b"EHLO bare.example\r\n")
            while (line := lines.readline())[3:4] == b"-":
                pass
            if not line.startswith(b"250 "):
                raise RuntimeError(f"no greeting: {line!r}")
        self.link.setblocking(False)


def commands(return_path: str, recipient: str) -> bytes:
    """Return what is said before a content."""
    return f"MAIL FROM:<{return_path}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()


def send(
    place: tuple[str, int], contents: Sequence[bytes], openings: Sequence[bytes], *, connections: int = CONNECTIONS
) -> Pace:
    """Hand over one message for each of `openings` (`commands`); contents are used again and again.

    Contents end in CRLF and have no line that begins with a dot.
    """
    lines = [Line(place) for _ in range(min(connections, len(openings)))]
    began, cpu = time.perf_counter(), time.process_time()
    _converse(lines, contents, openings)
    pace = Pace(len(openings), time.perf_counter() - began, time.process_time() - cpu)
    for line in lines:
        line.link.close()
    return pace


def _converse(lines: list[Line], contents: Sequence[bytes], openings: Sequence[bytes]) -> None:
    waiting = zip(openings, (contents[n % len(contents)] for n in range(len(openings))), strict=True)
    selector = selectors.DefaultSelector()
    for line, (opening, content) in zip(lines, islice(waiting, len(lines)), strict=True):
        selector.register(line.link, selectors.EVENT_READ, line)
        line.content, line.answers = content, b"250 \r\n"  # nothing came before: as if a dot had been answered
        line.link.sendall(opening)
    busy = len(lines)
    while busy:
        for key, ready in selector.select():
            line = key.data
            if ready & selectors.EVENT_WRITE and _flushed(line):
                selector.modify(line.link, selectors.EVENT_READ, line)
            if not ready & selectors.EVENT_READ or not _answered(line):
                continue
            if not line.content:
                selector.unregister(line.link)
                busy -= 1
                continue
            _write(line, waiting)
            if line.unsent:
                selector.modify(line.link, selectors.EVENT_READ | selectors.EVENT_WRITE, line)


def _answered(line: Line) -> bool:
    """Whether all answers that the next content needs are there; after the last message, that to its dot."""
    line.answers += line.link.recv(65_536)
    wanted = len(EXPECTED) if line.content else 1
    if line.answers.count(b"\n") < wanted:
        return False
    found = tuple(answer[:3] for answer in line.answers.splitlines())
    if found != EXPECTED[:wanted]:
        raise RuntimeError(f"not what was expected: {line.answers!r}")
    line.answers = b""
    return True


def _write(line: Line, waiting: Iterator[tuple[bytes, bytes]]) -> None:
    opening, following = next(waiting, (b"", b""))
    line.unsent = [memoryview(line.content), memoryview(b".\r\n" + opening)]
    line.content = following
    _flushed(line)


def _flushed(line: Line) -> bool:
    try:
        size = line.link.sendmsg(line.unsent)
    except BlockingIOError:
        return False
    while line.unsent and size >= len(line.unsent[0]):
        size -= len(line.unsent.pop(0))
    if line.unsent:
        line.unsent[0] = line.unsent[0][size:]
    return not line.unsent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smtp", required=True, metavar="HOST:PORT")
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=40_000)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    options = parser.parse_args()
    host, _, port = options.smtp.rpartition(":")
    content = b"Subject: bare\r\n\r\n" + (b"x" * 76 + b"\r\n") * (options.size // 78)
    openings = [commands(f"b-{n}@mail.example.com", f"p{n}@example.com") for n in range(options.n)]
    pace = send((host, int(port)), [content], openings, connections=options.connections)
    cpu = pace.cpu_seconds / pace.n * 1e6
    print(json.dumps({"n": pace.n, "unit": "messages/s", "rate": round(pace.rate, 1), "cpu_us": round(cpu, 1)}))


if __name__ == "__main__":
    main()
