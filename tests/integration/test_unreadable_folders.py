"""A folder that can't be read, its disk broken or its mount stale: nothing is sent, and nobody's no is refused."""

from __future__ import annotations

import json

import pytest

from mailer import hold, journal, restore
from mailer.restore import Folders
from workers.startup import may_hand_over
from workers.up import make_ready
from workers.watchman import Watchman
from workers.web import look_at_database


@pytest.fixture
def folders(tmp_path):
    copy = tmp_path / "another disk"
    copy.mkdir()
    return Folders(tmp_path / "data", copy)


@pytest.fixture
def told(sends, folders):
    """Both folders, told twice, so that no database is new to them; a no is written there."""
    for _ in range(2):
        sends.settled()
        assert journal.export(sends.sessions, folders) is not None
    return folders


def take_away(folder):
    """Put a file where the folder is. Root may read what nobody may: rights are no test everywhere."""
    folder.rename(folder.with_name("away"))
    folder.write_text("")


def bring_back(folder):
    folder.unlink()
    folder.with_name("away").rename(folder)


def held(sends):
    return sends.query("SELECT CASE WHEN hold THEN hold_reason END AS why FROM installation")[0].why


def clock_says(sends, watchman):
    watchman.beat()
    return sends.query("SELECT document FROM heartbeats WHERE part = 'clock'")[0].document


@pytest.mark.parametrize("which", ["data", "copy"])
def test_the_web_application_starts_whatever_the_folders_do(sends, committed, settings, told, which):
    """Who opens the door to opt-outs keeps no record: it holds nothing either."""
    take_away(getattr(told, which))
    look_at_database(
        settings.model_copy(update={"database_url": committed.url, "data": told.data, "journal_copy": told.copy})
    )
    assert held(sends) is None


@pytest.mark.parametrize("which", ["data", "copy"])
def test_a_worker_waits_for_a_clock_that_can_read_them(sends, told, which):
    assert may_hand_over(sends.sessions, told)
    take_away(getattr(told, which))
    assert not may_hand_over(sends.sessions, told)
    assert held(sends) is None, "it waits: nobody has to end anything"
    sends.run("INSERT INTO heartbeats (part, document) VALUES ('clock', '{\"looked\": true}')")
    assert may_hand_over(sends.sessions, told)


@pytest.mark.parametrize(("which", "words"), [("data", "in the data folder"), ("copy", "JOURNAL_COPY")])
def test_to_the_clock_it_is_a_doubt_and_the_heartbeat_says_so(sends, told, which, words):
    watchman = Watchman(sends.sessions, told, lambda: 0)
    watchman.look_at_database()
    assert clock_says(sends, watchman) == {"queue": 0, "looked": True, "journal": "written"}
    take_away(getattr(told, which))
    watchman.look_at_database()
    assert clock_says(sends, watchman) == {"queue": 0, "looked": False, "journal": "in doubt"}
    assert words in held(sends)
    assert "Not a directory" in held(sends)
    assert not may_hand_over(sends.sessions, told)


def test_everything_comes_up_on_hold(sends, committed, settings, told):
    take_away(told.copy)
    make_ready(
        settings.model_copy(
            update={
                "database_url": committed.url,
                "database_owner_url": committed.owner_url,
                "journal_copy": told.copy,
            }
        ),
        told.data,
    )
    assert "can't be read" in held(sends)


def test_a_clock_that_could_not_look_leaves_no_journal_written(sends, told):
    watchman = Watchman(sends.sessions, told, lambda: 0)
    watchman.look_at_database()
    sends.run("ALTER TABLE installation RENAME COLUMN witness TO away")
    try:
        with pytest.raises(Exception, match="witness"):
            watchman.look_at_database()
    finally:
        sends.run("ALTER TABLE installation RENAME COLUMN away TO witness")
    assert clock_says(sends, watchman)["journal"] == "failed"


def release(sends):
    with sends.sessions() as session, session.begin():
        assert hold.release(session, None, "looked at the disk")


def test_whoever_ends_the_hold_before_the_disk_is_back_ends_it_for_a_moment(sends, told):
    """The other folder is written meanwhile; nothing is written where nobody knows how far it was."""
    take_away(told.copy)
    assert journal.export(sends.sessions, told) is None
    release(sends)
    was = json.loads((told.data / restore.FILE).read_text())["witness"]
    with pytest.raises(NotADirectoryError):
        journal.export(sends.sessions, told)
    assert json.loads((told.data / restore.FILE).read_text())["witness"] == was + 1
    assert journal.export(sends.sessions, told) is None
    assert "JOURNAL_COPY" in held(sends)
    bring_back(told.copy)
    release(sends)
    sends.settled()
    assert journal.export(sends.sessions, told) is not None
    assert held(sends) is None


def test_a_folder_that_nobody_can_read_is_accepted_for_where_the_database_stands_and_never_for_good(sends, told):
    alone = Folders(told.data)
    take_away(told.data)
    with sends.sessions() as session, session.begin():
        assert restore.check(session, alone, keeps=True)
    release(sends)
    with sends.sessions() as session, session.begin():
        assert restore.check(session, alone, keeps=True) is None
    sends.run("UPDATE installation SET witness = 1, witness_nonce = 'an older one'")
    with sends.sessions() as session, session.begin():
        assert restore.check(session, alone, keeps=True)
