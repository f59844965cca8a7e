"""A real service to measure: `./scim-ledger serve` in a process of its own, on a data folder of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx

from ledger.postgres import DATABASE, SUPERUSER
from ledger.postmaster import find_postmaster

ROOT = Path(__file__).resolve().parent.parent
START_S_MAX = 120.0  # The first start makes a database cluster; a slow disk needs its time.
STOP_S_MAX = 30.0
PROGRAM = (sys.executable, "-P", "-m", "cli")  # What `./scim-ledger` becomes, in the same environment.
SETTING = "SCIM_LEDGER_"
BINARIES = "SCIM_LEDGER_PG_BINDIR"


class ServiceFailed(RuntimeError):
    """The service, or one of its commands, did not do what it should; the message holds its last words."""


def free_port() -> int:
    """Return a port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes() -> Iterator[tuple[int, int, str]]:
    """Yield pid, parent's pid and program name of every process; /proc shows this much to everybody."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            before, _, after = (folder / "stat").read_text().rpartition(")")
        except OSError:
            continue  # It ended meanwhile.
        yield int(folder.name), int(after.split()[1]), before.partition("(")[2]


def processor_us(pids: list[int]) -> float:
    """Return the processor time these processes have used so far, with children they waited for, in µs."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return 1e6 * ticks / os.sysconf("SC_CLK_TCK")


class Service:
    """The service on one data folder; may be stopped, killed and started again on it.

    data: the data folder; the service makes it. port: the same after each start.
    output: what the service printed and logged, of all starts.
    """

    def __init__(self, data: Path, *, port: int | None = None, options: tuple[str, ...] = ()) -> None:
        self.data = data
        self.port = port or free_port()
        self.options = options
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.output = data.with_name(data.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Service":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *, wait: bool = True) -> None:
        """Start it, and return when /healthz answers 200; raises ServiceFailed with the end of its output."""
        self.process = self._launch()
        if wait:
            try:
                self.wait()
            except BaseException:  # Also Ctrl-C: nothing may stay behind.
                self.kill()
                self.kill_postgres()
                raise

    def _launch(self) -> subprocess.Popen[bytes]:
        arguments = ["serve", "--port", str(self.port), "--data", str(self.data), *self.options]
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("ab") as output:
            return subprocess.Popen(  # noqa: S603  Our own program.
                [*PROGRAM, *arguments],
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env=self.environment(),
                start_new_session=True,  # Ctrl-C is for us; we tell the service.
            )

    def wait(self) -> None:
        """Wait until the service says it is healthy."""
        assert self.process
        until = time.monotonic() + START_S_MAX
        with httpx.Client(base_url=self.base_url, timeout=2) as client:
            while time.monotonic() < until:
                if self.process.poll() is not None:
                    raise ServiceFailed(f"serve ended with status {self.process.returncode}:\n{self.last_words()}")
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/healthz").status_code == 200:
                        return
                time.sleep(0.05)
        raise ServiceFailed(f"no healthy answer within {START_S_MAX:.0f} s:\n{self.last_words()}")

    def stop(self) -> None:
        """Stop it as an operator would, by SIGTERM; by force when it does not end."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
                self.kill_postgres()

    def kill(self) -> None:
        """kill -9: the service and its workers, at once; its database server stays."""
        for pid in self.service_pids():
            kill(pid)
        if self.process:
            self.process.wait()

    def kill_postgres(self) -> None:
        """kill -9: every database process of the data folder."""
        for pid in self.postgres_pids():
            kill(pid)

    def service_pids(self) -> list[int]:
        """Return the service's own process and the workers below it, without the database."""
        return below(self.process.pid, without="postgres") if self.process else []

    def postgres_pids(self) -> list[int]:
        """Return the database server of the data folder and its processes."""
        server = find_postmaster(self.data / "postgres")
        return below(server.pid) if server else []

    def database_url(self) -> str:
        """Return the superuser's URL of the embedded server; stays the same over its restarts."""
        server = find_postmaster(self.data / "postgres")
        if not server:
            raise ServiceFailed(f"no database server runs on {self.data}")
        host = quote(str(server.socket), safe="")
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={host}&port={server.port}"

    def environment(self) -> dict[str, str]:
        """Return the environment of the service and of commands that shall reach it: no settings but its own.

        A leftover setting of the caller's could make the database forget on a crash, or be another database.
        """
        ours = {name: value for name, value in os.environ.items() if not name.startswith(SETTING)}
        binaries = {name: os.environ[name] for name in (BINARIES,) if name in os.environ}
        return {**ours, **binaries, "SCIM_LEDGER_DATA": str(self.data)}

    def command(self, *arguments: str, seconds_max: float = 60) -> str:
        """Run `./scim-ledger …` against the data folder; return its standard output without the line end."""
        done = subprocess.run(  # noqa: S603  Our own program.
            [*PROGRAM, *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=self.environment(),
            timeout=seconds_max,
        )
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip()
            raise ServiceFailed(f"{' '.join(arguments)} ended with {done.returncode}: {words}")
        return done.stdout.strip()

    def new_tenant(self, slug: str) -> tuple[str, str]:
        """Make a tenant; return a token of scope scim and one of scope audit."""
        self.command("tenant", "create", slug)
        return self.new_token(slug, "scim"), self.new_token(slug, "audit")

    def new_token(self, slug: str, scope: str) -> str:
        """Make a token for a tenant; return its secret."""
        return self.command("token", "create", "--tenant", slug, "--label", scope, "--scope", scope)

    def last_words(self) -> str:
        """Return the end of what the service wrote."""
        return self.output.read_text(errors="replace")[-3000:] if self.output.exists() else "(nothing)"


def below(root: int, *, without: str = "") -> list[int]:
    """Return a process and all its descendants, except programs named `without` and what is below them."""
    known, everybody = {root}, [each for each in processes() if each[2] != without]
    while found := {pid for pid, parent, _ in everybody if parent in known} - known:
        known |= found
    return sorted(known)


def kill(pid: int) -> None:
    """kill -9 one process; it may have ended already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
