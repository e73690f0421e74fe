"""Random rule trees for property tests: small worlds, so that conditions often meet."""

from __future__ import annotations

from hypothesis import strategies as st

from campaigns.rules import (
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

CITIES = ("Pune", "Mumbai", "Kochi")
STATES = ("Maharashtra", "Kerala")
LOCALES = ("en-IN", "hi-IN", "mr-IN")
PRODUCTS = {  # the retailer's own number: (department, category, brand)
    "P1": ("GROCERY", "Snacks", "Anaar"),
    "P2": ("GROCERY", "Tea", "Anaar"),
    "P3": ("HOME", "Lamps", "Diya"),
    "P4": ("HOME", "Tea", None),
}
OF = {
    "department": ("GROCERY", "HOME"),
    "category": ("Snacks", "Tea", "Lamps"),
    "brand": ("Anaar", "Diya"),
    "product": tuple(PRODUCTS),
}


def some(values):
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(tuple)


def maybe(values):
    return st.none() | st.sampled_from(values)


def bounded(make, numbers):
    return (
        st.tuples(maybe(numbers), maybe(numbers))
        .filter(lambda pair: pair != (None, None))
        .map(lambda pair: make(*(sorted(pair) if None not in pair else pair)))
    )


def of_things(make):
    return st.sampled_from(sorted(OF)).flatmap(lambda dimension: make(dimension, OF[dimension]))


DAYS = (1, 30, 90, 400)
LEAVES = st.one_of(
    of_things(
        lambda dimension, values: st.builds(
            Bought,
            dimension=st.just(dimension),
            values=some(values),
            within_days=maybe(DAYS),
            at_least_lines=maybe((1, 2, 3)),
            at_least_units=maybe((1, 3, 6)),
        )
    ),
    of_things(lambda dimension, values: st.builds(WishlistHolds, dimension=st.just(dimension), values=some(values))),
    bounded(lambda low, high: SpentTotal(at_least=low, at_most=high), (1, 100, 500)),
    bounded(lambda low, high: OrdersCount(at_least=low, at_most=high), (1, 2, 4)),
    st.builds(LastOrder, within_days=st.sampled_from(DAYS)),
    st.builds(LastOrder, not_within_days=st.sampled_from(DAYS)),
    st.just(LastOrder(within_days=400, not_within_days=30)),
    st.builds(LivesIn, cities=some(CITIES)),
    st.builds(LivesIn, cities=some(CITIES), states=some(STATES)),
    st.builds(SpeaksLocale, locales=some((*LOCALES, "hi", "en"))),
    st.tuples(st.sampled_from((18, 25, 40)), maybe((40, 60))).map(lambda a: AgeBand(from_age=a[0], to_age=a[1])),
)
RULES = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=3).map(lambda rules: And(tuple(rules))),
        st.lists(below, min_size=1, max_size=3).map(lambda rules: Or(tuple(rules))),
        below.map(Not),
    ),
    max_leaves=6,
)
