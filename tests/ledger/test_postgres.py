"""The embedded server, with real servers and real kills."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from ledger.account import Account, account_for
from ledger.binaries import DEBIAN, find_binaries
from ledger.cluster import memory_bytes, shared_buffers_mib
from ledger.data_folder import prepare
from ledger.postgres import (
    DataFolderInUse,
    DataFolderUnusable,
    EmbeddedServer,
    NoBinaries,
    NoServerYet,
    ServerFailed,
    WrongMajorVersion,
    reach,
)
from ledger.postmaster import find_postmaster

QUICK = {**os.environ, "SCIM_LEDGER_TEST_POSTGRES": "1"}

HOLD = """
import os, sys, time
from pathlib import Path
from ledger.postgres import EmbeddedServer, ServerFailed
try:
    server = EmbeddedServer.start(Path(sys.argv[1]), os.environ)
except ServerFailed as failure:
    sys.exit(str(failure))
print(server.pid, flush=True)
time.sleep(float(sys.argv[2]))
server.stop()
"""

BRIEFLY = """
import os, sys
from pathlib import Path
import psycopg
from ledger.postgres import reach
with reach(Path(sys.argv[1]), os.environ, create=True) as server:
    with psycopg.connect(server.superuser_url) as connection:
        connection.execute("select pg_advisory_xact_lock(1)")
        connection.execute("create table if not exists visits (pid integer)")
        connection.execute("insert into visits values (%s)", (os.getpid(),))
"""


def run(script: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start another process that uses the server."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        env=QUICK,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.fixture
def holding(data_folder: Path) -> "Iterator[Callable[[], subprocess.Popen[str]]]":
    """Start processes that hold the data folder as `serve` does, until killed."""
    started: list[subprocess.Popen[str]] = []

    def hold() -> "subprocess.Popen[str]":
        started.append(run(HOLD, data_folder, 60))
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def count(server: EmbeddedServer, table: str = "kept") -> int:
    """Count the rows of a table."""
    with psycopg.connect(server.superuser_url) as connection:
        (found,) = connection.execute(f"select count(*) from {table}").fetchone() or (0,)
    return int(found)


def keep_something(server: EmbeddedServer) -> None:
    """Commit one row."""
    with psycopg.connect(server.superuser_url) as connection:
        connection.execute("create table if not exists kept (n integer)")
        connection.execute("insert into kept values (1)")


def alive(data: Path) -> bool:
    """Whether a server lives over the data folder."""
    return find_postmaster(data / "postgres") is not None


def refusal(data: Path, kind: type[ServerFailed]) -> str:
    """Start, expecting a refusal, and return its sentence, which is one line."""
    with pytest.raises(kind) as refused:
        EmbeddedServer.start(data, QUICK).stop()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_was_written_is_there_after_stop_and_start(data_folder: Path) -> None:
    """The plain life of a server; nothing is left running between."""
    server = EmbeddedServer.start(data_folder, QUICK)
    keep_something(server)
    server.stop()
    server.stop()
    assert not alive(data_folder)
    server = EmbeddedServer.start(data_folder, QUICK)
    assert (server.adopted, count(server)) == (False, 1)
    server.stop()


@pytest.mark.parametrize(("memory_gib", "mib"), [(0.25, 128), (2, 512), (4, 1024), (24, 6144), (64, 8192)])
def test_buffers_take_a_quarter_of_the_memory(memory_gib: float, mib: int) -> None:
    assert shared_buffers_mib(int(memory_gib * 2**30)) == mib


def test_an_ordinary_server_is_durable(data_folder: Path) -> None:
    """Without the tests' variable everything that is acknowledged is on disk, and pages have checksums."""
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "max_wal_size": "4GB",
        "min_wal_size": "512MB",
        "wal_buffers": "16MB",
        "checkpoint_timeout": "15min",
        "max_connections": "200",
        "jit": "off",
        "listen_addresses": "",
        "server_encoding": "UTF8",
    }
    server = EmbeddedServer.start(data_folder, {})
    with psycopg.connect(server.superuser_url) as connection:
        found = {
            name: (connection.execute("select current_setting(%s)", (name,)).fetchone() or "")[0] for name in wanted
        }
        (pages,) = (
            connection.execute("select setting::int from pg_settings where name = 'shared_buffers'").fetchone() or ()
        )
        assert pages * 8192 == shared_buffers_mib(memory_bytes()) * 2**20
        in_order = connection.execute("select array_agg(x order by x) from unnest('{a,B,ä,Z}'::text[]) x")
        assert in_order.fetchone() == (["B", "Z", "a", "ä"],), "sorted by code point, as on every machine"
    server.stop()
    assert (found, server.durable) == (wanted, True)


def test_only_its_account_and_root_can_reach_it(data_folder: Path) -> None:
    """The folder is 0700; the parent above it keeps its mode."""
    before = data_folder.parent.stat()
    server = EmbeddedServer.start(data_folder, QUICK)
    inside, after = data_folder.stat(), data_folder.parent.stat()
    server.stop()
    assert (stat.S_IMODE(inside.st_mode), inside.st_uid) == (0o700, account_for(data_folder / "postgres").uid)
    assert (before.st_mode, before.st_uid) == (after.st_mode, after.st_uid)


def test_a_second_serve_says_so_and_leaves_the_first_alone(data_folder: Path) -> None:
    """It names the process to stop."""
    first = EmbeddedServer.start(data_folder, QUICK)
    second = run(HOLD, data_folder, 0)
    _, said = second.communicate(timeout=20)
    assert (second.returncode, first.pid) == (1, find_postmaster(data_folder / "postgres").pid)
    assert said == (
        f"{data_folder} is in use by another scim-ledger serve (process {os.getpid()}); stop it, or give this"
        " one a folder of its own with --data\n"
    )
    first.stop()


def test_of_several_serves_at_once_exactly_one_starts(data_folder: Path, holding: Callable) -> None:
    """Also on a folder that is not there yet."""
    racers = [holding() for _ in range(3)]
    deadline = time.monotonic() + 20
    while sum(racer.poll() is None for racer in racers) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    (winner,) = [racer for racer in racers if racer.poll() is None]
    assert int(winner.stdout.readline()) == find_postmaster(data_folder / "postgres").pid
    assert all("in use by another" in racer.stderr.read() for racer in racers if racer is not winner)


def test_after_kill_9_of_serve_the_next_one_adopts_the_server(data_folder: Path, holding: Callable) -> None:
    """The same server process, and it is stopped in the end although another process started it."""
    killed = holding()
    pid = int(killed.stdout.readline())
    killed.kill()
    killed.wait()
    server = EmbeddedServer.start(data_folder, QUICK)
    assert (server.adopted, server.pid) == (True, pid)
    keep_something(server)
    server.stop()
    assert not alive(data_folder)


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data_folder: Path, holding: Callable) -> None:
    """The terminal signals the whole group; the server is in another one."""
    serve = holding()
    pid = int(serve.stdout.readline())
    os.killpg(serve.pid, signal.SIGINT)
    serve.communicate(timeout=20)
    assert find_postmaster(data_folder / "postgres").pid == pid


def test_after_kill_9_of_the_server_the_next_start_recovers(data_folder: Path) -> None:
    """Also at once, while orphaned children of the dead server still hold its shared memory."""
    server = EmbeddedServer.start(data_folder, QUICK)
    keep_something(server)
    idle = psycopg.connect(server.superuser_url)
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while not server.ensure_running():  # A process takes a moment to die.
        assert time.monotonic() < deadline
    assert (count(server), server.ensure_running()) == (1, False)
    idle.close()
    server.stop()
    assert not alive(data_folder)


def test_a_watched_server_comes_back_by_itself(data_folder: Path) -> None:
    """Within moments of its death, under a new process id, with one line for the log."""
    said: list[str] = []
    told = threading.Event()
    server = EmbeddedServer.start(data_folder, QUICK)
    keep_something(server)
    first = server.pid
    server.watch(lambda line: (said.append(line), told.set()), every_s=0.02)
    os.kill(first, signal.SIGKILL)
    assert told.wait(10)
    assert (server.pid != first, count(server)) == (True, 1)
    assert said == [f"the embedded Postgres was gone and runs again as process {server.pid}"]
    server.stop()
    time.sleep(0.1)
    assert not alive(data_folder), "the watch ends with stop"


def test_a_verb_beside_serve_uses_its_server_and_leaves_it_running(data_folder: Path) -> None:
    """Without a serve it starts one for the moment."""
    with pytest.raises(NoServerYet, match=r"no ledger in .* yet"), reach(data_folder, QUICK):
        pass
    assert not data_folder.exists()
    server = EmbeddedServer.start(data_folder, QUICK)
    with reach(data_folder, QUICK) as verb:
        assert (verb.adopted, verb.pid) == (True, server.pid)
    assert alive(data_folder)
    server.stop()
    with reach(data_folder, QUICK) as verb:
        assert not verb.adopted
    assert not alive(data_folder)


def test_whoever_leaves_last_stops_the_server(data_folder: Path) -> None:
    """A serve that starts beside a verb keeps the verb's server, and a verb outlives the serve it came to."""
    with reach(data_folder, QUICK, create=True) as verb:
        server = EmbeddedServer.start(data_folder, QUICK)
        assert server.pid == verb.pid
    assert alive(data_folder)
    with reach(data_folder, QUICK) as verb:
        server.stop()
        keep_something(verb)
        EmbeddedServer.start(data_folder, QUICK).stop()
        assert count(verb) == 1
    assert not alive(data_folder)


def test_many_verbs_at_once_get_along(data_folder: Path) -> None:
    """Each finds a server, none takes it away from another, nobody forgets to stop it."""
    verbs = [run(BRIEFLY, data_folder) for _ in range(4)]
    said = [verb.communicate(timeout=30)[1] for verb in verbs]
    assert [verb.returncode for verb in verbs] == [0] * 4, said
    assert not alive(data_folder)
    with reach(data_folder, QUICK) as server:
        assert count(server, "visits") == 4


def test_many_at_once_may_make_a_data_folder_and_its_parents(data_folder: Path) -> None:
    """Whoever comes second finds it made."""
    for number in range(100):
        data = data_folder.with_name(f"new-{number}") / "a" / "b" / "data"
        account = account_for(data)
        together = threading.Barrier(4)

        def make(data: Path = data, account: Account = account, together: threading.Barrier = together) -> None:
            together.wait()
            prepare(data, account)

        with ThreadPoolExecutor(4) as pool:
            for made in [pool.submit(make) for _ in range(4)]:
                made.result()
        assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_a_pid_file_whose_pid_is_another_process_by_now_is_no_obstacle(data_folder: Path) -> None:
    """Postgres alone would refuse: the process lives, under the server's own account."""
    server = EmbeddedServer.start(data_folder, QUICK)
    keep_something(server)
    options = account_for(data_folder / "postgres").spawn_options()
    other = subprocess.Popen(["/bin/sleep", "60"], **options)
    pid_file = data_folder / "postgres" / "postmaster.pid"
    kept = pid_file.read_text().splitlines()
    server.stop()
    pid_file.write_text("\n".join([str(other.pid), *kept[1:]]) + "\n")
    shutil.chown(pid_file, options.get("user"), options.get("group")) if "user" in options else None
    server = EmbeddedServer.start(data_folder, QUICK)
    assert (server.adopted, count(server), other.poll()) == (False, 1, None)
    server.stop()
    other.kill()
    other.wait()


@pytest.mark.parametrize("left", ["", "no number\n", "999999999\n"])
def test_a_damaged_pid_file_is_no_obstacle(data_folder: Path, left: str) -> None:
    """As a full disk or a power cut leave it."""
    EmbeddedServer.start(data_folder, QUICK).stop()
    (data_folder / "postgres" / "postmaster.pid").write_text(left)
    server = EmbeddedServer.start(data_folder, QUICK)
    assert not server.adopted
    server.stop()


def test_an_interrupted_initdb_is_done_again(data_folder: Path) -> None:
    """What it left has another name than a whole cluster."""
    unfinished = data_folder / "postgres.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    (data_folder / "serve.lock").touch()
    EmbeddedServer.start(data_folder, QUICK).stop()
    assert not unfinished.exists()


def test_a_cluster_of_another_major_version_is_refused_untouched(data_folder: Path) -> None:
    """With both versions and the two ways out."""
    EmbeddedServer.start(data_folder, QUICK).stop()
    (data_folder / "postgres" / "PG_VERSION").write_text("14\n")
    said = refusal(data_folder, WrongMajorVersion)
    assert said.startswith(f"{data_folder} was made by Postgres 14, the binaries found are")
    assert "SCIM_LEDGER_PG_BINDIR" in said and "pg_upgrade" in said
    assert not alive(data_folder)


def test_a_path_too_long_for_a_socket_gets_a_short_one(data_folder: Path) -> None:
    """Below /tmp, private, and gone afterwards; verbs find it through the data folder."""
    for name in ("x" * 100, "with, comma", "100% \"ünusual\" 'name'"):
        data = data_folder.parent / name
        server = EmbeddedServer.start(data, QUICK)
        keep_something(server)
        with reach(data, QUICK) as verb:
            assert (verb.pid, count(verb)) == (server.pid, 1)
            socket = find_postmaster(data / "postgres").socket
            assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        server.stop()
        assert socket == data or (socket.parent == Path("/tmp") and not socket.exists())


def test_a_folder_with_other_files_is_refused_untouched(data_folder: Path) -> None:
    """`--data /etc` must not cost anybody their machine."""
    data_folder.mkdir(mode=0o755)
    (data_folder / "passwd").touch()
    before = data_folder.stat()
    assert refusal(data_folder, DataFolderUnusable).startswith(f"{data_folder} holds other files")
    after = data_folder.stat()
    assert (before.st_mode, before.st_uid) == (after.st_mode, after.st_uid)
    assert [path.name for path in data_folder.iterdir()] == ["passwd"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server under another account")
def test_root_is_told_which_folder_is_closed_and_nothing_is_opened(data_folder: Path) -> None:
    """A 0700 home stays a 0700 home."""
    home = data_folder.parent / "home"
    home.mkdir(mode=0o700)
    said = refusal(home / "me" / "data", DataFolderUnusable)
    assert f"{home / 'me'} is closed" in said or f"{home} is closed" in said
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server under another account")
def test_root_serves_a_folder_that_somebody_else_made_as_its_owner(data_folder: Path) -> None:
    """The files stay theirs, so that they can go on without root."""
    EmbeddedServer.start(data_folder, QUICK).stop()
    for path in [data_folder, *data_folder.rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    server = EmbeddedServer.start(data_folder, QUICK)
    assert Path(f"/proc/{server.pid}").stat().st_uid == 65534
    server.stop()
    assert data_folder.stat().st_uid == 65534


def test_ctrl_c_while_starting_leaves_nothing_behind(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a server nor a lock."""

    def interrupted(_: EmbeddedServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(EmbeddedServer, "_ensure_database", interrupted)
    with pytest.raises(KeyboardInterrupt):
        EmbeddedServer.start(data_folder, QUICK)
    assert not alive(data_folder)
    monkeypatch.undo()
    EmbeddedServer.start(data_folder, QUICK).stop()


def test_a_server_that_cannot_start_says_why(data_folder: Path) -> None:
    """With Postgres's own words, and it can be mended."""
    EmbeddedServer.start(data_folder, QUICK).stop()
    configuration = data_folder / "postgres" / "postgresql.auto.conf"
    configuration.write_text("no_such_setting = 1\n")
    assert "Postgres did not start" in refusal(data_folder, ServerFailed)
    configuration.write_text("")
    EmbeddedServer.start(data_folder, QUICK).stop()


def test_binaries_come_from_the_asked_folder_or_not_at_all(data_folder: Path) -> None:
    """A wrong folder is never replaced silently by another Postgres."""
    with pytest.raises(NoBinaries, match="SCIM_LEDGER_PG_BINDIR: /nowhere holds no Postgres 15 or newer"):
        find_binaries({"SCIM_LEDGER_PG_BINDIR": "/nowhere"})
    assert find_binaries({}).major >= 15
    if (debian := DEBIAN / "15" / "bin").is_dir():
        assert find_binaries({"SCIM_LEDGER_PG_BINDIR": str(debian)}).major == 15


def test_a_second_hold_in_one_process_is_refused_too(data_folder: Path) -> None:
    """The lock is the file's, not the process's."""
    server = EmbeddedServer.start(data_folder, QUICK)
    assert "in use" in refusal(data_folder, DataFolderInUse)
    server.stop()
