"""Hand-over by SendGrid's web API: one request for each person over several connections, or one for many people.

Many go in one request where they share a content and little differs (`sendgrid_message.several`). A request is
written once: SendGrid has no idempotency key, so what was written and got no answer is in doubt. Future mail is
never given to SendGrid (`send_at` in the past would go at once, and an opt-out could not call it back).
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from queue import SimpleQueue
from typing import TYPE_CHECKING

from mailer.providers import sendgrid_message, sendgrid_replies
from mailer.providers.base import HAND_OVER_SECONDS, Envelope, Outcome, Receipt, Window
from mailer.providers.sendgrid_client import Answer, NotBegun, Unanswered, Unwritten, api

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOST = "https://api.sendgrid.com"
CONNECTIONS = 8
APART_SECONDS = 60.0
"""How long everybody gets a request of their own after one of many was refused without a name in the answer."""
LAST_WORDS = 0.3
"""Seconds for a request that was cut at the deadline to say so itself."""


class Start(Enum):
    """Whether a request may be written now."""

    GO = "go"
    SHUT = "the window has closed"
    LATE = "no time left in this hand-over"
    RESTING = "SendGrid asked us to wait"
    UNREACHABLE = "SendGrid can't be reached"


@dataclass(eq=False, slots=True)
class Parcel:
    """What goes in one request, and what became of it: told once, by whoever knows first."""

    envelopes: Sequence[Envelope]
    begun: bool = False
    receipts: list[Receipt] | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def settle(self, receipts: list[Receipt]) -> None:
        if not self.done.is_set():
            self.receipts = receipts
            self.done.set()

    def all(self, outcome: Outcome, code: str = "", detail: str = "", **facts: float | str | None) -> list[Receipt]:
        return [Receipt(e.delivery_id, outcome, code, detail, **facts) for e in self.envelopes]  # type: ignore[arg-type]


class Turn:
    """One hand-over: what may still start. Asked from every connection's thread, one at a time."""

    def __init__(self, window: Window, until: float, rest_until: float) -> None:
        self.until, self.rest_until = until, rest_until
        self.unreachable = ""
        self._window, self._lock = window, threading.Lock()
        self._shut = self._over = False

    def begin(self, parcel: Parcel) -> Start:
        """Say whether this parcel's first byte may be written now; from then on it counts as begun."""
        with self._lock:
            start = self._may_start()
            parcel.begun = start is Start.GO
            return start

    def look(self) -> Start:
        """Say whether it is worth connecting at all, without asking the window."""
        with self._lock:
            return self._known()

    def end(self) -> None:
        """Nothing starts from here on."""
        with self._lock:
            self._over = True

    def _known(self) -> Start:
        now = time.monotonic()
        if self._shut:
            return Start.SHUT
        if self._over or now >= self.until:
            return Start.LATE
        if now < self.rest_until:
            return Start.RESTING
        return Start.UNREACHABLE if self.unreachable else Start.GO

    def _may_start(self) -> Start:
        known = self._known()
        if known is Start.GO and not self._window.open():
            self._shut = True
            return Start.SHUT
        return known


class SendGridProvider:
    """Carries messages by SendGrid; `at_once` people a request where their messages allow it."""

    name = "sendgrid"

    def __init__(
        self,
        key: str,
        *,
        host: str = HOST,
        seconds: float = HAND_OVER_SECONDS,
        connections: int = CONNECTIONS,
        at_once: int = sendgrid_message.MOST_PEOPLE,
        sandbox: bool = False,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._api = api(key, host, seconds=seconds, context=context)
        self._send = self._api.mail.send
        self._seconds, self._connections, self._sandbox = seconds, connections, sandbox
        self._at_once = min(at_once, sendgrid_message.MOST_PEOPLE)
        self._rest_until = self._apart_until = 0.0

    def hand_over(self, envelopes: Sequence[Envelope], window: Window) -> Iterator[Receipt]:
        """As the interface says. Nothing starts while more than a few receipts wait to be taken."""
        turn = Turn(window, time.monotonic() + self._seconds, self._rest_until)
        waiting, ahead = deque(self._parcels(envelopes)), deque[Parcel]()
        jobs: SimpleQueue[Parcel | None] = SimpleQueue()
        hands = [
            threading.Thread(target=self._work, args=(jobs, turn), daemon=True, name="sendgrid")
            for _ in range(min(self._connections, len(waiting)))
        ]
        for hand in hands:
            hand.start()
        try:
            while waiting or ahead:
                while waiting and len(ahead) < 2 * self._connections - 1:
                    ahead.append(waiting.popleft())
                    jobs.put(ahead[-1])
                yield from self._receipts(ahead.popleft(), turn)
        finally:
            turn.end()
            for _ in hands:
                jobs.put(None)
            for parcel in ahead:  # left half way: what has begun is let come to its end
                if parcel.begun:
                    parcel.done.wait(max(turn.until - time.monotonic(), 0))

    def close(self) -> None:
        """Close the connections that rest."""
        self._api.connections.close()

    # -- what goes together ----------------------------------------------------------------------------

    def _parcels(self, envelopes: Sequence[Envelope]) -> Iterator[Parcel]:
        """Those who share a content together, as many as a request takes and each address once; others alone."""
        at_once = 1 if time.monotonic() < self._apart_until else self._at_once
        groups: list[list[Envelope]] = []
        filling: dict[int, tuple[list[Envelope], set[str]]] = {}
        for envelope in envelopes:
            together = id(envelope.letter.shared) if _fits(envelope) and envelope.letter else None
            address = envelope.recipient.lower()
            group, addresses = filling.get(together, ([], set())) if together is not None else ([], set[str]())
            if not group or len(group) >= at_once or address in addresses:
                group, addresses = [], set()
                groups.append(group)
            if together is not None:
                filling[together] = (group, addresses)
            group.append(envelope)
            addresses.add(address)
        return (Parcel(group) for group in groups)

    # -- one request ------------------------------------------------------------------------------------

    def _work(self, jobs: SimpleQueue[Parcel | None], turn: Turn) -> None:
        while (parcel := jobs.get()) is not None:
            try:
                parcel.settle(self._carry(parcel, turn))
            except Exception as bug:  # noqa: BLE001  (a thread must not die silently with a receipt owed)
                outcome = Outcome.IN_DOUBT if parcel.begun else Outcome.NOT_TAKEN
                parcel.settle(parcel.all(outcome, detail=f"our own mistake: {type(bug).__name__}"))

    def _carry(self, parcel: Parcel, turn: Turn) -> list[Receipt]:
        start = turn.look()
        if start is not Start.GO:
            return self._not_now(parcel, start, turn)
        try:
            body = self._body(parcel)
        except sendgrid_message.Unsendable as problem:
            return self._unsendable(parcel, str(problem))
        told: list[Start] = []

        def begin() -> bool:
            told.append(turn.begin(parcel))
            return told[-1] is Start.GO

        try:
            answer = self._send.post(body, until=turn.until, begin=begin)
        except NotBegun:
            return self._not_now(parcel, told[-1], turn)
        except Unwritten as trouble:
            if not trouble.reached:
                turn.unreachable = str(trouble)
            return parcel.all(Outcome.NOT_TAKEN, detail=str(trouble))
        except Unanswered as trouble:
            return parcel.all(Outcome.IN_DOUBT, detail=str(trouble))
        return self._meant(parcel, answer, turn)

    def _body(self, parcel: Parcel) -> bytes:
        if len(parcel.envelopes) == 1:
            return sendgrid_message.single(parcel.envelopes[0], sandbox=self._sandbox)
        return sendgrid_message.several(parcel.envelopes, sandbox=self._sandbox)

    def _unsendable(self, parcel: Parcel, why: str) -> list[Receipt]:
        """Only whose own message it is that can't be written is refused. The others go without him the next time."""
        if len(parcel.envelopes) == 1:
            return parcel.all(Outcome.REFUSED, UNSENDABLE, why)
        whys = [_problem_with(envelope) for envelope in parcel.envelopes]
        if not any(whys):
            self._apart_until = time.monotonic() + APART_SECONDS
        return [
            Receipt(e.delivery_id, Outcome.REFUSED, UNSENDABLE, own)
            if own
            else Receipt(e.delivery_id, Outcome.NOT_TAKEN, detail=f"the request it was in can't be written: {why}")
            for e, own in zip(parcel.envelopes, whys, strict=True)
        ]

    def _meant(self, parcel: Parcel, answer: Answer, turn: Turn) -> list[Receipt]:
        outcome = sendgrid_replies.outcome_of(answer.status, sandbox=self._sandbox)
        code = str(answer.status)
        if outcome is Outcome.TAKEN:
            return parcel.all(outcome, code, provider_message_id=answer.headers.get("x-message-id"))
        words = sendgrid_replies.words_of(answer.body)
        if answer.status == 429:
            seconds = sendgrid_replies.rest(answer.headers, time.time())
            self._rest_until = turn.rest_until = time.monotonic() + seconds
            return parcel.all(outcome, code, words, retry_after=seconds)
        if outcome is Outcome.REFUSED and len(parcel.envelopes) > 1:
            return self._refused_together(parcel, sendgrid_replies.blamed(answer.body), code, words)
        return parcel.all(outcome, code, words)

    def _refused_together(self, parcel: Parcel, blamed: set[int], code: str, words: str) -> list[Receipt]:
        """A request is refused as a whole: nobody's was taken, and only who is named is refused himself."""
        if not blamed:
            self._apart_until = time.monotonic() + APART_SECONDS
        return [
            Receipt(e.delivery_id, Outcome.REFUSED, code, words)
            if place in blamed
            else Receipt(e.delivery_id, Outcome.NOT_TAKEN, detail=f"the request it was in was refused: {code}")
            for place, e in enumerate(parcel.envelopes)
        ]

    def _not_now(self, parcel: Parcel, start: Start, turn: Turn) -> list[Receipt]:
        if start is Start.SHUT:
            return parcel.all(Outcome.NOT_STARTED)
        left = max(turn.rest_until - time.monotonic(), 0.0) if start is Start.RESTING else None
        detail = turn.unreachable if start is Start.UNREACHABLE else start.value
        return parcel.all(Outcome.NOT_TAKEN, "429" if start is Start.RESTING else "", detail, retry_after=left)

    def _receipts(self, parcel: Parcel, turn: Turn) -> list[Receipt]:
        """What became of a parcel; at the deadline whatever is on the wire is cut, and is in doubt."""
        if not parcel.done.wait(max(turn.until - time.monotonic(), 0)):
            turn.end()
            self._api.connections.cut()
            parcel.done.wait(LAST_WORDS)
            begun = parcel.begun
            late = parcel.all(Outcome.IN_DOUBT if begun else Outcome.NOT_TAKEN, detail=Start.LATE.value)
            parcel.settle(late)
        return parcel.receipts or []


UNSENDABLE = "unsendable"
"""SendGrid's rules forbid it. We found that ourselves, so nobody refused it and no mailbox is to blame."""


def _problem_with(envelope: Envelope) -> str:
    """Why this message can't go even in a request of its own; nothing where it can."""
    try:
        sendgrid_message.single(envelope)
    except sendgrid_message.Unsendable as problem:
        return str(problem)
    return ""


def _fits(envelope: Envelope) -> bool:
    return envelope.letter is not None and sendgrid_message.fits(envelope)
