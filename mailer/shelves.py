"""PURE: how a mail speaks of what people buy: in the words of a shelf, with a drawing, and of some things never.

A category's name is the warehouse's ("FRZN VEGETABLE/VEG DSH"); a shelf's is a neighbour's ("vegetables"). Anybody
may stand beside who opens a mail: nothing that touches health, body, alcohol or tobacco is ever named in one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Shelf:
    """A name for the middle of a sentence, and a drawing (light ground `t-`, night ground `n-`)."""

    name: str
    drawing: str


ANYTHING = Shelf("groceries", "basket")
"""For a thing on no particular shelf: it may be shown, but says nothing about what somebody usually buys."""

_NEVER = re.compile(
    r"cigar|tobacco|smok|lighter|beer|ale\b|ales\b|wine|liquor|spirits|liqueur|alcohol|analges|cold and flu|medic"
    r"|vitamin|diet|laxat|antacid|first aid|pharma|health|femin|hygiene|sanit|incontin|contracep|condom|pregnan|famil"
    r"|diaper|adult|hemorr|sexual|foot care|eye|ear |nutrition|baby|infant|weight|coupon|fuel|lottery|gift card|postal",
    re.IGNORECASE,
)
_SHELVES: tuple[tuple[Shelf, str], ...] = (
    (Shelf("lamps", "lamp"), r"lamp|candle|diya|light bulb"),
    (Shelf("bedding", "cushion"), r"cushion|bedding|linen|quilt|pillow|domestic goods"),
    (Shelf("tea", "cups"), r"coffee|\btea\b|teas\b|\bcups?\b|mugs?\b"),
    (Shelf("bottles", "bottle"), r"copper bottle|bottles?\b"),
    (Shelf("cookware", "home"), r"cookware|kitchen|houseware|gadget|pots|pans\b|appliance|purifier|cooker"),
    (Shelf("flowers", "flowers"), r"floral|flower|plant|garden|bouquet|roses"),
    (Shelf("cleaning things", "clean"), r"clean|laundry|detergent|bleach|dishwash|paper towel|air care|wraps|trsh|mop"),
    (Shelf("soaps", "care"), r"soap|shampoo|hair care|bath|deodor|makeup|cosmet|shav|lotion|tiss|oral"),
    (Shelf("snacks", "snacks"), r"snack|candy|cookie|cracker|chips|nuts|popcorn|chocolate|sweet goods|ice cream"),
    (Shelf("drinks", "drinks"), r"drink|drnk|juice|water|isotonic|lemonade|soda"),
    (Shelf("bread", "bakery"), r"bread|bun|roll|cake|bakery|baked|pastry|dough|breakfast sweets|pie|pita|naan"),
    (Shelf("dairy", "dairy"), r"milk|yogurt|curd|cheese|butter|dairy|cream|eggs|margarine"),
    (Shelf("fruit", "fruit"), r"fruit|apple|citrus|berr|grape|melon|mango|banana|pear"),
    (Shelf("vegetables", "veg"), r"veg|salad|potato|tomato|onion|carrot|pepper|broccoli|mushroom|corn|produce|herb"),
    (
        Shelf("spices", "pantry"),
        r"spice|cereal|rice|pasta|noodle|bean|bn/|flour|baking|sugar|oil|sauce|condiment|pickle|syrup|soup|jam|pnt btr",
    ),
)  # fmt: skip
_PATTERNS = tuple((shelf, re.compile(words, re.IGNORECASE)) for shelf, words in _SHELVES)


@lru_cache(16_384)
def shelf_of(*words: str) -> Shelf | None:
    """The shelf of a product or category, by any of its names; ANYTHING if none fits; None: never speak of it."""
    if any(_NEVER.search(word) for word in words):
        return None
    return next((shelf for word in words for shelf, pattern in _PATTERNS if pattern.search(word)), ANYTHING)


def in_a_row(names: list[str]) -> str:
    """`fruit, vegetables and drinks`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
