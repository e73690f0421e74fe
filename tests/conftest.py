"""Fixtures for everybody: real engines once a run, one database per test process, a clean one where tests commit.

`session` is rolled back after the test (its commits are savepoints). `committed` is a database of the test's own,
for races and processes with real commits. Nothing is started for tests that ask for no engine.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from config.keys import Keys
from config.settings import Settings
from mailer.db import create_engine_from, session_factory

ROOT = Path(__file__).parent.parent
ROOT_KEY = bytes(range(32))
RUN = "ASKFIRST_TEST_RUN"
START_SECONDS = 200
FAST_GROUND = Path("/dev/shm")
WANTED_BYTES = 4_000_000_000

# How long an example takes says how busy the machine is, and nothing about what is tested.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Name the run's folder once; the processes of xdist inherit the name."""
    if not hasattr(config, "workerinput") and RUN not in os.environ:
        os.environ[RUN] = f"{ground()}/askfirst-tests-{os.getpid()}-{secrets.token_hex(4)}"


LONGEST = (
    "e2e/test_admin_pages",
    "faults/test_demo",
    "faults/test_protocol_machine",
    "e2e/test_admin_story",
    "integration/test_up",
    "faults/test_rounds",
    "e2e/test_public_pages",
    "integration/test_bench",
    "integration/test_engines",
    "model/test_model",
    "e2e/test_sender_pages",
    "faults/test_races",
    "integration/test_workers",
    "integration/test_wheel",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: at the end no process waits for another's long one."""

    def place(item: pytest.Item) -> int:
        name = item.nodeid.removeprefix("tests/")
        return next((number for number, long in enumerate(LONGEST) if name.startswith(long)), len(LONGEST))

    items.sort(key=place)


def ground() -> Path:
    """Return a folder in memory where it is large enough: `fsync` stays on, and costs nothing there."""
    if os.access(FAST_GROUND, os.W_OK) and shutil.disk_usage(FAST_GROUND).free > WANTED_BYTES:
        return FAST_GROUND
    return Path(tempfile.gettempdir())


@dataclass(frozen=True)
class Engines:
    """The run's engines: addresses of the owner and the application's role with the database left open."""

    owner: str
    app: str
    valkey: str

    @contextmanager
    def database(self) -> Iterator[str]:
        """A freshly migrated database of its own, dropped afterwards; gives its name."""
        name = f"t_{os.getpid()}_{secrets.token_hex(4)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE askfirst_template STRATEGY file_copy")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        url = self.owner.format("postgres").replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)


class Committed:
    """A database in which commits are real. Call it for a session; `owner` may also break what the app may not."""

    def __init__(self, url: str, owner_url: str) -> None:
        self.url, self.owner_url = url, owner_url
        self.engine = create_engine_from(url, pool_size=30)
        self.owner = create_engine_from(owner_url)
        self.sessions: sessionmaker[Session] = session_factory(self.engine)

    def __call__(self) -> Session:
        return self.sessions()

    def close(self) -> None:
        self.engine.dispose()
        self.owner.dispose()


@pytest.fixture(scope="session")
def engines() -> Engines:
    """The engines of this run, started by whichever process asks first."""
    folder = Path(os.environ[RUN])
    controller = int(folder.name.split("-")[2])
    log = Path(tempfile.gettempdir()) / f"{folder.name}.log"
    with Path(f"{log}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "run.json").exists():
            start_keeper(folder, controller, log)
    return Engines(**json.loads((folder / "run.json").read_text()))


def start_keeper(folder: Path, controller: int, log: Path) -> None:
    with log.open("w") as output:
        keeper = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "engines_keeper.py"), str(folder), str(controller)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    until = time.monotonic() + START_SECONDS
    while not (folder / "run.json").exists():
        if keeper.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"The engines for the tests did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.05)
    keeper.returncode = 0  # it outlives this process on purpose, so nobody here waits for it


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        for left in Path(tempfile.gettempdir()).glob(f"askfirst-tests-{os.getpid()}-*.log*"):
            left.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def database(engines: Engines) -> Iterator[str]:
    """The name of this test process's own database."""
    with engines.database() as name:
        yield name


@pytest.fixture(scope="session")
def engine(engines: Engines, database: str) -> Iterator[Engine]:
    """An engine of the application's role, which owns no table, on this process's database."""
    engine = create_engine_from(engines.app.format(database))
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session whose commits are savepoints of a transaction that is rolled back after the test."""
    with engine.connect() as connection, connection.begin() as outer:
        with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            yield session
        outer.rollback()


@pytest.fixture
def committed(engines: Engines) -> Iterator[Committed]:
    """A database of the test's own, with real commits: for races, processes and crashes."""
    with engines.database() as name:
        committed = Committed(engines.app.format(name), engines.owner.format(name))
        yield committed
        committed.close()


@pytest.fixture
def valkey_url(engines: Engines) -> Iterator[str]:
    """The broker's address: a numbered database of this test process, emptied afterwards."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    url = f"{engines.valkey}?db={int(worker) % 16}"
    yield url
    with redis.Redis.from_url(url) as client:
        client.flushdb()


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys(ROOT_KEY)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a root key and a data folder of the test's own; no engine is started for them."""
    environ = {
        "ASKFIRST_ROOT_KEY": ROOT_KEY.hex(),
        "ASKFIRST_DATA": str(tmp_path / "data"),
        "PUBLIC_URL": "https://mail.example.com",
    }
    return Settings.from_env(environ)
