"""The mail's own Jinja: autoescaped HTML, no loader, no calls, and only the words of an allow-list.

Not Flask's environment: its autoescape looks at file names, and a mail has none. The sandbox is the second line; the
first is the allow-list, because sandboxes of Jinja have fallen five times. A template may read the known fields, ask
`if`, walk a named list and use a few filters. It can't call, compute, import, or loop over anything that isn't a list
of the person or the campaign, so that approved content always ends quickly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mailer.merge_fields import Field, Link, Several, Text

if TYPE_CHECKING:
    from jinja2 import Environment

FILTERS = frozenset({"batch", "capitalize", "length", "lower", "title", "upper", "urlencode"})
_LOOP = {name: Text() for name in ("index", "first", "last", "length")}
_DEEPEST_LOOP = 2
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const, nodes.If, nodes.For,
    nodes.Filter, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.Keyword,
)  # fmt: skip


class _MailEnvironment(ImmutableSandboxedEnvironment):
    """Fields are plain mappings: a name in one is an item, and never an attribute or a method."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict):
            try:
                return obj[attribute]
            except KeyError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


def _environment(*, autoescape: bool) -> Environment:
    environment = _MailEnvironment(
        autoescape=autoescape, undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=False
    )
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.tests, environment.globals = {}, {}
    return environment


HTML = _environment(autoescape=True)
"""For the HTML part: data is escaped, always (pinned by a test)."""
TEXT = _environment(autoescape=False)
"""For subject, preheader and the text part: nothing there is markup."""


def compiled(environment: Environment, template: str, where: str, fields: Mapping[str, Field]) -> Template:
    """A template that is known to keep to the allow-list. Raises ValueError otherwise."""
    problems = list(problems_in(environment, template, where, fields))
    if problems:
        raise ValueError(" ".join(problems))
    return environment.from_string(template)


def constants_in(environment: Environment, template: str) -> set[str]:
    """The pieces of a template that are the same for everybody, as they come out of it."""
    return {node.data for node in parsed(environment, template).find_all(nodes.TemplateData)}


@lru_cache(64)
def parsed(environment: Environment, template: str) -> nodes.Template:
    """The tree of a template. It is looked at from several sides; nobody changes it."""
    return environment.parse(template)


def problems_in(environment: Environment, template: str, where: str, fields: Mapping[str, Field]) -> Iterator[str]:
    """Everything that a template does and may not, in plain words; `where` says which part of the mail it is."""
    try:
        tree = parsed(environment, template)
    except TemplateSyntaxError as error:
        said = (error.message or "").rstrip(".")
        yield f"{where}, line {error.lineno}: this can't be read: {said}. Check the braces and their ends."
        return
    for line, problem in _Reader(fields).problems(tree):
        yield f"{where}, line {line}: {problem}"


def variables_in(environment: Environment, template: str) -> set[str]:
    """Every field that is read, as written: `person.first_name`."""
    tree = parsed(environment, template)
    return {path for node in tree.find_all((nodes.Getattr, nodes.Name)) if (path := path_of(node))}


def path_of(node: nodes.Node) -> str:
    """`person.first_name` of a plain name, or nothing where it is more than that."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr) and (before := path_of(node.node)):
        return f"{before}.{node.attr}"
    return ""


def always_printed(environment: Environment, template: str) -> set[str]:
    """The fields that are printed for everybody: outside every `if` and `for`."""
    outputs = (node for node in parsed(environment, template).body if isinstance(node, nodes.Output))
    return {path for output in outputs for node in output.nodes if (path := path_of(node))}


class _Reader:
    """Walks a template with the fields that are known at each place."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self.fields = fields

    def problems(self, tree: nodes.Template) -> Iterator[tuple[int, str]]:
        yield from self._walk(tree, dict(self.fields), 0)

    def _walk(self, node: nodes.Node, scope: dict[str, Field], depth: int) -> Iterator[tuple[int, str]]:
        if not isinstance(node, _ALLOWED):
            yield node.lineno, _not_allowed(node)
        elif isinstance(node, nodes.For):
            yield from self._loop(node, scope, depth)
        elif isinstance(node, nodes.Name | nodes.Getattr):
            yield from self._field(node, scope)
        else:
            if isinstance(node, nodes.Filter):
                yield from self._filter(node)
            if isinstance(node, nodes.Output):
                yield from self._printed(node, scope)
            for child in node.iter_child_nodes():
                yield from self._walk(child, scope, depth)

    def _field(self, node: nodes.Expr, scope: Mapping[str, Field]) -> Iterator[tuple[int, str]]:
        path = path_of(node)
        if not path:
            yield node.lineno, "only a field by its name can be read here. Write it as {{ person.first_name }}."
        elif (found := self.look_up(path, scope)) is None:
            yield node.lineno, f"there is no field “{path}”. {_nearest(path, scope)}"
        elif isinstance(found, Mapping):
            yield node.lineno, f"“{path}” is a group of fields. {_nearest(path + '.', scope)}"

    def _printed(self, output: nodes.Output, scope: Mapping[str, Field]) -> Iterator[tuple[int, str]]:
        for node in _outside_length(output):
            path = path_of(node)
            if isinstance(self.look_up(path, scope), Several):
                yield node.lineno, f"“{path}” is a list. Walk it: {{% for thing in {path} %}}."

    def _filter(self, node: nodes.Filter) -> Iterator[tuple[int, str]]:
        if node.name not in FILTERS:
            yield node.lineno, f"“|{node.name}” can't be used. Use one of: {', '.join(sorted(FILTERS))}."
        if node.kwargs or node.dyn_args or node.dyn_kwargs or not all(isinstance(a, nodes.Const) for a in node.args):
            yield node.lineno, f"“|{node.name}” takes a plain value only, as in batch(2)."

    def _loop(self, node: nodes.For, scope: dict[str, Field], depth: int) -> Iterator[tuple[int, str]]:
        each = self._element(node.iter, scope)
        if each is None:
            yield node.lineno, "a loop walks a named list, as in {% for thing in wishlist %}."
        elif not isinstance(node.target, nodes.Name) or node.recursive:
            yield node.lineno, "a loop has one name for each thing, as in {% for thing in wishlist %}."
        elif depth >= _DEEPEST_LOOP:
            yield node.lineno, "a loop inside a loop inside a loop is too much. Use two at most."
        else:
            inside: dict[str, Field] = {**scope, node.target.name: each, "loop": _LOOP}
            for child in (*node.body, *([node.test] if node.test else [])):
                yield from self._walk(child, inside, depth + 1)
            for child in node.else_:
                yield from self._walk(child, scope, depth)

    def _element(self, node: nodes.Node, scope: Mapping[str, Field]) -> Field | None:
        """What one turn of a loop holds: a group of fields, or for `|batch` a row of them."""
        if isinstance(node, nodes.Filter) and node.name == "batch" and node.node is not None:
            each = self._element(node.node, scope)
            return Several(each, most=2) if isinstance(each, Mapping) else None  # type: ignore[arg-type]
        found = self.look_up(path_of(node), scope)
        return found.each if isinstance(found, Several) else None

    @staticmethod
    def look_up(path: str, scope: Mapping[str, Field]) -> Field | None:
        """The field of this name, or None."""
        found: Field | None = scope
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found


def _outside_length(node: nodes.Node) -> Iterator[nodes.Node]:
    for child in node.iter_child_nodes():
        if not (isinstance(child, nodes.Filter) and child.name == "length"):
            yield child
            yield from _outside_length(child)


def kind_of(path: str, fields: Mapping[str, Field]) -> Field | None:
    """The field of this name outside loops, or None."""
    return _Reader.look_up(path, fields)


def is_link(path: str, fields: Mapping[str, Field]) -> bool:
    """Whether this name is a web address: a field of that kind, or one of a list's (`thing.url`)."""
    found = kind_of(path, fields)
    if found is not None:
        return isinstance(found, Link)
    last = path.rpartition(".")[2]
    lists = (field for field in _all(fields) if isinstance(field, Several) and last in field.each)
    kinds = {type(field.each[last]) for field in lists}
    return kinds == {Link}


def _all(field: Field) -> Iterator[Field]:
    yield field
    if isinstance(field, Mapping):
        for inner in field.values():
            yield from _all(inner)


_INSTEAD = {
    nodes.Call: "nothing can be called here. Use fields, if and for.",
    nodes.Getitem: "write fields with a dot, as in {{ person.first_name }}, not with brackets.",
    nodes.Assign: "nothing can be set here. Use the campaign's values.",
    nodes.Macro: "macros can't be used in a mail.",
    nodes.Include: "other files can't be included. Paste what you need.",
    nodes.Import: "nothing can be imported.",
    nodes.FromImport: "nothing can be imported.",
    nodes.Extends: "a mail can't extend another.",
    nodes.Test: "tests with “is” can't be used. Write {% if person.first_name %}.",
    nodes.Mod: "calculations and % can't be used.",
}


def _not_allowed(node: nodes.Node) -> str:
    return _INSTEAD.get(type(node), f"“{type(node).__name__.lower()}” can't be used in a mail. Use fields, if and for.")


def _nearest(path: str, scope: Mapping[str, Field]) -> str:
    before = path.rpartition(".")[0]
    group = _Reader.look_up(before, scope)
    names = sorted(f"{before}.{name}" for name in group) if isinstance(group, Mapping) else sorted(scope)
    return f"Known ones are: {', '.join(names)}."
