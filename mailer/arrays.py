"""PURE: many values as one parameter, in the words in which PostgreSQL reads an array.

The driver makes an array value by value, which costs more than what the database does with it. The statement says of
what kind it is: `CAST(:ids AS uuid[])`. A test holds the database to reading just what was put in.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID


def uuids(values: Iterable[UUID]) -> str:
    """Return a `uuid[]`."""
    return "{" + ",".join([f"{value.int:032x}" for value in values]) + "}"


def numbers(values: Iterable[float | None]) -> str:
    """Return a `bigint[]`, an `int[]` or a `float8[]`."""
    return "{" + ",".join(["NULL" if value is None else repr(value) for value in values]) + "}"


def blobs(values: Iterable[bytes | None]) -> str:
    """Return a `bytea[]`."""
    return "{" + ",".join(["NULL" if value is None else rf'"\\x{value.hex()}"' for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Return a `text[]`. Quoted, so that nothing in a text ends it or is another word for NULL."""
    return "{" + ",".join(["NULL" if value is None else f'"{_escaped(value)}"' for value in values]) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
