"""PURE: what an event says, in our own words. Every provider's words are translated into these, once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from mailer.bounces.causes import Cause


class What(StrEnum):
    """Everything that feedback can be about."""

    TAKEN = "taken"
    """The provider has it."""
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    """It came back; `cause` says why."""
    DROPPED = "dropped"
    """The provider took the request and threw the message away; `cause` says why."""
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    NOTHING = "nothing"
    """News that changes nothing: late, opened by a machine, a type that we don't know."""


HARMLESS = frozenset({What.TAKEN, What.DELIVERED, What.OPENED, What.CLICKED})
"""Facts that touch only the delivery's own row: many of them go into one transaction."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened to one delivery. `at` is the provider's time, never later than ours."""

    what: What
    delivery_id: UUID
    at: datetime
    attempt_id: UUID | None = None
    cause: Cause | None = None
    scope: str | None = None
    """What an unsubscribe stops: `all`, or None for the purpose of the delivery."""
    words: str = ""
