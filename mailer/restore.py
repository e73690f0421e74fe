"""Is this the database that ran here last, and as far on as it was? If not, it starts in HOLD.

The database carries an identity and a number that rises each time a file in the data folder (`witness.json`) is told
where it stands. A restored backup is behind the file, a copy elsewhere runs in another cluster, and neither knows who
said no since. Hosts are not compared: a database may move. A clock whose folder knows nothing, of a database that some
folder was told about, doubts it too, unless another clock ticks there: a backup on a new machine looks like that.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from mailer import acts

FILE = "witness.json"
FIRST = 1
"""So often told, the folder may still be empty: a clock killed right then wrote the database first."""

_STANDING = text("""
    SELECT identity::text, witness, witness_nonce, accepted_witness, last_consent_event_id() AS consent
      FROM installation WHERE id = 1
""")
_HOLD = text("""
    UPDATE installation SET hold = true, hold_reason = :why, hold_since = coalesce(hold_since, clock_timestamp()),
           doubted_witness = :nonce
     WHERE id = 1 AND (NOT hold OR doubted_witness IS DISTINCT FROM :nonce) RETURNING id
""")
# Whether another clock ticks there. Once in doubt it stays so: the heartbeat may be our own by then.
_ALIVE = text("""
    SELECT (doubted_witness IS DISTINCT FROM :nonce)
           AND EXISTS (SELECT 1 FROM heartbeats WHERE part = 'clock' AND at > clock_timestamp() - interval '10 s')
      FROM installation WHERE id = 1
""")
_TELL = text("""
    UPDATE installation SET witness = witness + 1, witness_nonce = :nonce WHERE id = 1 RETURNING witness
""")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a database stands. `nonce` tells two apart that stand at the same number."""

    identity: str
    system: str | None
    witness: int
    nonce: str | None
    consent: int
    accepted: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """What the data folder knows: where the database stood, and how far the journal was written."""

    standing: Standing | None
    nonce: str
    """Names this very record: a person who releases the hold accepts it and no other."""
    position: tuple[int, int] = (0, 0)


def standing(session: Session) -> Standing:
    """Return where the database stands now."""
    row = session.execute(_STANDING).one()
    return Standing(row.identity, _system(session), row.witness, row.witness_nonce, row.consent, row.accepted_witness)


def read(data: Path) -> Witness | None:
    """Return what the data folder knows; None when it was never told anything."""
    try:
        raw = (data / FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        said = json.loads(raw)
        known = Standing(said["identity"], said["system"], said["witness"], said["nonce"], said["consent"])
        return Witness(known, said["nonce"], (int(said["position"][0]), int(said["position"][1])))
    except (ValueError, KeyError, TypeError, IndexError):
        return Witness(None, hashlib.sha256(raw).hexdigest())


def doubt(witness: Witness | None, now: Standing) -> str | None:
    """Return why this database is not the one that the data folder knows, or None. Pure; what is unclear is a doubt."""
    if witness is None:
        return None
    was = witness.standing
    if was is None:
        return f"{FILE} in the data folder can't be read, so nobody knows whether this database is an old copy."
    if was.identity != now.identity:
        return "This is another database than the one that ran here last."
    if was.system is not None and now.system is not None and was.system != now.system:
        return "This database was moved or restored: it runs in another cluster than the one that ran here last."
    return _behind(was, now)


def _behind(was: Standing, now: Standing) -> str | None:
    if was.consent > now.consent:
        return (
            "This looks like an old copy of the database. The last consent we know of is number"
            f" {was.consent}; this copy ends at {now.consent}."
        )
    if was.witness > now.witness or (was.witness == now.witness and was.nonce != now.nonce):
        return "This looks like an old copy of the database: it is behind what the data folder knows."
    return None


def check(session: Session, data: Path, *, keeps: bool = False) -> str | None:
    """Set HOLD if this database is in doubt, and return why. What a person has accepted is doubted no more.

    `keeps`: for whoever writes the folder's record, the clock; others may have a folder that was never told anything.
    The caller commits.
    """
    witness = read(data)
    if witness is None and not keeps:
        return None
    now = standing(session)
    why = doubt(witness, now)
    nonce = f"none at {now.nonce}" if witness is None else witness.nonce
    if witness is None and now.witness > FIRST and not session.scalar(_ALIVE, {"nonce": nonce}):
        why = (
            "The data folder knows nothing of this database, and another folder did: a backup on a new machine looks"
            " like this."
        )
    if why is None or nonce == now.accepted:
        return None
    if session.execute(_HOLD, {"why": why, "nonce": nonce}).first() is not None:
        acts.record(session, None, "hold_set", "installation", reason=why)
    return why


def tell(session: Session) -> Standing:
    """Let the number rise, and return where the database stands then. Commit before `write`: never the other way."""
    now = standing(session)  # first, so that the sequence it saw is on the disk when the commit is
    nonce = secrets.token_hex(16)
    told: int = session.execute(_TELL, {"nonce": nonce}).scalar_one()
    return Standing(now.identity, now.system, told, nonce, now.consent)


def write(data: Path, told: Standing, position: tuple[int, int]) -> None:
    """Let the data folder know, whole or not at all, readable by its owner only."""
    said: dict[str, Any] = {
        "identity": told.identity,
        "system": told.system,
        "witness": told.witness,
        "nonce": told.nonce,
        "consent": told.consent,
        "position": position,
    }
    half = data / f".{FILE}.{os.getpid()}"
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        json.dump(said, output)
        output.flush()
        os.fsync(output.fileno())
    half.rename(data / FILE)
    sync_folder(data)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _system(session: Session) -> str | None:
    # Some hosted servers keep it to themselves; identity and number do without.
    try:
        with session.begin_nested():
            return str(session.scalar(text("SELECT system_identifier FROM pg_control_system()")))
    except DBAPIError:
        return None
