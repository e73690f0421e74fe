"""What must be true before anything is sent. Each check raises an error that says what to do."""

from __future__ import annotations

from sqlalchemy import Engine, text

from workers.engines.places import EngineProblem

OLDEST_SERVER = 140000
PROMISED = {
    "fsync": "an intent that was committed must survive a power cut, or a mail could go twice",
    "synchronous_commit": "a commit must not return before it is on the disk, or an opt-out could be forgotten",
    "full_page_writes": "a torn page could lose part of the ledger",
}


def check_database(engine: Engine) -> None:
    """Refuse a database that may forget what it committed, or that is older than PostgreSQL 14."""
    with engine.connect() as connection:
        found = {name: str(connection.scalar(text(f"SHOW {name}"))) for name in PROMISED}
        version = int(str(connection.scalar(text("SHOW server_version_num"))))
        name = connection.scalar(text("SHOW server_version"))
    if version < OLDEST_SERVER:
        raise EngineProblem(f"PostgreSQL {name} is too old: askfirst needs 14 or later.")
    off = [f"{name} is off: {why}." for name, why in PROMISED.items() if found[name] == "off"]
    if off:
        raise EngineProblem("This database may forget what it committed. Turn on:\n  " + "\n  ".join(off))
