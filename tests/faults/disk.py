"""A disk that can be filled: a small file system in memory, which only root may mount."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = "3g"


@contextmanager
def mounted(place: Path) -> Iterator[Path]:
    """A file system of its own at `place`, gone afterwards."""
    _mount("-t", "tmpfs", "-o", f"size={SIZE},mode=0711", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def full(place: Path) -> Iterator[None]:
    """Make it just as large as what it holds."""
    for spare in (16_384, 262_144, 2_000_000):
        found = os.statvfs(place)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        if _mount("-o", f"remount,size={used + spare}", str(place), check=False):
            break
    try:
        yield
    finally:
        _mount("-o", f"remount,size={SIZE}", str(place))


def _mount(*arguments: str, check: bool = True) -> bool:
    return subprocess.run(["mount", *arguments], check=check, capture_output=True).returncode == 0


def _may_mount() -> bool:
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(Path(folder)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


MAY_MOUNT = _may_mount()
