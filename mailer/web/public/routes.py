"""The blueprint, with every view attached."""

from __future__ import annotations

from mailer.web.public import click, preferences, typed, unsubscribe, why
from mailer.web.public.blueprint import public

__all__ = ["click", "preferences", "public", "typed", "unsubscribe", "why"]
