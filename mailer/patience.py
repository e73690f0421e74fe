"""How long we wait for a database that says nothing at all.

A server that was stopped says so, and one that is slow ends a statement by itself when it is told to. A frozen one
(a stopped process, a disk that hangs) does neither, and its socket stays open: only our own clock tells. Whoever
asks under `within` gets an error in time and has lost that connection, because what it would still say is unknown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import Ready
from sqlalchemy import Engine, event

T = TypeVar("T")

LEAST_CONNECT_SECONDS = 2
"""What the client library takes for the least time to connect in."""

_until: ContextVar[float | None] = ContextVar("until", default=None)


class Silent(psycopg.OperationalError):
    """The database did not answer in the time that the caller had."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Wait no longer than this, all in all, for the database; a shorter wait around this one stays in force."""
    around, until = _until.get(), time.monotonic() + seconds
    token = _until.set(until if around is None else min(around, until))
    try:
        yield
    finally:
        _until.reset(token)


def hurry(seconds: float) -> None:
    """Shorten the wait that `within` gave, for the rest of it."""
    around, until = _until.get(), time.monotonic() + seconds
    if around is not None:
        _until.set(min(around, until))


class Connection(psycopg.Connection[Any]):
    """A connection that is given up when the time of its user is over."""

    def wait(self, gen: PQGen[T], *arguments: Any, **options: Any) -> T:
        """Wait for an answer as psycopg does, which looks up every tenth of a second."""
        until = _until.get()
        if until is None:
            return super().wait(gen, *arguments, **options)
        try:
            return super().wait(_bounded(gen, until), *arguments, **options)
        except Silent:
            self.close()
            raise


def install(engine: Engine) -> None:
    """Let `engine` connect with such connections."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, options: Any) -> Connection:
        until = _until.get()
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise Silent("no time left to connect to the database")
            options = {**options, "connect_timeout": max(LEAST_CONNECT_SECONDS, int(left))}
        return Connection.connect(*arguments, **options)


def _bounded(gen: PQGen[T], until: float) -> PQGen[T]:
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready == Ready.NONE and time.monotonic() >= until:
                raise Silent("no answer from the database in time")
            wanted = gen.send(ready)
    except StopIteration as done:
        answer: T = done.value
        return answer
