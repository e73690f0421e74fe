"""Processes that take one step at a time: real code in a thread that stops after each statement and before each check.

Only one runs at any moment, so an order of steps is an order of events, and the same order is the same run.
"""

from __future__ import annotations

import threading

from sqlalchemy.orm import Session

STEP_SECONDS = 120


class Killed(BaseException):
    """The process is gone: nothing it would have done next is done, its transaction rolls back."""


class Puppet(threading.Thread):
    """Runs `work` as far as it is told. `trouble` is the exception it ended with, if any."""

    def __init__(self, work) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._go, self._reached = threading.Semaphore(0), threading.Semaphore(0)
        self._killed = False
        self.done = False
        self.trouble: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.pause()
            self._work()
        except Killed:
            pass
        except Exception as trouble:  # noqa: BLE001  (whoever steps it looks at what it was)
            self.trouble = trouble
        finally:
            self.done = True
            self._reached.release()

    def pause(self) -> None:
        """Wait for the next step; called by the code that runs inside."""
        self._reached.release()
        self._go.acquire()
        if self._killed:
            raise Killed

    def step(self, steps: int = 1) -> None:
        """Let it take so many steps, or all that are left."""
        for _ in range(steps):
            if self.done:
                return
            assert self._reached.acquire(timeout=STEP_SECONDS), "a process stands still"
            if self.done:
                return
            self._go.release()
        assert self._reached.acquire(timeout=STEP_SECONDS), "a process stands still"
        self._reached.release()

    def finish(self) -> None:
        """Let it run to its end."""
        while not self.done:
            self.step()

    def kill(self) -> None:
        """End it where it stands."""
        self._killed = True
        self.finish()


def pause() -> None:
    """A point at which the process that runs may be stopped or die."""
    puppet = threading.current_thread()
    if isinstance(puppet, Puppet):
        puppet.pause()


class SteppedSession(Session):
    """A session that stops after each statement; outside a puppet it is an ordinary one."""

    def execute(self, *arguments, **options):
        result = super().execute(*arguments, **options)
        pause()
        return result


def stepped(run):
    """Such a session stops after what goes to the driver by `run`, too."""

    def run_and_stop(session, *arguments):
        result = run(session, *arguments)
        if isinstance(session, SteppedSession):
            pause()
        return result

    return run_and_stop


class Clock:
    """Time as the machine lets it pass; a sleeper wakes when somebody lets it, and then it is late enough."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        pause()
        self.now = max(self.now, until)
