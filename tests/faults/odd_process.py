"""`askfirst` with a wrong clock, and with a bug where one is asked for: odd_process.py HOURS BUG COMMAND...

No process may rely on its own clock, so each one in the fault rounds has another time of day. The bug is planted
before anything runs, in this process alone.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import time_machine

from workers.cli import main

if __name__ == "__main__":
    hours, bug, *command = sys.argv[1:]
    time_machine.travel(time.time() + 3600 * float(hours), tick=True).start()
    if bug != "-":
        sys.path.insert(0, str(Path(__file__).parents[2]))
        planted = getattr(importlib.import_module("tests.faults.planted"), bug)()
        planted.__enter__()  # kept by its name until the process ends
    main(command, prog_name="askfirst")
