"""Values as people read them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mailer.consent.policy import Refusal
from mailer.models.deliveries import STATES as DELIVERY_STATES
from mailer.web import words
from mailer.web.reasons import REASONS, STATES, reason

KOLKATA = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 11, 3, 4, 50, tzinfo=UTC)


@pytest.mark.parametrize(
    "value,shown",
    [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (12940, "12,940"),
        (486200, "4,86,200"),
        (12345678, "1,23,45,678"),
        (-5000, "−5,000"),
    ],
)
def test_numbers_are_grouped_as_in_india(value, shown):
    assert words.number(value) == shown


@pytest.mark.parametrize("paise,shown", [(48620000, "₹4,86,200"), (99950, "₹999.50"), (-100, "−₹1"), (5, "₹0.05")])
def test_money_shows_paise_only_where_there_are_some(paise, shown):
    assert words.rupees(paise) == shown


def test_an_address_breaks_behind_its_at_and_before_its_dots_and_says_nothing_else():
    assert words.breakable("a.b@example.com") == "a<wbr>.b@<wbr>example<wbr>.com"
    assert words.breakable("<b>@example.com\u202e") == "&lt;b&gt;@<wbr>example<wbr>.com⟨U+202E⟩"


def test_one_person_is_not_people():
    assert (words.people(1), words.people(3404)) == ("1 person", "3,404 people")


@pytest.mark.parametrize(
    "part,whole,shown",
    [
        (5812, 9480, "61.3%"),
        (3, 9480, "under 0.1%"),
        (9479, 9480, "over 99.9%"),
        (0, 10, "0%"),
        (10, 10, "100%"),
        (1, 0, "–"),
    ],
)
def test_a_share_never_hides_that_somebody_is_left(part, whole, shown):
    assert words.share(part, whole) == shown


@pytest.mark.parametrize(
    "moment,shown",
    [
        (datetime(2026, 11, 3, 4, 44, tzinfo=UTC), "10:14"),
        (datetime(2026, 11, 2, 11, 10, tzinfo=UTC), "yesterday, 16:40"),
        (datetime(2026, 11, 5, 4, 30, tzinfo=UTC), "Thu 5 Nov, 10:00"),
        (datetime(2025, 3, 2, 12, 50, tzinfo=UTC), "2 Mar 2025, 18:20"),
        # 23:59 in Kolkata on the 2nd is still the 2nd, though UTC says so too only by chance
        (datetime(2026, 11, 2, 18, 29, tzinfo=UTC), "yesterday, 23:59"),
        (datetime(2026, 11, 2, 18, 31, tzinfo=UTC), "00:01"),
    ],
)
def test_times_are_the_shops_and_say_no_more_than_needed(moment, shown):
    assert words.when(moment, NOW, KOLKATA) == shown


@pytest.mark.parametrize(
    "seconds,shown",
    [(20, "less than a minute"), (61, "about 2 minutes"), (660, "about 11 minutes"), (7300, "about 3 hours")],
)
def test_an_estimate_is_rounded_up(seconds, shown):
    assert words.duration(seconds) == shown


def test_characters_that_turn_the_text_around_are_shown():
    assert words.visible("a\u202eb\x00") == "a⟨U+202E⟩b⟨U+0000⟩"
    assert words.visible("Ünïcode हिन्दी") == "Ünïcode हिन्दी"


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_refusal_has_words(refusal):
    assert refusal.value in REASONS


@pytest.mark.parametrize("state", DELIVERY_STATES)
def test_every_state_of_a_delivery_has_words(state):
    assert state in STATES


def test_a_reason_without_words_is_shown_as_it_is():
    assert reason("moon_phase").few == "Moon phase"
