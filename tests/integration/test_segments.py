from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from campaigns.describe import describe
from campaigns.facts import Moment, find, matches
from campaigns.rules import (
    EVERYBODY,
    LEAVES,
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
    parse,
)
from campaigns.segments import Span, count, facts_of, matching
from mailer import activity
from mailer.customers import new_ref
from mailer.models import Customer, Order, OrderLine, Product, WishlistItem
from tests.rule_trees import CITIES, LOCALES, PRODUCTS, RULES, STATES
from tests.statements import statements

NOW = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
TODAY = date(2026, 11, 1)
BIRTHS = (
    None,
    date(2008, 11, 1),  # 18 today
    date(2008, 11, 2),  # 18 tomorrow
    date(2015, 6, 1),
    date(1986, 11, 1),  # 40 today
    date(1985, 11, 2),  # still 40
    date(1985, 11, 1),  # 41 today
    date(1960, 2, 29),
)
DAYS_AGO = (0, 1, 29, 30, 31, 89, 90, 91, 399, 401)


@pytest.fixture
def people(session):
    """Seventy people who differ in everything a rule asks for; some never ordered, some only returned."""
    for ref, (department, category, brand) in PRODUCTS.items():
        session.add(
            Product(external_ref=ref, name=ref, department=department, category=category, brand=brand, price_paise=9900)
        )
    session.flush()
    products = dict(session.execute(text("SELECT external_ref, id FROM products")).all())
    ids = [add_person(session, number, products) for number in range(70)]
    activity.rebuild(session)
    return ids


def add_person(session, number, products):
    customer = Customer(
        ref=new_ref(),
        city=(None, *CITIES)[number % 4],
        state=(None, *STATES)[number % 3],
        locale=LOCALES[number % 3],
        birth_date=BIRTHS[number % len(BIRTHS)],
        declared_adult_at=NOW if number % 5 == 0 else None,
    )
    session.add(customer)
    session.flush()
    for order in range(number % 6):
        at = NOW - timedelta(days=DAYS_AGO[(number + 3 * order) % len(DAYS_AGO)])
        add_order(session, customer.id, order + 1, at, number, products)
    if number % 3:
        ref = list(products)[number % 4]
        gone = NOW if number % 5 == 1 else None
        session.add(WishlistItem(customer_id=customer.id, product_id=products[ref], added_at=NOW, removed_at=gone))
    session.flush()
    return customer.id


def add_order(session, customer_id, order, at, number, products):
    total = 0
    for line in range(1 + number % 2):
        quantity = (number + order + line) % 4 - (1 if number % 7 == 0 else 0)
        product = products[f"P{(number + order + 2 * line) % 4 + 1}"]
        amount = 3333 * quantity
        total += amount
        session.add(
            OrderLine(
                customer_id=customer_id,
                order_id=order,
                line=line,
                product_id=product,
                quantity=quantity,
                amount_paise=amount,
                placed_at=at,
            )
        )
    session.add(
        Order(customer_id=customer_id, id=order, external_ref=f"{customer_id}-{order}", placed_at=at, total_paise=total)
    )


def found(session, rule):
    return set(session.scalars(matching(rule, NOW)))


def test_one_person_and_a_million_are_judged_alike(session, people):
    """The twin of the rule: over random trees, SQL and the explanation agree about everybody."""
    facts = {person: facts_of(session, person) for person in people}
    sizes = []

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rule=RULES)
    def agree(rule):
        by_sql = found(session, rule)
        by_hand = {person for person, of in facts.items() if matches(rule, of, Moment(NOW))}
        assert by_sql == by_hand
        sizes.append(len(by_sql))

    agree()
    assert len(set(sizes)) > 10, "the trees must tell people apart, else agreement says nothing"


TELLING = (
    Bought(dimension="category", values=("Tea",)),
    Bought(dimension="department", values=("HOME",), within_days=30),
    Bought(dimension="brand", values=("Anaar", "Diya"), at_least_units=6),
    Bought(dimension="category", values=("Tea", "Lamps"), within_days=90, at_least_lines=2),
    Bought(dimension="product", values=("P2",), within_days=30),
    SpentTotal(at_least=100, at_most=500),
    OrdersCount(at_least=2, at_most=4),
    LastOrder(within_days=400, not_within_days=30),
    WishlistHolds(dimension="category", values=("Tea",)),
    WishlistHolds(dimension="product", values=("P3",)),
    LivesIn(cities=("Pune",), states=("Kerala",)),
    SpeaksLocale(locales=("hi",)),
    AgeBand(from_age=25, to_age=40),
)


@pytest.mark.parametrize("rule", TELLING, ids=describe)
def test_every_kind_of_condition_tells_these_people_apart(session, people, rule):
    assert {leaf.type for leaf in TELLING} == set(LEAVES)
    assert 0 < len(found(session, rule)) < len(people)


def test_chunks_add_up_to_the_whole(session, people):
    rule = Or((LivesIn(cities=("Pune",)), Bought(dimension="category", values=("Tea", "Lamps"), at_least_lines=2)))
    edges = [0, *sorted(people)[9::10]]
    chunks = [set(session.scalars(matching(rule, NOW, Span(a, b)))) for a, b in pairwise(edges)]
    assert set().union(*chunks) == found(session, rule)
    assert sum(map(len, chunks)) == len(found(session, rule))


def test_no_rule_that_mentions_an_age_finds_anybody_under_18_or_of_unknown_age(session, people):
    """check 119"""
    grown = AgeBand(from_age=18)
    children = {p for p in people if (of := facts_of(session, p)).birth_date and of.birth_date > date(2008, 11, 1)}
    unknown = {p for p in people if not (of := facts_of(session, p)).birth_date and not of.declared_adult}
    assert children
    assert unknown
    for rule in (Not(grown), Not(Or((AgeBand(from_age=18, to_age=30), AgeBand(from_age=31)))), grown):
        assert not found(session, rule) & (children | unknown)
    assert found(session, Not(grown)) == set()
    somewhere = And((LivesIn(cities=CITIES), Not(AgeBand(from_age=40))))
    assert not found(session, somewhere) & (children | unknown)


def test_who_never_ordered_is_among_those_who_did_not_order(session, people):
    never = {p for p in people if facts_of(session, p).orders == 0}
    assert never
    assert never <= found(session, LastOrder(not_within_days=90))
    assert never <= found(session, SpentTotal(at_most=100))
    assert not never & found(session, LastOrder(within_days=400))


def test_a_rule_is_one_statement_with_everything_bound(session, people):
    rule = parse(
        {
            "type": "and",
            "rules": [
                {"type": "lives_in", "cities": ["Pune'; DROP TABLE customers; --"]},
                {"type": "bought", "dimension": "product", "values": ["P1%"], "within_days": 30, "at_least_units": 2},
            ],
        }
    )
    with statements(session) as sent:
        assert count(session, rule, NOW) == 0
    assert len(sent) == 1
    assert "DROP" not in sent[0]
    assert "P1%" not in sent[0]


def test_everybody_is_everybody(session, people):
    assert found(session, EVERYBODY) == set(people)
    assert count(session, EVERYBODY) == len(people)


def test_the_facts_of_one_person_take_a_fixed_number_of_statements(session, people):
    with statements(session) as sent:
        facts_of(session, people[5])
    assert len(sent) == 6


def test_a_finding_names_the_facts(session, people):
    person = next(p for p in people if facts_of(session, p).orders == 2)
    rule = And((LivesIn(cities=CITIES), Not(SpentTotal(at_least=900000)), LastOrder(within_days=400)))
    finding = find(rule, facts_of(session, person), Moment(NOW))
    assert [below.holds for below in finding.below][1:] == [True, True]
    assert finding.below[0].because.startswith("lives in ")
    assert finding.below[1].below[0].because.startswith("spent ₹")
    assert finding.below[2].because.startswith("last ordered on ")
    assert finding.below[1].words == "did not spend ₹9,00,000 or more"


def test_facts_of_nobody_are_none(session):
    assert facts_of(session, 10**12) is None
