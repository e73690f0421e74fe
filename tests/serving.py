"""A web application that really listens: gunicorn as `askfirst web` runs it, on a free port of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings

ROOT = Path(__file__).parent.parent
START_SECONDS = 120


@dataclass(frozen=True)
class Reply:
    """What came back, without any redirect followed."""

    status: int
    headers: dict[str, str]
    text: str


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def ask(url: str, data: bytes | None = None, method: str | None = None, **headers: str) -> Reply:
    """One bare request: no cookies, no redirects, nothing but what is given."""
    asked = urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310  (our own server)
    try:
        with urllib.request.build_opener(NoRedirect).open(asked, timeout=START_SECONDS) as answer:
            return Reply(answer.status, dict(answer.headers), answer.read().decode())
    except urllib.error.HTTPError as refused:
        with refused:
            return Reply(refused.code, dict(refused.headers), refused.read().decode())


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve with `settings` until the block ends; gives the address. The socket queues who comes too early."""
    program = [sys.executable, "-m", "workers.cli", "web", "--fd"]
    with socket.create_server(("127.0.0.1", 0)) as listening, tempfile.TemporaryFile() as log:
        fd, port = listening.fileno(), listening.getsockname()[1]
        environ = {**os.environ, **settings.environ()}
        process = subprocess.Popen(
            [*program, str(fd)], pass_fds=[fd], cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            found = ask(f"{url}/healthz")
            if found.status != 200:
                log.seek(0)
                raise AssertionError(f"{found.text}\n{log.read().decode()}")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=START_SECONDS)
