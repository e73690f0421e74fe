"""The blueprint, with every view attached."""

from __future__ import annotations

from campaigns.web import acts, composer, content, doubts, one, shelf, today
from campaigns.web.blueprint import campaigns

__all__ = ["acts", "campaigns", "composer", "content", "doubts", "one", "shelf", "today"]
