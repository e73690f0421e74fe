"""People who say no while it goes out, by real doors: one click over HTTP, and the address typed in."""

from __future__ import annotations

import http.client
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy.exc import DBAPIError

from mailer import optout
from mailer.errors import Unavailable
from tests.faults.crowd import PURPOSE, Crowd

BODY, HEADERS = "List-Unsubscribe=One-Click", {"Content-Type": "application/x-www-form-urlencoded"}
SECONDS = 20


@dataclass(frozen=True)
class Answered:
    """Who was told "done", and when."""

    customer_id: int
    address: str
    at: float


class Leavers:
    """Lets people leave at moments drawn beforehand, side by side; `finish` gives those who were answered "done"."""

    def __init__(self, installation, crowd: Crowd, draw: random.Random) -> None:
        self._installation, self._crowd = installation, crowd
        self._pool = ThreadPoolExecutor(12)
        self._draw = draw
        self._left: list[Future[Answered | None]] = []
        self._waiting = list(crowd.willing)
        draw.shuffle(self._waiting)
        self.asked: set[str] = set()
        """Addresses of all who tried, answered or not."""

    def leave(self, people: int, within: float = 0.0) -> None:
        """Let so many more leave, each at a moment of the next `within` seconds."""
        for _ in range(min(people, len(self._waiting))):
            person, door = self._waiting.pop(), self._draw.choice((self._click, self._click, self._type))
            self._left.append(self._pool.submit(self._go, door, person, self._draw.uniform(0, within)))

    def leaves(self, person: int) -> None:
        """Let this one leave now."""
        self._left.append(self._pool.submit(self._go, self._click, person, 0.0))

    def all_answered(self) -> bool:
        return all(left.done() for left in self._left)

    def finish(self) -> list[Answered]:
        done = [left.result(60) for left in self._left]
        self._pool.shutdown()
        return [answered for answered in done if answered is not None]

    def _go(self, door, person: int, delay: float) -> Answered | None:
        time.sleep(delay)
        self.asked.add(self._crowd.address[person])
        return Answered(person, self._crowd.address[person], time.time()) if door(person) else None

    def _click(self, person: int) -> bool:
        path = urlsplit(self._installation.links.unsubscribe(self._crowd.ref[person], PURPOSE, None)).path
        where = urlsplit(self._installation.web_url)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=SECONDS)
        try:
            connection.request("POST", path, BODY, HEADERS)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _type(self, person: int) -> bool:
        one = self._installation
        try:
            optout.stop_address(one.engine, one.keys, address=self._crowd.address[person], source="typed_address")
        except (Unavailable, DBAPIError):
            return False
        return True
