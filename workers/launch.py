"""Becomes another program that does not outlive whoever started it.

Run as a file (`python -I -S launch.py PARENT SIGNAL USER COMMAND...`), so it imports nothing but the standard
library. On Linux the kernel sends SIGNAL when the parent dies; elsewhere this process stays and watches.
USER is a uid to become first (the kernel forgets the wish when the user changes), or "-".
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
LOOK_EVERY = 0.2
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def main(arguments: list[str]) -> None:
    """Become the command in `arguments`, bound to the life of the parent."""
    parent, number, user, *command = arguments
    if sys.platform == "linux":
        become(user, load_prctl(), int(parent), int(number), command)
    else:
        watch(user, int(parent), int(number), command)


def load_prctl() -> Callable[..., int]:
    """Return libc's prctl. Loaded before the user changes, who may not be able to read this interpreter."""
    import ctypes

    prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    return prctl


def change_user(user: str) -> None:
    if user != "-":
        os.setgroups([])
        os.setgid(int(user))
        os.setuid(int(user))


def become(user: str, prctl: Callable[..., int], parent: int, number: int, command: list[str]) -> None:
    change_user(user)
    prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # it died before the wish was made
        sys.exit(1)
    os.execv(command[0], command)


def watch(user: str, parent: int, number: int, command: list[str]) -> None:
    """Run `command` as a child, pass signals on to it, and send it signal `number` when `parent` is gone."""
    child = os.fork()
    if child == 0:
        change_user(user)
        os.execv(command[0], command)
    for passed in PASSED_ON:
        signal.signal(passed, lambda got, _frame: send(child, got))
    told = False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
        if not told and os.getppid() != parent:
            send(child, number)
            told = True
        time.sleep(LOOK_EVERY)


def send(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


if __name__ == "__main__":
    main(sys.argv[1:])
