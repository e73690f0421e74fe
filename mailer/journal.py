"""Every no and every erasure, outside the database: written to files by the clock, brought back after a restore.

The files (`journal/2026-11-22.jsonl` in the data folder, and in `JOURNAL_COPY` if that is set) hold one JSON object
a line, with keyed hashes and our own numbers, no address and no name. They are written below the oldest transaction
that still runs: one that commits late is not missed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from mailer import restore
from mailer.db import SessionFactory
from mailer.restore import Folders

FOLDER = "journal"
AT_ONCE = 20_000

_HORIZON = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")
_NEW = text("""
    SELECT id, xact, kind, customer_id, ref_digest, address_hash, scope, reason, origin, origin_hash, at FROM journal
     WHERE (xact, id) > (:xact, :id) AND xact < :horizon ORDER BY xact, id LIMIT :limit
""")


def export(sessions: SessionFactory, folders: Folders) -> int | None:
    """Write what is new to the journal's files and tell the folders where the database stands; return how many.

    None: another process is writing, or the database is in doubt (and now on HOLD): nothing is written then. A folder
    that can't be written keeps the other from nothing; the error is raised at the end.
    """
    folders.data.mkdir(parents=True, exist_ok=True)
    with _alone(folders.data) as alone:
        if not alone:
            return None
        with sessions() as session, session.begin():
            if restore.check(session, folders, keeps=True) is not None:
                return None
        troubles: list[OSError] = []
        reached: dict[Path, tuple[int, tuple[int, int]]] = {}
        with sessions() as session, session.begin():
            for folder in folders.all:
                try:
                    reached[folder] = _catch_up(session, folder)
                except OSError as trouble:
                    troubles.append(trouble)
            if not reached:
                raise troubles[0]
            told = restore.tell(session)
        # The database first: killed here, the folders know less than the database, which is no doubt.
        troubles += _tell(folders, told, {folder: end for folder, (_, end) in reached.items()})
    if troubles:
        raise troubles[0]
    return max(count for count, _ in reached.values())


def _catch_up(session: Session, folder: Path) -> tuple[int, tuple[int, int]]:
    """Write what one folder lacks; return how many lines, and how far it got."""
    position = _begin_at(session, folder)
    rows = _new(session, position)
    _append(folder, rows)
    return len(rows), (rows[-1].xact, rows[-1].id) if rows else position


def _tell(folders: Folders, told: restore.Standing, ends: Mapping[Path, tuple[int, int]]) -> list[OSError]:
    troubles = []
    known = restore.look(folders.data)
    copied = folders.copy is not None and known is not None and known.copied
    for folder in (folder for folder in reversed(folders.all) if folder in ends):
        try:
            restore.write(folder, told, ends[folder], copied=copied)
            copied = copied or folder == folders.copy
        except OSError as trouble:
            troubles.append(trouble)
    return troubles


def _begin_at(session: Session, folder: Path) -> tuple[int, int]:
    witness = restore.read(folder)  # raises: nothing is written where nobody knows how far it was written
    if witness is None or restore.doubt(witness, restore.standing(session)) is not None:
        return (0, 0)  # accepted by a person: transactions count anew there, so all of it is written once more
    return witness.position


def _new(session: Session, position: tuple[int, int]) -> Sequence[Row[Any]]:
    horizon = session.scalar(_HORIZON)
    # In a later statement: whatever is below that has ended, and what of it committed is seen here.
    values = {"xact": position[0], "id": position[1], "horizon": horizon, "limit": AT_ONCE}
    return session.execute(_NEW, values).all()


def line_of(row: Row[Any]) -> str:
    """Return an entry as it stands in the file. The same entry is the same line, whenever it is written."""
    said = {
        "id": row.id,
        "kind": row.kind,
        "customer": row.customer_id,
        "ref": _hex(row.ref_digest),
        "address": _hex(row.address_hash),
        "scope": row.scope,
        "reason": row.reason,
        "origin": row.origin,
        "hash": _hex(row.origin_hash),
        "at": row.at.astimezone(UTC).isoformat(),
    }
    return json.dumps({name: value for name, value in said.items() if value is not None})


def _append(folder: Path, rows: Sequence[Row[Any]]) -> None:
    if not rows:
        return
    (folder / FOLDER).mkdir(mode=0o700, exist_ok=True)  # never its parent: a disk that isn't there is no folder
    file = folder / FOLDER / f"{datetime.now(UTC):%Y-%m-%d}.jsonl"
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as output:
        if output.seek(0, os.SEEK_END) > 0:
            output.seek(-1, os.SEEK_END)
            if output.read(1) != b"\n":
                output.write(b"\n")  # a line that was cut off by a crash stays alone
        output.write("".join(f"{line_of(row)}\n" for row in rows).encode())
        output.flush()
        os.fsync(output.fileno())
    restore.sync_folder(folder / FOLDER)


@contextmanager
def _alone(data: Path) -> Iterator[bool]:
    folder = data / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _hex(value: bytes | None) -> str | None:
    return bytes(value).hex() if value is not None else None
