"""`askfirst bench`: one JSON line a size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from workers.cli import main


def bench(data: Path, *arguments: str) -> tuple[int, str]:
    told = CliRunner().invoke(main, ["--data", str(data), "bench", *arguments])
    return told.exit_code, told.output


def test_a_benchmark_prints_a_line_for_each_size_with_growth(tmp_path: Path) -> None:
    status, said = bench(tmp_path, "render", "--n", "60", "--n", "120")
    assert status == 0, said
    told = [json.loads(line) for line in said.splitlines()]
    small, large = (one for one in told if one["bench"] == "render")
    assert (small["bench"], small["unit"], small["growth"]) == ("render", "messages/s", 1.0)
    assert small["n"] < large["n"]
    assert large["ours"] > large["naive"]
    assert 0 < large["ratio_to_limit"] < 1


def test_an_unknown_benchmark_says_which_there_are(tmp_path: Path) -> None:
    status, said = bench(tmp_path, "nothing")
    assert status == 2
    assert "load" in said


@pytest.mark.parametrize("size", ["0", "x"])
def test_a_size_is_a_whole_number_above_0(tmp_path: Path, size: str) -> None:
    assert bench(tmp_path, "load", "--n", size)[0] == 2
