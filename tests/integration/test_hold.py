"""HOLD: from the command line, with the record of who let it go on and why."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from config.keys import Keys
from workers.cli import main
from workers.startup import check_root_key


@pytest.fixture
def told(committed, tmp_path):
    def tell(*words, root_key=bytes(range(32))):
        environ = {
            "DATABASE_URL": committed.url,
            "ASKFIRST_ROOT_KEY": root_key.hex(),
            "ASKFIRST_DATA": str(tmp_path),
        }
        return CliRunner().invoke(main, ["hold", *words], env=environ)

    return tell


def test_hold_is_set_shown_and_lifted_and_each_is_an_act(committed, told):
    assert told("status").exit_code == 0
    assert "Nothing is sent" in told("on", "--reason", "a wrong price").output
    assert "already" in told("on", "--reason", "again").output
    shown = told("status")
    assert (shown.exit_code, "a wrong price" in shown.output) == (1, True)
    assert "goes on" in told("off", "--reason", "price mended").output
    assert told("status").exit_code == 0
    with committed() as session:
        acts = session.execute(text("SELECT act, document->>'reason' FROM operator_acts ORDER BY seq")).all()
    assert [tuple(act) for act in acts] == [("hold_set", "a wrong price"), ("hold_released", "price mended")]


def test_a_root_key_that_does_not_match_is_not_waved_through(committed, told):
    check_root_key(committed.engine, Keys(bytes(range(32))))
    wrong = b"w" * 32
    check_root_key(committed.engine, Keys(wrong))
    refused = told("off", "--reason", "it is fine", root_key=wrong)
    assert refused.exit_code == 1
    assert "no suppression can be read" in refused.output
    assert told("status").exit_code == 1
    assert told("off", "--reason", "the right key is back").exit_code == 0
