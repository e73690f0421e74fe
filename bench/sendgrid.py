"""Handing mail to SendGrid: recipients a second into a local server, in requests of 1,000 people and of one.

Ours: finished messages through the provider, batch by batch as a worker gives them, window asked and receipts read.
The limit: a bare HTTP client with the same connections and the very bytes that ours would write. The naive way: the
`sendgrid` package as its own examples use it, one `Mail` and one new connection for each person. The server only
counts people; it is a process of its own. Bodies are 34 KB of HTML.
"""

from __future__ import annotations

import http.client
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Mail

from config.settings import Settings
from mailer.letters import Letter, Shared
from mailer.message import Marketing, Sender, build
from mailer.providers import sendgrid_message
from mailer.providers.base import Envelope, Outcome
from mailer.providers.sendgrid import CONNECTIONS, SendGridProvider
from workers.measured import Measured

SIZES = (2_000, 20_000)
BATCH = 64
"""What a worker gives in one hand-over where everybody has a request of their own."""
NAIVE = 200
"""People that the naive way is timed with."""
MESSAGES = 100
"""Different messages; they are given again and again under new ids."""
HTML_BYTES = 34_000
FIELDS = 20
ROOT = Path(__file__).parent.parent


class AlwaysOpen:
    """The window of nobody."""

    def open(self) -> bool:
        return True


def run(_settings: Settings, n: int, *, seed: int, **_options: Any) -> Mapping[str, Measured]:
    """Measure with `n` people, both ways."""
    draw = random.Random(seed)
    singles, letters = messages(draw), together(draw)
    with server() as host:
        return {
            "sendgrid_1000": measure(host, n, letters, sendgrid_message.MOST_PEOPLE),
            "sendgrid_1": measure(host, n, singles, 1),
        }


def measure(host: str, n: int, patterns: Sequence[Envelope], people: int) -> Measured:
    provider = SendGridProvider("SG.bench", host=host)
    batch = max(people, BATCH)
    taken = 0
    list(provider.hand_over(some(patterns, 0, batch), AlwaysOpen()))  # connections are there before the clock runs
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, n, batch):
        receipts = provider.hand_over(some(patterns, start, min(batch, n - start)), AlwaysOpen())
        taken += sum(receipt.outcome is Outcome.TAKEN for receipt in receipts)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    provider.close()
    if taken != n:
        raise RuntimeError(f"{n - taken} of {n} were not taken")
    return Measured(n, "recipients/s", n / seconds, bare(host, n, patterns, people), naive(host), cpu / n * 1000)


def some(patterns: Sequence[Envelope], start: int, count: int) -> list[Envelope]:
    """As many envelopes as asked for, each to somebody of its own."""
    return [
        Envelope(UUID(int=p + 1), UUID(int=p + 2), 7, f"p{p}@example.com", "", one.content, one.letter)
        for p, one in ((p, patterns[p % len(patterns)]) for p in range(start, start + count))
    ]


def bare(host: str, n: int, patterns: Sequence[Envelope], people: int) -> float:
    """Return recipients a second of the same bytes through nothing but http.client."""
    made = [
        sendgrid_message.several(some(patterns, at, people))
        if people > 1
        else sendgrid_message.single(some(patterns, at, 1)[0])
        for at in range(0, min(n, MESSAGES * people), people)
    ][:20]
    jobs: SimpleQueue[bytes | None] = SimpleQueue()
    for number in range(-(-n // people)):
        jobs.put(made[number % len(made)])
    hands = [threading.Thread(target=posting, args=(host, jobs)) for _ in range(CONNECTIONS)]
    for _ in hands:
        jobs.put(None)
    began = time.perf_counter()
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    return n / (time.perf_counter() - began)


def posting(host: str, jobs: SimpleQueue[bytes | None]) -> None:
    parts = urlsplit(host)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port)
    while (body := jobs.get()) is not None:
        link.request("POST", "/v3/mail/send", body, {"Content-Type": "application/json"})
        link.getresponse().read()
    link.close()


def naive(host: str) -> float:
    """Return recipients a second of the package as its examples use it."""
    api = SendGridAPIClient("SG.bench", host=host)
    html = "<p>" + "word " * (HTML_BYTES // 5) + "</p>"
    began = time.perf_counter()
    for number in range(NAIVE):
        api.send(Mail("a@example.com", f"p{number}@example.com", "Hello", f"Hello {number}", html))
    return NAIVE / (time.perf_counter() - began)


def messages(draw: random.Random) -> list[Envelope]:
    """Finished messages, as a composer makes them."""
    return [
        Envelope(UUID(int=1), UUID(int=1), 7, "p@example.com", "", message(number, html(draw)))
        for number in range(MESSAGES)
    ]


def together(draw: random.Random) -> list[Envelope]:
    """The same with the content shared, and what differs in its marks."""
    marks = [f"-af{place:02}-" for place in range(FIELDS)]
    shared = Shared("Hello " + " ".join(marks), html(draw) + "".join(f"<p>{mark}</p>" for mark in marks))
    return [
        Envelope(
            UUID(int=1),
            UUID(int=1),
            7,
            "p@example.com",
            "",
            message(number, "").partition(b"\r\n\r\n")[0],
            Letter(shared, {mark: f"{draw.getrandbits(64):x}" for mark in marks}),
        )
        for number in range(MESSAGES)
    ]


def html(draw: random.Random) -> str:
    words = ("lamp", "brass", "copper", "cushion", "दीपावली", "<b>cups</b>", "three", "madder")
    said: list[str] = []
    size = 0
    while size < HTML_BYTES:
        said.append(draw.choice(words))
        size += len(said[-1]) + 1
    return f"<html><body>{' '.join(said)}</body></html>"


def message(number: int, content: str) -> bytes:
    return build(
        sender=Sender("Anaar", "hello@mail.example.com", "mail.example.com"),
        recipient=f"p{number}@example.com",
        subject=f"Hello {number}",
        html=content or "-",
        text="Hello there, a few words. " * 40,
        date=datetime(2026, 11, 8, tzinfo=UTC),
        attempt_id=UUID(int=number + 1),
        marketing=Marketing(7, "festive", "festivals", f"https://mail.example.com/u/{'t' * 80}{number}"),
    )


@contextmanager
def server() -> Iterator[str]:
    """Give the address of a counting SendGrid in a process of its own."""
    command = [sys.executable, "-m", "tests.sendgrid_double"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            if process.stdin:
                process.stdin.close()
            process.wait(5)
