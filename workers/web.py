"""The web application under gunicorn: one process, threads enough that waiting opt-outs never block other people."""

from __future__ import annotations

import os
import signal
import sys
import threading
from functools import partial
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import TConn, ThreadWorker
from sqlalchemy.exc import DBAPIError

from config.keys import Keys
from config.logging import configure, get_logger
from config.settings import Settings
from mailer.db import create_engine_from, session_factory
from workers.launch import PR_SET_PDEATHSIG, load_prctl
from workers.startup import check_restored, folders

GRACEFUL_SECONDS = 1
"""For requests that run when we stop. An opt-out answers within 1.03 s, and its first commit is at once."""


MOST_FAREWELLS = 16
"""Connections at a time that get gunicorn's two seconds to hang up; the others are closed at once."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, whose one loop waits for nobody to hang up.

    As it comes it does: clients who keep a closed connection open would hold everybody else up, two seconds each.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._farewells = threading.BoundedSemaphore(MOST_FAREWELLS)

    def finish_request(self, conn: Any, fs: Any) -> None:
        conn.close = partial(self._close, conn)
        super().finish_request(conn, fs)

    def _close(self, conn: TConn, *, graceful: bool = False) -> None:
        if graceful and self._farewells.acquire(blocking=False):
            try:
                threading.Thread(target=self._say_farewell, args=(conn,), daemon=True).start()
            except RuntimeError:  # the machine has no thread to spare
                self._farewells.release()
            else:
                return
        TConn.close(conn)

    def _say_farewell(self, conn: TConn) -> None:
        try:
            TConn.close(conn, graceful=True)
        finally:
            self._farewells.release()


class Application(BaseApplication):  # type: ignore[misc]
    """gunicorn with our settings; it reads no configuration file and no environment of its own."""

    def __init__(self, settings: Settings, bind: str) -> None:
        self._settings = settings
        self._bind = bind
        super().__init__()

    def load_config(self) -> None:
        for name, value in options(self._settings, self._bind).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        import wsgi

        return wsgi.create_app(self._settings)


def options(settings: Settings, bind: str) -> dict[str, Any]:
    """Return gunicorn's options. No access log: paths hold signed links."""
    return {
        "bind": bind,
        "workers": 1,
        "worker_class": Worker,
        "threads": settings.web_threads,
        "graceful_timeout": GRACEFUL_SECONDS,
        "timeout": 60,
        "keepalive": 5,
        "loglevel": "warning",
        "forwarded_allow_ips": "",  # proxies are counted by the application (TRUSTED_PROXIES), not believed here
        "control_socket_disable": True,
        "post_fork": die_with_parent,
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108  (gunicorn makes its own)
    }


def die_with_parent(arbiter: Any, _worker: Any) -> None:
    """Bind gunicorn's worker to its arbiter as the arbiter is bound to the supervisor: a fork forgets the wish."""
    if sys.platform == "linux":
        load_prctl()(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != arbiter.pid:
            os._exit(1)


def look_at_database(settings: Settings) -> None:
    """Put a restored database on HOLD before anybody sees a page. One that can't be asked now is asked by the clock."""
    if settings.database_url is None:
        return
    engine = create_engine_from(settings.database_url, name="askfirst web", connect_args={"connect_timeout": 3})
    try:
        check_restored(session_factory(engine), folders(settings))
    except DBAPIError as trouble:
        get_logger(__name__).warning("database_not_looked_at", why=type(trouble.orig).__name__)
    finally:
        engine.dispose()


def serve(settings: Settings, bind: str) -> None:
    """Serve until SIGTERM."""
    if settings.root_key is not None:
        configure(settings.log_level, key=Keys(settings.root_key).derive("logs"))
    look_at_database(settings)
    Application(settings, bind).run()
