"""PURE: what an expression of a template says: known beforehand, or a question to each person's fields.

Covers the words that a mail may use (see `templating`), with Jinja's meaning. Whatever it doesn't know, or would
have to guess, it leaves to Jinja itself: it raises `Unplanned` beforehand, or any error when asked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from jinja2 import nodes

if TYPE_CHECKING:
    from jinja2 import Environment

Scope: TypeAlias = Mapping[str, Any]
Ask: TypeAlias = Callable[[Scope], Any]


class Unplanned(Exception):
    """Only Jinja itself knows what this says."""


@dataclass(frozen=True, slots=True)
class Known:
    """A value that is the same for everybody."""

    value: Any


_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
}


class Reader:
    """Reads expressions where `known` names have these values for everybody."""

    def __init__(self, environment: Environment, known: Scope) -> None:
        self._filters = environment.filters
        self._known = known
        self._ways: Mapping[type[nodes.Node], Callable[[Any], Known | Ask]] = {
            nodes.Const: lambda node: Known(node.value),
            nodes.Name: self._name,
            nodes.Getattr: self._member,
            nodes.Filter: self._filtered,
            nodes.Not: lambda node: self._of(operator.not_, node.node),
            nodes.Compare: self._compared,
            nodes.And: self._both,
            nodes.Or: self._either,
            nodes.CondExpr: self._one_of,
        }

    def meaning(self, node: nodes.Node) -> Known | Ask:
        """Return the value of an expression, or what to ask for it. Raises Unplanned."""
        way = self._ways.get(type(node))
        if way is None:
            raise Unplanned
        return way(node)

    def asked(self, node: nodes.Node) -> Ask:
        """Return what to ask for an expression, be it known or not. Raises Unplanned."""
        return _asked(self.meaning(node))

    def _name(self, node: nodes.Name) -> Known | Ask:
        return Known(self._known[node.name]) if node.name in self._known else itemgetter(node.name)

    def _member(self, node: nodes.Getattr) -> Known | Ask:
        name = node.attr
        if isinstance(node.node, nodes.Name) and node.node.name not in self._known:
            group = node.node.name
            return lambda scope: scope[group][name]
        return self._of(itemgetter(name), node.node)

    def _of(self, function: Callable[[Any], Any], node: nodes.Node) -> Known | Ask:
        inner = self.meaning(node)
        if isinstance(inner, Known):
            return _worked_out(function, inner.value)
        return lambda scope: function(inner(scope))

    def _filtered(self, node: nodes.Filter) -> Known | Ask:
        function = self._filters.get(node.name)
        constant = all(isinstance(argument, nodes.Const) for argument in node.args)
        if function is None or hasattr(function, "jinja_pass_arg") or node.node is None or not constant:
            raise Unplanned
        if node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise Unplanned
        arguments = [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
        return self._of(lambda value: function(value, *arguments), node.node)

    def _compared(self, node: nodes.Compare) -> Known | Ask:
        if len(node.ops) != 1:
            raise Unplanned
        compare = _COMPARE[node.ops[0].op]
        left, right = self.meaning(node.expr), self.meaning(node.ops[0].expr)
        if isinstance(right, Known):
            if isinstance(left, Known):
                return _worked_out(compare, left.value, right.value)
            ask, value = left, right.value
            return lambda scope: compare(ask(scope), value)
        first = _asked(left)
        return lambda scope: compare(first(scope), right(scope))

    # As in Python: the answer is one of the two, and the second isn't looked at without need.

    def _either(self, node: nodes.Or) -> Known | Ask:
        left = self.meaning(node.left)
        if isinstance(left, Known):
            return left if left.value else self.meaning(node.right)
        right = _asked(self.meaning(node.right))
        return lambda scope: left(scope) or right(scope)

    def _both(self, node: nodes.And) -> Known | Ask:
        left = self.meaning(node.left)
        if isinstance(left, Known):
            return self.meaning(node.right) if left.value else left
        right = _asked(self.meaning(node.right))
        return lambda scope: left(scope) and right(scope)

    def _one_of(self, node: nodes.CondExpr) -> Known | Ask:
        if node.expr2 is None:
            raise Unplanned
        test = self.meaning(node.test)
        if isinstance(test, Known):
            return self.meaning(node.expr1 if test.value else node.expr2)
        yes, no = _asked(self.meaning(node.expr1)), _asked(self.meaning(node.expr2))
        return lambda scope: yes(scope) if test(scope) else no(scope)


def _asked(meaning: Known | Ask) -> Ask:
    if not isinstance(meaning, Known):
        return meaning
    value = meaning.value
    return lambda _: value


def _worked_out(function: Callable[..., Any], *values: Any) -> Known:
    try:
        return Known(function(*values))
    except Exception as trouble:
        raise Unplanned from trouble
