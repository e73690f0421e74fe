from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.rules import (
    DEPTH,
    EVERYBODY,
    SIZE,
    AgeBand,
    And,
    Bought,
    LivesIn,
    Not,
    RuleProblems,
    SpentTotal,
    mentions_age,
    parse,
    to_json,
    walk,
)
from tests.rule_trees import RULES

GROCERY = {"type": "bought", "dimension": "category", "values": ["Grocery"], "within_days": 180}


def problems_of(document):
    with pytest.raises(RuleProblems) as raised:
        parse(document)
    return raised.value.problems


def test_a_rule_is_read_from_json():
    rule = parse({"type": "and", "rules": [GROCERY, {"type": "spent", "at_least": 5000}]})
    bought = Bought(dimension="category", values=("Grocery",), within_days=180)
    assert rule == And((bought, SpentTotal(at_least=5000)))


@given(rule=RULES)
def test_what_is_written_is_read_back_equal(rule):
    depth = max_depth(rule)
    if depth > DEPTH:
        assert any("nested too deep" in problem for problem in problems_of(to_json(rule)))
    else:
        assert parse(to_json(rule)) == rule


def max_depth(rule):
    below = rule.rules if hasattr(rule, "rules") else (rule.rule,) if isinstance(rule, Not) else ()
    return 1 + max((max_depth(r) for r in below), default=0)


def test_the_empty_rule_is_everybody_but_only_as_the_whole():
    assert parse({"type": "and", "rules": []}) == EVERYBODY
    nested = {"type": "and", "rules": [{"type": "and", "rules": []}]}
    assert problems_of(nested) == ["rules[0].rules must hold at least one rule"]
    assert problems_of({"type": "or", "rules": []}) == ["rules must hold at least one rule"]


def test_a_wrong_value_is_named_by_its_path():
    wrong = {"type": "and", "rules": [GROCERY, GROCERY, {**GROCERY, "within_days": 0}]}
    assert problems_of(wrong) == ["rules[2].within_days must be a whole number of 1 or more"]


@pytest.mark.parametrize("value", [0, -1, 1.5, "30", True, [], {}])
def test_days_are_whole_numbers_of_one_or_more(value):
    assert problems_of({**GROCERY, "within_days": value}) == ["within_days must be a whole number of 1 or more"]


def test_too_large_a_number_says_the_limit():
    said = problems_of({**GROCERY, "within_days": 10**12})
    assert said == ["within_days must be a whole number of 1 to 36500"]


def test_an_unknown_field_says_which_exist():
    said = problems_of({"type": "not", "rule": {**GROCERY, "whithin_days": 3}})
    assert said == [
        f"rule.whithin_days is not a field of 'bought'; these exist: {', '.join(f.name for f in fields(Bought))}"
    ]


def test_an_unknown_type_says_which_exist():
    (said,) = problems_of({"type": "and", "rules": [{"type": "boght"}]})
    assert said.startswith("rules[0].type 'boght' is unknown; these exist: and, or, not, bought, spent")


def test_every_problem_is_told_at_once():
    document = {"type": "or", "rules": [{"type": "bought", "dimension": "colour"}, {"type": "spent"}, 7]}
    assert problems_of(document) == [
        "rules[0].dimension must be one of category, brand, department, product, not 'colour'",
        "rules[0].values is missing",
        "rules[1]: needs at_least, at_most or both",
        "rules[2] must be an object with a type, not int",
    ]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "all",
        {},
        {"type": None},
        {"type": ["and"]},
        {"type": "and"},
        {"type": "and", "rules": "x"},
        {"type": "not"},
        {"type": "not", "rule": []},
        {"type": "lives_in"},
        {"type": "lives_in", "cities": [""]},
        {"type": "lives_in", "cities": ["Pune\x00"]},
        {"type": "lives_in", "cities": [["Pune"]]},
        {"type": "wishlist", "dimension": "brand", "values": []},
        {"type": "wishlist", "dimension": "brand", "values": ["x"] * 201},
        {"type": "wishlist", "dimension": "brand", "values": ["x" * 201]},
        {"type": "wishlist", "dimension": {}, "values": ["x"]},
        {"type": "spent", "at_least": 9, "at_most": 8},
        {"type": "last_order"},
        {"type": "last_order", "within_days": 30, "not_within_days": 30},
        {"type": "speaks", "locales": None},
    ],
)
def test_what_is_not_a_rule_is_refused_with_words(document):
    assert all(problem[0].islower() and len(problem) > 10 for problem in problems_of(document))


def test_nobody_under_18_can_be_asked_for():
    """check 119"""
    assert problems_of({"type": "age", "from_age": 13, "to_age": 17}) == [
        "from_age must be a whole number of 18 or more",
        "to_age must be a whole number of 18 or more",
    ]
    with pytest.raises(RuleProblems):
        AgeBand(from_age=17)


def test_an_age_is_noticed_wherever_it_stands():
    """check 119"""
    assert mentions_age(And((LivesIn(cities=("Pune",)), Not(And((AgeBand(from_age=18),))))))
    assert not mentions_age(LivesIn(cities=("Pune",)))


def test_rules_made_in_code_are_held_to_the_same_limits():
    for make in (
        lambda: Bought(dimension="colour", values=("red",)),
        lambda: Bought(dimension="brand", values=()),
        SpentTotal,
        lambda: SpentTotal(at_least=5, at_most=4),
    ):
        with pytest.raises(RuleProblems):
            make()


def test_a_segment_has_limits_of_depth_and_size():
    deep = GROCERY
    for _ in range(DEPTH):
        deep = {"type": "not", "rule": deep}
    assert problems_of(deep) == [f"{'.'.join(['rule'] * DEPTH)} is nested too deep: at most {DEPTH} levels"]
    wide = {"type": "and", "rules": [{"type": "or", "rules": [GROCERY] * SIZE}] * 2}
    assert problems_of(wide) == [f"at most {SIZE} rules can stand in one segment"]
    assert problems_of({"type": "and", "rules": [GROCERY] * (SIZE + 1)}) == [
        f"rules must be a list of at most {SIZE} rules"
    ]


def test_a_bottomless_document_is_refused_and_does_not_crash():
    bottomless = {"type": "not"}
    bottomless["rule"] = bottomless
    assert "nested too deep" in problems_of(bottomless)[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(
            st.sampled_from(("type", "rules", "rule", "values", "dimension", "at_least")) | st.text(max_size=3),
            below | st.sampled_from(("and", "or", "not", "bought", "spent", "age", "lives_in")),
            max_size=5,
        )
    ),
)


@given(document=JSON)
def test_any_json_is_a_rule_or_a_list_of_problems(document):
    try:
        rule = parse(document)
    except RuleProblems as refused:
        assert refused.problems  # noqa: PT017 - both ends are fine, a crash is not
    else:
        assert parse(to_json(rule)) == rule
        assert sum(1 for _ in walk(rule)) <= SIZE
