"""One installation is one data folder: its lock, its root key, and how to reach it while it runs.

`running.json` tells other commands (`askfirst audit verify`) where the running engines listen. It counts only while
the supervisor holds the lock, which the kernel takes away when it dies, however it dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from config.keys import ROOT_BYTES
from config.settings import Settings
from workers.engines import places, postgres
from workers.engines.places import EngineProblem

LOCK, RUNNING, ROOT_KEY = "supervisor.lock", "running.json", "root.key"


@contextmanager
def locked(data: Path) -> Iterator[Path]:
    """Hold the installation for this process: two supervisors on one data folder would fight over its database."""
    data = places.make_data(data)
    with (data / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise EngineProblem(
                f"askfirst already runs on {data} (process {holder}). Stop it, or set ASKFIRST_DATA to another folder."
            ) from None
        (data / RUNNING).unlink(missing_ok=True)  # of one that was killed
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield data
        finally:
            (data / RUNNING).unlink(missing_ok=True)


def is_locked(data: Path) -> bool:
    """Whether a supervisor holds this data folder right now."""
    try:
        lock = (data / LOCK).open("r")
    except FileNotFoundError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def root_key(settings: Settings) -> bytes:
    """Return the root key: ASKFIRST_ROOT_KEY, or `root.key` in the data folder, made once, readable by us only."""
    if settings.root_key is not None:
        return settings.root_key
    file = places.make_data(settings.data) / ROOT_KEY
    if not file.exists():
        half = file.with_name(f".{ROOT_KEY}.{os.getpid()}")
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
            output.write(secrets.token_hex(ROOT_BYTES) + "\n")
            output.flush()
            os.fsync(output.fileno())
        half.rename(file)
    return bytes.fromhex(file.read_text().strip())


def announce(data: Path, facts: dict[str, Any]) -> None:
    """Tell other commands how to reach what runs here. Readable by us only: the addresses hold passwords."""
    half = data / f".{RUNNING}"
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        json.dump(facts, output, indent=1)
    half.rename(data / RUNNING)


def running(data: Path) -> dict[str, Any] | None:
    """Return what the supervisor of this data folder announced, or None when none runs."""
    if not is_locked(data):
        return None
    try:
        facts: dict[str, Any] = json.loads((data / RUNNING).read_text())
    except FileNotFoundError:
        return None
    return facts


@contextmanager
def reachable(settings: Settings) -> Iterator[Settings]:
    """Give settings whose database answers: the one named, the running installation's, or one started meanwhile."""
    key = root_key(settings)
    facts = running(settings.data)
    if settings.database_url is not None:
        yield settings.replace(root_key=key)
    elif facts is not None:
        yield settings.replace(root_key=key, **{name: facts[name] for name in ADDRESSES if facts.get(name)})
    else:
        with ExitStack() as stack:
            yield settings.replace(root_key=key, **_database_meanwhile(settings.data, stack))


ADDRESSES = ("database_url", "database_owner_url", "redis_url", "smtp_url")


def _database_meanwhile(data: Path, stack: ExitStack) -> dict[str, str]:
    data = stack.enter_context(locked(data))
    server = postgres.prepare(data, places.socket_folder(data))
    stack.callback(places.remove_sockets, data)
    process = postgres.bring_up(server)
    stack.callback(postgres.finish, process, 5.0)
    return {"database_url": server.url(), "database_owner_url": server.url(postgres.OWNER)}
