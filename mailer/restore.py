"""Is this the database that ran here last, and as far on as it was? If not, it starts in HOLD.

The database carries an identity and a number that rises each time a file in the data folder (`witness.json`) is told
where it stands. A restored backup is behind the file, a copy elsewhere runs in another cluster, and neither knows who
said no since. Hosts are not compared: a database may move. A clock whose folder knows nothing, of a database that some
folder was told about, doubts it too, unless another clock ticks there: a backup on a new machine looks like that.

A folder that is put back together with its database agrees with it. Only a record kept elsewhere (`JOURNAL_COPY`) knows
better: whichever of the two knows more is believed. Who keeps no record, a worker, sends only where its own is the last
one told, or a clock has looked within seconds. A folder that can't be read is a doubt to whoever keeps its record, and
nothing to others: opt-outs are heard whatever becomes of a disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from mailer import acts

FILE = "witness.json"
_KINDS = {"identity": str, "system": str | None, "witness": int, "nonce": str, "consent": int}
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
           AND EXISTS (SELECT 1 FROM heartbeats WHERE part = 'clock' AND document @> '{"looked": true}'
                          AND at BETWEEN clock_timestamp() - interval '10 s' AND clock_timestamp())
      FROM installation WHERE id = 1
""")
_VOUCHED = text("""
    SELECT witness <= :first OR witness_nonce = ANY(CAST(:nonces AS text[]))
           OR EXISTS (SELECT 1 FROM heartbeats WHERE part = 'clock' AND document @> '{"looked": true}'
                         AND at BETWEEN clock_timestamp() - interval '10 s' AND clock_timestamp())
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
    copied: bool = False
    """Whether the second folder was told too. If that one knows nothing now, its disk isn't there."""
    trouble: str | None = None
    """Why the folder can't be read: what it knows is then unknown, for now or for good."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where records are kept: the data folder and, if there is one, a folder that no backup of the first holds."""

    data: Path
    copy: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Both, or the one there is."""
        return (self.data,) if self.copy is None else (self.data, self.copy)


def standing(session: Session) -> Standing:
    """Return where the database stands now."""
    row = session.execute(_STANDING).one()
    return Standing(row.identity, _system(session), row.witness, row.witness_nonce, row.consent, row.accepted_witness)


def read(folder: Path) -> Witness | None:
    """Return what a folder knows; None when it was never told anything. Raises OSError if it can't be read."""
    try:
        raw = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        said = json.loads(raw)
        known = Standing(said["identity"], said["system"], said["witness"], said["nonce"], said["consent"])
        position = (int(said["position"][0]), int(said["position"][1]))
        if all(isinstance(said[name], kind) for name, kind in _KINDS.items()):
            return Witness(known, said["nonce"], position, bool(said.get("copied")))
    except (ValueError, KeyError, TypeError, IndexError, OverflowError):
        pass
    return Witness(None, hashlib.sha256(raw).hexdigest())


def look(folder: Path) -> Witness | None:
    """Return what a folder knows, or why it can't be read: no rights, a stale mount, a broken disk."""
    try:
        return read(folder)
    except OSError as trouble:
        return Witness(None, "unreadable", trouble=trouble.strerror or type(trouble).__name__)


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


def check(session: Session, folders: Folders, *, keeps: bool = False) -> str | None:
    """Set HOLD if this database is in doubt, and return why. What a person has accepted is doubted no more.

    `keeps`: for whoever writes the folders' records, the clock; others may have a folder that was never told anything.
    The caller commits.
    """
    known = [look(folder) for folder in folders.all]
    heard = _heard(known)
    if not keeps and not any(heard):
        return None
    now = standing(session)
    nonce = " ".join(_name(one, now) for one in known)
    why = _first_doubt(heard, now)
    if why is None and keeps:
        why = _unreadable(known) or _missing(known) or _unknown(session, known, now, nonce)
    if why is None or nonce == now.accepted:
        return None
    if session.execute(_HOLD, {"why": why, "nonce": nonce}).first() is not None:
        acts.record(session, None, "hold_set", "installation", reason=why)
    return why


def vouched(session: Session, folders: Folders) -> bool:
    """Whether somebody knows that this is no old copy: our folders, told last of all, or a clock that looked just now.

    For whoever hands over and keeps no record. A database that no folder was ever told about needs nobody.
    """
    heard = _heard([look(folder) for folder in folders.all])
    nonces = [one.nonce for one in heard if one is not None] if all(heard) else []
    return bool(session.scalar(_VOUCHED, {"first": FIRST, "nonces": nonces}))


def _heard(known: Sequence[Witness | None]) -> list[Witness | None]:
    return [None if one is None or one.trouble is not None else one for one in known]


def _name(one: Witness | None, now: Standing) -> str:
    # A record that isn't there has no name: a person accepts that for where the database stands now, never for good.
    if one is None:
        return f"none at {now.nonce}"
    return one.nonce if one.trouble is None else f"{one.nonce} at {now.nonce}"


def _unreadable(known: Sequence[Witness | None]) -> str | None:
    places = ("the data folder", "the second folder for the journal (JOURNAL_COPY)")
    for place, one in zip(places, known, strict=False):
        if one is not None and one.trouble is not None:
            return f"{FILE} in {place} can't be read: {one.trouble}. Nobody knows whether this database is an old copy."
    return None


def _first_doubt(known: Sequence[Witness | None], now: Standing) -> str | None:
    doubts = (doubt(one, now) for one in known)
    return next((why for why in doubts if why is not None), None)


def _missing(known: Sequence[Witness | None]) -> str | None:
    if len(known) > 1 and known[0] is not None and known[0].copied and known[1] is None:
        return "The second folder for the journal knew this database and now knows nothing: is its disk there?"
    return None


def _unknown(session: Session, known: Sequence[Witness | None], now: Standing, nonce: str) -> str | None:
    if any(known) or now.witness <= FIRST or session.scalar(_ALIVE, {"nonce": nonce}):
        return None
    return (
        "The data folder knows nothing of this database, and another folder did: a backup on a new machine looks"
        " like this."
    )


def tell(session: Session) -> Standing:
    """Let the number rise, and return where the database stands then. Commit before `write`: never the other way."""
    now = standing(session)  # first, so that the sequence it saw is on the disk when the commit is
    nonce = secrets.token_hex(16)
    told: int = session.execute(_TELL, {"nonce": nonce}).scalar_one()
    return Standing(now.identity, now.system, told, nonce, now.consent)


def write(folder: Path, told: Standing, position: tuple[int, int], *, copied: bool = False) -> None:
    """Let a folder know, whole or not at all, readable by its owner only."""
    said: dict[str, Any] = {
        "identity": told.identity,
        "system": told.system,
        "witness": told.witness,
        "nonce": told.nonce,
        "consent": told.consent,
        "position": position,
        "copied": copied,
    }
    half = folder / f".{FILE}.{os.getpid()}"
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        json.dump(said, output)
        output.flush()
        os.fsync(output.fileno())
    half.rename(folder / FILE)
    sync_folder(folder)


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
