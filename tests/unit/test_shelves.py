"""How a mail speaks of what people buy."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailer.shelves import _SHELVES, ANYTHING, in_a_row, shelf_of


@pytest.mark.parametrize(
    "words",
    [
        ["Cigarettes"], ["Beers/ales"], ["Domestic wine"], ["Analgesics"], ["Cold and flu"], ["Feminine hygiene"],
        ["Diapers & disposables"], ["Deodorants", "Health and household"], ["Baby foods"], ["Vitamins"], ["Spirits"],
        ["Family planning"], ["Diet cntrl liqs nutritional"], ["Oral hygiene products"],
        ["Tea", "Health and household"],
    ],
)  # fmt: skip
def test_what_is_nobodys_business_is_never_named(words):
    assert shelf_of(*words) is None


@pytest.mark.parametrize(
    "category, name",
    [
        ("Fluid milk products", "dairy"),
        ("Baked bread/buns/rolls", "bread"),
        ("Soft drinks", "drinks"),
        ("Bag snacks", "snacks"),
        ("Tropical fruit", "fruit"),
        ("Frzn vegetable/veg dsh", "vegetables"),
        ("Spices & extracts", "spices"),
        ("Coffee", "tea"),
        ("Laundry detergents", "cleaning things"),
        ("Soap - liquid & bar", "soaps"),
        ("Water purifiers", "cookware"),
    ],
)
def test_a_category_is_called_as_a_neighbour_would(category, name):
    found = shelf_of(category)
    assert found is not None
    assert found.name == name


def test_a_thing_on_no_shelf_may_be_shown_but_says_nothing():
    assert shelf_of("Postcards of hills") is ANYTHING


def test_every_shelf_has_its_drawings():
    for shelf in [ANYTHING, *(shelf for shelf, _ in _SHELVES)]:
        for ground in "tn":
            assert Path(f"templates/static/mail/{ground}-{shelf.drawing}.png").is_file(), shelf


@pytest.mark.parametrize(
    "names, words", [([], ""), (["fruit"], "fruit"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_in_a_row(names, words):
    assert in_a_row(names) == words
