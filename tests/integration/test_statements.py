"""The short way of a statement to the driver: the database reads what was put in, and errors stay what they were."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import ClientCursor
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from mailer import arrays, gate, intents, pick, profiles, records, statements
from mailer.db import create_engine_from
from mailer.statements import Statement

# Everything that a database in UTF-8 can keep: NUL and halves of characters it can't.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
KINDS = {
    "uuid[]": (arrays.uuids, st.uuids()),
    "bigint[]": (arrays.numbers, st.none() | st.integers(-(2**63), 2**63 - 1)),
    "float8[]": (arrays.numbers, st.none() | st.floats(allow_nan=False)),
    "bytea[]": (arrays.blobs, st.none() | st.binary()),
    "text[]": (arrays.texts, st.none() | WORDS | st.sampled_from(["NULL", "null", '"', "\\", ",", "{}", " ", "ñ,ü"])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_array_is_read_as_what_was_put_in(sends, kind):
    written, values = KINDS[kind]
    echo = Statement(f"SELECT CAST(:array AS {kind})")  # (our own words)
    with sends.sessions() as session:

        @given(st.lists(values))
        def comes_back(array):
            assert statements.run(session, echo, {"array": written(array)}).fetchall() == [(array,)]

        comes_back()


def test_what_the_database_can_not_keep_is_an_error_not_another_array(sends):
    with sends.sessions() as session, pytest.raises(DBAPIError):
        statements.run(session, Statement("SELECT CAST(:array AS text[])"), {"array": arrays.texts(["a\x00b"])})


def test_names_are_parameters_and_casts_and_percent_signs_are_not(sends):
    said = Statement("SELECT :one || '%' WHERE '12:30'::text LIKE '%:30' AND 5 % :two = 1")
    with sends.sessions() as session:
        assert statements.run(session, said, {"one": "a", "two": 2}).fetchall() == [("a%",)]


def test_an_error_is_the_one_sqlalchemy_would_raise_without_what_was_asked(sends):
    with sends.sessions() as session, pytest.raises(DBAPIError) as caught:
        statements.run(session, Statement("SELECT 1 / (:secret - 7)"), {"secret": 7})
    assert caught.value.orig.sqlstate == "22012"
    assert not caught.value.connection_invalidated
    assert "secret': 7" not in str(caught.value)


def test_a_connection_that_is_gone_is_used_no_more(sends):
    with sends.sessions() as session:
        mine = session.scalar(text("SELECT pg_backend_pid()"))
        sends.run("SELECT pg_terminate_backend(:pid)", pid=mine)
        with pytest.raises((OperationalError, InterfaceError)) as caught:
            statements.run(session, Statement("SELECT 1"), {})
        assert caught.value.connection_invalidated
        session.rollback()
        assert statements.run(session, Statement("SELECT pg_backend_pid()"), {}).fetchone() != (mine,)


def test_it_runs_in_the_transaction_of_its_session(sends):
    with sends.sessions() as session:
        statements.run(session, Statement("SELECT set_config('askfirst.seen', 'here', true)"), {})
        assert session.scalar(text("SELECT current_setting('askfirst.seen', true)")) == "here"
        session.rollback()
        assert session.scalar(text("SELECT current_setting('askfirst.seen', true)")) in {None, ""}


def connection_of(engine):
    with engine.connect() as connection:
        return connection.scalar(text("SELECT pg_backend_pid()"))


@pytest.fixture
def looking_up(committed):
    engine = create_engine_from(committed.url, look_ups=True)
    yield engine
    engine.dispose()


def test_a_connection_is_looked_at_before_it_is_used(sends, looking_up):
    """The one of the last step, too: what was intended must not end in doubt because a session was ended since."""
    lost = connection_of(looking_up)
    sends.run("SELECT pg_terminate_backend(:pid, 10000)", pid=lost)
    assert connection_of(looking_up) != lost


def test_the_facts_of_the_gate_are_read_in_the_order_in_which_they_are_named(looking_up):
    """They are told apart by their place: two of one kind that changed places would be believed."""
    with looking_up.connect() as connection:
        cursor = connection.exec_driver_sql(gate._FACTS.driven, {"campaign": 1, "ids": "{}"}).cursor
        assert tuple(column.name for column in cursor.description) == gate.Facts._fields


HOT = {
    "pick: onwards": pick._ONWARDS,
    "pick: next": pick._NEXT,
    "pick: come back": pick._COME_BACK,
    "people": profiles._statement(profiles.Wanted(), False),
    "people of a category": profiles._statement(profiles.Wanted(), True),
    "intent: pending": intents._STILL_PENDING,
    "intent: holders": intents._HOLDERS,
    "intent: release": intents._RELEASE,
    "intent": intents._INTEND,
    "gate": gate._FACTS,
    "settle": records._SETTLE,
    "settle: release": records._RELEASE,
}
BY_KEY = {
    "deliveries": r"\bid = |\bcustomer_id = |ROW\(campaign_id, customer_id\)",
    "customers": r"\bid = ",
    "addresses": r"\bcustomer_id = ",
    "consent_heads": r"\bcustomer_id = ",
    "consent_state": r"\bcustomer_id = ",
    "consent_events": r"\bcustomer_id = ",
    "campaign_addresses": r"\baddress_hash = ",
    "open_handovers": r"\bcustomer_id = ",
    "purchase_facets": r"\bcustomer_id = ",
    "wishlist_items": r"\bcustomer_id = ",
    "orders": r"\bcustomer_id = ",
    "order_lines": r"\bcustomer_id = ",
}


@pytest.mark.parametrize("name", HOT)
def test_who_is_in_hand_comes_first_though_the_plan_was_made_on_empty_tables(looking_up, name):
    """A plan is made once and kept: one that goes through a whole campaign, or all consents, takes longer than W."""
    with looking_up.connect() as connection:
        driver = connection.connection.driver_connection
        words = numbered(HOT[name].words)
        plan = ClientCursor(driver).execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {words}").fetchone()[0][0]["Plan"]
    large = [node for node in walked(plan) if node.get("Relation Name") in BY_KEY and "Scan" in node["Node Type"]]
    assert large
    for node in large:
        condition = node.get("Index Cond", "") + "".join(inner.get("Index Cond", "") for inner in node.get("Plans", ()))
        assert re.search(BY_KEY[node["Relation Name"]], condition), node


def numbered(words):
    names = list(dict.fromkeys(re.findall(r"(?<!:):([a-z_]+)\b", words)))
    return re.sub(r"(?<!:):([a-z_]+)\b", lambda found: f"${names.index(found[1]) + 1}", words)


def walked(node):
    yield node
    for inner in node.get("Plans", ()):
        yield from walked(inner)
