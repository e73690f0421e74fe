"""The blueprint, with every view attached."""

from __future__ import annotations

from campaigns.web import acts, composer, condition, content, doubts, limits, one, shelf, today, topics
from campaigns.web.blueprint import campaigns

__all__ = [
    "acts",
    "campaigns",
    "composer",
    "condition",
    "content",
    "doubts",
    "limits",
    "one",
    "shelf",
    "today",
    "topics",
]
