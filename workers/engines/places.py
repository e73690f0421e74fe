"""Where engines may live: folders that are ours, short enough for sockets, and enterable by who runs in them.

PostgreSQL refuses to run as root, so for root it runs as `nobody`, who can't enter root's home. We never open the
permissions of a folder that was there before us; what can't be entered is put where it can.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

NOBODY = 65534
SOCKET_PATH_LIMIT = 100
"""Bytes; the kernel takes 107 on Linux and 103 on macOS."""
FOREIGN_GROUND = Path("/var/lib/askfirst")
"""Where root's installations put what `nobody` must reach, if their own data folder can't be entered."""


class EngineProblem(Exception):
    """An engine can't be started. The message says what to do."""


def is_root() -> bool:
    """Whether this process may, and for PostgreSQL must, become somebody else."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def is_enterable(folder: Path) -> bool:
    """Whether any user may pass through `folder` and everything above it."""
    folder = folder.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (folder, *folder.parents))


def is_runnable(folder: Path) -> bool:
    """Whether any user may read and run everything below `folder`."""
    if not is_enterable(folder):
        return False
    return all(place.stat().st_mode & stat.S_IROTH for place in folder.rglob("*") if not place.is_symlink())


def make_data(data: Path) -> Path:
    """Make the data folder if it is missing: for us alone, or for passing through when root needs `nobody` in it."""
    data = data.absolute()
    if not data.exists():
        data.parent.mkdir(parents=True, exist_ok=True)
        data.mkdir(mode=0o711 if is_root() else 0o700, exist_ok=True)
    return data


def ground_for(data: Path, name: str) -> Path:
    """Return where `name` of this installation lives: in `data`, or, where `nobody` can't enter it, linked from it."""
    place = data / name
    if place.is_symlink() or place.exists() or not is_root() or is_enterable(data):
        return place.resolve()
    FOREIGN_GROUND.mkdir(mode=0o711, parents=True, exist_ok=True)
    ground = Path(tempfile.mkdtemp(prefix="data-", dir=FOREIGN_GROUND))
    ground.chmod(0o711)
    place.symlink_to(ground / name)
    return ground / name


def socket_folder(data: Path) -> Path:
    """Return a new short folder for sockets; the one that a killed supervisor left is removed.

    `data/run` links to it, so that whoever knows the data folder finds the sockets.
    """
    link = data / "run"
    remove_sockets(data)
    folder = Path(tempfile.mkdtemp(prefix="askfirst-", dir=short_ground()))
    if is_root():
        folder.chmod(0o711)
    link.symlink_to(folder)
    return folder


def remove_sockets(data: Path) -> None:
    """Remove the folder of sockets that `data/run` links to, if there is one and it is of our making."""
    link = data / "run"
    if link.is_symlink():
        left = link.readlink()
        if left.name.startswith("askfirst-"):
            shutil.rmtree(left, ignore_errors=True)
        link.unlink()


def remove_data(data: Path) -> None:
    """Remove a stopped installation whole: its folder, its sockets, and what root had to put elsewhere."""
    remove_sockets(data)
    database = data / "postgres"
    if database.is_symlink() and database.readlink().is_relative_to(FOREIGN_GROUND):
        shutil.rmtree(database.readlink().parent, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)


def short_ground() -> Path:
    """Return the first temporary folder that is short enough for a socket below it and that anybody may enter."""
    for ground in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108  (mkdtemp makes its own)
        if len(os.fsencode(ground)) < SOCKET_PATH_LIMIT - 40 and ground.is_dir() and is_enterable(ground):
            return ground
    raise EngineProblem("There is no temporary folder with a short path that everybody may enter, such as /tmp.")


def copy_for_others(folders: list[Path], ground: Path) -> Path:
    """Copy `folders` side by side below `ground`, readable by everybody, once; return where they are."""
    mark = hashlib.sha256("\n".join(map(str, folders)).encode() + _ages(folders)).hexdigest()[:12]
    place = ground / mark
    if place.is_dir():
        return place
    ground.mkdir(mode=0o755, parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=".half-", dir=ground))
    for folder in folders:
        shutil.copytree(folder, half / folder.name, symlinks=True)
    for copied in (half, *half.rglob("*")):
        if not copied.is_symlink():
            runs = copied.is_dir() or copied.stat().st_mode & stat.S_IXUSR
            copied.chmod(0o755 if runs else 0o644)
    try:
        half.rename(place)
    except OSError:  # another installation was quicker
        shutil.rmtree(half)
    return place


def _ages(folders: list[Path]) -> bytes:
    return repr([folder.stat().st_mtime_ns for folder in folders]).encode()
