"""`askfirst bench classify`: an operator's own labelled mails against the rules, in one JSON line."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from tests.unit.bounce_mails import block, complaint, letter, report
from workers.cli import main

FULL = "552 5.2.2 Over quota"
GONE = "550 5.1.1 User unknown"
MAILS = {
    "hard/gone.eml": report(block("failed", "5.1.1", GONE)),
    "hard/acme/unclear.eml": report(block("failed", "5.0.0", "550 no")),
    "soft/full.eml": report(block("failed", "5.2.2", FULL)),
    "soft/wrongly-labelled.eml": report(block("failed", "5.1.1", GONE)),
    "complaint/abuse/one.eml": complaint("abuse"),
    "complaint/not-spam/one.eml": complaint("not-spam"),
    "complaint/fraud/other.eml": complaint("abuse"),
    "complaint/plain.eml": complaint("not-spam"),
    "reply/away.eml": letter("Auto-Submitted: auto-replied\n", "I am away", "Re: Offers"),
    "broken/nothing.eml": b"",
    "hard/answers.txt": f"{GONE}\n\n550 5.1.2 Host unknown\n".encode(),
    "soft/answers.txt": f"{FULL}\n450 4.2.0 Greylisted\n".encode(),
}


def classified(folder: Path, *arguments: str) -> tuple[int, str]:
    told = CliRunner().invoke(main, ["--data", str(folder / "data"), "bench", "classify", *arguments])
    return told.exit_code, told.output


def test_a_labelled_folder_is_counted_by_label_and_what_was_told_wrong_is_named(tmp_path: Path) -> None:
    for name, raw in MAILS.items():
        (tmp_path / "mails" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mails" / name).write_bytes(raw)
    status, said = classified(tmp_path, "--folder", str(tmp_path / "mails"))
    assert status == 0, said
    told = json.loads(said)
    assert told.pop("wrong") == [
        "complaint/fraud/other.eml",
        "complaint/plain.eml",
        "hard/acme/unclear.eml",
        "soft/wrongly-labelled.eml",
    ]
    assert told == {
        "bench": "classify",
        "hard": 4,
        "found": 3,
        "soft": 4,
        "suppressed": 1,
        "complaints": 4,
        "right": 2,
        "replies": 1,
        "counted": 0,
        "broken": 1,
        "kept": 1,
    }


def test_without_a_folder_it_says_what_it_needs(tmp_path: Path) -> None:
    status, said = classified(tmp_path)
    assert (status, "--folder" in said) == (2, True)
