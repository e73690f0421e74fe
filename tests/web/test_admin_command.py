"""`askfirst admin create`: the only way in."""

import re

import pytest
from click.testing import CliRunner

from config.settings import Settings
from tests.conftest import ROOT_KEY
from tests.desks import HOST
from workers.commands.admin import command


@pytest.fixture
def run(committed, tmp_path):
    environ = {
        "DATABASE_URL": committed.url,
        "ASKFIRST_ROOT_KEY": ROOT_KEY.hex(),
        "PUBLIC_URL": HOST,
        "ASKFIRST_DATA": str(tmp_path),
    }
    settings = Settings.from_env(environ)
    return lambda *words, **more: CliRunner().invoke(command, ["create", *words], obj=settings, **more)


def test_the_password_that_is_printed_once_lets_them_in(desk, run):
    answer = run("Anita@example.com", "--role", "author", "--role", "approver")
    assert answer.exit_code == 0, answer.output
    password = re.search(r"shown once\): (\S+)", answer.output)[1]
    stranger = desk.stranger()
    assert stranger.sign_in("anita", password).location == "/"
    assert "Anita" in stranger.get("/").text


def test_a_password_that_was_asked_for_is_not_printed(desk, run):
    answer = run("anita@example.com", "--role", "author", "--password", input="a long enough one\na long enough one\n")
    assert answer.exit_code == 0, answer.output
    assert "a long enough one" not in answer.output
    assert desk.stranger().sign_in("anita", "a long enough one").location == "/"


@pytest.mark.parametrize(
    "words,typed,said",
    [
        (["no address", "--role", "author"], None, "looks like name@example.com"),
        (["anita@example.com", "--role", "owner"], None, "There is no role owner. Roles are: "),
        (["anita@example.com", "--role", "author", "--password"], "short\nshort\n", "at least 12 characters"),
        (["anita@example.com"], None, "Missing option '--role'"),
    ],
)
def test_what_can_not_be_used_says_why_and_adds_nobody(desk, run, words, typed, said):
    answer = run(*words, input=typed)
    assert answer.exit_code != 0
    assert said in answer.output
    assert "That didn’t work" in desk.stranger().sign_in("anita", "short").text


def test_nobody_is_added_twice(desk, run):
    assert run("anita@example.com", "--role", "author").exit_code == 0
    answer = run("ANITA@example.com", "--role", "approver")
    assert answer.exit_code == 1
    assert "works here already" in answer.output
