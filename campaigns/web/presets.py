"""Rules that many shops start from. Filled into the form, to be changed there."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Preset(NamedTuple):
    """A rule to start from, by a short key."""

    words: str
    rule: dict[str, Any]


PRESETS: dict[str, Preset] = {
    "everybody": Preset("Everybody who said yes", {"type": "and", "rules": []}),
    "lately": Preset("Ordered in the last 90 days", {"type": "last_order", "within_days": 90}),
    "quiet": Preset("Ordered before, but not in the last 180 days", {"type": "last_order", "not_within_days": 180}),
    "best": Preset(
        "Spent ₹25,000 or more and ordered this year",
        {
            "type": "and",
            "rules": [{"type": "spent", "at_least": 25_000}, {"type": "last_order", "within_days": 365}],
        },
    ),
    "often": Preset("Placed five orders or more", {"type": "orders", "at_least": 5}),
    "grocery": Preset(
        "Bought groceries in the last 180 days",
        {"type": "bought", "dimension": "department", "values": ["Grocery", "Produce"], "within_days": 180},
    ),
    "cities": Preset(
        "Lives in Mumbai, Delhi or Bengaluru", {"type": "lives_in", "cities": ["Mumbai", "Delhi", "Bengaluru"]}
    ),
}


def written(rule: dict[str, Any]) -> str:
    """Return a rule as it stands in the form."""
    return json.dumps(rule, indent=2, ensure_ascii=False)
