"""A plain, fast SMTP sink for benchmarks, in a process of its own: it counts messages and keeps none of them.

`python -m bench.sink --port 0 --log FILE --delay SECONDS --hang-after N`. The port is the first line on standard
output; SIGTERM ends it, and its last line is JSON. It offers PIPELINING, looks for nothing but line ends and the
final dot, and reads on while it delays an answer, so that its log tells when bytes came, not when it had time.

The log has a line when a message begins (`B`) and when it is there to its final dot (`T`): letter, CLOCK_MONOTONIC
seconds (for both: when MAIL FROM and the dot came), return path, recipient, parted by tabs. A line is written before
the answer is. Each process that writes mail sees the same clock.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUFFER = 1 << 20
LONGEST_LINE = 4_096
END = b"\r\n.\r\n"
HELLO = b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
ROOT = Path(__file__).parent.parent


class Talk:
    """One connection: what it is in the middle of, and the answers that must wait for a delayed one."""

    __slots__ = ("begun", "held", "in_content", "late", "link", "sender", "tail", "to")

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.tail = b""
        self.in_content = False
        self.sender = self.to = b""
        self.begun = 0.0
        self.held: deque[tuple[float, bytearray]] = deque()
        self.late = 0.0


class Sink:
    """The loop over all connections."""

    def __init__(self, listening: socket.socket, log: Path | None, delay: float, hang_after: float) -> None:
        self.messages = self.connections = self.size = 0
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if log else None
        self._delay, self._hang_after = delay, hang_after
        self._buffer = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self._timers: list[tuple[float, int, Talk]] = []
        self._listening = listening
        self._selector = selectors.DefaultSelector()
        self._selector.register(listening, selectors.EVENT_READ)
        self.stopped = False

    def run(self) -> None:
        """Take mail until `stopped`, looked at twice a second."""
        while not self.stopped:
            wait = min(self._timers[0][0] - time.monotonic(), 0.5) if self._timers else 0.5
            for key, _ in self._selector.select(max(wait, 0)):
                if key.data is None:
                    self._accept()
                else:
                    self._read(key.data)
            while self._timers and self._timers[0][0] <= time.monotonic():
                self._release(heapq.heappop(self._timers)[2])

    def _accept(self) -> None:
        link, _ = self._listening.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(b"220 sink.example ESMTP\r\n")
        link.setblocking(False)
        self._selector.register(link, selectors.EVENT_READ, Talk(link))
        self.connections += 1

    def _read(self, talk: Talk) -> None:
        kept = len(talk.tail)
        self._buffer[:kept] = talk.tail
        try:
            size = talk.link.recv_into(self._view[kept:])
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size or kept > LONGEST_LINE:
            self._drop(talk)
            return
        told, seen = bytearray(), bytearray()
        self._understand(talk, kept + size, time.monotonic(), told, seen)
        if seen and self._log is not None:
            os.write(self._log, seen)
        self._say(talk, told)

    def _understand(self, talk: Talk, end: int, now: float, told: bytearray, seen: bytearray) -> None:
        buffer, at = self._buffer, 0
        while True:
            if talk.in_content:
                dot = buffer.find(END, at, end)
                if dot < 0:
                    talk.tail = bytes(buffer[max(at, end - 4) : end])
                    return
                self.size += dot - at
                at = dot + 5
                talk.in_content = False
                self._taken(talk, now, told, seen)
                continue
            line_end = buffer.find(b"\r\n", at, end)
            if line_end < 0:
                talk.tail = bytes(buffer[at:end])
                return
            self._command(talk, bytes(buffer[at:line_end]), now, told, seen)
            # The line end before the first line of the content belongs to a content that is only a dot.
            at = line_end if talk.in_content else line_end + 2

    def _command(self, talk: Talk, line: bytes, now: float, told: bytearray, seen: bytearray) -> None:
        told = talk.held[-1][1] if talk.held else told
        verb = line[:4].upper()
        if verb == b"MAIL":
            talk.begun, talk.sender = now, address(line)
        elif verb == b"RCPT":
            talk.to = address(line)
            seen += b"B\t%.6f\t%b\t%b\n" % (talk.begun, talk.sender, talk.to)
        elif verb == b"DATA":
            talk.in_content = True
        told += b"354 go\r\n" if talk.in_content else HELLO if verb == b"EHLO" else b"250 ok\r\n"

    def _taken(self, talk: Talk, now: float, told: bytearray, seen: bytearray) -> None:
        self.messages += 1
        seen += b"T\t%.6f\t%b\t%b\n" % (now, talk.sender, talk.to)
        delay = math.inf if self.messages > self._hang_after else self._delay
        if not delay and not talk.held:
            told += b"250 ok\r\n"
            return
        talk.late = max(now, talk.late) + delay
        talk.held.append((talk.late, bytearray(b"250 ok\r\n")))
        if talk.late < math.inf:
            heapq.heappush(self._timers, (talk.late, id(talk), talk))

    def _release(self, talk: Talk) -> None:
        now = time.monotonic()
        while talk.held and talk.held[0][0] <= now:
            self._say(talk, talk.held.popleft()[1])

    def _say(self, talk: Talk, words: bytearray) -> None:
        try:
            if words:
                talk.link.send(words)
        except OSError:
            self._drop(talk)

    def _drop(self, talk: Talk) -> None:
        talk.held.clear()
        if talk.link.fileno() >= 0:
            self._selector.unregister(talk.link)
            talk.link.close()


def address(line: bytes) -> bytes:
    """What is between the angle brackets."""
    return line[line.find(b"<") + 1 : line.find(b">")]


@contextmanager
def running(*, log: Path | None = None, delay: float = 0.0, hang_after: int | None = None) -> Iterator[int]:
    """Give the port of a sink in a process of its own."""
    command = [sys.executable, "-m", "bench.sink", "--delay", str(delay)]
    command += ["--log", str(log)] if log else []
    command += ["--hang-after", str(hang_after)] if hang_after is not None else []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline()) if process.stdout else 0
        finally:
            process.terminate()
            process.wait(5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log", type=Path, help="append a line for every message begun and taken")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each final dot is answered")
    parser.add_argument("--hang-after", type=float, default=math.inf, help="messages, then no dot is answered")
    options = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", options.port), backlog=128)
    sink = Sink(listening, options.log, options.delay, options.hang_after)

    def stop(*_: Any) -> None:
        sink.stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(listening.getsockname()[1], flush=True)
    sink.run()
    print(json.dumps({"messages": sink.messages, "connections": sink.connections, "bytes": sink.size}), flush=True)


if __name__ == "__main__":
    main()
