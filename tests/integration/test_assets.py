"""What the browser needs is built from locked packages, complete, and in the wheel."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "templates/static"
PAGES = ROOT / "templates/pages"


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def used_icons():
    texts = [file.read_text() for file in PAGES.glob("admin/*.html")]
    # icon('x') in pages, ('x', 'tone', 'Word') in the table of status words, note('', 'x', ...)
    found = {name for text in texts for name in re.findall(r"'([a-z]+(?:-[a-z0-9]+)*)'", text)}
    python = [file.read_text() for file in ROOT.glob("*/web/*.py")]
    found |= {name for text in python for name in re.findall(r'"([a-z]+(?:-[a-z0-9]+)*)"', text)}
    return found & set(json.loads((ROOT / "package.json").read_text())["askfirst"]["icons"])


def test_icons_are_those_that_pages_use_and_no_others(hook):
    listed = json.loads((ROOT / "package.json").read_text())["askfirst"]["icons"]
    assert listed == sorted(set(listed))
    assert set(listed) == used_icons()


def test_every_icon_a_page_names_is_in_the_sprite():
    drawn = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "vendor/icons.svg").read_text()))
    for file in PAGES.glob("admin/*.html"):
        assert set(re.findall(r"\bicon\('([^']+)'\)", file.read_text())) <= drawn, file.name


def test_the_lock_pins_every_package_by_hash_and_names_no_place():
    lock = json.loads((ROOT / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())


def test_what_is_built_is_of_this_lock(hook):
    assert hook.is_fresh(ROOT)


def test_a_fresh_build_asks_for_no_node(hook, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert hook.BrowserAssets.dependencies(bare(hook, ROOT)) == []


def test_a_machine_without_node_gets_it_as_a_python_package(hook, tmp_path, monkeypatch):
    recipe(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert hook.BrowserAssets.dependencies(bare(hook, tmp_path)) == [hook.NODE_FROM_PIP]


def test_another_lock_makes_the_assets_stale(hook, tmp_path):
    recipe(tmp_path)
    (tmp_path / hook.VENDOR).mkdir(parents=True)
    (tmp_path / hook.VENDOR / hook.STAMP).write_text(hook.recipe_hash(tmp_path))
    assert hook.is_fresh(tmp_path)
    with (tmp_path / "package-lock.json").open("a") as lock:
        lock.write("\n")
    assert not hook.is_fresh(tmp_path)


def recipe(folder):
    for name in ("package.json", "package-lock.json", "hatch_build.py"):
        shutil.copy(ROOT / name, folder)


def bare(hook, root):
    return hook.BrowserAssets(str(root), {}, None, None, str(root), "wheel", None)


def test_style_sheets_have_no_picture_inside():
    """A data: address would be refused by the admin's content policy (default-src 'self')."""
    for sheet in [*STATIC.glob("*.css"), *STATIC.glob("vendor/**/*.css")]:
        text = sheet.read_text()
        assert "data:" not in text, sheet.name
        for address in re.findall(r"url\(['\"]?([^'\")]+)", text):
            assert (sheet.parent / address).is_file(), f"{sheet.name}: {address}"


def test_the_wheel_holds_the_assets(wheel):
    names = set(wheel.namelist())
    assert {
        "templates/static/theme.css",
        "templates/static/vendor/tabler.min.css",
        "templates/static/vendor/htmx.min.js",
        "templates/static/vendor/icons.svg",
        "templates/static/vendor/inter/inter.css",
        "templates/static/vendor/inter/files/inter-latin-wght-normal.woff2",
        "templates/pages/admin/base.html",
    } <= names


def test_the_wheel_holds_no_tests_and_no_packages_of_others(wheel):
    assert not [name for name in wheel.namelist() if name.startswith(("tests/", "node_modules/"))]


def test_nothing_third_party_is_committed():
    tracked = subprocess.run(
        ["git", "ls-files", "templates/static/vendor", "node_modules"], cwd=ROOT, check=True, capture_output=True
    )
    assert tracked.stdout == b""
