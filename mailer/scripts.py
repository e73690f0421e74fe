"""PURE: the parts of a stencil written down as one Python function, so that filling it asks and decides nothing twice.

What is written here is made of our own words and of names (`expressions.Names`): no word of a template, which is
only ever a value behind a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from mailer.expressions import Names, Scope

T = TypeVar("T", str, bytes)


@dataclass(frozen=True, slots=True)
class Printed:
    """A piece that `code` gives; nothing where it gives an empty one."""

    code: str


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """The parts behind the first test that holds, or else `otherwise`."""

    ways: Sequence[tuple[str, Sequence[Part[T]]]]
    otherwise: Sequence[Part[T]]


@dataclass(frozen=True, slots=True)
class Walk(Generic[T]):
    """`turn` for each of `things`, whose place is `variables`; `otherwise` where there is none."""

    things: str
    variables: Variables
    turn: Sequence[Part[T]]
    otherwise: Sequence[Part[T]]


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of one loop."""

    number: int

    @property
    def thing(self) -> str:
        """What this turn is about."""
        return f"thing_{self.number}"

    def facts(self) -> dict[str, str]:
        """Return how the facts of a loop are said."""
        place, count = f"place_{self.number}", f"count_{self.number}"
        return {
            "index": f"({place} + 1)",
            "first": f"({place} == 0)",
            "last": f"({place} == {count} - 1)",
            "length": count,
        }


Part: TypeAlias = T | Printed | Choice[T] | Walk[T]
Fill: TypeAlias = Callable[[Scope, Callable[[T], object]], None]


def constants_of(parts: Iterable[Part[T]]) -> Iterator[T]:
    """Return the pieces that are put as they are, wherever they stand."""
    for part in parts:
        match part:
            case Printed():
                pass
            case Choice():
                for _, behind in part.ways:
                    yield from constants_of(behind)
                yield from constants_of(part.otherwise)
            case Walk():
                yield from constants_of(part.turn)
                yield from constants_of(part.otherwise)
            case _:
                yield part


def filling(parts: Sequence[Part[T]], names: Names) -> Fill[T]:
    """Return the function that puts the pieces of `parts` for one scope."""
    return _made(("scope", "put"), _said(parts, names, 1), names)


def fragment(parts: Sequence[Part[T]], variables: Sequence[str], joint: T, names: Names) -> Callable[..., T]:
    """Return the function that gives `parts` as one piece, for values of these variables."""
    collected: list[str] = ["    pieces = []", "    put = pieces.append", *_said(parts, names, 1)]
    return _made(variables, [*collected, f"    return {names.of(joint)}.join(pieces)"], names)


def _made(variables: Iterable[str], body: Iterable[str], names: Names) -> Callable[..., Any]:
    source = "\n".join([f"def fill({', '.join(variables)}):", *body])
    reach: dict[str, Any] = {**names.bound, "__builtins__": {"len": len, "list": list, "enumerate": enumerate}}
    exec(compile(source, "<stencil>", "exec"), reach)  # noqa: S102  (our own words and names: see above)
    made: Callable[..., Any] = reach["fill"]
    return made


def _said(parts: Sequence[Part[T]], names: Names, depth: int) -> Iterator[str]:
    margin = "    " * depth
    if not parts:
        yield f"{margin}pass"
    for part in parts:
        match part:
            case Printed():
                yield f"{margin}piece = {part.code}"
                yield f"{margin}if piece: put(piece)"
            case Choice():
                yield from _choice(part, names, depth)
            case Walk():
                yield from _walk(part, names, depth)
            case _:
                yield f"{margin}put({names.of(part)})"


def _choice(choice: Choice[T], names: Names, depth: int) -> Iterator[str]:
    margin = "    " * depth
    for place, (test, parts) in enumerate(choice.ways):
        yield f"{margin}{'elif' if place else 'if'} {test}:"
        yield from _said(parts, names, depth + 1)
    if choice.otherwise:
        yield f"{margin}else:"
        yield from _said(choice.otherwise, names, depth + 1)


def _walk(walk: Walk[T], names: Names, depth: int) -> Iterator[str]:
    margin, number, thing = "    " * depth, walk.variables.number, walk.variables.thing
    yield f"{margin}things_{number} = list({walk.things})"
    yield f"{margin}count_{number} = len(things_{number})"
    yield f"{margin}for place_{number}, {thing} in enumerate(things_{number}):"
    yield from _said(walk.turn, names, depth + 1)
    if walk.otherwise:
        yield f"{margin}if not count_{number}:"
        yield from _said(walk.otherwise, names, depth + 1)
