"""A letter put together again is the very mail, for everybody (check 69)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.letters import KEPT, SHORTEST, Frame, Frames
from mailer.merge_fields import everything, longest, nothing
from mailer.providers import sendgrid_message
from mailer.render import Renderer, compile_source
from mailer.starters import starting_kinds, starting_source
from tests.integration.envelopes import envelope

ALWAYS = ["<p>" + "a" * SHORTEST + "</p>", "short", "<p>" + "b" * SHORTEST + "</p>"]


def together(letter):
    return tuple(sendgrid_message.filled(part, letter.values) for part in (letter.shared.text, letter.shared.html))


@pytest.mark.parametrize("kind", starting_kinds())
def test_the_mails_that_come_along_can_share_a_request(kind):
    """For somebody with everything and with nothing: the same bytes as rendered whole, within the limits."""
    source = starting_source(kind)
    renderer = Renderer(compile_source(source))
    for fields in (everything(source.values), nothing(kind, source.values)):
        whole = renderer.render(fields)
        encoded, letter = renderer.letter(fields)
        assert encoded.subject == whole.subject
        assert together(letter) == (whole.text, whole.html)
        assert sendgrid_message.fits(envelope(letter=letter))


@pytest.mark.parametrize("kind", starting_kinds())
def test_the_longest_of_everything_is_the_same_mail_too(kind):
    """It may be too long to share a request; then it goes alone, put together here."""
    source = starting_source(kind)
    renderer = Renderer(compile_source(source))
    fields = longest(kind, source.values)
    whole = renderer.render(fields)
    assert together(renderer.letter(fields)[1]) == (whole.text, whole.html)


def test_people_with_as_many_things_share_a_frame_whatever_the_things_are():
    source = starting_source("offer")
    renderer = Renderer(compile_source(source))
    fields = everything(source.values)
    other = fields | {"person": {"first_name": "Asha", "city": "Delhi"}}
    none = nothing("offer", source.values)
    one, two, three = (renderer.letter(one)[1] for one in (fields, other, none))
    assert one.shared is two.shared
    assert one.values != two.values
    assert one.shared is not three.shared


def test_frames_are_remembered_within_bounds():
    frames = Frames(ALWAYS)
    for count in range(KEPT + 10):
        assert together(frames.letter([ALWAYS[0]] * count, "text")) == ("text", ALWAYS[0] * count)
    assert len(frames._frames) == KEPT


@given(st.lists(st.sampled_from([*ALWAYS, "x", "", "-af", "\n"])), st.text())
def test_whatever_lies_between_is_kept(extra, text):
    """Nested pieces that look like fixed ones, empty ones, in any order around the fixed ones."""
    frame = Frame(ALWAYS)
    pieces = [*extra, ALWAYS[0], *extra, "short", ALWAYS[2], *extra]
    assert together(frame.letter(pieces, text)) == (text, "".join(pieces))


def test_a_mail_that_lacks_a_fixed_piece_is_no_letter():
    assert Frame(ALWAYS).letter([ALWAYS[0]], "text") is None


def test_data_that_looks_like_a_mark_is_never_put_in():
    """Somebody whose name is one of our marks would otherwise get another value in its place."""
    frame = Frame(ALWAYS)
    (mark, *_) = frame.letter(ALWAYS, "text").values
    assert frame.letter([ALWAYS[0], mark, ALWAYS[2]], "text") is None
    assert frame.letter(ALWAYS, mark) is None


def test_many_pieces_make_no_more_marks_than_are_allowed():
    pieces = [f"{number:03}" * (20 + number) for number in range(400)]
    letter = Frame(pieces).letter(pieces, "text")
    assert 100 < len(letter.values) <= sendgrid_message.MOST_SUBSTITUTIONS
    assert together(letter) == ("text", "".join(pieces))


def test_content_without_anything_fixed_is_one_value():
    assert together(Frame([]).letter(["a", "b"], "text")) == ("text", "ab")
