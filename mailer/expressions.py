"""PURE: what an expression of a template says: known beforehand, or words of Python that read each person's fields.

Covers the words that a mail may use (see `templating`), with Jinja's meaning. Whatever it doesn't know, or would
have to guess, it leaves to Jinja itself: it raises `Unplanned` beforehand, or any error when asked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from jinja2 import nodes

from mailer.templating import path_of

if TYPE_CHECKING:
    from jinja2 import Environment

Scope: TypeAlias = Mapping[str, Any]


class Unplanned(Exception):
    """Only Jinja itself knows what this says."""


@dataclass(frozen=True, slots=True)
class Known:
    """A value that is the same for everybody."""

    value: Any


@dataclass(frozen=True, slots=True)
class Asked:
    """A Python expression that differs from person to person. No word of the template is in it, only our names."""

    code: str


@dataclass(frozen=True, slots=True)
class Names:
    """What the written code calls by name: nothing but the values given here is within its reach."""

    bound: dict[str, Any] = field(default_factory=dict)

    def of(self, value: Any, kind: str = "k") -> str:
        """Return the name of a value."""
        name = f"{kind}{len(self.bound)}"
        self.bound[name] = value
        return name


_COMPARE: Mapping[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "eq": ("==", operator.eq),
    "ne": ("!=", operator.ne),
    "lt": ("<", operator.lt),
    "lteq": ("<=", operator.le),
    "gt": (">", operator.gt),
    "gteq": (">=", operator.ge),
    "in": ("in", lambda left, right: left in right),
    "notin": ("not in", lambda left, right: left not in right),
}


class Reader:
    """Reads expressions where `known` names have these values for everybody, and `local` paths are these variables."""

    def __init__(self, environment: Environment, names: Names, known: Scope, local: Mapping[str, str]) -> None:
        self._filters = environment.filters
        self._names, self._known, self._local = names, known, local
        self._ways: Mapping[type[nodes.Node], Callable[[Any], Known | Asked]] = {
            nodes.Const: lambda node: Known(node.value),
            nodes.Name: self._name,
            nodes.Getattr: self._member,
            nodes.Filter: self._filtered,
            nodes.Not: lambda node: self._of(operator.not_, node.node, "(not {})"),
            nodes.Compare: self._compared,
            nodes.And: self._both,
            nodes.Or: self._either,
            nodes.CondExpr: self._one_of,
        }

    def meaning(self, node: nodes.Node) -> Known | Asked:
        """Return the value of an expression, or what to ask for it. Raises Unplanned."""
        way = self._ways.get(type(node))
        if way is None:
            raise Unplanned
        return way(node)

    def code(self, node: nodes.Node) -> str:
        """Return what to ask for an expression, be it known or not. Raises Unplanned."""
        return self._code(self.meaning(node))

    def _code(self, meaning: Known | Asked) -> str:
        return meaning.code if isinstance(meaning, Asked) else self._names.of(meaning.value)

    def _name(self, node: nodes.Name) -> Known | Asked:
        if node.name in self._local:
            return Asked(self._local[node.name])
        return (
            Known(self._known[node.name]) if node.name in self._known else Asked(f"scope[{self._names.of(node.name)}]")
        )

    def _member(self, node: nodes.Getattr) -> Known | Asked:
        path = path_of(node)
        if path in self._local:
            return Asked(self._local[path])
        return self._of(itemgetter(node.attr), node.node, f"{{}}[{self._names.of(node.attr)}]")

    def _of(self, function: Callable[[Any], Any], node: nodes.Node, code: str) -> Known | Asked:
        inner = self.meaning(node)
        return _worked_out(function, inner.value) if isinstance(inner, Known) else Asked(code.format(inner.code))

    def _filtered(self, node: nodes.Filter) -> Known | Asked:
        function = self._filters.get(node.name)
        constant = all(isinstance(argument, nodes.Const) for argument in node.args)
        if function is None or hasattr(function, "jinja_pass_arg") or node.node is None or not constant:
            raise Unplanned
        if node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise Unplanned
        arguments = [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
        said = ", ".join(["{}", *map(self._names.of, arguments)])
        return self._of(lambda value: function(value, *arguments), node.node, f"{self._names.of(function)}({said})")

    def _compared(self, node: nodes.Compare) -> Known | Asked:
        if len(node.ops) != 1:
            raise Unplanned
        sign, compare = _COMPARE[node.ops[0].op]
        left, right = self.meaning(node.expr), self.meaning(node.ops[0].expr)
        if isinstance(left, Known) and isinstance(right, Known):
            return _worked_out(compare, left.value, right.value)
        return Asked(f"({self._code(left)} {sign} {self._code(right)})")

    # As in Python: the answer is one of the two, and the second isn't looked at without need.

    def _either(self, node: nodes.Or) -> Known | Asked:
        left = self.meaning(node.left)
        if isinstance(left, Known):
            return left if left.value else self.meaning(node.right)
        return Asked(f"({left.code} or {self.code(node.right)})")

    def _both(self, node: nodes.And) -> Known | Asked:
        left = self.meaning(node.left)
        if isinstance(left, Known):
            return self.meaning(node.right) if left.value else left
        return Asked(f"({left.code} and {self.code(node.right)})")

    def _one_of(self, node: nodes.CondExpr) -> Known | Asked:
        if node.expr2 is None:
            raise Unplanned
        test = self.meaning(node.test)
        if isinstance(test, Known):
            return self.meaning(node.expr1 if test.value else node.expr2)
        return Asked(f"({self.code(node.expr1)} if {test.code} else {self.code(node.expr2)})")


def _worked_out(function: Callable[..., Any], *values: Any) -> Known:
    try:
        return Known(function(*values))
    except Exception as trouble:
        raise Unplanned from trouble
