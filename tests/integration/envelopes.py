"""Envelopes and windows for tests of providers."""

from __future__ import annotations

from uuid import uuid4

from mailer.providers.base import Envelope

CONTENT = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\nHello\r\n.\r\n..two dots\r\n"


def envelope(recipient="priya@example.com", content=CONTENT, **changes):
    given = {
        "delivery_id": uuid4(),
        "attempt_id": uuid4(),
        "campaign_id": 7,
        "recipient": recipient,
        "return_path": "b-abc@mail.anaar.example",
        "content": content,
    }
    return Envelope(**(given | changes))


class Open:
    """A window that stays open for `times` messages."""

    def __init__(self, times=10**6):
        self.left = times
        self.asked = 0

    def open(self):
        self.asked += 1
        self.left -= 1
        return self.left >= 0
