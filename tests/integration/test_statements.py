"""The short way of a statement to the driver: the database reads what was put in, and errors stay what they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from mailer import arrays, db, statements
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


def end(sends, *backends):
    sends.run("SELECT pg_terminate_backend(pid) FROM unnest(CAST(:pids AS int[])) AS pid", pids=list(backends))


def test_a_connection_that_rested_is_looked_at_before_it_is_used(sends, looking_up, monkeypatch):
    monkeypatch.setattr(db, "TRUSTED_SECONDS", 0.0)
    lost = connection_of(looking_up)
    end(sends, lost)
    assert connection_of(looking_up) != lost


def test_where_a_connection_was_lost_the_others_are_looked_at_first(sends, looking_up):
    """An outcome may have to be recorded, at once and once more."""
    with looking_up.connect() as first, looking_up.connect() as second:
        lost = [connection.scalar(text("SELECT pg_backend_pid()")) for connection in (first, second)]
    assert connection_of(looking_up) in lost
    end(sends, *lost)
    with pytest.raises(OperationalError):
        connection_of(looking_up)
    assert connection_of(looking_up) not in lost
