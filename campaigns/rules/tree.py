"""PURE: the tree itself. Every condition checks its own fields, whoever makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeAlias

from mailer.errors import InputProblem

DIMENSIONS = ("category", "brand", "department", "product")
ADULT = 18
VALUES = 200
LENGTH = 200
LARGEST = 1_000_000_000


class RuleProblems(InputProblem):
    """The rules can't be read. `problems` holds one sentence each, with the path of what is wrong."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def _whole(least: int, *, most: int = LARGEST, optional: bool = False) -> Any:
    """Return a field that holds a whole number of `least` or more."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"must be a whole number of {least} or more")
        if value > most:
            raise ValueError(f"must be a whole number of {least} to {most}")
        return value

    return field(default=None if optional else MISSING, metadata={"read": read})


def _texts(*, optional: bool = False) -> Any:
    """Return a field that holds a list of texts."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not (value or optional):
            raise ValueError("must be a list of one or more texts")
        if len(value) > VALUES:
            raise ValueError(f"must hold at most {VALUES} texts, not {len(value)}")
        for text in value:
            if not isinstance(text, str) or not text.strip() or len(text) > LENGTH or "\x00" in text:
                raise ValueError(f"must hold texts of 1 to {LENGTH} letters, not {text!r:.60}")
        return tuple(value)

    return field(default=() if optional else MISSING, metadata={"read": read})


def _one_of(choices: tuple[str, ...]) -> Any:
    """Return a field that holds one of `choices`."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r:.60}")
        return value

    return field(metadata={"read": read})


class _Leaf:
    """A single condition. What is made in code is held to the same rules as what is read from JSON."""

    __slots__ = ()
    type: ClassVar[str]

    def __post_init__(self) -> None:
        for name, read, default in readers(type(self)):
            value = getattr(self, name)
            if value is None and default is None:
                continue
            try:
                object.__setattr__(self, name, read(value))
            except ValueError as problem:
                raise RuleProblems([f"{name} {problem}"]) from None
        if wrong := self.together():
            raise RuleProblems([wrong])

    def together(self) -> str | None:
        """Return what is wrong with the fields taken together."""
        return None


def _one_bound(low: int | None, high: int | None, names: tuple[str, str] = ("at_least", "at_most")) -> str | None:
    if low is None and high is None:
        return f"needs {names[0]}, {names[1]} or both"
    if low is not None and high is not None and low > high:
        return f"{names[0]} must not be above {names[1]}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought(_Leaf):
    """Bought one of `values`, ever or within days; thresholds count lines or units over all values together."""

    type: ClassVar[str] = "bought"
    dimension: str = _one_of(DIMENSIONS)
    values: tuple[str, ...] = _texts()
    """Names of categories, brands or departments; of a product the retailer's own number."""
    within_days: int | None = _whole(1, most=36_500, optional=True)
    at_least_lines: int | None = _whole(1, optional=True)
    at_least_units: int | None = _whole(1, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentTotal(_Leaf):
    """Spent so many whole rupees, over everything they ever bought."""

    type: ClassVar[str] = "spent"
    at_least: int | None = _whole(1, optional=True)
    at_most: int | None = _whole(0, optional=True)

    def together(self) -> str | None:
        return _one_bound(self.at_least, self.at_most)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersCount(_Leaf):
    """Placed so many orders."""

    type: ClassVar[str] = "orders"
    at_least: int | None = _whole(1, optional=True)
    at_most: int | None = _whole(0, optional=True)

    def together(self) -> str | None:
        return _one_bound(self.at_least, self.at_most)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastOrder(_Leaf):
    """Ordered within the last days, or did not (who never ordered didn't either)."""

    type: ClassVar[str] = "last_order"
    within_days: int | None = _whole(1, most=36_500, optional=True)
    not_within_days: int | None = _whole(1, most=36_500, optional=True)

    def together(self) -> str | None:
        if self.within_days is None and self.not_within_days is None:
            return "needs within_days, not_within_days or both"
        if self.within_days is not None and (self.not_within_days or 0) >= self.within_days:
            return "not_within_days must be below within_days"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class WishlistHolds(_Leaf):
    """Has one of `values` on the wishlist now."""

    type: ClassVar[str] = "wishlist"
    dimension: str = _one_of(DIMENSIONS)
    values: tuple[str, ...] = _texts()


@dataclass(frozen=True, slots=True, kw_only=True)
class LivesIn(_Leaf):
    """Lives in one of these cities or states."""

    type: ClassVar[str] = "lives_in"
    cities: tuple[str, ...] = _texts(optional=True)
    states: tuple[str, ...] = _texts(optional=True)

    def together(self) -> str | None:
        return None if self.cities or self.states else "needs cities, states or both"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeaksLocale(_Leaf):
    """Reads one of these: a locale (`hi-IN`), or a language in any country (`hi`)."""

    type: ClassVar[str] = "speaks"
    locales: tuple[str, ...] = _texts()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeBand(_Leaf):
    """Is of this age, ends included. Adults only; needs a date of birth, save for "18 or older" (a declaration)."""

    type: ClassVar[str] = "age"
    from_age: int = _whole(ADULT, most=130)
    to_age: int | None = _whole(ADULT, most=130, optional=True)

    def together(self) -> str | None:
        return _one_bound(self.from_age, self.to_age, ("from_age", "to_age"))


@dataclass(frozen=True, slots=True)
class And:
    """All of these. Empty, as the whole rule: everybody we know."""

    type: ClassVar[str] = "and"
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of these."""

    type: ClassVar[str] = "or"
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not this."""

    type: ClassVar[str] = "not"
    rule: Rule


Leaf: TypeAlias = Bought | SpentTotal | OrdersCount | LastOrder | WishlistHolds | LivesIn | SpeaksLocale | AgeBand
Rule: TypeAlias = And | Or | Not | Leaf
"""A rule that mentions an age anywhere matches known adults only, so that no "not" can turn a band into children."""

LEAVES: dict[str, type[Leaf]] = {
    leaf.type: leaf
    for leaf in (Bought, SpentTotal, OrdersCount, LastOrder, WishlistHolds, LivesIn, SpeaksLocale, AgeBand)
}
TYPES = ("and", "or", "not", *LEAVES)
EVERYBODY = And(())


def walk(rule: Rule) -> Iterator[Rule]:
    """Yield `rule` and every rule below it."""
    yield rule
    for below in children(rule):
        yield from walk(below)


def children(rule: Rule) -> tuple[Rule, ...]:
    """Return the rules directly below `rule`."""
    match rule:
        case And() | Or():
            return rule.rules
        case Not():
            return (rule.rule,)
        case _:
            return ()


def mentions_age(rule: Rule) -> bool:
    """Return whether an age band stands anywhere in `rule`."""
    return any(isinstance(r, AgeBand) for r in walk(rule))


def readers(leaf: type[Any]) -> Iterator[tuple[str, Callable[[object], Any], object]]:
    """Yield name, reader and default of every field of a kind of condition."""
    for f in fields(leaf):
        yield f.name, f.metadata["read"], f.default
