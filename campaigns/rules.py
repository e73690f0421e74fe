"""PURE: the segment language. A frozen tree that says which people, read from JSON and written back to it.

Start with `parse`: every problem is told at once, each by its path (`rules[2].within_days must be ...`). Nobody
can be picked by an age under 18 (DPDP Act 2023 s.9(3): no targeting of children), negated or not: see `Rule`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeAlias

from mailer.errors import InputProblem

DIMENSIONS = ("category", "brand", "department", "product")
ADULT = 18
DEPTH = 5
SIZE = 60
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
        for name, read, default in _readers(type(self)):
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


def parse(document: object) -> Rule:
    """Return the rule that `document` (JSON, decoded) says, or raise `RuleProblems` with every problem and its path."""
    problems: list[str] = []
    rule = _read(document, "", 1, problems)
    if rule is not None and sum(1 for _ in walk(rule)) > SIZE:
        problems.append(f"at most {SIZE} rules can stand in one segment")
    if problems or rule is None:
        raise RuleProblems(problems)
    return rule


def to_json(rule: Rule) -> dict[str, Any]:
    """Return `rule` as JSON; `parse` of it gives an equal rule."""
    match rule:
        case And() | Or():
            return {"type": rule.type, "rules": [to_json(r) for r in rule.rules]}
        case Not():
            return {"type": rule.type, "rule": to_json(rule.rule)}
    said = {f.name: getattr(rule, f.name) for f in fields(rule)}
    said = {name: list(v) if isinstance(v, tuple) else v for name, v in said.items() if v not in (None, ())}
    return {"type": rule.type, **said}


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


def _readers(leaf: type[Any]) -> Iterator[tuple[str, Callable[[object], Any], object]]:
    for f in fields(leaf):
        yield f.name, f.metadata["read"], f.default


def _read(document: object, path: str, depth: int, problems: list[str]) -> Rule | None:
    where = path or "the rule"
    if not isinstance(document, Mapping):
        problems.append(f"{where} must be an object with a type, not {type(document).__name__}")
        return None
    if depth > DEPTH:
        problems.append(f"{where} is nested too deep: at most {DEPTH} levels")
        return None
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        problems.append(f"{_at(path, 'type')} {kind!r:.60} is unknown; these exist: {', '.join(TYPES)}")
        return None
    if kind in LEAVES:
        return _read_leaf(LEAVES[kind], document, path, problems)
    _unknown(document, ("rule",) if kind == "not" else ("rules",), kind, path, problems)
    if kind == "not":
        below = _read(document.get("rule"), _at(path, "rule"), depth + 1, problems)
        return None if below is None else Not(below)
    return _read_group(kind, document.get("rules"), path, depth, problems)


def _read_group(kind: str, rules: object, path: str, depth: int, problems: list[str]) -> And | Or | None:
    here = _at(path, "rules")
    if not isinstance(rules, list) or len(rules) > SIZE:
        problems.append(f"{here} must be a list of at most {SIZE} rules")
        return None
    if not rules and (path or kind == "or"):
        problems.append(f"{here} must hold at least one rule")
        return None
    below = [_read(rule, f"{here}[{i}]", depth + 1, problems) for i, rule in enumerate(rules)]
    whole = tuple(rule for rule in below if rule is not None)
    if len(whole) < len(below):
        return None
    return And(whole) if kind == "and" else Or(whole)


def _read_leaf(leaf: type[Leaf], document: Mapping[Any, Any], path: str, problems: list[str]) -> Leaf | None:
    before = len(problems)
    _unknown(document, tuple(f.name for f in fields(leaf)), leaf.type, path, problems)
    said: dict[str, Any] = {}
    for name, read, default in _readers(leaf):
        if document.get(name) is None:
            if default is MISSING:
                problems.append(f"{_at(path, name)} is missing")
            continue
        try:
            said[name] = read(document[name])
        except ValueError as problem:
            problems.append(f"{_at(path, name)} {problem}")
    if len(problems) > before:
        return None
    try:
        return leaf(**said)
    except RuleProblems as together:
        problems.extend(f"{path or 'the rule'}: {problem}" for problem in together.problems)
        return None


def _unknown(document: Mapping[Any, Any], known: tuple[str, ...], kind: str, path: str, problems: list[str]) -> None:
    problems.extend(
        f"{_at(path, f'{name!s:.60}')} is not a field of {kind!r}; these exist: {', '.join(known)}"
        for name in document
        if name not in ("type", *known)
    )


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
