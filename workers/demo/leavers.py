"""People who press one-click unsubscribe while the campaign goes out: some were just mailed, some still wait.

What a mailbox provider would post to the public address is posted to the same path on the local listener
(RFC 8058, 3.2). The moment of each answer is kept: after it nothing more may start for that person.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer import inbox
from mailer.consent.links import Links
from mailer.message import delivery_of

BODY = "List-Unsubscribe=One-Click"
HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
AT_ONCE = 8
PATIENCE = 20.0

_WAITING = text("""
    SELECT d.id, c.ref FROM deliveries d JOIN customers c ON c.id = d.customer_id
     WHERE d.campaign_id = :campaign AND d.state = 'pending' AND NOT d.id = ANY(:known)
     ORDER BY d.id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Click:
    """One press of the button: whose mail it was, whether they still waited for it, and what came of it."""

    delivery_id: UUID
    waiting: bool
    asked_at: float
    answered_at: float
    status: int


class Leavers:
    """Lets people say no, a few at a time and side by side. `finish` gives every click with its answer."""

    def __init__(self, web_url: str, links: Links, folder: Path, campaign_id: int, purpose: str) -> None:
        self._listener = urlsplit(web_url)
        self._links = links
        self._folder = folder
        self._campaign = campaign_id
        self._purpose = purpose
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="leaver")
        self._clicks: list[Future[Click]] = []
        self._known: set[UUID] = set()

    def leave(self, session: Session, waiting: int, mailed: int) -> None:
        """Let `waiting` people whose mail hasn't gone and `mailed` people who just got theirs press the button."""
        paths = [*self._of_waiting(session, waiting), *self._of_mailed(mailed)]
        self._known |= {delivery_id for delivery_id, _, _ in paths}
        self._clicks += [self._threads.submit(self._press, *path) for path in paths]

    def finish(self) -> list[Click]:
        """Return all clicks when all are answered."""
        clicks = [click.result() for click in self._clicks]
        self._threads.shutdown()
        return clicks

    def _of_waiting(self, session: Session, limit: int) -> list[tuple[UUID, str, bool]]:
        # No mail of theirs exists yet, so neither does its link: it is written here as the composer would write it.
        rows = session.execute(_WAITING, {"campaign": self._campaign, "known": list(self._known), "limit": limit}).all()
        return [(row.id, self._links.unsubscribe(bytes(row.ref), self._purpose, row.id), True) for row in rows]

    def _of_mailed(self, limit: int) -> list[tuple[UUID, str, bool]]:
        found: list[tuple[UUID, str, bool]] = []
        for entry in inbox.list_messages(self._folder, limit=4 * limit + len(self._known)):
            delivery_id = delivery_of(entry.sender)
            if delivery_id is None or delivery_id in self._known or len(found) == limit:
                continue
            url = one_click_address(inbox.read_message(self._folder, entry.name))
            if url is not None:
                found.append((delivery_id, url, False))
        return found

    def _press(self, delivery_id: UUID, url: str, waiting: bool) -> Click:
        asked_at = time.time()
        connection = http.client.HTTPConnection(
            self._listener.hostname or "", self._listener.port or 80, timeout=PATIENCE
        )
        try:
            connection.request("POST", urlsplit(url).path, BODY, HEADERS)
            answer = connection.getresponse()
            answer.read()
            return Click(delivery_id, waiting, asked_at, time.time(), answer.status)
        finally:
            connection.close()


def one_click_address(message: bytes) -> str | None:
    """Return the https address in a message's List-Unsubscribe header, if it offers one-click."""
    headers = message_from_bytes(message, policy=default)
    if headers["List-Unsubscribe-Post"] != BODY:
        return None
    offered: Sequence[str] = [part.strip().strip("<>") for part in str(headers["List-Unsubscribe"] or "").split(",")]
    return next((url for url in offered if url.startswith("https://")), None)
