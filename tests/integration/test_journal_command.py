"""`askfirst journal`: all of it is written, or it says what isn't yet; and it is brought back."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from click.testing import CliRunner

from mailer import journal, optout, restore
from mailer.consent import ledger
from tests.conftest import ROOT_KEY
from tests.integration.test_workers import wait_for
from workers.cli import main

PATIENT = ("export", "--wait", "120")
"""Other tests' transactions hold it back too, on a busy machine for a while."""


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def command(committed, data):
    """Run a command of the journal on this database and folder."""
    environ = {"DATABASE_URL": committed.url, "ASKFIRST_ROOT_KEY": ROOT_KEY.hex(), "ASKFIRST_DATA": str(data)}
    return lambda *words: CliRunner().invoke(main, ["journal", *words], env=environ)


def lines(data):
    return [line for file in (data / journal.FOLDER).glob("*.jsonl") for line in file.read_text().splitlines()]


def stop(sends, person):
    optout.stop_person(sends.engine, customer_id=person, scope="all", source="one_click")


def test_it_writes_and_brings_back(sends, command, data):
    (person,) = sends.people(1)
    stop(sends, person)
    assert "3 lines written" in command(*PATIENT).output
    (file,) = (data / journal.FOLDER).glob("*.jsonl")
    with file.open("a") as output:
        output.write("no line\n")
    back = command("apply", str(file))
    assert (back.exit_code, json.loads(back.output)) == (1, {"applied": 0, "known": 3, "nobody": 0, "unreadable": 1})


def test_what_waits_for_a_transaction_is_said_and_the_next_run_writes_it(sends, command, data, engines):
    """Wherever on the server it runs: its number is older, and a no might commit under it."""
    (person,) = sends.people(1)
    with psycopg.connect(engines.owner.format("postgres").replace("+psycopg", "")) as elsewhere:
        elsewhere.execute("SELECT pg_current_xact_id()")
        stop(sends, person)
        held = command("export", "--wait", "0.3")
        assert held.exit_code == 1
        assert "0 lines written" in held.output
        assert "3 wait for a transaction that is still running: run it again." in held.output
    written = command(*PATIENT)
    assert (written.exit_code, len(lines(data))) == (0, 3)
    assert "3 lines written" in written.output


def test_it_waits_for_a_transaction_that_ends_in_time(sends, command, data):
    early, late = sends.people(2)
    with sends.sessions() as slow, ThreadPoolExecutor(1) as threads:
        ledger.withdraw(slow, late, "all", source="helpline")
        stop(sends, early)
        running = threads.submit(command, *PATIENT)
        wait_for((data / restore.FILE).exists)  # it looked once, and could write nothing
        assert lines(data) == []
        slow.commit()
        assert running.result(150).exit_code == 0
    assert len(lines(data)) == 4


def test_a_database_in_doubt_is_not_written(sends, command, data):
    assert command(*PATIENT).exit_code == 0
    sends.run("UPDATE installation SET witness = 0")
    (person,) = sends.people(1)
    stop(sends, person)
    refused = command(*PATIENT)
    assert refused.exit_code == 1
    assert "Nothing was written: the database is in doubt" in refused.output
    assert lines(data) == []
