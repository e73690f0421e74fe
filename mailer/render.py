"""Content: compiled once for an approved revision, rendered once for a person.

`compile_source` says everything that is wrong at once, so that an author mends it in one go. `Renderer` is quick and
knows no rule but one: what isn't on the allow-list doesn't render, wherever the compiled text came from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateError

from mailer.content_checks import MOST_BYTES, missing_from_text, page_problems, required
from mailer.errors import InputProblem
from mailer.inks import BYTES, ESCAPED
from mailer.letters import Frames, Letter
from mailer.merge_fields import (
    CAMPAIGN_VALUES,
    Field,
    Link,
    Text,
    everything,
    fields_of,
    filled,
    longest,
    nothing,
    value_problems,
)
from mailer.mjml_html import MjmlProblem, Page, compile_mjml
from mailer.plans import Plan, one_line, settled, tidy
from mailer.quoted import encode, join, whole
from mailer.templating import HTML, TEXT, always_printed, compiled, constants_in, problems_in, variables_in

MOST_RENDERED = 500_000
"""Characters of one rendered part. Far above any real mail: beyond it something is wrong."""


class ContentProblems(InputProblem):
    """Content that can't be used; `problems` has every reason, each with what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RenderFailed(InputProblem):
    """One person's mail can't be rendered. Says why, without their data."""


@dataclass(frozen=True, slots=True)
class Source:
    """Content as its author wrote it. `values` are the campaign's own: the same for everybody."""

    kind: str
    language: str
    subject: str
    preheader: str
    mjml: str = field(repr=False)
    text: str = field(repr=False)
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Checked where there are any; without them samples stand in."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """Content ready to be rendered. `hash` is SHA-256 over all of it, `variables` the fields it reads."""

    kind: str
    language: str
    subject: str
    preheader: str
    html: str = field(repr=False)
    text: str = field(repr=False)
    variables: frozenset[str] = frozenset()
    hash: bytes = b""
    counted: frozenset[str] = frozenset()
    """Names below `clicks` that the HTML part may use as links (`mailer.destinations`). No author can write them."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One person's mail."""

    subject: str
    html: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One person's mail, ready for the wire: both parts in quoted-printable, HTML in pieces that are joined once."""

    subject: str
    pieces: Sequence[bytes] = field(repr=False)
    text: bytes = field(repr=False)

    @property
    def html(self) -> bytes:
        """The HTML part as one body."""
        return join(self.pieces)


def compile_source(source: Source) -> Compiled:
    """Compile content and check it as a whole. Raises ContentProblems with everything that is wrong."""
    if source.kind not in CAMPAIGN_VALUES:
        raise ContentProblems([f"There is no kind of mail “{source.kind}”: use {', '.join(CAMPAIGN_VALUES)}."])
    fields = fields_of(source.kind)
    problems = [
        *(value_problems(source.kind, source.values) if source.values else ()),
        *_template_problems(source, fields),
    ]
    page: Page | None = None
    try:
        page = compile_mjml(source.mjml)
        problems += page_problems(page, source.kind, source.language, fields)
    except MjmlProblem as problem:
        problems.append(str(problem))
    if page is None or problems:
        raise ContentProblems(problems)
    ready = _compiled(source, page.html())
    problems = list(_rendering_problems(ready, source.values))
    if problems:
        raise ContentProblems(problems)
    return ready


class Renderer:
    """Renders one compiled content for any number of people. Raises ContentProblems if it isn't to be trusted."""

    def __init__(self, content: Compiled) -> None:
        fields = fields_of(content.kind)
        around: dict[str, Field] = {**fields, "subject": Text(), "preheader": Text()}
        try:
            self._subject = compiled(TEXT, content.subject, "Subject", fields)
            self._preheader = compiled(TEXT, content.preheader, "Preheader", fields)
            self._text = compiled(TEXT, content.text, "Text part", fields)
            clicks: dict[str, Field] = {"clicks": dict.fromkeys(content.counted, Link())} if content.counted else {}
            self._html = compiled(HTML, content.html, "HTML part", around | clicks)
        except ValueError as problem:
            raise ContentProblems([str(problem)]) from None
        self._words = (content.subject, content.preheader, content.html, content.text)
        self._plan, self._letter_plan = Plan[bytes].none(), Plan[str].none()
        self._frames = self._letter_frames = Frames(constants_in(HTML, content.html))
        words = (content.subject, content.preheader, content.text)
        self.reads = frozenset(variables_in(HTML, content.html)).union(*(variables_in(TEXT, part) for part in words))
        """Every field that this content reads."""

    def render(self, fields: Mapping[str, Any]) -> Rendered:
        """One person's mail. Raises RenderFailed where a field is missing or the result makes no sense."""
        subject, pieces, text = self._pieces(fields)
        return Rendered(subject, "".join(pieces), text)

    def encode(self, fields: Mapping[str, Any]) -> Encoded:
        """The same mail, encoded: by a plan where there can be one, else and in all doubt by Jinja; the same bytes."""
        return self.planned(fields) or self.plain(fields)

    def planned(self, fields: Mapping[str, Any]) -> Encoded | None:
        """The mail with what is the same for everybody encoded beforehand; None where that says less than Jinja."""
        if not self._plan.holds(fields):
            self._plan = Plan.of(*self._words, settled(fields), BYTES)
        filled = self._plan.fill(fields)
        # Bytes are never fewer than characters: what is short enough here is short enough there.
        if filled is None or not _in_bounds(*filled):
            return None
        subject, pieces, text = filled
        return Encoded(subject, pieces, whole(text))

    def plain(self, fields: Mapping[str, Any]) -> Encoded:
        """The mail as Jinja renders it, encoded piece by piece."""
        subject, pieces, text = self._pieces(fields)
        return Encoded(subject, [encode(str(piece)) for piece in pieces if piece], whole(text))

    def letter(self, fields: Mapping[str, Any]) -> tuple[Encoded, Letter | None]:
        """The same mail as a letter, with nothing encoded; where it doesn't fit, encoded and no letter."""
        if not self._letter_plan.holds(fields):
            self._letter_plan = Plan.of(*self._words, settled(fields), ESCAPED)
            self._letter_frames = Frames(self._letter_plan.constants)
        filled, frames = self._letter_plan.fill(fields), self._letter_frames
        if filled is None or not _in_bounds(*filled):
            filled, frames = self._pieces(fields), self._frames
        subject, pieces, text = filled
        letter = frames.letter(pieces, text)
        if letter is None:
            return self.encode(fields), None
        return Encoded(subject, (), b""), letter

    def _pieces(self, fields: Mapping[str, Any]) -> tuple[str, list[str], str]:
        try:
            subject = one_line(self._subject.render(fields))
            preheader = one_line(self._preheader.render(fields))
            around = self._html.new_context({**fields, "subject": subject, "preheader": preheader})
            pieces = list(self._html.root_render_func(around))
            text = tidy(self._text.render(fields))
        except (TemplateError, TypeError, ValueError) as error:
            raise RenderFailed(f"This mail can't be rendered: {type(error).__name__}.") from None
        if not subject:
            raise RenderFailed("The subject of this mail came out empty.")
        if max(sum(map(len, pieces)), len(text)) > MOST_RENDERED:
            raise RenderFailed("This mail came out far too long.")
        return subject, pieces, text


def _in_bounds(subject: str, pieces: Sequence[str | bytes], text: str) -> bool:
    return bool(subject) and max(sum(map(len, pieces)), len(text)) <= MOST_RENDERED


def _template_problems(source: Source, fields: Mapping[str, Field]) -> Iterator[str]:
    around: dict[str, Field] = {**fields, "subject": Text(), "preheader": Text()}
    for words, where in ((source.subject, "Subject"), (source.preheader, "Preheader")):
        if not words.strip():
            yield f"{where} is empty: say in a few words what the mail is about."
        yield from problems_in(TEXT, words, where, fields)
    yield from problems_in(HTML, source.mjml, "MJML", around)
    text_problems = list(problems_in(TEXT, source.text, "Text part", fields))
    yield from text_problems or missing_from_text(source.kind, always_printed(TEXT, source.text))


def _compiled(source: Source, html: str) -> Compiled:
    parts = (source.kind, source.language, source.subject, source.preheader, html, source.text)
    return Compiled(
        *parts,
        variables=frozenset().union(
            *(variables_in(TEXT, part) for part in (source.subject, source.preheader, html, source.text))
        ),
        hash=hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).digest(),
    )


def _rendering_problems(content: Compiled, values: Mapping[str, Any]) -> Iterator[str]:
    """What only shows when it is rendered: for somebody with everything, with nothing, with the longest of all."""
    here = filled(content.kind, values)
    least = nothing(content.kind, here)
    try:
        renderer = Renderer(content)
        rendered = [renderer.render(fields) for fields in (everything(here), least)]
        size = len(renderer.render(longest(content.kind, values)).html.encode())
    except ContentProblems as error:
        yield from error.problems
        return
    except RenderFailed as error:
        yield f"{error} Look at what it says for a person of whom we know little."
        return
    if size >= MOST_BYTES:
        yield f"The HTML part can grow to {size // 1024} KB. Gmail clips at 102,400 bytes: shorten it."
    for path, what in required(content.kind).items():
        group, _, name = path.partition(".")
        if any(least[group][name] not in part for one in rendered for part in (one.html, one.text)):
            yield f"Not everybody would see {what}. Print {{{{ {path} }}}} outside every if, for and raw."
