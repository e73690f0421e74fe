"""A template cut into what is the same for everybody, encoded once, and holes for what isn't.

Says what Jinja says, piece by piece: the same pieces in the same order, which a test holds against Jinja itself. A
stencil is not the judge of a mail: what it can't do (`Unplanned`, or any error while filling) is Jinja's to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from jinja2 import nodes
from markupsafe import escape

from mailer.expressions import Ask, Known, Reader, Scope, Unplanned
from mailer.inks import Ink
from mailer.templating import parsed, path_of

if TYPE_CHECKING:
    from jinja2 import Environment

T = TypeVar("T", str, bytes)
Put: TypeAlias = Callable[[T], object]
Hole: TypeAlias = Callable[[Scope, Put[T]], None]
Part: TypeAlias = T | Hole[T]

FRAGMENTS = 1024
"""Turns of one loop that are remembered: a product's card comes again for everybody who wants that product."""


class Stencil(Generic[T]):
    """One part of a mail, where `known` names have these values for everybody. Raises Unplanned."""

    def __init__(self, environment: Environment, template: str, known: Scope, ink: Ink[T]) -> None:
        self._joint: T = ink.joint
        self._parts: Sequence[Part[T]] = _Cutter(environment, ink).block(parsed(environment, template).body, known)

    @property
    def same(self) -> T | None:
        """The whole part, if it is the same for everybody."""
        parts = [part for part in self._parts if not callable(part)]
        return self._joint.join(parts) if len(parts) == len(self._parts) else None

    def fill(self, fields: Scope) -> T:
        """Return this part for one person. May raise anything: then Jinja decides."""
        pieces: list[T] = []
        _fill(self._parts, fields, pieces.append)
        return self._joint.join(pieces)


def _fill(parts: Iterable[Part[T]], scope: Scope, put: Put[T]) -> None:
    for part in parts:
        if callable(part):
            part(scope, put)
        else:
            put(part)


class _Cutter(Generic[T]):
    def __init__(self, environment: Environment, ink: Ink[T]) -> None:
        self._environment = environment
        self._ink: Ink[T] = ink
        self._context = nodes.EvalContext(environment)

    def block(self, body: Iterable[nodes.Node], known: Scope) -> Sequence[Part[T]]:
        """Return the parts of a block, what is the same for everybody in one piece."""
        merged: list[Part[T]] = []
        for part in self._parts(body, known):
            before = merged[-1] if merged else None
            if callable(part) or before is None or callable(before):
                merged.append(part)
            else:
                merged[-1] = self._ink.joint.join((before, part))
        return tuple(merged)

    def _parts(self, body: Iterable[nodes.Node], known: Scope) -> Iterator[Part[T]]:
        for node in body:
            match node:
                case nodes.Output():
                    yield from self._output(node, Reader(self._environment, known))
                case nodes.If():
                    yield from self._choice(node, known)
                case nodes.For():
                    yield from self._loop(node, known)
                case _:
                    raise Unplanned

    def _output(self, output: nodes.Output, reader: Reader) -> Iterator[Part[T]]:
        words: list[str] = []
        for node in output.nodes:
            constant = self._constant(node)
            if constant is not None:
                words.append(constant)
                continue
            yield from self._words(words)
            words = []
            meaning = reader.meaning(node)
            if not isinstance(meaning, Known):
                yield _hole(meaning, self._ink.printed)
            elif piece := self._ink.printed(meaning.value):
                yield piece
        yield from self._words(words)

    def _words(self, words: Sequence[str]) -> Iterator[T]:
        if whole := "".join(words):
            yield self._ink.constant(whole)

    def _constant(self, node: nodes.Expr) -> str | None:
        """What Jinja would work out beforehand, too, and write in one piece with the words around it."""
        try:
            value = node.as_const(self._context)
            return str(escape(value) if self._context.autoescape else value)
        except Exception:  # noqa: BLE001  (as Jinja does: then it is worked out for each person)
            return None

    def _choice(self, node: nodes.If, known: Scope) -> Iterator[Part[T]]:
        reader = Reader(self._environment, known)
        ways: list[tuple[Ask, Sequence[Part[T]]]] = []
        rest: Sequence[nodes.Node] = node.else_
        for one in (node, *node.elif_):
            test = reader.meaning(one.test)
            if not isinstance(test, Known):
                ways.append((test, self.block(one.body, known)))
            elif test.value:
                rest = one.body
                break
        otherwise = self.block(rest, known)
        if ways:
            yield _fork(ways, otherwise)
        else:
            yield from otherwise

    def _loop(self, node: nodes.For, known: Scope) -> Iterator[Part[T]]:
        if node.test is not None or node.recursive or not isinstance(node.target, nodes.Name):
            raise Unplanned
        things = Reader(self._environment, known).meaning(node.iter)
        if isinstance(things, Known):
            yield from self._unrolled(node, node.target.name, list(things.value), known)
            return
        inside = {name: value for name, value in known.items() if name not in (node.target.name, "loop")}
        turn = self._turn(node.body, node.target.name, inside)
        yield _round(things, turn, self.block(node.else_, known))

    def _turn(self, body: Sequence[nodes.Node], name: str, known: Scope) -> _Turn[T]:
        """One turn of a loop. An `if` that only counts turns is asked each time: what is in it comes again anywhere."""
        first = body[0] if len(body) == 1 else None
        if isinstance(first, nodes.If) and _only_counts(first, known):
            only: nodes.If = first
            reader = Reader(self._environment, known)
            ways = [(reader.asked(one.test), self._turn(one.body, name, known)) for one in (only, *only.elif_)]
            return _counted(ways, self._turn(only.else_, name, known))
        reads = _reads(body, name, known)
        parts = self.block(body, known)
        return _plain_turn(parts, name) if reads is None else self._kept(parts, name, *reads)

    def _unrolled(self, node: nodes.For, name: str, things: list[Any], known: Scope) -> Iterator[Part[T]]:
        for place, thing in enumerate(things):
            yield from self.block(node.body, {**known, name: thing, "loop": _facts(place, len(things))})
        if not things:
            yield from self.block(node.else_, known)

    def _kept(self, body: Sequence[Part[T]], name: str, fields: Sequence[str], facts: Sequence[str]) -> _Turn[T]:
        """A turn that reads nothing but these fields of the thing, and these facts of the loop: kept by them."""
        width = len(fields)

        # Typed: what is equal but of another type may print as something else.
        @lru_cache(FRAGMENTS, typed=True)
        def fragment(*values: Any) -> T:
            pieces: list[T] = []
            scope = {
                name: dict(zip(fields, values, strict=False)),
                "loop": dict(zip(facts, values[width:], strict=True)),
            }
            _fill(body, scope, pieces.append)
            return self._ink.joint.join(pieces)

        pick: Callable[[Any], Sequence[Any]]
        pick = itemgetter(*fields) if width > 1 else lambda thing: [thing[field] for field in fields]

        def turn(_: Scope, thing: Any, place: int, length: int, put: Put[T]) -> None:
            if facts:
                here = _facts(place, length)
                piece = fragment(*pick(thing), *[here[fact] for fact in facts])
            else:
                piece = fragment(*pick(thing))
            if piece:
                put(piece)

        return turn


_Turn: TypeAlias = Callable[[Scope, Any, int, int, Put[T]], None]


def _facts(place: int, length: int) -> Mapping[str, Any]:
    return {"index": place + 1, "first": place == 0, "last": place == length - 1, "length": length}


def _hole(ask: Ask, printed: Callable[[Any], T]) -> Hole[T]:
    def hole(scope: Scope, put: Put[T]) -> None:
        if piece := printed(ask(scope)):
            put(piece)

    return hole


def _fork(ways: Sequence[tuple[Ask, Sequence[Part[T]]]], otherwise: Sequence[Part[T]]) -> Hole[T]:
    def fork(scope: Scope, put: Put[T]) -> None:
        for test, parts in ways:
            if test(scope):
                _fill(parts, scope, put)
                return
        _fill(otherwise, scope, put)

    return fork


def _round(things: Ask, turn: _Turn[T], otherwise: Sequence[Part[T]]) -> Hole[T]:
    def round_(scope: Scope, put: Put[T]) -> None:
        found = list(things(scope))
        for place, thing in enumerate(found):
            turn(scope, thing, place, len(found), put)
        if not found:
            _fill(otherwise, scope, put)

    return round_


def _plain_turn(body: Sequence[Part[T]], name: str) -> _Turn[T]:
    def turn(scope: Scope, thing: Any, place: int, length: int, put: Put[T]) -> None:
        _fill(body, {**scope, name: thing, "loop": _facts(place, length)}, put)

    return turn


def _counted(ways: Sequence[tuple[Ask, _Turn[T]]], otherwise: _Turn[T]) -> _Turn[T]:
    def turn(scope: Scope, thing: Any, place: int, length: int, put: Put[T]) -> None:
        here = {"loop": _facts(place, length)}
        for test, inner in ways:
            if test(here):
                inner(scope, thing, place, length, put)
                return
        otherwise(scope, thing, place, length, put)

    return turn


def _only_counts(choice: nodes.If, known: Scope) -> bool:
    """Whether the tests read the loop and nothing else that may differ."""
    tests = [one.test for one in (choice, *choice.elif_)]
    paths = [list(_paths([test])) for test in tests]
    return all(of and all(path.startswith("loop.") for path in of) for of in paths) and "loop" not in known


def _reads(body: Iterable[nodes.Node], name: str, known: Scope) -> tuple[list[str], list[str]] | None:
    """Which fields of its thing and which facts of the loop a turn reads; None if it reads anything else, too."""
    fields, facts = set[str](), set[str]()
    for path in _paths(body):
        root, _, field = path.partition(".")
        if root not in (name, "loop") and root in known:
            continue
        if root not in (name, "loop") or not field or "." in field:
            return None
        (fields if root == name else facts).add(field)
    return sorted(fields), sorted(facts)


def _paths(body: Iterable[nodes.Node]) -> Iterator[str]:
    for node in body:
        if path := path_of(node):
            yield path
        else:
            yield from _paths(node.iter_child_nodes())
