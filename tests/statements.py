"""Counts what is sent to the database: sets are asked for in sets, whatever their size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.pq import Trace
from sqlalchemy import event
from sqlalchemy.orm import Session


@contextmanager
def statements(session: Session) -> Iterator[list[str]]:
    """Gives a list of the statements that the session's engine sends meanwhile, savepoints aside."""
    sent: list[str] = []
    engine = session.get_bind().engine

    def listen(connection, cursor, statement, *rest):
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", listen)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", listen)


@contextmanager
def asked(session: Session) -> Iterator[list[str]]:
    """Gives a list, full at the end, of each time that the database was asked: of what went over the wire."""
    driver = session.connection().connection.driver_connection.pgconn
    times: list[str] = []
    with tempfile.TemporaryFile("w+") as said:
        driver.trace(said.fileno())
        driver.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            yield times
        finally:
            driver.untrace()
            said.seek(0)
            times += [line for line in said if line.split("\t")[::2][:2] in (["F", "Query"], ["F", "Execute"])]
