"""A template cut into what is the same for everybody, encoded once, and holes for what isn't.

Says what Jinja says, piece by piece: the same pieces in the same order, which a test holds against Jinja itself. A
stencil is not the judge of a mail: what it can't do (`Unplanned`, or any error while filling) is Jinja's to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jinja2 import nodes
from markupsafe import escape

from mailer.expressions import Known, Names, Reader, Scope, Unplanned
from mailer.inks import Ink
from mailer.scripts import Choice, Fill, Part, Printed, Variables, Walk, constants_of, filling, fragment
from mailer.templating import parsed, path_of

if TYPE_CHECKING:
    from jinja2 import Environment

T = TypeVar("T", str, bytes)
Local = Mapping[str, str]
"""Paths that are variables of a loop."""

FRAGMENTS = 1024
"""Turns of one loop that are remembered: a product's card comes again for everybody who wants that product."""


class Stencil(Generic[T]):
    """One part of a mail, where `known` names have these values for everybody. Raises Unplanned."""

    def __init__(self, environment: Environment, template: str, known: Scope, ink: Ink[T]) -> None:
        names = Names()
        self._joint: T = ink.joint
        parts = _Cutter(environment, ink, names).block(parsed(environment, template).body, known, {})
        constants = [part for part in parts if isinstance(part, (str, bytes))]
        self.same: T | None = ink.joint.join(constants) if len(constants) == len(parts) else None
        """The whole part, if it is the same for everybody."""
        self.constants: set[T] = set(constants_of(parts))
        """The pieces that are the same for whoever gets them."""
        self._fill: Fill[T] = filling(parts, names)

    def pieces(self, fields: Scope) -> list[T]:
        """Return this part for one person, to be joined. May raise anything: then Jinja decides."""
        pieces: list[T] = []
        self._fill(fields, pieces.append)
        return pieces

    def fill(self, fields: Scope) -> T:
        """Return this part for one person. May raise anything: then Jinja decides."""
        return self._joint.join(self.pieces(fields))


class _Cutter(Generic[T]):
    def __init__(self, environment: Environment, ink: Ink[T], names: Names) -> None:
        self._environment, self._names = environment, names
        self._ink: Ink[T] = ink
        self._context = nodes.EvalContext(environment)
        self._loops = count()
        self._printed = names.of(ink.printed)

    def block(self, body: Iterable[nodes.Node], known: Scope, local: Local) -> Sequence[Part[T]]:
        """Return the parts of a block, what is the same for everybody in one piece."""
        merged: list[Part[T]] = []
        for part in self._parts(body, known, local):
            before = merged[-1] if merged else None
            if isinstance(part, (str, bytes)) and isinstance(before, (str, bytes)):
                merged[-1] = self._ink.joint.join((before, part))
            else:
                merged.append(part)
        return merged

    def _parts(self, body: Iterable[nodes.Node], known: Scope, local: Local) -> Iterator[Part[T]]:
        for node in body:
            match node:
                case nodes.Output():
                    yield from self._output(node, self._reader(known, local))
                case nodes.If():
                    yield from self._choice(node, known, local)
                case nodes.For():
                    yield from self._loop(node, known, local)
                case _:
                    raise Unplanned

    def _reader(self, known: Scope, local: Local) -> Reader:
        return Reader(self._environment, self._names, known, local)

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
                yield Printed(f"{self._printed}({meaning.code})")
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

    def _choice(self, node: nodes.If, known: Scope, local: Local) -> Iterator[Part[T]]:
        reader = self._reader(known, local)
        ways: list[tuple[str, Sequence[Part[T]]]] = []
        rest: Sequence[nodes.Node] = node.else_
        for one in (node, *node.elif_):
            test = reader.meaning(one.test)
            if not isinstance(test, Known):
                ways.append((test.code, self.block(one.body, known, local)))
            elif test.value:
                rest = one.body
                break
        otherwise = self.block(rest, known, local)
        if ways:
            yield Choice(ways, otherwise)
        else:
            yield from otherwise

    def _loop(self, node: nodes.For, known: Scope, local: Local) -> Iterator[Part[T]]:
        if node.test is not None or node.recursive or not isinstance(node.target, nodes.Name):
            raise Unplanned
        things = self._reader(known, local).meaning(node.iter)
        name, otherwise = node.target.name, self.block(node.else_, known, local)
        inside = {path: said for path, said in local.items() if path.partition(".")[0] not in (name, "loop")}
        if isinstance(things, Known):
            yield from self._unrolled(node, name, list(things.value), known, inside)
            return
        constant = {one: value for one, value in known.items() if one not in (name, "loop")}
        turn = _Turn(name, Variables(next(self._loops)), constant, inside)
        yield Walk(things.code, turn.variables, self._turn(node.body, turn), otherwise)

    def _unrolled(self, node: nodes.For, name: str, things: list[Any], known: Scope, local: Local) -> Iterator[Part[T]]:
        for place, thing in enumerate(things):
            facts = {"index": place + 1, "first": place == 0, "last": place == len(things) - 1, "length": len(things)}
            yield from self.block(node.body, {**known, name: thing, "loop": facts}, local)
        if not things:
            yield from self.block(node.else_, known, local)

    def _turn(self, body: Sequence[nodes.Node], turn: _Turn) -> Sequence[Part[T]]:
        """One turn of a loop. An `if` that only counts turns is asked each time: what is in it comes again anywhere."""
        choice = body[0] if len(body) == 1 else None
        if isinstance(choice, nodes.If) and _only_counts(choice, turn.known):
            return [self._counting(choice, turn)]
        reads = _reads(body, turn.name, turn.known)
        if not body or reads is None or not self._ink.keeps:
            return self.block(body, turn.known, {**turn.counted(), turn.name: turn.variables.thing})
        return [self._kept(body, turn, *reads)]

    def _counting(self, choice: nodes.If, turn: _Turn) -> Choice[T]:
        reader = self._reader(turn.known, turn.counted())
        ones: list[nodes.If] = [choice, *choice.elif_]
        ways = [(reader.code(one.test), self._turn(one.body, turn)) for one in ones]
        return Choice(ways, self._turn(choice.else_, turn))

    def _kept(self, body: Sequence[nodes.Node], turn: _Turn, fields: Sequence[str], facts: Sequence[str]) -> Printed:
        """A turn that reads nothing but these fields of the thing, and these facts of the loop: kept by them."""
        counted = turn.counted()
        said = [f"{turn.variables.thing}[{self._names.of(field)}]" for field in fields]
        said += [counted[fact] for fact in facts]  # one that there is not: no plan
        paths = [*(f"{turn.name}.{field}" for field in fields), *facts]
        local = {path: f"value_{place}" for place, path in enumerate(paths)}
        made = fragment(self.block(body, turn.known, local), list(local.values()), self._ink.joint, self._names)
        # Typed: what is equal but of another type may print as something else.
        return Printed(f"{self._names.of(lru_cache(FRAGMENTS, typed=True)(made))}({', '.join(said)})")


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a loop is about: the name of its thing, the variables it has, and what holds around it."""

    name: str
    variables: Variables
    known: Scope
    local: Local

    def counted(self) -> dict[str, str]:
        """Return what is said by a variable inside, the facts of this loop too."""
        return {**self.local, **{f"loop.{fact}": said for fact, said in self.variables.facts().items()}}


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
        if root == name:
            fields.add(field)
        else:
            facts.add(path)
    return sorted(fields), sorted(facts)


def _paths(body: Iterable[nodes.Node]) -> Iterator[str]:
    for node in body:
        if path := path_of(node):
            yield path
        else:
            yield from _paths(node.iter_child_nodes())
