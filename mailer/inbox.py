"""The format of the local inbox: one folder, two files a message. Written by the sink, read by the inbox page.

`NAME.eml` is the message byte for byte, `NAME.json` beside it the envelope: sender, recipients, when it was begun
(at MAIL FROM) and received, both by this machine's clock as seconds since 1970. A message exists once its `.eml`
does. Names sort by the time of arrival. Nothing is ever sent on from here.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = re.compile(r"[0-9]{20}-[0-9]{7}-[0-9]{6}\Z")
_count = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a stored message without opening it."""

    name: str
    sender: str
    recipients: tuple[str, ...]
    begun_at: float
    received_at: float
    size: int


def write_message(
    folder: Path, content: bytes, *, sender: str, recipients: Sequence[str], begun_at: float, received_at: float
) -> Entry:
    """Store one message; when this returns both files are whole and the message is on the disk."""
    name = f"{time.time_ns():020d}-{os.getpid() % 10**7:07d}-{next(_count) % 10**6:06d}"
    entry = Entry(name, sender, tuple(recipients), begun_at, received_at, len(content))
    _write(folder, f"{name}.json", json.dumps(asdict(entry)).encode(), durable=False)
    _write(folder, f"{name}.eml", content, durable=True)
    return entry


def list_messages(folder: Path, limit: int = 100) -> list[Entry]:
    """Return the newest `limit` messages, newest first; a folder that isn't there yet is empty."""
    try:
        names = sorted((file.name[:-4] for file in os.scandir(folder) if file.name.endswith(".eml")), reverse=True)
    except FileNotFoundError:
        return []
    return [read_entry(folder, name) for name in names[:limit]]


def count_messages(folder: Path) -> int:
    """Return how many messages there are."""
    try:
        return sum(file.name.endswith(".eml") for file in os.scandir(folder))
    except FileNotFoundError:
        return 0


def read_entry(folder: Path, name: str) -> Entry:
    """Return the envelope of message `name`, or raise KeyError if there is none."""
    fields = json.loads(_read(folder, name, ".json"))
    return Entry(**{**fields, "recipients": tuple(fields["recipients"])})


def read_message(folder: Path, name: str) -> bytes:
    """Return the bytes of message `name` as they came in, or raise KeyError if there is none."""
    return _read(folder, name, ".eml")


def clear(folder: Path) -> None:
    """Remove every message."""
    for file in folder.glob("*.*") if folder.is_dir() else ():
        file.unlink(missing_ok=True)


def _read(folder: Path, name: str, suffix: str) -> bytes:
    if not NAME.match(name):  # it comes from an address bar
        raise KeyError(name)
    try:
        return (folder / (name + suffix)).read_bytes()
    except FileNotFoundError:
        raise KeyError(name) from None


def _write(folder: Path, name: str, content: bytes, *, durable: bool) -> None:
    half = folder / f".{name}.half"
    with half.open("wb") as output:
        output.write(content)
        if durable:
            output.flush()
            os.fsync(output.fileno())
    half.rename(folder / name)
