"""Links: checks 13 and 14, and the rules of tokens (one key a kind, one spelling, nothing personal inside)."""

import base64
import string
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.keys import Keys
from mailer.consent.links import LANGUAGES, LENGTH, PURPOSES, Kind, Links
from mailer.errors import UnknownPurpose

KEYS = Keys(bytes(range(32)))
LINKS = Links(KEYS, "https://shop.example.com/mail/")
NOW = datetime(2026, 11, 2, 13, 12, tzinfo=UTC)
REF = bytes(range(16))
DELIVERY = UUID("5f0c2a7e-6f6f-4c39-9d3a-0c8f1f9b2a11")
ALPHABET = string.ascii_letters + string.digits + "-_"


def token_of(url):
    return url.rpartition("/")[2]


TOKEN = token_of(LINKS.unsubscribe(REF, "offer", DELIVERY, issued_at=NOW, language="hi"))


def test_a_link_is_https_below_the_public_address_and_its_token_has_one_length():
    mail = LINKS.for_mail(REF, "offer", DELIVERY, issued_at=NOW)
    assert mail.unsubscribe.startswith("https://shop.example.com/mail/u/v1.01.")
    assert mail.preferences.startswith("https://shop.example.com/mail/p/v1.01.")
    assert mail.why.startswith("https://shop.example.com/mail/w/v1.01.")
    assert {len(token_of(url)) for url in (mail.unsubscribe, mail.preferences, mail.why)} == {LENGTH}


@given(
    ref=st.binary(min_size=16, max_size=16),
    delivery=st.none() | st.uuids().filter(lambda one: one.int != 0),
    purpose=st.none() | st.sampled_from(PURPOSES),
    language=st.none() | st.sampled_from(LANGUAGES),
    issued=st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2140, 1, 1), timezones=st.just(UTC)),
)
def test_what_goes_in_comes_out(ref, delivery, purpose, language, issued):
    url = LINKS.unsubscribe(ref, purpose, delivery, issued_at=issued, language=language)
    claim = LINKS.verify(token_of(url), Kind.UNSUBSCRIBE, NOW)
    assert claim is not None
    assert (claim.customer_ref, claim.delivery_id, claim.purpose, claim.language) == (ref, delivery, purpose, language)
    assert claim.issued_on == (issued and issued.replace(hour=0, minute=0, second=0, microsecond=0))
    assert len(token_of(url)) == LENGTH


def test_no_byte_of_a_token_can_be_changed():
    """Check 13."""
    for place, found in enumerate(TOKEN):
        for other in (chr(ord(found) ^ bit) for bit in (1, 2, 4, 8, 16, 32, 64)):
            assert LINKS.verify(TOKEN[:place] + other + TOKEN[place + 1 :], Kind.UNSUBSCRIBE, NOW) is None


def test_no_other_last_character_of_body_or_tag_verifies():
    """Base64 with slack bits has several spellings of the same bytes; a token has one."""
    head, _, tag = TOKEN.rpartition(".")
    spelled = [f"{head}.{tag[:-1]}{last}" for last in ALPHABET] + [f"{head[:-1]}{last}.{tag}" for last in ALPHABET]
    assert [one for one in spelled if LINKS.verify(one, Kind.UNSUBSCRIBE, NOW)] == [TOKEN, TOKEN]


@pytest.mark.parametrize(
    "other",
    [
        "",
        "v1",
        TOKEN[:-1],
        TOKEN + "A",
        TOKEN + "=",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN.replace("v1.", "v2."),
        TOKEN.replace("v1.01", "v1.1"),
        TOKEN.replace("v1.01", "v1.02"),
        TOKEN.replace("v1.01", "v1.٠١"),
        TOKEN.upper(),
        "é" * LENGTH,
        "\0" * LENGTH,
    ],
)
def test_what_we_did_not_write_is_refused(other):
    assert LINKS.verify(other, Kind.UNSUBSCRIBE, NOW) is None


@given(st.text(max_size=120))
def test_no_text_makes_verify_fail_otherwise_than_by_none(text):
    assert LINKS.verify(text, Kind.UNSUBSCRIBE, NOW) is None


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.UNSUBSCRIBE])
def test_a_link_of_one_kind_opens_no_other_door(kind):
    assert LINKS.verify(TOKEN, kind, NOW) is None


def test_another_installation_can_not_write_our_links():
    assert Links(Keys(bytes(32)), "https://shop.example.com").verify(TOKEN, Kind.UNSUBSCRIBE, NOW) is None


@pytest.mark.parametrize("days", [0, 60, 400, 4000])
def test_an_opt_out_link_never_expires(days):
    """Check 14: also after 400 days."""
    assert LINKS.verify(TOKEN, Kind.UNSUBSCRIBE, NOW + timedelta(days=days)) is not None


def test_an_opt_out_link_survives_rotation_of_the_key():
    """Check 14: the new key signs, the old one still verifies, and the two differ."""
    rotated = Links(KEYS, "https://shop.example.com", key_id=2)
    new = token_of(rotated.unsubscribe(REF, "offer", DELIVERY))
    assert new.startswith("v1.02.")
    assert rotated.verify(TOKEN, Kind.UNSUBSCRIBE, NOW + timedelta(days=400)) is not None
    assert rotated.verify(new, Kind.UNSUBSCRIBE, NOW) is not None
    assert rotated.verify(new.replace("v1.02.", "v1.01."), Kind.UNSUBSCRIBE, NOW) is None


@given(
    ref=st.binary(min_size=16, max_size=16),
    delivery=st.uuids(),
    purpose=st.sampled_from(PURPOSES),
    language=st.sampled_from(LANGUAGES),
    issued=st.datetimes(datetime(2000, 1, 1), datetime(2140, 1, 1), timezones=st.just(UTC)),
)
def test_the_links_of_a_batch_are_those_of_each_mail(ref, delivery, purpose, language, issued):
    batch = LINKS.of_batch(purpose, issued_at=issued, language=language)
    head = batch.head(ref, delivery)
    written = [batch.kind(kind)(head) for kind in (Kind.UNSUBSCRIBE, Kind.PREFERENCES, Kind.WHY)]
    mail = LINKS.for_mail(ref, purpose, delivery, issued_at=issued, language=language)
    assert written == [mail.unsubscribe, mail.preferences, mail.why]
    assert written[0] == LINKS.unsubscribe(ref, purpose, delivery, issued_at=issued, language=language)


@pytest.mark.parametrize("days, works", [(0, True), (30, True), (31, False), (400, False)])
def test_a_preferences_link_works_for_thirty_days(days, works):
    token = token_of(LINKS.preferences(REF, "offer", DELIVERY, issued_at=NOW))
    assert bool(LINKS.verify(token, Kind.PREFERENCES, NOW + timedelta(days=days))) is works


def test_a_preferences_link_got_from_an_old_opt_out_link_is_as_old_as_that():
    claim = LINKS.verify(TOKEN, Kind.UNSUBSCRIBE, NOW)
    derived = LINKS.also(claim, Kind.PREFERENCES)
    assert LINKS.verify(derived, Kind.PREFERENCES, NOW) is not None
    assert LINKS.verify(derived, Kind.PREFERENCES, NOW + timedelta(days=31)) is None


def test_a_preferences_link_without_a_day_does_not_work():
    claim = LINKS.verify(token_of(LINKS.unsubscribe(REF, "offer", DELIVERY)), Kind.UNSUBSCRIBE, NOW)
    assert LINKS.verify(LINKS.also(claim, Kind.PREFERENCES), Kind.PREFERENCES, NOW) is None


def test_a_token_holds_random_references_only():
    """Check 13: no address and no base64 of one; all that is in it is named here."""
    body = base64.urlsafe_b64decode(TOKEN.split(".")[2])
    day = (NOW - datetime(1970, 1, 1, tzinfo=UTC)).days
    assert body == REF + DELIVERY.bytes + bytes((3, 2)) + day.to_bytes(2, "big")


def test_a_purpose_that_links_do_not_know_is_refused_when_writing():
    with pytest.raises(UnknownPurpose):
        LINKS.unsubscribe(REF, "sweepstakes", DELIVERY)
    with pytest.raises(ValueError, match="16 bytes"):
        LINKS.unsubscribe(b"short", "offer", DELIVERY)
    with pytest.raises(UnknownPurpose):
        LINKS.of_batch("sweepstakes", issued_at=NOW)
    with pytest.raises(ValueError, match="16 bytes"):
        LINKS.of_batch("offer", issued_at=NOW).head(b"short", DELIVERY)
    with pytest.raises(ValueError, match="between 1 and 99"):
        Links(KEYS, "https://shop.example.com", key_id=100)
