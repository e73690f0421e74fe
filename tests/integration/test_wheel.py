"""What is installed elsewhere must be whole: the wheel is built, looked into, and run."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import inspect

from mailer.db import create_engine_from

ROOT = Path(__file__).parents[2]
PACKAGES = ("config", "mailer", "campaigns", "workers")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = folder.glob("askfirst-*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


@pytest.fixture(scope="module")
def names(wheel: zipfile.ZipFile) -> set[str]:
    return set(wheel.namelist())


def versioned(folder: str, *patterns: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--", *(f"{folder}/{pattern}" for pattern in patterns)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listed.stdout.split())


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_holds_every_module(names, package):
    modules = versioned(package, "*.py", "**/*.py")
    assert modules
    assert modules <= names


def test_the_wheel_holds_every_migration(names):
    migrations = versioned("mailer/migrations", "*", "**/*")
    assert any(name.endswith("0001_initial.py") for name in migrations)
    assert any(name.endswith(".sql") for name in migrations)
    assert migrations <= names


def test_the_wheel_holds_every_template_and_our_own_style(names):
    templates = versioned("templates", "*", "**/*")
    assert any(name.endswith(".html") for name in templates)
    assert any(name.endswith(".css") for name in templates)
    assert templates <= names


def test_the_wheel_holds_the_browser_assets_that_git_does_not(names):
    built = {name for name in names if name.startswith("templates/static/vendor/")}
    assert {"templates/static/vendor/tabler.min.css", "templates/static/vendor/htmx.min.js"} <= built
    assert not versioned("templates/static/vendor", "**/*")


def test_the_wheel_holds_nothing_else(names):
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {*PACKAGES, "templates", "wsgi.py"}
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name or "test_" in name]


def test_the_unpacked_wheel_migrates_a_database_and_knows_its_pages(wheel, engines, tmp_path):
    wheel.extractall(tmp_path)
    name = "from_wheel"
    engines.execute(f"CREATE DATABASE {name}")
    script = (
        "import sys, pathlib, wsgi, mailer.db\n"
        "mailer.db.migrate(sys.argv[1])\n"
        "assert (wsgi.TEMPLATES / 'static' / 'vendor' / 'tabler.min.css').is_file()\n"
        "print(pathlib.Path(wsgi.__file__).parent)"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", script, engines.owner.format(name)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()) == tmp_path
    engine = create_engine_from(engines.owner.format(name))
    assert "deliveries" in inspect(engine).get_table_names()
    engine.dispose()
    engines.execute(f"DROP DATABASE {name}")
