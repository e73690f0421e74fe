"""The interface of a provider: envelopes in, one receipt each, as soon as it is known.

The outcomes are the only words the rest of the engine understands; each provider translates its own words into
them, once. A receipt tells what is *known*: whoever can't tell whether a message was taken says IN_DOUBT, and
nobody tries it again by himself (at most once).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from mailer.letters import Letter

HAND_OVER_SECONDS = 10.0
"""D: every hand-over, of one message or of 64, ends within this time. The database frees the locks of a worker
that stands still only after 15 s, so a hand-over may never outlive them."""


class Outcome(StrEnum):
    """What is known about one message after a hand-over."""

    TAKEN = "taken"
    """The provider took responsibility for it."""
    NOT_TAKEN = "not_taken"
    """It surely was not taken, and may be tried later."""
    REFUSED = "refused"
    """It surely was not taken, and never will be for this recipient."""
    MISCONFIGURED = "misconfigured"
    """It surely was not taken, because of us: sign-in, sender or set-up. The campaign pauses."""
    IN_DOUBT = "in_doubt"
    """It was written and no final answer came. Perhaps taken: never tried again by itself."""
    NOT_STARTED = "not_started"
    """The window had closed before its first byte. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One finished message for one person, and where its failures come back to.

    With a `letter` its `content` has the headers only. Only a provider that asked for letters gets them.
    """

    delivery_id: UUID
    attempt_id: UUID
    campaign_id: int
    recipient: str
    return_path: str
    content: bytes = field(repr=False)
    letter: Letter | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one envelope.

    `code` is the provider's own number (`550 5.1.1`). A code in words (`needs SMTPUTF8`) is our own refusal: it
    says nothing about the mailbox and must never count as a bounce. `retry_after` is in seconds.
    """

    delivery_id: UUID
    outcome: Outcome
    code: str = ""
    detail: str = ""
    provider_message_id: str | None = None
    retry_after: float | None = None

    @property
    def about_server(self) -> bool:
        """Whether it says nothing about this recipient: nobody was there, or nobody who takes mail from us.

        `detail` begins with how far the conversation came.
        """
        return self.detail.startswith(_BEFORE_RECIPIENTS)


_BEFORE_RECIPIENTS = ("CONNECT:", "GREETING:", "TLS:", "AUTH:", "MAIL:")


class Window(Protocol):
    """The short time in which messages may start; only delivery knows when it is over."""

    def open(self) -> bool:
        """Asked right before the first byte of every message. False: it and all the rest are NOT_STARTED.

        Also asked now and then while messages wait and nothing happens: locks are held for them.
        """
        ...


class Provider(Protocol):
    """A carrier of mail."""

    name: str

    def hand_over(self, envelopes: Sequence[Envelope], window: Window) -> Iterator[Receipt]:
        """Yield exactly one receipt an envelope, each as soon as it is known, in any order, all within D."""
        ...

    def close(self) -> None:
        """Let go of connections. May be called more than once; a later hand-over connects anew."""
        ...


def not_started(envelopes: Sequence[Envelope]) -> Iterator[Receipt]:
    """The receipts of everything a closed window held back."""
    return (Receipt(envelope.delivery_id, Outcome.NOT_STARTED) for envelope in envelopes)
