"""PURE: the segment language. A frozen tree that says which people, read from JSON and written back to it.

Start with `parse`: every problem is told at once, each by its path (`rules[2].within_days must be ...`). Nobody
can be picked by an age under 18 (DPDP Act 2023 s.9(3): no targeting of children), negated or not: see `tree.Rule`.
"""

from campaigns.rules.reading import DEPTH, SIZE, parse, to_json
from campaigns.rules.tree import (
    ADULT,
    DIMENSIONS,
    EVERYBODY,
    LEAVES,
    TYPES,
    AgeBand,
    And,
    Bought,
    LastOrder,
    Leaf,
    LivesIn,
    Not,
    Or,
    OrdersCount,
    Rule,
    RuleProblems,
    SpeaksLocale,
    SpentTotal,
    WishlistHolds,
    children,
    mentions_age,
    walk,
)

__all__ = [
    "ADULT",
    "DEPTH",
    "DIMENSIONS",
    "EVERYBODY",
    "LEAVES",
    "SIZE",
    "TYPES",
    "AgeBand",
    "And",
    "Bought",
    "LastOrder",
    "Leaf",
    "LivesIn",
    "Not",
    "Or",
    "OrdersCount",
    "Rule",
    "RuleProblems",
    "SpeaksLocale",
    "SpentTotal",
    "WishlistHolds",
    "children",
    "mentions_age",
    "parse",
    "to_json",
    "walk",
]
