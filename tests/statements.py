"""Counts what is sent to the database: sets are asked for in sets, whatever their size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
