"""The restore guard: a database that is not the one that ran here last, or is behind it, starts in HOLD."""

from __future__ import annotations

import json
import secrets
import stat

import pytest
from sqlalchemy import make_url, text

from mailer import hold, journal, journal_back, optout, restore
from mailer.db import create_engine_from
from mailer.providers.memory import MemoryProvider
from tests.conftest import Committed
from workers.runtime import checked
from workers.startup import check_restored


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def held(sends) -> str | None:
    row = sends.query("SELECT hold, hold_reason FROM installation")[0]
    return row.hold_reason if row.hold else None


def told(sends, data):
    sends.settled()
    assert journal.export(sends.sessions, data) is not None
    return json.loads((data / restore.FILE).read_text())


def is_sound(sends, data):
    return check_restored(sends.sessions, data)


def test_the_database_that_ran_here_last_is_not_doubted(sends, data):
    assert is_sound(sends, data), "nothing is known yet"
    for _ in range(3):
        told(sends, data)
        assert is_sound(sends, data)
    assert held(sends) is None


def test_what_the_data_folder_knows_is_for_its_owner_only_and_holds_no_address(sends, data):
    sends.people(1)
    told(sends, data)
    assert stat.S_IMODE((data / restore.FILE).stat().st_mode) == 0o600
    assert "@" not in (data / restore.FILE).read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE installation SET witness = witness - 1", "behind what the data folder knows"),
        ("UPDATE installation SET witness_nonce = 'another'", "behind what the data folder knows"),
        ("UPDATE installation SET identity = gen_random_uuid()", "another database"),
        ("SELECT setval('consent_events_id_seq', 1)", "The last consent we know of is number 3; this copy ends at 1."),
    ],
)
def test_a_database_that_is_behind_or_another_starts_in_hold(sends, data, change, words):
    people = sends.people(3)
    sends.campaign(people)
    told(sends, data)
    sends.run(change)
    assert not is_sound(sends, data)
    assert words in held(sends)
    assert sends.job() is None, "nothing is picked"
    assert [row.act for row in sends.query("SELECT act FROM operator_acts")] == ["hold_set"]
    assert not is_sound(sends, data)
    assert len(sends.query("SELECT act FROM operator_acts")) == 1, "said once"


def test_a_database_in_another_cluster_starts_in_hold(sends, data):
    known = told(sends, data)
    assert known["system"].isdecimal()
    (data / restore.FILE).write_text(json.dumps(known | {"system": "1"}))
    assert not is_sound(sends, data)
    assert "another cluster" in held(sends)


@pytest.mark.parametrize("broken", ["", "{}", "[1]", '{"identity": 1}', "\x00"])
def test_a_record_that_can_not_be_read_is_a_doubt(sends, data, broken):
    told(sends, data)
    (data / restore.FILE).write_text(broken)
    assert not is_sound(sends, data)
    assert "can't be read" in held(sends)


def test_nothing_is_written_over_what_is_known_while_in_doubt(sends, data):
    before = told(sends, data)
    sends.run("UPDATE installation SET witness = 0")
    assert journal.export(sends.sessions, data) is None
    assert json.loads((data / restore.FILE).read_text()) == before


def test_a_person_accepts_this_copy_and_no_other(sends, data):
    told(sends, data)
    sends.run("UPDATE installation SET witness = 0, witness_nonce = NULL")
    is_sound(sends, data)
    with sends.sessions() as session, session.begin():
        assert hold.release(session, None, "opt-outs were put in")
    assert is_sound(sends, data)
    assert held(sends) is None
    told(sends, data)
    told(sends, data)
    sends.run("UPDATE installation SET witness = 0, witness_nonce = NULL")
    assert not is_sound(sends, data), "restored once more"


def beat(sends, ago):
    sends.run("DELETE FROM heartbeats")
    sends.run(f"INSERT INTO heartbeats (part, at, document) VALUES ('clock', now() - interval '{ago}', '{{}}')")


def test_a_backup_on_a_new_machine_starts_in_hold_until_a_person_accepts_it(sends, data, tmp_path):
    """The folder was lost with the old machine: nothing to compare with, but the database says that there was one."""
    told(sends, data)
    assert check_restored(sends.sessions, tmp_path, keeps=True), "killed right after the first"
    told(sends, data)
    beat(sends, "1 day")
    new = tmp_path / "new"
    assert journal.export(sends.sessions, new) is None
    assert not (new / restore.FILE).exists(), "it stays in doubt"
    assert "a backup on a new machine" in held(sends)
    beat(sends, "0 s")  # our own clock's
    assert not check_restored(sends.sessions, new, keeps=True)
    with sends.sessions() as session, session.begin():
        assert hold.release(session, None, "opt-outs were put in")
    assert told(sends, new)["witness"] == 3
    assert check_restored(sends.sessions, new, keeps=True)
    assert held(sends) is None


def test_a_second_machine_is_no_backup(sends, data, tmp_path):
    told(sends, data)
    told(sends, data)
    beat(sends, "1 day")
    assert is_sound(sends, tmp_path / "a worker's"), "only whoever keeps the record asks for one"
    beat(sends, "2 s")
    assert journal.export(sends.sessions, tmp_path / "a second clock's") is not None
    told(sends, data)
    assert held(sends) is None


def test_a_hold_by_hand_before_the_restore_was_noticed_says_both(sends, data):
    told(sends, data)
    sends.run(
        "UPDATE installation SET witness = 0, hold = true, hold_reason = 'restored last night', hold_since = now()"
    )
    assert not is_sound(sends, data)
    assert "old copy" in held(sends)


def test_a_worker_that_ran_before_the_restore_looks_before_each_slice(sends, data):
    ran = []
    run = checked(lambda campaign_id: ran.append(campaign_id) is None, lambda: is_sound(sends, data))
    told(sends, data)
    assert run(7)
    sends.run("UPDATE installation SET witness = 0")
    assert not run(8)
    assert ran == [7]


@pytest.fixture
def backup(engines, committed):
    """What a backup of `committed` is when it comes back: call it to take one, and get the restored database."""
    name = f"t_restored_{secrets.token_hex(4)}"
    restored = []

    def take() -> Committed:
        committed.engine.dispose()
        committed.owner.dispose()
        original = make_url(committed.url).database
        engines.execute(f"CREATE DATABASE {name} TEMPLATE {original} STRATEGY file_copy")
        restored.append(Committed(engines.app.format(name), engines.owner.format(name)))
        return restored[0]

    yield take
    for one in restored:
        one.close()
    engines.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_after_a_restore_the_journal_brings_back_who_said_no(sends, data, backup, keys):
    """The whole story: a backup, a no, a crash, the backup comes back."""
    stays, leaves, by_address = sends.people(3)
    campaign_id = sends.campaign([stays, leaves, by_address])
    told(sends, data)
    old = backup()
    optout.stop_person(sends.engine, customer_id=leaves, scope="all", source="one_click")
    typed = sends.query("SELECT address FROM addresses WHERE customer_id = :c", c=by_address)[0].address
    optout.stop_address(sends.engine, keys, address=typed, source="typed")
    told(sends, data)

    sends.sessions, sends.engine, sends.owner = old.sessions, old.engine, old.owner
    assert not is_sound(sends, data)
    assert sends.job(campaign_id) is None
    (file,) = (data / journal.FOLDER).glob("*.jsonl")
    assert "@" not in file.read_text()
    done = journal_back.apply(sends.engine, file.read_text().splitlines())
    assert done["applied"] >= 2
    assert done["unreadable"] == done["nobody"] == 0
    assert set(journal_back.apply(sends.engine, file.read_text().splitlines())) == {"known"}
    with sends.sessions() as session, session.begin():
        hold.release(session, None, "the journal was applied")
    assert is_sound(sends, data)
    provider = MemoryProvider()
    sends.deliver(provider, campaign_id)
    states = sends.states(campaign_id)
    assert states[stays][0] == "accepted"
    assert states[leaves] == ("withheld", "withdrawn")
    assert states[by_address] == ("withheld", "withdrawn")
    create_engine_from(old.url).dispose()
    assert told(sends, data)["witness"] > 0
    with sends.sessions() as session:
        assert session.scalar(text("SELECT hold FROM installation")) is False
