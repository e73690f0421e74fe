import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.keys import Keys

ROOT = bytes(range(32))


def test_the_same_root_gives_the_same_keys_for_ever():
    """Links in mails of years ago must verify: these bytes may never change."""
    assert Keys(ROOT).derive("unsubscribe").hex() == (
        "4adb75c418f7d34538e48995c6ad183c81fc646c2d6a648c50a3e4a2bddcbf42"
    )
    assert Keys(ROOT).fingerprint() == "8e36e04640881557"


@given(st.lists(st.tuples(st.text(min_size=1).filter(lambda t: "\0" not in t), st.integers(0, 99)), unique=True))
def test_keys_of_different_purposes_or_ids_differ(wanted):
    keys = Keys(ROOT)
    assert len({keys.derive(*one) for one in wanted}) == len(wanted)


def test_another_root_gives_other_keys_and_another_fingerprint():
    one, other = Keys(ROOT), Keys(ROOT[::-1])
    assert one.derive("x") != other.derive("x")
    assert one.fingerprint() != other.fingerprint()


def test_a_short_root_is_refused():
    with pytest.raises(ValueError, match="at least 32"):
        Keys(b"x" * 31)


@pytest.mark.parametrize(("purpose", "key_id"), [("", 1), ("a\0b", 1), ("a", -1)])
def test_a_purpose_that_could_mean_another_is_refused(purpose, key_id):
    with pytest.raises(ValueError, match="purpose"):
        Keys(ROOT).derive(purpose, key_id)


def test_a_root_shows_neither_in_repr_nor_in_a_pickle():
    keys = Keys(ROOT)
    assert ROOT.hex() not in repr(keys)
    assert repr(ROOT) not in repr(keys)
    with pytest.raises(TypeError):
        pickle.dumps(keys)
