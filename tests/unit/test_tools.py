"""Contracts of the tools themselves: what the README, make and the import contracts promise."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("config", "mailer", "campaigns", "workers")
FORBIDDEN_IN_TESTS = (
    "patch(",
    "pytest.mark.skip",
    "pytest.skip",
    "pytest.mark.xfail",
    "import_or_skip",
    "importorskip",
)


def test_the_two_commands_are_the_first_thing_in_the_readme():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines[0] == "# askfirst"
    assert [line.split("#")[0].strip() for line in lines[3:5]] == ["make demo", "make test"]


def test_make_offers_the_whole_interface_and_explains_it():
    told = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"make ([a-z]+)", told) == [
        *("help", "setup", "up", "demo", "check", "test", "bench", "faults", "model"),
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_what_lives_in_it(package):
    """Three to eight lines: what lives here, what may not, where to start; and nothing runs at import."""
    for file in (ROOT / package).rglob("__init__.py"):
        body = ast.parse(file.read_text()).body
        words = ast.get_docstring(ast.parse(file.read_text()))
        assert words, file
        assert len(words.splitlines()) <= 9, file
        others = [node for node in body[1:] if not isinstance(node, ast.ImportFrom | ast.Assign)]
        assert not others, file


def test_nobody_but_the_edges_reads_the_environment():
    """Settings are read once. `processes` and `postgres` hand the environment on to programs, unread."""
    allowed = {"workers/cli.py", "workers/processes.py", "workers/engines/postgres.py", "wsgi.py"}
    readers = {
        str(file.relative_to(ROOT))
        for package in (*PACKAGES, "wsgi.py")
        for file in ([ROOT / package] if package.endswith(".py") else (ROOT / package).rglob("*.py"))
        if re.search(r"os\.environ|os\.getenv", file.read_text()) and "`os.environ`" not in file.read_text()
    }
    assert readers <= allowed


def test_no_test_is_skipped_or_patched():
    for file in (ROOT / "tests").rglob("test_*.py"):
        if file != Path(__file__):
            found = [
                word for word in FORBIDDEN_IN_TESTS if re.search(rf"(?<![\w.]){re.escape(word)}", file.read_text())
            ]
            assert not found, f"{file}: {found}"


def test_every_ignored_rule_has_a_reason_beside_it():
    text = (ROOT / "pyproject.toml").read_text()
    block = text.split("\nignore = [", 1)[1].split("\n]", 1)[0]
    lines = [line for line in block.splitlines() if line.strip()]
    assert lines
    assert not [line for line in lines if "#" not in line]


def test_help_is_quick_and_imports_neither_the_web_nor_the_database():
    script = (
        "import sys, workers.cli as cli\n"
        "names = cli.main.list_commands(None)\n"
        "assert {'up', 'web', 'worker', 'clock', 'sink', 'migrate'} <= set(names)\n"
        "assert not {'flask', 'sqlalchemy', 'dramatiq', 'redis'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", script], check=True)
