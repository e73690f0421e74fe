"""What an address is, and when two are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.keys import Keys
from mailer.address import hash_address, mask, parse
from mailer.errors import BadAddress


@pytest.mark.parametrize(
    "one, other",
    [
        ("A@EXAMPLE.com", "a@example.COM"),
        (" asha@example.com ", "asha@example.com"),
        ("asha@bücher.example", "asha@xn--bcher-kva.example"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("asha@उदाहरण.भारत", "asha@xn--p1b6ci4b4b3a.xn--h2brj9c"),
    ],
)
def test_spellings_of_one_address_are_one(one, other):
    """Check 34: case, Unicode form and the form of the domain make no difference."""
    assert parse(one).canonical == parse(other).canonical


@pytest.mark.parametrize("one, other", [("a.b@gmail.com", "ab@gmail.com"), ("a+x@example.com", "a@example.com")])
def test_aliases_of_a_provider_are_different_addresses(one, other):
    """Check 35: merging them would be a guess."""
    assert parse(one).canonical != parse(other).canonical


@pytest.mark.parametrize(
    "written",
    [
        "",
        "asha",
        "asha@",
        "@example.com",
        "a b@example.com",
        "asha@example.com, ravi@example.com",
        "asha@exa mple.com",
        "asha@example.com\r\nBcc: x@example.com",
        "asha\u202e@example.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 250 + ".com",
        "asha@[127.0.0.1]",
    ],
)
def test_what_is_no_address_is_refused_and_says_what_one_looks_like(written):
    """Check 34: RFC 5321 4.5.3.1; check 29: nothing that could become another header."""
    with pytest.raises(BadAddress) as refused:
        parse(written)
    assert "address" in str(refused.value)


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(written):
    try:
        found = parse(written)
    except BadAddress:
        return
    assert found.domain.isascii()
    assert "\n" not in found.written


def test_the_hash_needs_the_root_key_and_forgets_nothing_by_rotation():
    """Check 110: a plain hash of an address can be guessed."""
    one, other = Keys(b"a" * 32), Keys(b"b" * 32)
    assert hash_address(one, "asha@example.com") != hash_address(other, "asha@example.com")
    assert hash_address(one, "asha@example.com", 1) != hash_address(one, "asha@example.com", 2)
    assert hash_address(one, "asha@example.com") == hash_address(Keys(b"a" * 32), "asha@example.com")


@pytest.mark.parametrize(
    "address, shown",
    [
        ("priya@example.com", "p•••a@example.com"),
        ("ab@example.com", "a•••@example.com"),
        ("x@example.com", "x•••@example.com"),
    ],
)
def test_a_masked_address_is_recognised_by_its_owner_only(address, shown):
    assert mask(address) == shown
