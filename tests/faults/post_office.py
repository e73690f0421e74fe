"""A mail server that lies when told to and keeps an honest ledger: the oracle of the fault rounds.

Run as a process of its own: `post_office.py LEDGER FD`. It writes a line for each message that it really took, on
the disk before it answers, whatever the answer says then. When a message was begun is the kernel's word for when the
bytes of its MAIL command came, so nothing hangs on how busy the machine is. It is told what to do, and says where a
conversation stands, in lines of JSON on its standard input and output.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from mailer.message import delivery_of

STAMP = getattr(socket, "SO_TIMESTAMPNS", 35)  # Linux; elsewhere the moment at which the bytes were read must do
STEPS = ("MAIL", "DATA", "DOT", "TAKEN", "SAID")
LIES = ("reset", "take and reset", "silence", "take and silence", "451", "take and 451", "554", "take and 554", "slow")
SILENCE_SECONDS = 1.5
SLOW_SECONDS = 0.1
ANSWERS = {"451": b"451 4.3.0 try later\r\n", "554": b"554 5.7.1 no\r\n"}
TAKEN = b"250 2.0.0 Ok: queued as 4F1A2B3C\r\n"


class Office:
    """What all conversations share: the ledger, how to behave, and at which step to stand still."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self._draw = random.Random()
        self._lying, self._seconds = 0.0, 0.0
        self._stop_at, self._stop_after, self._count_to, self._begun = "", 0, 0, 0
        self.go = threading.Event()
        self.go.set()

    def obey(self, word: dict) -> None:
        """Do what the harness says, and say that it is done."""
        with self._lock:
            self._draw.seed(word.get("seed"))
            self._lying, self._seconds = word.get("lying", 0.0), word.get("seconds", 0.0)
            self._stop_at, self._stop_after = word.get("stop_at", ""), word.get("stop_after", 0)
            self._begun, self._count_to = 0, word.get("count_to", 0)
        if "stop_at" in word:
            self.go.clear()
        else:
            self.go.set()
        tell({"did": word.get("number")})

    def reached(self, step: str, delivery: str) -> None:
        """Stand still here if that was asked for; also say when as many messages were begun as was asked for."""
        with self._lock:
            if step == "MAIL":
                self._begun += 1
                if self._begun == self._count_to:
                    tell({"begun": self._begun, "delivery": delivery})
            if step != self._stop_at:
                return
            self._stop_after -= 1
            if self._stop_after > 0:
                return
            self._stop_at = ""
            tell({"at": step, "delivery": delivery})
        self.go.wait()

    def lie(self) -> str:
        with self._lock:
            return self._draw.choice(LIES) if self._draw.random() < self._lying else ""

    def wait(self) -> None:
        if self._seconds:
            time.sleep(self._seconds)

    def write(self, **line: object) -> None:
        os.write(self._ledger, json.dumps(line).encode() + b"\n")
        os.fsync(self._ledger)


class Conversation:
    """One connection. One thread reads and notes when bytes came, another answers."""

    def __init__(self, office: Office, link: socket.socket) -> None:
        self._office, self._link = office, link
        self._chunks: SimpleQueue[tuple[bytes, float]] = SimpleQueue()
        self._unread, self._marks, self._offset = bytearray(), [], 0
        with suppress(OSError):
            link.setsockopt(socket.SOL_SOCKET, STAMP, 1)
        for work in (self._read, self._serve):
            threading.Thread(target=work, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data, told, _, _ = self._link.recvmsg(65536, 256)
            except OSError:
                data, told = b"", []
            when = next((struct.unpack("qq", word) for _, kind, word in told if kind == STAMP), None)
            self._chunks.put((data, time.time() if when is None else when[0] + when[1] / 1e9))
            if not data:
                return

    def _until(self, end: bytes) -> tuple[bytes, float]:
        """The next bytes up to `end`, and when the first of them came."""
        while (found := self._unread.find(end)) < 0:
            data, when = self._chunks.get()
            if not data:
                raise ConnectionError
            self._unread += data
            self._marks.append((self._offset + len(self._unread), when))
        when = next(when for till, when in self._marks if till > self._offset)
        taken = bytes(self._unread[: found + len(end)])
        del self._unread[: found + len(end)]
        self._offset += len(taken)
        self._marks = [mark for mark in self._marks if mark[0] > self._offset]
        return taken, when

    def _serve(self) -> None:
        try:
            self._say(b"220 double.example ESMTP\r\n")
            while self._one():
                pass
        except OSError:
            pass
        finally:
            with suppress(OSError):
                self._link.shutdown(socket.SHUT_RD)  # whoever reads from it holds it open
            self._link.close()

    def _one(self) -> bool:
        line, when = self._until(b"\r\n")
        verb, rest = line[:4].upper(), line.decode("utf-8", "replace").strip()
        if verb == b"EHLO":
            self._say(b"250-double.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
        elif verb == b"MAIL":
            self._sender, self._when, self._to = address_in(rest), when, []
            self._office.reached("MAIL", delivery_in(self._sender))
            self._say(b"250 2.1.0 Ok\r\n")
        elif verb == b"RCPT":
            self._to.append(address_in(rest))
            self._say(b"250 2.1.5 Ok\r\n")
        elif verb == b"DATA":
            self._office.reached("DATA", delivery_in(self._sender))
            self._say(b"354 Go on\r\n")
            self._until(b"\r\n.\r\n")
            return self._take()
        elif verb == b"QUIT":
            self._say(b"221 2.0.0 Bye\r\n")
            return False
        else:
            self._say(b"250 2.0.0 Ok\r\n")
        return True

    def _take(self) -> bool:
        """The whole message is here: take it or not, and say so or something else."""
        office, delivery = self._office, delivery_in(self._sender)
        office.reached("DOT", delivery)
        office.wait()
        lie = office.lie()
        said = lie.removeprefix("take and ")
        takes = lie in {"", "slow"} or lie.startswith("take and ")
        office.write(delivery=delivery, to=self._to, begun=self._when, taken=takes, said=said if said != "slow" else "")
        if takes:
            office.reached("TAKEN", delivery)
        if said == "slow":
            time.sleep(SLOW_SECONDS)
        if said in {"reset", "silence"}:
            time.sleep(SILENCE_SECONDS if said == "silence" else 0)
            self._link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        self._say(ANSWERS.get(said, TAKEN))
        if takes:
            office.reached("SAID", delivery)
        return True

    def _say(self, words: bytes) -> None:
        self._link.sendall(words)


def address_in(command: str) -> str:
    return command.partition("<")[2].partition(">")[0].lower()


def delivery_in(path: str) -> str:
    return str(delivery_of(path))


def tell(word: dict) -> None:
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


def main(ledger: str, fd: str) -> None:
    office, listening = Office(Path(ledger)), socket.socket(fileno=int(fd))

    def listen() -> None:
        while True:
            link, _ = listening.accept()
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Conversation(office, link)

    threading.Thread(target=listen, daemon=True).start()
    for line in sys.stdin:
        office.obey(json.loads(line))


if __name__ == "__main__":
    main(*sys.argv[1:])
