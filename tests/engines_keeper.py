"""Keeps one PostgreSQL and one Valkey for one run of pytest, however many processes it has.

Started by the first test process that needs an engine; ends, and removes everything, when the run is over, also
when pytest is killed. Usage: engines_keeper.py FOLDER PID
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from mailer.db import migrate
from workers.engines import places, postgres, valkey
from workers.processes import stop

TEMPLATE = "askfirst_template"


def keep(folder: Path, run: int) -> None:
    data = places.make_data(folder)
    sockets = places.socket_folder(data)
    database = postgres.prepare(data, sockets)
    broker = valkey.prepare(data, sockets)
    running = postgres.start(database), valkey.start(broker)
    try:
        postgres.wait_until_ready(database, running[0])
        valkey.wait_until_ready(broker, running[1])
        with database.connect() as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        migrate(database.url(postgres.OWNER, TEMPLATE), app_role=postgres.APP)
        tell(data, owner=database.url(postgres.OWNER, "{}"), app=database.url(postgres.APP, "{}"), valkey=broker.url)
        while is_alive(run):
            time.sleep(0.2)
    finally:
        stop(running[1], signal.SIGTERM, 0.5, signal.SIGKILL)
        postgres.finish(running[0], 0.5)
        places.remove_data(data)


def tell(data: Path, **urls: str) -> None:
    (data / "run.half").write_text(json.dumps(urls))
    (data / "run.half").replace(data / "run.json")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    keep(Path(sys.argv[1]), int(sys.argv[2]))
