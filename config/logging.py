"""Structured logs in which a person shows only as a short keyed hash.

A line binds what it is about (`bind(delivery=..., campaign=...)`); addresses are hashed wherever they turn up,
in our own lines, in those of libraries and in tracebacks, because a log outlives the erasure of a person.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog

ADDRESS = re.compile(r"[^\s<>\"'(),:;\[\]{}=/?&]+@[^\s<>\"'(),:;\[\]{}/?&]*[^\s<>\"'(),:;\[\]{}/?&.!]")
TOKEN = re.compile(r"\bv1\.[0-9A-Za-z]{1,8}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")
LIBRARIES_AT_WARNING = ("alembic", "sqlalchemy", "dramatiq", "mail.log", "asyncio")


def hash_address(address: str, key: bytes = b"") -> str:
    """Return `h:` and 8 hexadecimal digits: enough to follow one person through a log, too few to name one."""
    return "h:" + hashlib.blake2b(address.strip().lower().encode(), key=key[:64], digest_size=4).hexdigest()


class Redactor:
    """A structlog processor after which no line holds an address or a signed link."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {name: self.clean(value) for name, value in event.items()}

    def clean(self, value: Any) -> Any:
        """Return `value` with every address hashed and every token cut, inside containers too."""
        if isinstance(value, str):
            return self._clean_text(value)
        if isinstance(value, dict):
            return {self.clean(name): self.clean(item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._clean_text(str(value))

    def _clean_text(self, text: str) -> str:
        if "v1." in text:
            text = TOKEN.sub("v1.[cut]", text)
        return ADDRESS.sub(lambda found: hash_address(found[0], self._key), text) if "@" in text else text


def configure(level: str = "info", *, key: bytes = b"", stream: TextIO | None = None, pretty: bool = False) -> None:
    """Send our lines and those of libraries to `stream` (standard error), one JSON object a line, or `pretty`.

    `key` (`Keys.derive("logs")`) makes the short hashes of this installation useless to anybody else.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last = structlog.dev.ConsoleRenderer(colors=False) if pretty else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(stream or sys.stderr)
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[drop, Redactor(key), last])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in LIBRARIES_AT_WARNING:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger for a module; nothing is set up by asking for it."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind(**about: object) -> AbstractContextManager[object]:
    """Bind what the lines inside the `with` block are about, in this thread or task only."""
    return structlog.contextvars.bound_contextvars(**about)
