"""The mails that come along: complete, light, readable for somebody with everything and with nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from uuid import uuid4

import pytest

from mailer.merge_fields import CAMPAIGN_VALUES, everything, longest, nothing, value_problems
from mailer.message import Marketing, Sender, build
from mailer.render import Renderer, compile_source
from mailer.starters import starting_kinds, starting_source

PICTURES = Path("templates/static/mail")
KINDS = ("festive", "launch", "offer", "service")


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def renderer(kind):
    return Renderer(compile_source(starting_source(kind)))


@pytest.fixture(scope="module", params=["everything", "nothing", "one thing"])
def fields(request, kind):
    values = starting_source(kind).values
    if request.param == "nothing":
        return nothing(kind, values)
    found = everything(values)
    if request.param == "one thing":
        found["wishlist"], found["wishlist_words"] = found["wishlist"][:1], "One thing"
    return found


def test_there_is_a_mail_for_each_kind_of_campaign():
    assert starting_kinds() == KINDS == tuple(name for name in CAMPAIGN_VALUES if name != "notice")


def test_its_values_are_right(kind):
    assert value_problems(kind, starting_source(kind).values) == []


def test_both_parts_say_who_why_and_how_to_stop(renderer, fields):
    """Checks 20, 36 and 134, whatever we know of the person."""
    rendered = renderer.render(fields)
    for part in (rendered.html, rendered.text):
        for group, name in (
            ("links", "unsubscribe"), ("links", "preferences"), ("links", "why"), ("sender", "legal_name"),
            ("sender", "postal_address"), ("sender", "care_phone"), ("grant", "date"), ("grant", "place"),
            ("purpose", "name"),
        ):  # fmt: skip
            assert fields[group][name] in part


def test_nothing_of_the_template_is_left_over(renderer, fields):
    rendered = renderer.render(fields)
    for part in (rendered.subject, rendered.html, rendered.text):
        assert not re.search(r"\{\{|\{%|\}\}|jqz|@@|<mj-|None|Undefined", part)
        assert "&amp;amp;" not in part


def test_html_is_well_under_what_gmail_clips(kind, renderer):
    """Check 41: half of it, with the longest data."""
    assert len(renderer.render(longest(kind, starting_source(kind).values)).html.encode()) < 51_200


def test_every_picture_is_ours_and_there(kind, renderer, fields):
    """Check 42: from our own host, with an alt; opaque, so that it stands on any ground."""
    html = renderer.render(fields).html
    found = re.findall(r'<img[^>]*src="([^"]+)"[^>]*>', html)
    assert found
    for src in found:
        assert src.startswith(f"{fields['assets']}/")
        assert (PICTURES / src.rpartition("/")[2]).is_file(), src
    assert all(" alt=" in tag for tag in re.findall(r"<img[^>]*>", html))


def test_every_link_is_https_or_a_mailbox(renderer, fields):
    """Check 42."""
    links = re.findall(r'href="([^"]*)"', renderer.render(fields).html)
    assert links
    assert all(re.match(r"https://[^/]|mailto:[^@]+@", link) for link in links), links


def test_tags_are_balanced(renderer, fields):
    class Balance(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attrs):
            if tag not in {"img", "br", "meta", "hr"}:
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    checked = Balance()
    checked.feed(renderer.render(fields).html)
    assert checked.open == []


def test_outlooks_conditions_are_balanced(renderer, fields):
    """Outlook builds its tables from comments; half a one breaks the mail there and nowhere else."""
    html = renderer.render(fields).html
    conditions = "".join(re.findall(r"<!--\[if mso \| IE\]>(.*?)<!\[endif\]-->", html, re.DOTALL))
    for tag in ("table", "tr", "td"):
        assert len(re.findall(rf"<{tag}[ >]", conditions)) == len(re.findall(rf"</{tag}>", conditions)), tag


def test_somebody_without_a_name_is_greeted_well(kind, renderer):
    rendered = renderer.render(nothing(kind, starting_source(kind).values))
    assert re.search(r"Dear friend,|Hello,", rendered.text)
    assert not re.search(r"Hello  |Hello ,|, *,", rendered.text)


def test_lines_of_text_do_not_end_in_holes(renderer, fields):
    assert "\n\n\n" not in renderer.render(fields).text


@pytest.mark.parametrize(
    "kind, words", [("festive", "Still on your wishlist"), ("offer", "Four things from your wishlist")]
)
def test_the_wishlist_is_in_the_mail(kind, words):
    source = starting_source(kind)
    rendered = Renderer(compile_source(source)).render(everything(source.values))
    assert words in rendered.html
    assert "Brass lamp, three wicks" in rendered.html
    assert "Brass lamp, three wicks" in rendered.text


@pytest.mark.parametrize("kind", ["festive", "launch"])
def test_what_they_often_buy_is_in_the_mail(kind):
    source = starting_source(kind)
    rendered = Renderer(compile_source(source)).render(everything(source.values))
    assert "spices, fruit and snacks" in rendered.html
    assert "spices, fruit and snacks" in rendered.text


def test_the_last_thing_bought_is_in_the_reminder():
    source = starting_source("service")
    rendered = Renderer(compile_source(source)).render(everything(source.values))
    assert "Neer 7 litre water purifier" in rendered.html
    assert rendered.subject == "A service for your Neer 7 litre water purifier"


def test_dark_and_light_are_both_drawn(renderer, kind):
    html = renderer.render(everything(starting_source(kind).values)).html
    assert "prefers-color-scheme: dark" in html
    assert '<meta name="color-scheme" content="light dark">' in html


def test_the_whole_way_to_bytes(renderer, fields):
    """Checks 28 and 36 on a real mail."""
    rendered = renderer.render(fields)
    content = build(
        sender=Sender("Anaar Home", "hello@mail.example.com", "mail.example.com"),
        recipient="priya@example.com",
        subject=rendered.subject,
        html=rendered.html,
        text=rendered.text,
        date=datetime.now(UTC),
        attempt_id=uuid4(),
        marketing=Marketing(1, "festive", "festivals and seasons", fields["links"]["unsubscribe"]),
    )
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.isascii()
