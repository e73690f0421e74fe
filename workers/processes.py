"""Starting and stopping processes that never outlive us.

Each child gets a session of its own, so that Ctrl-C in a terminal reaches only the supervisor, which then stops
the parts in order. `launch.py` binds the child's life to ours.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")
LOG_LIMIT = 20_000_000
TAIL = 2_000


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    environ: Mapping[str, str] | None = None,
    user: int | None = None,
    on_orphaned: signal.Signals = signal.SIGKILL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` as `user` with `environ` added to ours, its output appended to `log`.

    It gets the signal `on_orphaned` when this process dies. On Linux "this process" means the calling thread:
    call it from one that lives as long as the child.
    """
    bound = [str(os.getpid()), str(int(on_orphaned)), "-" if user is None else str(user)]
    rotate(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), *bound, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )


def rotate(log: Path) -> None:
    """Keep one older log, so that a part that starts often doesn't fill the disk."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".1.log"))


def tail(log: Path) -> str:
    """Return the end of `log`, for an error that says why a part didn't start."""
    if not log.exists():
        return ""
    with log.open("rb") as output:
        output.seek(max(0, log.stat().st_size - TAIL))
        return output.read().decode(errors="replace").strip()


def stop(process: subprocess.Popen[bytes], first: signal.Signals | None, seconds: float, last: signal.Signals) -> bool:
    """Ask `process` with signal `first` (None: it was asked before); after `seconds` send `last`.

    True when asking was enough.
    """
    if first is not None and process.poll() is None:
        process.send_signal(first)
    try:
        process.wait(max(seconds, 0.05))
    except subprocess.TimeoutExpired:
        process.send_signal(last)
        _reap(process)
        return False
    finally:
        _kill_family(process)
    return True


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(0.5)
    except subprocess.TimeoutExpired:
        _kill_family(process)
        process.wait()


def _kill_family(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the child's session: a watcher's program, a web server's workers."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
