"""PURE: the segment language once more, for one person, over facts that were read once. It explains.

`campaigns.segments` says the same in SQL for a million; a property test over random trees and people ties the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from campaigns.describe import describe
from campaigns.rules import (
    ADULT,
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
    mentions_age,
)
from mailer.consent.policy import SHOP_ZONE
from mailer.web.words import rupees


@dataclass(frozen=True, slots=True)
class Purchases:
    """What a person bought of one value of a dimension: the projection's row."""

    last_at: datetime
    lines: int
    units: int


@dataclass(frozen=True, slots=True)
class Line:
    """One order line of more than nothing (a return is none), with what it is of."""

    placed_at: datetime
    quantity: int
    of: Mapping[str, str | None]
    """Value by dimension; of `product` the retailer's own number."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything about one person that a rule can ask for."""

    city: str | None = None
    state: str | None = None
    locale: str = "en-IN"
    birth_date: date | None = None
    declared_adult: bool = False
    orders: int = 0
    spent_paise: int = 0
    last_order_at: datetime | None = None
    bought: Mapping[tuple[str, str], Purchases] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    wishes: frozenset[tuple[str, str]] = frozenset()
    """Dimension and value of everything on the wishlist now."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment a rule is read for; ages are by the date at the shop (the law is India's)."""

    at: datetime
    zone: ZoneInfo = SHOP_ZONE

    def days_ago(self, days: int) -> datetime:
        """Return the moment that many times 24 hours earlier."""
        return self.at - timedelta(days=days)

    def born_by(self, age: int) -> date:
        """Return the latest birth date of somebody who is `age`; who was born on 29 February: from 1 March on."""
        today = self.at.astimezone(self.zone).date()
        try:
            return today.replace(year=today.year - age)
        except ValueError:
            return today.replace(year=today.year - age, day=28)


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule, whether it holds for the person, and the facts that made it so."""

    rule: Rule
    words: str
    holds: bool
    because: str
    below: tuple[Finding, ...] = ()


def matches(rule: Rule, facts: Facts, moment: Moment) -> bool:
    """Return whether the person is in the segment. A rule that mentions an age matches known adults only."""
    return holds(rule, facts, moment) and (not mentions_age(rule) or is_adult(facts, moment))


def holds(rule: Rule, facts: Facts, moment: Moment) -> bool:
    """Return whether one rule of a tree is true for the person."""
    match rule:
        case And(rules):
            return all(holds(r, facts, moment) for r in rules)
        case Or(rules):
            return any(holds(r, facts, moment) for r in rules)
        case Not(below):
            return not holds(below, facts, moment)
        case _:
            return _leaf(rule, facts, moment)


def find(rule: Rule, facts: Facts, moment: Moment) -> Finding:
    """Return the tree of findings: each rule with the facts that made it true or false."""
    below: tuple[Finding, ...] = ()
    if isinstance(rule, And | Or):
        below = tuple(find(r, facts, moment) for r in rule.rules)
    elif isinstance(rule, Not):
        below = (find(rule.rule, facts, moment),)
    because = "" if isinstance(rule, And | Or | Not) else _because(rule, facts, moment)
    return Finding(rule, describe(rule), holds(rule, facts, moment), because, below)


def is_adult(facts: Facts, moment: Moment) -> bool:
    """Return whether the person is known to be 18 or older: by date of birth, or, without one, by declaration."""
    if facts.birth_date is None:
        return facts.declared_adult
    return facts.birth_date <= moment.born_by(ADULT)


def needs_lines(rule: Leaf) -> bool:
    """Return whether a rule asks for more than the projections know: single products, or counts within days."""
    return isinstance(rule, Bought) and (
        rule.dimension == "product"
        or (rule.within_days is not None and bool(rule.at_least_lines or rule.at_least_units))
    )


def _leaf(rule: Leaf, facts: Facts, moment: Moment) -> bool:  # noqa: C901, PLR0911 - one answer for each kind of condition
    match rule:
        case Bought():
            return _bought(rule, facts, moment)
        case SpentTotal(at_least=low, at_most=high):
            return _between(facts.spent_paise, _paise(low), _paise(high))
        case OrdersCount(at_least=low, at_most=high):
            return _between(facts.orders, low, high)
        case LastOrder():
            return _last_order(rule, facts, moment)
        case WishlistHolds(dimension=dimension, values=values):
            return any((dimension, value) in facts.wishes for value in values)
        case LivesIn(cities=cities, states=states):
            return facts.city in cities or facts.state in states
        case SpeaksLocale(locales=locales):
            return facts.locale in locales or facts.locale.split("-")[0] in locales
        case AgeBand():
            return _in_band(rule, facts, moment)


def _bought(rule: Bought, facts: Facts, moment: Moment) -> bool:
    since = moment.days_ago(rule.within_days) if rule.within_days else None
    if needs_lines(rule):
        lines = _lines(rule, facts, moment)
        count, units = len(lines), sum(line.quantity for line in lines)
    else:
        of = [facts.bought[key] for v in rule.values if (key := (rule.dimension, v)) in facts.bought]
        of = [p for p in of if p.lines > 0 and (since is None or p.last_at >= since)]
        count, units = sum(p.lines for p in of), sum(p.units for p in of)
    return count >= (rule.at_least_lines or 1) and units >= (rule.at_least_units or 0)


def _lines(rule: Bought, facts: Facts, moment: Moment) -> list[Line]:
    since = moment.days_ago(rule.within_days) if rule.within_days else None
    return [
        line
        for line in facts.lines
        if line.of.get(rule.dimension) in rule.values and (since is None or line.placed_at >= since)
    ]


def _last_order(rule: LastOrder, facts: Facts, moment: Moment) -> bool:
    last = facts.last_order_at
    recent = rule.within_days is None or (last is not None and last >= moment.days_ago(rule.within_days))
    quiet = rule.not_within_days is None or last is None or last < moment.days_ago(rule.not_within_days)
    return recent and quiet


def _in_band(rule: AgeBand, facts: Facts, moment: Moment) -> bool:
    born = facts.birth_date
    if born is None:
        return facts.declared_adult and rule.from_age == ADULT and rule.to_age is None
    return born <= moment.born_by(rule.from_age) and (rule.to_age is None or born > moment.born_by(rule.to_age + 1))


def _between(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _paise(amount: int | None) -> int | None:
    return None if amount is None else amount * 100


def _because(rule: Leaf, facts: Facts, moment: Moment) -> str:  # noqa: C901, PLR0911 - one sentence for each kind
    match rule:
        case Bought():
            return _because_bought(rule, facts, moment)
        case SpentTotal():
            return f"spent {rupees(facts.spent_paise)}"
        case OrdersCount():
            return f"placed {facts.orders} order{'' if facts.orders == 1 else 's'}"
        case LastOrder():
            return f"last ordered on {_day(facts.last_order_at, moment)}" if facts.last_order_at else "never ordered"
        case WishlistHolds(dimension=dimension, values=values):
            found = [v for v in values if (dimension, v) in facts.wishes]
            return f"{', '.join(found)} on the wishlist" if found else "nothing of it on the wishlist"
        case LivesIn():
            return f"lives in {', '.join(p for p in (facts.city, facts.state) if p) or 'a place we do not know'}"
        case SpeaksLocale():
            return f"reads {facts.locale}"
        case AgeBand():
            return _because_age(facts)


def _because_bought(rule: Bought, facts: Facts, moment: Moment) -> str:
    if needs_lines(rule):
        lines = _lines(rule, facts, moment)
        last, count = max((line.placed_at for line in lines), default=None), len(lines)
    else:
        of = [facts.bought[key] for v in rule.values if (key := (rule.dimension, v)) in facts.bought]
        last, count = max((p.last_at for p in of), default=None), sum(p.lines for p in of)
    if last is None:
        return "bought nothing of it"
    return f"bought {count} time{'' if count == 1 else 's'}, last on {_day(last, moment)}"


def _because_age(facts: Facts) -> str:
    if facts.birth_date is not None:
        return f"was born in {facts.birth_date.year}"
    return "declared to be 18 or older" if facts.declared_adult else "gave no date of birth"


def _day(at: datetime, moment: Moment) -> str:
    local = at.astimezone(moment.zone)
    return f"{local.day} {local:%b %Y}"
