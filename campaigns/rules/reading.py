"""PURE: rules from JSON and back. Every problem is told at once, each by its path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from campaigns.rules.tree import LEAVES, TYPES, And, Leaf, Not, Or, Rule, RuleProblems, readers, walk

DEPTH = 5
SIZE = 60


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
    for name, read, default in readers(leaf):
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
