from __future__ import annotations

import pytest
from hypothesis import given

from campaigns.describe import describe
from campaigns.rules import (
    EVERYBODY,
    AgeBand,
    And,
    Bought,
    LastOrder,
    LivesIn,
    Not,
    Or,
    OrdersCount,
    SpeaksLocale,
    SpentTotal,
    WishlistHolds,
)
from tests.rule_trees import RULES

GROCERY = Bought(dimension="category", values=("Grocery",), within_days=180)
TEA = Bought(dimension="category", values=("Tea",))
DIYA = Bought(dimension="brand", values=("Diya", "Anaar"), at_least_lines=2)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (EVERYBODY, "everybody we know"),
        (GROCERY, "bought from Grocery in the last 180 days"),
        (Not(GROCERY), "did not buy from Grocery in the last 180 days"),
        (Not(Not(GROCERY)), "bought from Grocery in the last 180 days"),
        (DIYA, "bought Diya or Anaar at least 2 times"),
        (Bought(dimension="product", values=("P1",), within_days=1), "bought product P1 in the last day"),
        (
            And((GROCERY, SpentTotal(at_least=5000), Not(TEA))),
            "bought from Grocery in the last 180 days and spent ₹5,000 or more and did not buy from Tea",
        ),
        (
            And((LivesIn(cities=("Pune", "Mumbai", "Kochi")), Or((TEA, DIYA)))),
            "lives in Pune, Mumbai or Kochi and (bought from Tea or bought Diya or Anaar at least 2 times)",
        ),
        (Not(Or((TEA, LivesIn(states=("Kerala",))))), "did not buy from Tea and does not live in Kerala"),
        (SpentTotal(at_most=100000), "spent ₹1,00,000 or less"),
        (SpentTotal(at_least=1, at_most=500), "spent ₹1 to ₹500"),
        (OrdersCount(at_least=1), "placed 1 or more orders"),
        (OrdersCount(at_least=2), "placed 2 or more orders"),
        (OrdersCount(at_least=3, at_most=3), "placed 3 orders"),
        (Not(OrdersCount(at_least=2)), "did not place 2 or more orders"),
        (LastOrder(within_days=30), "ordered in the last 30 days"),
        (LastOrder(not_within_days=90), "did not order in the last 90 days"),
        (Not(LastOrder(not_within_days=90)), "ordered in the last 90 days"),
        (
            LastOrder(within_days=365, not_within_days=90),
            "ordered in the last 365 days but did not order in the last 90 days",
        ),
        (WishlistHolds(dimension="category", values=("Lamps",)), "has Lamps on the wishlist"),
        (SpeaksLocale(locales=("hi",)), "reads hi"),
        (AgeBand(from_age=25, to_age=40), "is 25 to 40"),
        (Not(AgeBand(from_age=60)), "is not 60 or older"),
    ],
)
def test_a_rule_is_said_in_words(rule, words):
    assert describe(rule) == words


def test_products_are_called_by_their_names():
    assert describe(Bought(dimension="product", values=("P1",)), {"P1": "Brass diya"}) == "bought Brass diya"


@given(rule=RULES)
def test_every_rule_has_words(rule):
    assert describe(rule)
    assert "None" not in describe(rule)
