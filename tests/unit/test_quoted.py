"""Piece by piece or whole: the same text, on short lines, none beginning with a dot."""

from __future__ import annotations

import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer import merge_fields
from mailer.quoted import encode, join, whole
from mailer.render import Renderer, compile_source
from mailer.starters import starting_kinds, starting_source

texts = st.text(alphabet=st.sampled_from("ab. =\n\r\t<&xनé…"), max_size=200) | st.text(max_size=120)


def decoded(body):
    return quopri.decodestring(body).decode()


def crlf(text):
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


@given(st.lists(texts.filter(lambda piece: "\r" not in piece), max_size=8))
def test_pieces_decode_to_their_text_on_lines_that_any_server_takes(pieces):
    """Check 28, RFC 2045 6.7: lines of at most 76; nothing for SMTP to stuff."""
    body = join([encode(piece) for piece in pieces if piece])
    assert decoded(body) == crlf("".join(pieces)) + "\r\n"
    assert body.endswith(b"\r\n")
    lines = body.split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not any(line.startswith(b".") for line in lines)
    assert body.isascii()


@given(texts)
def test_a_whole_text_decodes_to_itself(text):
    assert decoded(whole(text)) == crlf(text) + "\r\n"


@given(st.text(alphabet="ab. =", min_size=60, max_size=330), st.booleans())
def test_long_lines_are_broken_anywhere_but_before_a_dot(line, in_one):
    """Signed links are such lines, and have dots."""
    body = whole(line) if in_one else join([encode(line), encode(line)])
    assert decoded(body) == line * (1 if in_one else 2) + "\r\n"
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert b"\r\n." not in b"\r\n" + body


@pytest.mark.parametrize("kind", starting_kinds())
def test_the_fast_way_says_what_the_plain_way_says(kind):
    """The encoded mail is the rendered mail, byte for byte once decoded."""
    source = starting_source(kind)
    renderer = Renderer(compile_source(source))
    for person in (merge_fields.everything(source.values), merge_fields.nothing(kind, source.values)):
        plain, fast = renderer.render(person), renderer.encode(person)
        assert fast.subject == plain.subject
        assert decoded(fast.html) == crlf(plain.html) + "\r\n"
        assert decoded(fast.text) == crlf(plain.text) + "\r\n"
