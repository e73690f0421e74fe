"""The journal: every no and every erasure outside the database, by keyed hashes; and back, once, lifting nothing."""

from __future__ import annotations

import json
import stat

import pytest
from sqlalchemy import text

from mailer import journal, journal_back, optout
from mailer.consent import ledger
from mailer.restore import Folders
from mailer.suppression import HARD_BOUNCE, lock_addresses, suppress
from tests import factories


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def export(sends, data):
    sends.settled()
    return journal.export(sends.sessions, Folders(data))


def lines(data):
    return [line for file in sorted((data / journal.FOLDER).glob("*.jsonl")) for line in file.read_text().splitlines()]


def kinds(data):
    return [json.loads(line)["kind"] for line in lines(data)]


def stop(sends, person, scope="all"):
    optout.stop_person(sends.engine, customer_id=person, scope=scope, source="one_click")


def test_each_no_is_written_once_and_a_yes_never(sends, data):
    (person,) = sends.people(1)
    assert export(sends, data) == 0
    stop(sends, person)
    assert export(sends, data) == 3
    assert sorted(kinds(data)) == ["stop", "suppress", "withdraw"]
    assert export(sends, data) == 0
    assert len(lines(data)) == 3


def test_the_files_are_for_their_owner_only_and_hold_hashes(sends, data):
    (person,) = sends.people(1)
    stop(sends, person)
    export(sends, data)
    (file,) = (data / journal.FOLDER).glob("*.jsonl")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert "@" not in file.read_text()
    hashed = sends.query("SELECT address_hash FROM addresses")[0].address_hash
    assert hashed.hex() in file.read_text()


def test_a_no_that_commits_late_is_not_missed(sends, data):
    """Its transaction is older than one that is exported already: a cursor over numbers would have passed it."""
    early, late = sends.people(2)
    with sends.sessions() as slow:
        ledger.withdraw(slow, late, "all", source="helpline")
        stop(sends, early)
        assert journal.export(sends.sessions, Folders(data)) == 0, "nothing above the oldest running transaction"
        slow.commit()
    assert export(sends, data) == 4
    assert kinds(data).count("withdraw") == 2


def test_what_was_rolled_back_is_not_written(sends, data):
    (person,) = sends.people(1)
    with sends.sessions() as session:
        ledger.withdraw(session, person, "all", source="helpline")
        session.rollback()
    assert export(sends, data) == 0


def test_a_line_that_was_cut_off_by_a_crash_spoils_no_other(sends, data):
    first, second = sends.people(2)
    stop(sends, first)
    export(sends, data)
    (file,) = (data / journal.FOLDER).glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-20])
    stop(sends, second)
    export(sends, data)
    done = journal_back.apply(sends.engine, lines(data))
    assert (done["unreadable"], done["known"]) == (1, 5)


def test_many_lines_are_written_in_portions(sends, data, monkeypatch):
    monkeypatch.setattr(journal, "AT_ONCE", 2)
    for person in sends.people(2):
        stop(sends, person)
    assert [export(sends, data) for _ in range(4)] == [2, 2, 2, 0]
    assert len(set(lines(data))) == 6


def test_the_application_can_not_change_what_was_journaled(sends):
    (person,) = sends.people(1)
    stop(sends, person)
    for change in ("DELETE FROM journal", "UPDATE journal SET scope = 'offer'", "TRUNCATE journal"):
        with pytest.raises(Exception, match=r"permission denied|append-only"), sends.sessions() as session:
            session.execute(text(change))
        with pytest.raises(Exception, match="append-only"):
            sends.run(change)


# -- and back ------------------------------------------------------------------------------------


def forgotten(line, **change):
    """The same line as if the database had never known it."""
    return json.dumps(json.loads(line) | {"origin": 999_999, "at": "2026-01-01T00:00:00+00:00"} | change)


def test_what_the_database_knows_is_left_alone_and_so_is_a_later_yes(sends, data, keys):
    (person,) = sends.people(1)
    stop(sends, person, "festive")
    export(sends, data)
    with sends.sessions() as session, session.begin():
        ledger.grant(session, person, factories.wording(session).id, source="preferences")
    assert journal_back.apply(sends.engine, lines(data)) == {"known": 3}
    assert sends.query("SELECT granted FROM consent_state")[0].granted


def test_a_line_is_brought_back_once_so_that_a_yes_given_since_stands(sends, data):
    (person,) = sends.people(1)
    stop(sends, person, "festive")
    export(sends, data)
    missing = [forgotten(line) for line in lines(data) if json.loads(line)["kind"] == "withdraw"]
    assert journal_back.apply(sends.engine, missing) == {"applied": 1}
    with sends.sessions() as session, session.begin():
        ledger.grant(session, person, factories.wording(session).id, source="preferences")
    assert journal_back.apply(sends.engine, missing) == {"known": 1}
    assert sends.query("SELECT granted FROM consent_state")[0].granted


def test_an_address_comes_back_by_its_hash_alone(sends, data):
    """Nobody here has it now: whoever gets it later is not mailed either."""
    line = {"kind": "suppress", "address": "ab" * 32, "scope": "all", "reason": "hard_bounce", "origin": 1}
    line |= {"at": "2026-01-01T00:00:00+00:00"}
    assert journal_back.apply(sends.engine, [json.dumps(line)]) == {"applied": 1}
    row = sends.query("SELECT encode(address_hash, 'hex') AS hash, scope, reason FROM suppressions")[0]
    assert tuple(row) == ("ab" * 32, "all", "hard_bounce")


def test_a_bounce_that_comes_back_is_no_opt_out_of_the_person(sends, data):
    (person,) = sends.people(1)
    with sends.sessions() as session, session.begin():
        hashed = session.scalar(text("SELECT address_hash FROM addresses"))
        lock_addresses(session, [hashed])
        ledger.lock_customers(session, [person])
        suppress(session, hashed, "all", HARD_BOUNCE)
    export(sends, data)
    assert journal_back.apply(sends.engine, [forgotten(line) for line in lines(data)]) == {"applied": 1}
    assert sends.query("SELECT granted FROM consent_state")[0].granted
    assert sends.query("SELECT reason FROM suppressions")[0].reason == HARD_BOUNCE


def test_a_number_that_is_somebody_elses_now_stops_nobody_else(sends, data):
    (person,) = sends.people(1)
    stop(sends, person)
    export(sends, data)
    (line,) = [line for line in lines(data) if json.loads(line)["kind"] == "withdraw"]
    (other,) = sends.people(1)
    assert journal_back.apply(sends.engine, [forgotten(line, customer=other)]) == {"nobody": 1}
    assert sends.query("SELECT granted FROM consent_state WHERE customer_id = :c", c=other)[0].granted


def test_an_erasure_comes_back(sends, data):
    (person,) = sends.people(1)
    sends.run(f"UPDATE customers SET account = 'erased' WHERE id = {person}")
    export(sends, data)
    (line,) = lines(data)
    assert json.loads(line)["kind"] == "erase"
    sends.run(f"UPDATE customers SET account = 'active' WHERE id = {person}")
    assert journal_back.apply(sends.engine, [line]) == {"applied": 1}
    assert sends.query("SELECT account FROM customers")[0].account == "erased"
    assert sends.query("SELECT count(*) AS n FROM addresses")[0].n == 0
    assert sends.query("SELECT scope FROM suppressions")[0].scope == "all"
    assert not sends.query("SELECT granted FROM consent_state")[0].granted
