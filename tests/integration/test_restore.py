"""The restore guard: a database that is not the one that ran here last, or is behind it, starts in HOLD."""

from __future__ import annotations

import json
import secrets
import shutil
import stat

import pytest
from sqlalchemy import make_url, text

from mailer import hold, journal, journal_back, optout, restore
from mailer.db import create_engine_from
from mailer.providers.memory import MemoryProvider
from mailer.restore import Folders
from tests.conftest import Committed
from workers.runtime import checked
from workers.startup import check_restored, may_hand_over
from workers.watchman import Watchman


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def held(sends) -> str | None:
    row = sends.query("SELECT hold, hold_reason FROM installation")[0]
    return row.hold_reason if row.hold else None


def told(sends, data):
    sends.settled()
    assert journal.export(sends.sessions, Folders(data)) is not None
    return json.loads((data / restore.FILE).read_text())


def is_sound(sends, data):
    return check_restored(sends.sessions, Folders(data))


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


@pytest.mark.parametrize("wrong", [{"consent": "7"}, {"witness": None}, {"position": [float("inf"), 0]}, {"nonce": 1}])
def test_a_record_that_says_something_of_another_kind_is_a_doubt(sends, data, wrong):
    known = told(sends, data)
    (data / restore.FILE).write_text(json.dumps(known | wrong))
    assert not is_sound(sends, data)
    assert "can't be read" in held(sends)


def test_nothing_is_written_over_what_is_known_while_in_doubt(sends, data):
    before = told(sends, data)
    sends.run("UPDATE installation SET witness = 0")
    assert journal.export(sends.sessions, Folders(data)) is None
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
    beats = """INSERT INTO heartbeats (part, at, document)
               VALUES ('clock', now() - CAST(:ago AS interval), CAST(:document AS jsonb))"""
    sends.run(beats, ago=ago, document='{"looked": true}')


def test_a_backup_on_a_new_machine_starts_in_hold_until_a_person_accepts_it(sends, data, tmp_path):
    """The folder was lost with the old machine: nothing to compare with, but the database says that there was one."""
    told(sends, data)
    assert check_restored(sends.sessions, Folders(tmp_path), keeps=True), "killed right after the first"
    told(sends, data)
    beat(sends, "1 day")
    new = tmp_path / "new"
    assert journal.export(sends.sessions, Folders(new)) is None
    assert not (new / restore.FILE).exists(), "it stays in doubt"
    assert "a backup on a new machine" in held(sends)
    beat(sends, "0 s")  # our own clock's
    assert not check_restored(sends.sessions, Folders(new), keeps=True)
    with sends.sessions() as session, session.begin():
        assert hold.release(session, None, "opt-outs were put in")
    assert told(sends, new)["witness"] == 3
    assert check_restored(sends.sessions, Folders(new), keeps=True)
    assert held(sends) is None


def test_a_backup_on_a_machine_whose_time_is_behind_starts_in_hold_too(sends, data, tmp_path):
    """There the last beat before the backup is still to come: that is no clock that ticks."""
    told(sends, data)
    told(sends, data)
    beat(sends, "-1 day")
    assert not check_restored(sends.sessions, Folders(tmp_path / "new"), keeps=True)


def test_a_second_machine_is_no_backup(sends, data, tmp_path):
    told(sends, data)
    told(sends, data)
    beat(sends, "1 day")
    assert is_sound(sends, tmp_path / "a worker's"), "only whoever keeps the record asks for one"
    beat(sends, "2 s")
    assert journal.export(sends.sessions, Folders(tmp_path / "a second clock's")) is not None
    told(sends, data)
    assert held(sends) is None


def may_begin(sends, data, copy=None):
    return may_hand_over(sends.sessions, Folders(data, copy))


def test_a_worker_that_starts_before_any_clock_hands_nothing_over(sends, data, tmp_path):
    """Its own folder knows nothing, so it can't tell an old copy from the real one. A clock can, and says so."""
    elsewhere = tmp_path / "a worker's"
    assert may_begin(sends, elsewhere), "a new installation"
    told(sends, data)
    told(sends, data)
    beat(sends, "1 day")
    assert not may_begin(sends, elsewhere)
    assert held(sends) is None, "it waits: nobody has to end anything"
    sends.run("UPDATE heartbeats SET at = now() + interval '1 day'")
    assert not may_begin(sends, elsewhere), "the backup's clock, on a machine whose time is behind"
    sends.run("UPDATE heartbeats SET at = now(), document = '{}'")
    assert not may_begin(sends, elsewhere), "it ticks, but could not look"
    beat(sends, "2 s")
    assert may_begin(sends, elsewhere)


def test_a_worker_whose_folder_was_told_last_needs_no_clock(sends, data):
    told(sends, data)
    told(sends, data)
    beat(sends, "1 day")
    assert may_begin(sends, data)


def test_a_worker_whose_folder_is_from_earlier_waits_for_the_clock(sends, data, tmp_path):
    told(sends, data)
    earlier = tmp_path / "earlier"
    shutil.copytree(data, earlier)
    told(sends, data)
    beat(sends, "1 day")
    assert not may_begin(sends, earlier)


def test_a_clock_that_can_not_look_vouches_for_nobody(sends, data):
    told(sends, data)
    told(sends, data)
    watchman = Watchman(sends.sessions, Folders(data), lambda: 0)
    watchman.look_at_database()
    watchman.beat()
    assert may_begin(sends, data / "none")
    (data / restore.FILE).unlink()
    (data / restore.FILE).mkdir()
    watchman.look_at_database()
    watchman.beat()
    assert not may_begin(sends, data / "none")
    assert "can't be read" in held(sends)


@pytest.fixture
def copy(tmp_path):
    folder = tmp_path / "another disk"
    folder.mkdir()
    return folder


def told_both(sends, data, copy):
    sends.settled()
    return journal.export(sends.sessions, Folders(data, copy))


def test_a_folder_put_back_with_its_database_is_noticed_by_the_second_folder(sends, data, copy, tmp_path):
    """Both agree, as after a machine's snapshot. Whoever kept a record elsewhere knows better, workers too."""
    people = sends.people(2)
    told_both(sends, data, copy)
    old = tmp_path / "old"
    shutil.copytree(data, old)
    was = sends.query("SELECT witness, witness_nonce FROM installation")[0]
    optout.stop_person(sends.engine, customer_id=people[0], scope="all", source="one_click")
    told_both(sends, data, copy)
    assert (copy / journal.FOLDER).is_dir()
    assert [file.read_text() for file in (copy / journal.FOLDER).glob("*.jsonl")] == [
        file.read_text() for file in (data / journal.FOLDER).glob("*.jsonl")
    ]
    sends.run("UPDATE installation SET witness = :w, witness_nonce = :n", w=was.witness, n=was.witness_nonce)
    assert check_restored(sends.sessions, Folders(old), keeps=True), "the data folder alone can't know"
    assert not may_begin(sends, old, copy)
    assert "old copy" in held(sends)
    assert journal.export(sends.sessions, Folders(old, copy)) is None
    with sends.sessions() as session, session.begin():
        assert hold.release(session, None, "opt-outs were put in")
    assert told_both(sends, old, copy) is not None
    assert may_begin(sends, old, copy)
    assert held(sends) is None


def test_a_second_folder_whose_disk_is_not_there_is_a_doubt(sends, data, copy):
    told_both(sends, data, copy)
    shutil.rmtree(copy)
    assert told_both(sends, data, copy) is None
    assert "is its disk there?" in held(sends)
    copy.mkdir()  # where it would be mounted
    assert told_both(sends, data, copy) is None


def test_a_worker_that_can_not_reach_the_second_folder_waits_for_a_clock_that_can(sends, data, copy, tmp_path):
    told_both(sends, data, copy)
    told_both(sends, data, copy)
    beat(sends, "1 day")
    assert may_begin(sends, data, copy)
    assert not may_begin(sends, data, tmp_path / "not mounted here")
    beat(sends, "2 s")
    assert may_begin(sends, data, tmp_path / "not mounted here")
    assert held(sends) is None


def test_a_second_folder_that_was_never_there_keeps_the_first_from_nothing(sends, data, copy):
    sends.people(1)
    copy.rmdir()
    with pytest.raises(FileNotFoundError):
        told_both(sends, data, copy)
    assert json.loads((data / restore.FILE).read_text())["witness"] == 1
    assert not copy.exists(), "it is never made: an empty folder would pass for a disk"
    copy.mkdir()
    assert told_both(sends, data, copy) is not None
    assert json.loads((copy / restore.FILE).read_text())["witness"] == 2


def test_a_lost_data_folder_is_no_doubt_while_the_second_was_told_last(sends, data, copy):
    told_both(sends, data, copy)
    told_both(sends, data, copy)
    shutil.rmtree(data)
    assert told_both(sends, data, copy) is not None
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
