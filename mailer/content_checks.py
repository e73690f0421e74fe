"""What a mail must have and must not have, looked for in the compiled page, each with what to do about it.

Required by law or by mailbox providers, for everybody and visibly: who sends it and from where (E-Commerce Rules
2020 r.4(2), CAN-SPAM 7704(a)(5)), why you get it, and the ways to stop it (RFC 8058, DPDP s.6(4)).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

from mailer.merge_fields import Field
from mailer.mjml_html import ATTRIBUTES, MARKER, SCHEMES, TAGS, Page, cleaned
from mailer.templating import is_link

MOST_BYTES = 102_400
"""Gmail clips a longer HTML part, and with it the footer that says how to stop."""

_LINKS = {
    "links.unsubscribe": "an unsubscribe link",
    "links.preferences": "a link to the person's choices",
    "links.why": "a link to the record of their yes",
}
_WORDS = {
    "sender.legal_name": "the sender's legal name",
    "sender.postal_address": "the sender's postal address",
    "sender.care_phone": "the number for care and complaints",
    "grant.date": "why they get this: the date of their yes",
    "purpose.name": "why they get this: what they said yes to",
}
_ALWAYS = ("sender.legal_name", "sender.postal_address", "sender.care_phone")


def required(kind: str) -> Mapping[str, str]:
    """The fields that a mail of this kind must show to everybody, each with what it is."""
    return {path: _WORDS[path] for path in _ALWAYS} if kind == "notice" else _LINKS | _WORDS


def missing_from_text(kind: str, always_printed: Iterable[str]) -> Iterator[str]:
    """What the text part lacks."""
    shown = set(always_printed)
    for path, what in required(kind).items():
        if path not in shown:
            yield f"The text part lacks {what}: add {{{{ {path} }}}}, outside every if and for."


def page_problems(page: Page, kind: str, language: str, fields: Mapping[str, Field]) -> Iterator[str]:
    """Everything wrong with a compiled page, the same thing once."""
    found = dict.fromkeys([*_shell_problems(page, language), *_body_problems(page, kind, fields)])
    yield from found


def _shell_problems(page: Page, language: str) -> Iterator[str]:
    if page.lang != language:
        yield f'The mail doesn\'t say its language: begin it with <mjml lang="{language}" dir="ltr">.'
    for style in (*page.styles, page.body_style):
        yield from _style_problems(style)


def _body_problems(page: Page, kind: str, fields: Mapping[str, Field]) -> Iterator[str]:
    raw = _Walk(page.tags, fields)
    raw.feed(page.body)
    yield from raw.forbidden
    clean = _Walk(page.tags, fields)
    clean.feed(cleaned(page.body))
    yield from clean.misplaced
    lost = set(range(len(page.tags))) - clean.seen - _in_head(page)
    yield from (f"{page.tags[mark]} stands where nothing can be shown: put it into text or mj-raw." for mark in lost)
    for path, what in required(kind).items():
        if path not in (clean.linked if path in _LINKS else clean.shown):
            how = f'<a href="{{{{ {path} }}}}">' if path in _LINKS else f"{{{{ {path} }}}}"
            yield f"The HTML part lacks {what}: add {how}, visible, outside every if and for."


def _in_head(page: Page) -> set[int]:
    """Title and styles are written anew: the title is always the subject."""
    return {mark for mark, tag in enumerate(page.tags) if re.sub(r"\W", "", tag) == "subject"}


_BAD_STYLE = {
    "@import": "styles can't be fetched from elsewhere: paste them in",
    "url(": "pictures in styles are fetched without asking and have no words for who can't see them: use mj-image",
    "expression(": "scripts in styles can't be used",
    "javascript:": "scripts can't be used",
    "<": "a style can't hold tags",
}
_BAD_COMMENT = re.compile(
    r"<\s*(script|iframe|object|embed|form)|javascript:|\bon\w+\s*=|http:|url\(|v:", re.IGNORECASE
)


def _style_problems(style: str) -> Iterator[str]:
    if MARKER.search(style):
        yield "A field can't be used in a style. Write the style out."
    plain = re.sub(r"/\*.*?\*/|\\", "", style, flags=re.DOTALL).lower()
    yield from (f"{why[0].upper()}{why[1:]} (found {bad})." for bad, why in _BAD_STYLE.items() if bad in plain)


_VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "col", "wbr"})
_HIDDEN = re.compile(r"display:\s*none|visibility:\s*hidden|opacity:\s*0(?![.\d])|max-height:\s*0")
_PLACES_FOR_WORDS = {"alt", "title", "aria-label"}
_OPENS, _MIDDLE, _ENDS = {"if", "for"}, {"else", "elif"}, {"endif", "endfor"}


@dataclass
class _Walk(HTMLParser):
    """One walk through a body: what must not be there, where each field stands, what everybody sees."""

    tags: tuple[str, ...]
    fields: Mapping[str, Field]
    forbidden: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    linked: set[str] = field(default_factory=set)
    _open: list[tuple[str, int, bool]] = field(default_factory=list)
    _decisions: list[tuple[str, int]] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    # -- what the parser calls ------------------------------------------------------------------------

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.forbidden.append(f"<{tag}> can't be used in a mail. Remove it.")
        allowed = ATTRIBUTES["*"] | ATTRIBUTES.get(tag, set())
        values = {name: value or "" for name, value in attrs}
        for name, value in values.items():
            if name not in allowed:
                self.forbidden.append(f"“{name}” can't be used on <{tag}>. Remove it.")
            self._attribute(tag, name, value)
        if tag == "img":
            self._picture(values)
        if tag not in _VOID:
            self._count += 1
            hidden = bool(_HIDDEN.search(values.get("style", ""))) or self._hidden
            self._open.append((tag, self._count, hidden))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        places = [place for place, (name, _, _) in enumerate(self._open) if name == tag]
        if places:
            del self._open[places[-1] :]

    def handle_data(self, data: str) -> None:
        for mark in _marks(data):
            self.seen.add(mark)
            if not self._hidden and not self._decisions:
                self.shown.add(self._path(mark))

    def handle_comment(self, data: str) -> None:
        whole = MARKER.fullmatch(data)
        if whole:
            self._decision(int(whole[1]))
        elif MARKER.search(data):
            self.misplaced.append("A field can't be used inside a comment or a condition for Outlook.")
        if _BAD_COMMENT.search(data):
            self.forbidden.append("A comment holds what can't be used in a mail (script, handler, address). Remove it.")

    # -- rules ------------------------------------------------------------------------------------------

    @property
    def _hidden(self) -> bool:
        return bool(self._open) and self._open[-1][2]

    def _path(self, mark: int) -> str:
        return self.tags[mark].strip("{}- \t\n")

    def _attribute(self, tag: str, name: str, value: str) -> None:
        marks = list(_marks(value))
        self.seen.update(marks)
        if any(self.tags[mark].startswith("{%") for mark in marks):
            self.misplaced.append(f"if and for can't be used inside “{name}” of <{tag}>. Put them around the tag.")
        elif name in {"href", "src"}:
            self._address(tag, name, value)
        elif name == "style":
            self.forbidden.extend(_style_problems(value))
        elif marks and name not in _PLACES_FOR_WORDS:
            self.misplaced.append(f"A field can't be used in “{name}” of <{tag}>.")

    def _address(self, tag: str, name: str, value: str) -> None:
        begins = MARKER.match(value)
        if begins and is_link(self._path(int(begins[1])), self.fields):
            rest = value[begins.end() :]
            if tag == "a" and not rest and not self._decisions and not self._hidden:
                self.linked.add(self._path(int(begins[1])))
            self._parts(rest)
        elif begins:
            self.misplaced.append(
                f"{self.tags[int(begins[1])]} is not a web address, so it can't be a link or picture."
            )
        elif value.lower().startswith(("mailto:", "tel:")) and name == "href":
            return
        elif not value.lower().startswith("https://"):
            what = "picture" if name == "src" else "link"
            self.forbidden.append(f"The {what} “{value[:60]}” must begin with https://.")
        else:
            self._parts(value)

    def _parts(self, rest: str) -> None:
        """Inside an address only what can't leave its place: addresses of ours, or words that are encoded."""
        for mark in _marks(rest):
            if "|urlencode" not in self.tags[mark].replace(" ", ""):
                self.misplaced.append(f"Inside an address write {{{{ {self._path(mark)}|urlencode }}}}.")

    def _picture(self, values: Mapping[str, str]) -> None:
        if "alt" not in values:
            self.forbidden.append('A picture has no alt text: say what it shows, or alt="" if it is mere decoration.')
        elif not values["alt"].strip() and any(tag == "a" for tag, _, _ in self._open):
            self.forbidden.append("A picture that is a link needs alt text: say where it leads.")

    def _decision(self, mark: int) -> None:
        """An if or for must end in the very element in which it began, or somebody gets half a table."""
        self.seen.add(mark)
        word = self.tags[mark].strip("{}%-+ \t\n").split()[0]
        here = self._open[-1][1] if self._open else 0
        if word in _OPENS:
            self._decisions.append((self.tags[mark], here))
        elif word in _MIDDLE | _ENDS and self._decisions:
            tag, there = self._decisions.pop() if word in _ENDS else self._decisions[-1]
            if there != here:
                self.misplaced.append(f"{tag} ends in another place than it begins: put both around the same thing.")


def _marks(value: str) -> Iterator[int]:
    return (int(found[1]) for found in MARKER.finditer(value))


__all__ = ["MOST_BYTES", "SCHEMES", "missing_from_text", "page_problems", "required"]
