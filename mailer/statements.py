"""Statements of the hot loop, said to the driver itself.

What SQLAlchemy does around a statement costs more than the statement where one batch has a dozen of them. Session,
transaction and errors stay SQLAlchemy's: only the way of one statement to the driver and back is shorter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)\b")


class Statement:
    """SQL with `:names`, as everywhere else. Says what it is with `str`."""

    __slots__ = ("driven", "words")

    def __init__(self, words: str) -> None:
        self.words = words
        self.driven = _PARAMETER.sub(r"%(\1)s", words.replace("%", "%%"))

    def __str__(self) -> str:
        return self.words


def run(session: Session, statement: Statement, values: Mapping[str, Any]) -> psycopg.Cursor[TupleRow]:
    """Run `statement` in the transaction of `session`; return its rows, and how many, in the driver's own cursor.

    The kinds of parameters are up to the statement: the driver tells none but those of numbers and UUIDs. Raises
    what SQLAlchemy would.
    """
    connection = session.connection()
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("this needs psycopg")
    try:
        return raw.execute(statement.driven, values, prepare=True)
    except psycopg.Error as error:
        gone = raw.closed or raw.broken
        if gone:
            connection.invalidate(error)
        raise DBAPIError.instance(
            statement.words,
            None,
            error,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=gone,
            dialect=connection.dialect,
        ) from error
