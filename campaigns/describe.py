"""PURE: a rule in words, as it stands on pages, in approvals and behind "why did I get this?"."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from campaigns.rules import (
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
    SpeaksLocale,
    SpentTotal,
    WishlistHolds,
)
from mailer.web.words import rupees

Names = Mapping[str, str]
"""Names of products by the retailer's own number."""


def describe(rule: Rule, names: Names | None = None) -> str:
    """Return `rule` as one phrase: "bought from Grocery in the last 180 days and spent ₹5,000 or more"."""
    if rule == And(()):
        return "everybody we know"
    return _say(rule, names or {}, no=False, inside=False)


def _say(rule: Rule, names: Names, *, no: bool, inside: bool) -> str:
    match rule:
        case And(rules) | Or(rules):
            # De Morgan: people read "did not a and did not b" with less doubt than "not (a or b)".
            joint = " and " if isinstance(rule, And) != no else " or "
            said = joint.join(_say(r, names, no=no, inside=len(rules) > 1) for r in rules)
            return f"({said})" if inside and len(rules) > 1 else said
        case Not(below):
            return _say(below, names, no=not no, inside=inside)
        case _:
            return _leaf(rule, names, no=no)


def _leaf(rule: Leaf, names: Names, *, no: bool) -> str:  # noqa: C901, PLR0911 - one phrase for each kind of condition
    match rule:
        case Bought():
            return _bought(rule, names, no=no)
        case SpentTotal(at_least=low, at_most=high):
            return f"{'did not spend' if no else 'spent'} {_bounds(low, high, _rupees)}"
        case OrdersCount(at_least=low, at_most=high):
            return (
                f"{'did not place' if no else 'placed'} {_bounds(low, high, str)} order{'s' * (low != 1 or high != 1)}"
            )
        case LastOrder():
            return _last_order(rule, no=no)
        case WishlistHolds(dimension=dimension, values=values):
            return f"{'does not have' if no else 'has'} {_things(dimension, values, names)} on the wishlist"
        case LivesIn(cities=cities, states=states):
            return f"{'does not live' if no else 'lives'} in {_either((*cities, *states))}"
        case SpeaksLocale(locales=locales):
            return f"{'does not read' if no else 'reads'} {_either(locales)}"
        case AgeBand(from_age=low, to_age=high):
            return f"is {'not ' if no else ''}{f'{low} to {high}' if high else f'{low} or older'}"


def _bought(rule: Bought, names: Names, *, no: bool) -> str:
    said = f"{'did not buy' if no else 'bought'} {'' if rule.dimension in ('brand', 'product') else 'from '}"
    said += _things(rule.dimension, rule.values, names)
    counts = [
        f"{n} {word if n > 1 else word[:-1]}"
        for n, word in ((rule.at_least_lines, "times"), (rule.at_least_units, "units"))
        if n
    ]
    if counts:
        said += f" at least {' and '.join(counts)}"
    return said + (f" in the last {_days(rule.within_days)}" if rule.within_days else "")


def _last_order(rule: LastOrder, *, no: bool) -> str:
    ordered = f"ordered in the last {_days(rule.within_days)}" if rule.within_days else ""
    quiet = f"did not order in the last {_days(rule.not_within_days)}" if rule.not_within_days else ""
    if no:
        ordered = ordered.replace("ordered", "did not order")
        quiet = quiet.replace("did not order", "ordered")
    return (" or " if no else " but ").join(part for part in (ordered, quiet) if part)


def _things(dimension: str, values: tuple[str, ...], names: Names) -> str:
    return _either(tuple(names.get(v, f"product {v}") for v in values) if dimension == "product" else values)


def _either(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}"


def _bounds(low: int | None, high: int | None, say: Callable[[int], str]) -> str:
    if low is not None and high is not None:
        return say(low) if low == high else f"{say(low)} to {say(high)}"
    return f"{say(low)} or more" if low is not None else f"{say(high or 0)} or less"


def _rupees(amount: int) -> str:
    return rupees(amount * 100)


def _days(n: int) -> str:
    return "day" if n == 1 else f"{n} days"
