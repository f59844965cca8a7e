"""The embedded server of one data folder: started, adopted, stopped; for `serve` and every verb beside it.

Three lock files say who is there. `serve.lock` belongs to the one `serve`. `in-use.lock` is shared by all who
use the server; whoever lets go last stops it, whoever started it. `starting.lock` is held for the moment of
starting or stopping. The kernel lets go of all of them when a process dies, however it dies.

Nobody but the server's account and root can reach the server: it listens on a socket of mode 0700 only.
"""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from ledger.account import account_for
from ledger.binaries import Binaries, find_binaries, open_to
from ledger.cluster import SUPERUSER, check_version, make_cluster, server_options
from ledger.data_folder import is_served_from, prepare, resolved
from ledger.endings import endings_deferred
from ledger.locks import Lock, locked, shared_lock, try_lock
from ledger.postmaster import (
    POLL_S,
    Postmaster,
    disown_stale_pid,
    find_postmaster,
    read_pid_file,
    stop_postmaster,
)
from ledger.server_errors import (
    DataFolderInUse,
    DataFolderUnusable,
    NoBinaries,
    NoServerYet,
    ServerFailed,
    WrongMajorVersion,
)

__all__ = [
    "DATABASE",
    "SUPERUSER",
    "DataFolderInUse",
    "DataFolderUnusable",
    "EmbeddedServer",
    "NoBinaries",
    "NoServerYet",
    "ServerFailed",
    "WrongMajorVersion",
    "find_binaries",
    "reach",
    "served_as",
]

DATABASE = "scim_ledger"
START_S = 600.0  # Crash recovery reads up to max_wal_size of write-ahead log first.
SOCKET_PATH_BYTES_MAX = 107  # sun_path less its NUL.
LOG_BYTES_MAX = 10_000_000


class EmbeddedServer:
    """A running Postgres over one data folder, and our hold on it.

    data: the folder. adopted: whether the server was running already, left behind by a killed `serve` or used
    beside another verb. durable: whether a server that we start is; only tests want it otherwise.
    """

    def __init__(self, data: Path, environ: Mapping[str, str], serving: Lock | None) -> None:
        """Use `start` or `reach`; this alone takes no hold on the server."""
        self.data = data
        self.adopted = False
        self.durable = environ.get("SCIM_LEDGER_TEST_POSTGRES") != "1"
        self._cluster = data / "postgres"
        self._account = account_for(self._cluster)
        self._environ = environ
        self._serving = serving
        self._in_use: Lock | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._found: Postmaster | None = None
        self._stopping = threading.Event()

    @classmethod
    def start(cls, data: Path, environ: Mapping[str, str] = os.environ, *, public_url: str = "") -> "EmbeddedServer":
        """Start the server of a data folder for a `serve`, or adopt the one that a killed one left behind.

        The folder is made on the first start. Until `stop`, or this process ends, a second `start` fails.

        environ: SCIM_LEDGER_PG_BINDIR, and SCIM_LEDGER_TEST_POSTGRES=1 for tests only: not durable.
        public_url: noted for verbs, which tell it to people; see `served_as`.

        Raises DataFolderInUse, DataFolderUnusable, WrongMajorVersion, ServerFailed, NoBinaries.
        """
        data = resolved(data)
        prepare(data, account_for(data / "postgres"))
        serving = try_lock(data / "serve.lock")
        if serving is None:
            raise DataFolderInUse(
                f"{data} is in use by another scim-ledger serve{_holder(data / 'serve.lock')};"
                " stop it, or give this one a folder of its own with --data"
            )
        serving.note(f"{os.getpid()}\n{public_url}\n")
        return cls(data, environ, serving)._joined()

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._found is not None, "not started"
        return self._found.pid

    @property
    def superuser_url(self) -> str:
        """The URL with which migrations run on the embedded server."""
        return self.url(SUPERUSER)

    def url(self, role: str, database: str = DATABASE) -> str:
        """Return a libpq URL for a role that may log in; over the socket no password is asked."""
        assert self._found is not None, "not started"
        host, port = quote(str(self._found.socket), safe=""), self._found.port
        return f"postgresql://{quote(role, safe='')}@/{quote(database, safe='')}?host={host}&port={port}"

    def ensure_running(self) -> bool:
        """Start the server again when it is gone. True when that was needed."""
        with locked(self.data / "starting.lock"):
            if self._child is not None:
                self._child.poll()
            if self._stopping.is_set() or find_postmaster(self._cluster) is not None:
                return False
            self._found = self._run()
            return True

    def watch(self, report: Callable[[str], None], every_s: float = 0.2) -> None:
        """Keep the server running until `stop`: a daemon thread starts it again when it was killed.

        report: told in one sentence what happened; ids only, safe for the diagnostic log.
        """
        threading.Thread(target=self._watch, args=(report, every_s), name="postgres-watch", daemon=True).start()

    def stop(self) -> None:
        """Let go of the server, and stop it unless somebody else uses it. May be called twice, and before `join`."""
        self._stopping.set()
        with endings_deferred():
            if self._in_use is not None:
                with locked(self.data / "starting.lock"):
                    last = self._in_use.upgrade()
                    self._in_use.release()
                    self._in_use = None
                    if last:
                        stop_postmaster(self._cluster, self._child)
                        self._drop_socket_folder()
            if self._serving is not None:
                self._serving.release()
                self._serving = None

    def _joined(self) -> "EmbeddedServer":
        """Take hold of the server, started or adopted; undo everything when that fails."""
        try:
            with locked(self.data / "starting.lock"):
                self._in_use = shared_lock(self.data / "in-use.lock")
                live = self._settled()
                self.adopted = live is not None
                self._found = live or self._run()
                self._ensure_database()
        except BaseException:  # Also Ctrl-C and SystemExit: nothing may stay behind.
            if self._in_use is not None:
                self.stop()
            elif self._serving is not None:
                self._serving.release()
            raise
        return self

    def _settled(self) -> Postmaster | None:
        """Return the live server once it is ready, or None once there is none; never one in between."""
        deadline = time.monotonic() + START_S
        while (found := find_postmaster(self._cluster)) is not None:
            if found.status == "ready":
                return found
            if time.monotonic() > deadline:
                raise ServerFailed(f"the Postgres of {self.data} (process {found.pid}) stays {found.status}")
            time.sleep(POLL_S)
        return None

    def _run(self) -> Postmaster:
        """Start the server as our child, after initdb on the first start."""
        binaries = open_to(find_binaries(self._environ), self._account, self.data)
        if self._cluster.exists():
            check_version(self._cluster, binaries)
        else:
            make_cluster(self._cluster, binaries, self._account, durable=self.durable)
        disown_stale_pid(self._cluster)
        for attempt in range(50):
            if (found := self._launch(binaries)) is not None:
                return found
            # Children of a killed server notice its death within moments; until then it would be two servers.
            time.sleep(0.02 * (attempt + 1))
        raise ServerFailed(f"processes of an earlier Postgres still use {self._cluster}")

    def _launch(self, binaries: Binaries) -> Postmaster | None:
        """Start and wait until ready. None when an earlier server's children are not gone yet."""
        socket = self._socket_folder()
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (socket / name).unlink(missing_ok=True)  # In a folder of ours alone, and no server lives: stale.
        options = server_options(socket, durable=self.durable)
        with endings_deferred(), os.fdopen(self._open_log(), "ab") as log:
            began_at = log.tell()
            self._child = subprocess.Popen(  # noqa: S603
                [binaries.program("postgres"), "-D", str(self._cluster), *options],
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we tell the server.
                **self._account.spawn_options(),
            )
        return self._ready(self._child, began_at)

    def _ready(self, child: "subprocess.Popen[bytes]", began_at: int) -> Postmaster | None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if child.poll() is not None:
                said = self._fatal(began_at)
                if "shared memory block" in said:
                    return None
                raise ServerFailed(f"Postgres did not start over {self.data}: {said}")
            found = read_pid_file(self._cluster)
            if found is not None and found.pid == child.pid and found.status == "ready":
                return found
            time.sleep(POLL_S)
        raise ServerFailed(f"Postgres did not become ready within {START_S:.0f} s; see {self.data}/postgres.log")

    def _open_log(self) -> int:
        path = self.data / "postgres.log"
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    def _fatal(self, began_at: int) -> str:
        with (self.data / "postgres.log").open("rb") as log:
            log.seek(began_at)
            lines = log.read().decode(errors="replace").splitlines()
        fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
        return (fatal or lines[-1:] or ["no message"])[0]

    def _socket_folder(self) -> Path:
        """The data folder; where its path is too long for a socket, or holds a comma, one below /tmp."""
        path = os.fsencode(self.data / ".s.PGSQL.5432.lock")
        if len(path) <= SOCKET_PATH_BYTES_MAX and b"," not in path:
            return self.data
        if self._found is not None:
            return self._found.socket
        folder = Path(tempfile.mkdtemp(prefix="scim-ledger-", dir="/tmp"))  # A fresh one, 0700.
        self._account.give(folder)
        return folder

    def _drop_socket_folder(self) -> None:
        if self._found is not None and self._found.socket != self.data:
            shutil.rmtree(self._found.socket, ignore_errors=True)

    def _ensure_database(self) -> None:
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True, connect_timeout=10) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone():
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))

    def _watch(self, report: Callable[[str], None], every_s: float) -> None:
        while not self._stopping.wait(every_s):
            try:
                if self.ensure_running():
                    report(f"the embedded Postgres was gone and runs again as process {self.pid}")
            except (ServerFailed, OSError) as failure:
                report(str(failure))
                self._stopping.wait(1.0)


@contextmanager
def reach(data: Path, environ: Mapping[str, str] = os.environ, *, create: bool = False) -> Iterator[EmbeddedServer]:
    """Use the server of a data folder for a moment, beside a running `serve` or without one.

    Starts the server when none runs, and stops it afterwards unless somebody else uses it by then.
    create: make the data folder when there is none; otherwise that raises NoServerYet.

    Raises also what `EmbeddedServer.start` raises, except DataFolderInUse.
    """
    data = resolved(data)
    if not create and not is_served_from(data):
        raise NoServerYet(f"there is no ledger in {data} yet: run ./scim-ledger serve, or name its folder with --data")
    prepare(data, account_for(data / "postgres"))
    server = EmbeddedServer(data, environ, None)._joined()
    try:
        yield server
    finally:
        server.stop()


def served_as(data: Path) -> str | None:
    """Return the public URL of the `serve` that has, or had, this data folder last; None when there was none."""
    return next(iter(_noted(resolved(data) / "serve.lock")[1:]), None) or None


def _holder(path: Path) -> str:
    pid = next(iter(_noted(path)), "")
    return f" (process {pid})" if pid.isdigit() else ""


def _noted(lock: Path) -> list[str]:
    try:
        return lock.read_text().splitlines()
    except OSError:
        return []
