"""What must be true before anything is sent. Each check raises an error that says what to do."""

from __future__ import annotations

import structlog
from sqlalchemy import Engine, text

from config.keys import Keys
from config.settings import Settings
from mailer import restore
from mailer.db import IDLE_IN_TRANSACTION, SessionFactory
from mailer.delivery import WINDOW_SECONDS
from mailer.optout import PATIENCE
from mailer.providers.base import HAND_OVER_SECONDS
from mailer.restore import Folders
from workers.engines.places import EngineProblem

log = structlog.get_logger(__name__)

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


def check_deadlines() -> None:
    """Refuse time-outs under which an opt-out could be overtaken (docs/sending.md, "Deadlines")."""
    if WINDOW_SECONDS >= PATIENCE:
        raise EngineProblem("W must be shorter than the time that an opt-out waits.")
    if WINDOW_SECONDS + HAND_OVER_SECONDS >= IDLE_IN_TRANSACTION:
        raise EngineProblem("W + D must be shorter than idle_in_transaction_session_timeout.")


def folders(settings: Settings) -> Folders:
    """Return where this installation keeps what it knows of its database."""
    return Folders(settings.data, settings.journal_copy)


def check_restored(sessions: SessionFactory, where: Folders, *, keeps: bool = False) -> bool:
    """Whether this is the database that ran here last, as far on as it was; else everything is on HOLD now.

    `keeps`: this process writes the folders' records (`mailer.restore.check`).
    """
    with sessions() as session, session.begin():
        why = restore.check(session, where, keeps=keeps)
    if why is not None:
        log.error("restored_database", why=why)
    return why is None


def may_hand_over(sessions: SessionFactory, where: Folders) -> bool:
    """Whether a worker may begin: no doubt, and somebody knows that there is none. Else it waits for a clock."""
    if not check_restored(sessions, where):
        return False
    with sessions() as session:
        known = restore.vouched(session, where)
    if not known:
        log.warning(
            "nobody_knows_this_database", why="It may be an old copy, and no clock has looked: nothing is sent."
        )
    return known


def check_root_key(engine: Engine, keys: Keys) -> None:
    """Remember the root key's fingerprint; one that doesn't match puts everything on HOLD.

    A wrong key would make every suppression invisible, so nothing is sent until a person has looked.
    """
    with engine.begin() as connection:
        known = connection.scalar(
            text("""UPDATE installation SET root_key_fingerprint = coalesce(root_key_fingerprint, :mine)
                     WHERE id = 1 RETURNING root_key_fingerprint"""),
            {"mine": keys.fingerprint()},
        )
        if known != keys.fingerprint():
            connection.execute(
                text("""UPDATE installation SET hold = true, hold_since = clock_timestamp(), hold_reason = :why
                         WHERE id = 1 AND NOT hold"""),
                {"why": "The root key is not the one this database was made with: suppressions can't be read."},
            )
