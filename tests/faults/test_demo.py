"""The demonstration as a whole, small: two of them side by side, with opt-outs and a killed worker each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 240
KEYS = [
    "matched",
    "audience",
    "accepted",
    "refused",
    "withheld",
    "in_doubt",
    "inbox",
    "opted_out_while_sending",
    "killed",
    "duplicates",
    "after_opt_out",
    "without_consent",
    "audit",
    "seconds",
]
CLEARED = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "SMTP_URL", "SENDGRID_API_KEY", "ASKFIRST_ROOT_KEY")


def begin(data: Path) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if name not in CLEARED}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "workers.cli", "demo", "--exit", "--households", "150", "--seconds", "5"],
        env={**environ, "ASKFIRST_DATA": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, dict[str, Any], str]]]:
    """Two demonstrations that began together in one data folder: exit status, last line, all they said."""
    data = tmp_path_factory.mktemp("demo")
    running = [begin(data), begin(data)]
    ended = []
    for process in running:
        said, progress = process.communicate(timeout=PATIENCE)
        last = said.rstrip().splitlines()[-1] if said.strip() else "{}"
        ended.append((process.returncode, json.loads(last), said + progress))
    return data, ended


def test_every_promise_is_kept_and_the_status_says_so(told: tuple[Path, list[Any]]) -> None:
    for status, numbers, said in told[1]:
        assert status == 0, said
        assert "NOT KEPT" not in said
        assert (numbers["duplicates"], numbers["after_opt_out"], numbers["without_consent"]) == (0, 0, 0)
        assert numbers["audit"] == "ok"


def test_the_last_line_is_one_json_object_with_sums_that_agree(told: tuple[Path, list[Any]]) -> None:
    for _, numbers, _ in told[1]:
        assert list(numbers) == KEYS
        states = numbers["accepted"] + numbers["refused"] + sum(numbers["withheld"].values()) + numbers["in_doubt"]
        assert states == numbers["audience"] < numbers["matched"]
        assert numbers["accepted"] <= numbers["inbox"] <= numbers["accepted"] + numbers["in_doubt"]


def test_people_said_no_while_it_went_out_and_one_worker_was_killed(told: tuple[Path, list[Any]]) -> None:
    for _, numbers, said in told[1]:
        assert numbers["killed"] == 1
        assert numbers["in_doubt"] >= 1
        assert numbers["opted_out_while_sending"] >= 2
        assert "SIGKILL" in said


def test_loading_and_sending_show_progress(told: tuple[Path, list[Any]]) -> None:
    for _, _, said in told[1]:
        assert "loading order lines: 100%" in said
        assert "sending: 100%" in said


def test_nothing_of_a_run_is_left_behind(told: tuple[Path, list[Any]]) -> None:
    assert list((told[0] / "demo").iterdir()) == []
