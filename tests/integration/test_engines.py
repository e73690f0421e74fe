import os
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis

from config.settings import Settings
from mailer.db import create_engine_from
from workers import installation
from workers.engines import places, postgres, valkey
from workers.engines.places import EngineProblem
from workers.parts import Group, Part, stop_in_order
from workers.processes import spawn, stop
from workers.startup import check_database


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder of the test's own, below one that everybody may enter."""
    folder = Path(os.environ["ASKFIRST_TEST_RUN"]).parent / f"askfirst-data-{secrets.token_hex(4)}"
    yield places.make_data(folder)
    places.remove_data(folder)


@pytest.fixture
def server(data: Path) -> postgres.Postgres:
    """A PostgreSQL that is made and not started."""
    return postgres.prepare(data, places.socket_folder(data))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(what, seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while not what() and time.monotonic() < until:
        time.sleep(0.02)
    return what()


def test_what_was_committed_is_there_after_a_stop_and_a_start(server):
    process = postgres.bring_up(server)
    with server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    postgres.finish(process, 5)
    assert process.returncode == 0
    process = postgres.bring_up(server)
    with server.connect() as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
    postgres.finish(process, 5)


def test_what_was_committed_is_there_after_a_kill(server):
    process = postgres.bring_up(server)
    with server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    process.kill()
    process.wait()
    assert (server.folder / "postmaster.pid").exists()
    process = postgres.bring_up(server)
    with server.connect() as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
    postgres.finish(process, 5)


def test_a_pid_file_whose_number_belongs_to_somebody_else_does_not_stop_a_start(server):
    process = postgres.bring_up(server)
    process.kill()
    process.wait()
    file = server.folder / "postmaster.pid"
    lines = file.read_text().split("\n")
    file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    postgres.finish(postgres.bring_up(server), 5)


def test_a_half_made_folder_is_made_anew(data):
    half = data / "postgres.half"
    half.mkdir()
    (half / "PG_VERSION").write_text("18")
    server = postgres.prepare(data, places.socket_folder(data))
    postgres.finish(postgres.bring_up(server), 5)
    assert not half.exists()


def test_a_folder_of_another_major_version_is_never_touched(data, server):
    (server.folder / "PG_VERSION").write_text("15\n")
    with pytest.raises(EngineProblem, match="pg_dump"):
        postgres.prepare(data, places.socket_folder(data))


def test_a_lost_secret_is_said_plainly(data, server):
    (data / "database.secret").unlink()
    with pytest.raises(EngineProblem, match="Restore it"):
        postgres.prepare(data, places.socket_folder(data))


def test_nobody_signs_in_without_the_password(server):
    process = postgres.bring_up(server)
    for role in (postgres.OWNER, postgres.APP):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=str(server.sockets), user=role, password="wrong", dbname="postgres")
    postgres.finish(process, 5)


def test_the_database_listens_on_no_port_and_never_runs_as_root(server):
    process = postgres.bring_up(server)
    with server.connect() as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    assert server.folder.stat().st_uid != 0
    assert Path(f"/proc/{process.pid}").stat().st_uid == server.folder.stat().st_uid
    postgres.finish(process, 5)


def test_two_installations_run_side_by_side(data):
    other = places.make_data(data.with_name(f"{data.name}-2"))
    servers = [postgres.prepare(one, places.socket_folder(one)) for one in (data, other)]
    running = [postgres.bring_up(server) for server in servers]
    for number, server in enumerate(servers):
        with server.connect() as connection:
            connection.execute(f"CREATE TABLE t AS SELECT {number} AS n")
    for number, server in enumerate(servers):
        with server.connect() as connection:
            assert connection.execute("SELECT n FROM t").fetchone() == (number,)
    for process in running:
        postgres.finish(process, 5)
    places.remove_data(other)


def test_the_embedded_database_keeps_what_it_commits(server):
    process = postgres.bring_up(server)
    engine = create_engine_from(server.url())
    check_database(engine)
    engine.dispose()
    postgres.finish(process, 5)


@pytest.mark.parametrize("forgetful", ["fsync", "synchronous_commit", "full_page_writes"])
def test_a_database_that_may_forget_is_refused(server, forgetful):
    process = postgres.bring_up(server)
    with server.connect() as connection:
        connection.execute(f"ALTER SYSTEM SET {forgetful} = off")
    postgres.finish(process, 5)
    settings = (server.folder / "postgresql.auto.conf").read_text()
    assert f"{forgetful} = 'off'" in settings
    process = start_as_configured(server)
    engine = create_engine_from(server.url())
    with pytest.raises(EngineProblem, match=f"{forgetful} is off"):
        check_database(engine)
    engine.dispose()
    postgres.finish(process, 5)


def start_as_configured(server: postgres.Postgres) -> subprocess.Popen[bytes]:
    """Start the server without the parameters that we insist on, as somebody else's server would be."""
    command = [str(server.programs / "postgres"), "-D", str(server.folder), "-c", "listen_addresses="]
    command += ["-c", f"unix_socket_directories={server.sockets}"]
    process = spawn(command, server.log, user=server.user, on_orphaned=signal.SIGQUIT)
    postgres.wait_until_ready(server, process)
    return process


def test_the_queue_keeps_what_it_holds_over_a_restart(data):
    server = valkey.prepare(data, places.socket_folder(data))
    process = valkey.bring_up(server)
    client = redis.Redis.from_url(server.url)
    client.set("kept", "7")
    stop(process, signal.SIGTERM, 5, signal.SIGKILL)
    assert process.returncode == 0
    process = valkey.bring_up(server)
    assert client.get("kept") == b"7"
    client.close()
    stop(process, signal.SIGTERM, 5, signal.SIGKILL)


def test_a_queue_that_can_not_read_what_it_kept_starts_without_it(data):
    """All it holds may be lost at the cost of a few seconds: better an empty queue than none."""
    server = valkey.prepare(data, places.socket_folder(data))
    stop(valkey.bring_up(server), signal.SIGTERM, 5, signal.SIGKILL)
    for file in (server.folder / "appendonlydir").iterdir():
        file.write_bytes(b"\0garbage\r\n" * 100)
    process = valkey.bring_up(server)
    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 0
    stop(process, signal.SIGTERM, 5, signal.SIGKILL)


def test_the_sockets_a_killed_supervisor_left_are_removed_at_the_next_start(data):
    left = places.socket_folder(data)
    now = places.socket_folder(data)
    assert not left.exists()
    assert (data / "run").resolve() == now.resolve()


def test_a_socket_path_is_short_however_deep_the_data_folder_is(data):
    deep = places.make_data(data / ("d" * 100) / ("e" * 100))
    folder = places.socket_folder(deep)
    assert len(os.fsencode(folder / "pg" / ".s.PGSQL.5432")) < places.SOCKET_PATH_LIMIT
    places.remove_sockets(deep)


def test_a_closed_folder_is_not_opened_for_the_database(data):
    """Permissions of folders that we did not make are never changed."""
    closed = Path(tempfile.mkdtemp(prefix="closed-", dir=data))
    inside = places.make_data(closed / "askfirst")
    server = postgres.prepare(inside, places.socket_folder(inside))
    postgres.finish(postgres.bring_up(server), 5)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert places.is_root() == (inside / "postgres").is_symlink()
    place = server.folder
    places.remove_data(inside)
    assert not place.exists()


def test_programs_that_others_can_not_reach_are_copied_once_to_where_they_can(data):
    closed = Path(tempfile.mkdtemp(dir=data))
    for name in ("pg", "pg.libs"):
        (closed / name).mkdir(mode=0o700)
    (closed / "pg" / "run").touch(mode=0o700)
    assert not places.is_runnable(closed / "pg")
    folders = [closed / "pg", closed / "pg.libs"]
    place = places.copy_for_others(folders, data / "engines")
    assert places.copy_for_others(folders, data / "engines") == place
    assert stat.S_IMODE((place / "pg" / "run").stat().st_mode) == 0o755
    assert (place / "pg.libs").is_dir()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_the_root_key_is_made_once_and_readable_by_us_only(data):
    settings = Settings.from_env({"ASKFIRST_DATA": str(data)})
    key = installation.root_key(settings)
    assert len(key) >= 32
    assert installation.root_key(settings) == key
    assert stat.S_IMODE((data / "root.key").stat().st_mode) == 0o600


def test_a_root_key_from_the_environment_makes_no_file(data):
    settings = Settings.from_env({"ASKFIRST_DATA": str(data), "ASKFIRST_ROOT_KEY": "ab" * 32})
    assert installation.root_key(settings) == b"\xab" * 32
    assert not (data / "root.key").exists()


def test_a_command_reaches_the_database_when_nothing_runs(data):
    settings = Settings.from_env({"ASKFIRST_DATA": str(data)})
    with installation.reachable(settings) as reached:
        engine = create_engine_from(reached.database_url or "")
        check_database(engine)
        engine.dispose()
        assert installation.is_locked(data)
    assert not installation.is_locked(data)


SLEEPER = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
PARENT = """
import signal, sys, time
from functools import partial
from pathlib import Path
from workers.processes import spawn
spawn([sys.executable, "-c", sys.argv[1], sys.argv[2]], Path(sys.argv[3]))
time.sleep(600)
"""


def test_a_child_does_not_outlive_a_killed_parent(tmp_path):
    note = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, SLEEPER, str(note), str(tmp_path / "log")])
    assert wait_until(lambda: note.exists() and bool(note.read_text()))
    child = int(note.read_text())
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not is_running(child))


WATCHING = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from workers.launch import watch
if os.fork() == 0:
    watch("-", os.getppid(), signal.SIGKILL, [sys.executable, "-c", sys.argv[2], sys.argv[3]])
signal.pause()
"""


def test_where_the_kernel_does_not_watch_the_launcher_does(tmp_path):
    """The way on systems other than Linux, driven here by hand."""
    note, root = tmp_path / "pid", str(Path(__file__).parents[2])
    parent = subprocess.Popen([sys.executable, "-c", WATCHING, root, SLEEPER, str(note)])
    assert wait_until(lambda: note.exists() and bool(note.read_text()))
    child = int(note.read_text())
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not is_running(child))


WITNESS = """
import signal, sys, time
def end(number, frame):
    with open(sys.argv[1], "a") as log:
        log.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in sys.argv else end)
print("ready", flush=True)
time.sleep(600)
"""


def witnesses(folder: Path, *names: str, deaf: str = "") -> dict[str, Part]:
    """Parts that note in `folder/order` when they are asked to stop; the deaf one never hears."""
    parts = {}
    for name in names:
        log = folder / f"{name}.log"
        command = [sys.executable, "-c", WITNESS, str(folder / "order"), name, "deaf" if name == deaf else ""]
        parts[name] = Part(name, partial(spawn, command, log), log)
        parts[name].begin()
    assert wait_until(lambda: all("ready" in part.log.read_text() for part in parts.values()))
    return parts


ORDER = [Group(("clock",), 5.0, 0.1), Group(("one", "two"), 5.0, 0.1), Group(("database",), 5.0, 1.0)]


def test_parts_stop_in_order(tmp_path):
    parts = witnesses(tmp_path, "database", "two", "one", "clock")
    assert stop_in_order(ORDER, parts, 15) == []
    first, *both, last = (tmp_path / "order").read_text().split()
    assert (first, set(both), last) == ("clock", {"one", "two"}, "database")


def test_a_part_that_does_not_hear_is_ended_and_the_database_still_stops_last_and_by_itself(tmp_path):
    parts = witnesses(tmp_path, "database", "one", "clock", deaf="one")
    assert stop_in_order(ORDER, parts, 3) == ["one"]
    assert (tmp_path / "order").read_text().split() == ["clock", "database"]
    assert all(part.pid is None for part in parts.values())
