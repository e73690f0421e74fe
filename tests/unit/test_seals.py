"""Seals: the very HMAC-SHA256 that everybody else computes."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.seals import Seal


@given(st.binary(max_size=64), st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_a_seal_is_hmac_sha256_again_and_again(key, messages):
    seal = Seal(key)
    for message in messages:
        assert seal.digest(message) == hmac.digest(key, message, "sha256")


def test_the_test_case_of_the_standard():
    """RFC 4231 section 4.3."""
    found = Seal(b"Jefe").digest(b"what do ya want for nothing?")
    assert found.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_a_key_that_would_have_to_be_hashed_first_is_refused():
    with pytest.raises(ValueError, match="64"):
        Seal(bytes(65))
