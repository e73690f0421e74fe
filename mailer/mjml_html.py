"""MJML to clean HTML, once per revision, with every Jinja tag put aside meanwhile.

Data must never meet the MJML compiler: a name with `&` would stop it, one with `</mj-text>` would be obeyed. So each
Jinja tag becomes an inert marker (a word where something is printed, a comment where something is decided), MJML is
compiled, styles are put inline, the result is cleaned by an allow-list, and then the tags come back. The head is
written here: nothing of an author's head but its styles gets into a mail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser

import css_inline
import mjml
import nh3

_TAGS = """
    a b blockquote br center div em h1 h2 h3 h4 hr i img li ol p s small span strong sub sup table tbody td tfoot th
    thead tr u ul"""
_EVERYWHERE = """
    align aria-hidden aria-label aria-roledescription bgcolor border cellpadding cellspacing class dir height id lang
    role style title valign vertical-align width"""
TAGS = frozenset(_TAGS.split())
ATTRIBUTES = {
    "*": set(_EVERYWHERE.split()),
    "a": {"href", "target"},
    "img": {"src", "alt"},
    "td": {"colspan", "rowspan", "scope"},
    "th": {"colspan", "rowspan", "scope"},
    "table": {"summary"},
    "ol": {"start", "type"},
}
SCHEMES = {"https", "mailto", "tel"}

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
MARKER = re.compile(r"jqz(\d+)zqj")
_MARKED = re.compile(r"<!--jqz(\d+)zqj-->|jqz(\d+)zqj")
_OWN_STYLES = re.compile(r"<mj-style[^>]*>(.*?)</mj-style>", re.DOTALL)


class MjmlProblem(ValueError):
    """MJML that can't be compiled, with what to do."""


@dataclass(frozen=True, slots=True)
class Page:
    """A compiled mail whose Jinja tags are still put aside: `tags[n]` belongs where marker n stands."""

    lang: str
    direction: str
    body_style: str
    body_class: str
    body: str
    """As MJML made it, styles inline, not yet cleaned: the checks want to see what would be thrown away."""
    styles: tuple[str, ...]
    tags: tuple[str, ...]

    def html(self) -> str:
        """The whole document, cleaned, with its Jinja tags back in place."""
        return _MARKED.sub(lambda found: self.tags[int(found[1] or found[2])], self._document())

    def _document(self) -> str:
        styles = "".join(f'<style type="text/css">{_squeezed(style)}</style>' for style in self.styles)
        attributes = f' class="{escape(self.body_class)}"' if self.body_class else ""
        return (
            f'<!doctype html><html lang="{escape(self.lang)}" dir="{escape(self.direction)}" {_NAMESPACES}>'
            f"<head><title>{{{{ subject }}}}</title>{_META}{styles}</head>"
            f'<body{attributes} style="{escape(self.body_style)}">{cleaned(self.body)}</body></html>'
        )


def compile_mjml(source: str) -> Page:
    """Compile MJML that holds Jinja tags. Raises MjmlProblem."""
    if "jqz" in source:
        raise MjmlProblem("The letters “jqz” can't be used in a mail: they mark the places of fields.")
    if re.search(r"<\s*mj-include", source, re.IGNORECASE):
        raise MjmlProblem("mj-include can't be used: a mail is one piece. Paste what you want to include.")
    marked, tags = _put_aside(source)
    try:
        html = mjml.mjml2html(marked, disable_comments=False)
        html = _inliner(marked).inline(html)
    except (ValueError, css_inline.InlineError) as error:
        raise MjmlProblem(f"The MJML can't be read: {error}. Every tag needs its end, and <br /> its slash.") from None
    shell = _Shell()
    shell.feed(html)
    start, end = html.find(">", html.find("<body")) + 1, html.rfind("</body>")
    return Page(
        lang=shell.html.get("lang") or "",
        direction=shell.html.get("dir") or "ltr",
        body_style=shell.body.get("style") or "",
        body_class=shell.body.get("class") or "",
        body=html[start:end],
        styles=tuple(shell.styles),
        tags=tuple(tags),
    )


def cleaned(body: str) -> str:
    """The body with nothing in it but what a mail needs."""
    return nh3.clean(
        body,
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        strip_comments=False,  # Outlook's tables are in comments; `content_checks` looks into them
        link_rel=None,
    )


def _put_aside(source: str) -> tuple[str, list[str]]:
    tags: list[str] = []

    def marker(found: re.Match[str]) -> str:
        if found[0].startswith("{#"):
            return ""
        tags.append(found[0])
        mark = f"jqz{len(tags) - 1}zqj"
        return mark if found[0].startswith("{{") else f"<!--{mark}-->"

    return _JINJA.sub(marker, source), tags


def _inliner(source: str) -> css_inline.CSSInliner:
    """Puts the author's own styles inline, for clients that drop the head; MJML's own base styles stay there."""
    own = "\n".join(_OWN_STYLES.findall(source))
    return css_inline.CSSInliner(
        inline_style_tags=False, keep_style_tags=True, keep_link_tags=True, load_remote_stylesheets=False, extra_css=own
    )


def _squeezed(style: str) -> str:
    return re.sub(r"\s+", " ", style).strip()


@dataclass
class _Shell(HTMLParser):
    """Reads what the new head is made of: language, direction, styles, and the look of the body."""

    html: dict[str, str | None] = field(default_factory=dict)
    body: dict[str, str | None] = field(default_factory=dict)
    styles: list[str] = field(default_factory=list)
    _in_style: str | None = None

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            self.html = dict(attrs)
        elif tag == "body":
            self.body = dict(attrs)
        elif tag == "style" and not self.body:
            # `media` would be lost with the tag: Thunderbird's copy of the columns, which it doesn't need.
            self._in_style = "skip" if dict(attrs).get("media") else "keep"

    def handle_data(self, data: str) -> None:
        if self._in_style == "keep" and data.strip():
            self.styles.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self._in_style = None


_NAMESPACES = 'xmlns="http://www.w3.org/1999/xhtml" xmlns:o="urn:schemas-microsoft-com:office:office"'
_META = (
    '<meta http-equiv="Content-Type" content="text/html; charset=UTF-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
    "<!--[if mso]><noscript><xml><o:OfficeDocumentSettings><o:AllowPNG/><o:PixelsPerInch>96</o:PixelsPerInch>"
    "</o:OfficeDocumentSettings></xml></noscript>"
    "<style>.mj-outlook-group-fix{width:100% !important}</style><![endif]-->"
)
