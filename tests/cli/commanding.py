"""How the tests of this folder use the command line: as a person does, in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from msgspec import Struct

from bench.service import below
from ledger.postmaster import find_postmaster
from tests.running import ROOT, Service

PATIENCE_S = 60.0


class Ended(Struct, frozen=True):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """The one sentence of a command that could not be done; nothing else may have been printed."""
        assert self.status != 0, self
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("scim-ledger: "), self.err
        assert "Traceback" not in self.err
        assert self.out == ""
        return self.err.removeprefix("scim-ledger: ").strip()


def environment(**variables: str) -> dict[str, str]:
    """The environment of a person without settings, on a Postgres that need not be durable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_LEDGER_")}
    binaries = {name: os.environ[name] for name in ("SCIM_LEDGER_PG_BINDIR",) if name in os.environ}
    return {**kept, **binaries, "SCIM_LEDGER_TEST_POSTGRES": "1", "COLUMNS": "100", **variables}


def command(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """Start `./scim-ledger ARGUMENTS`, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**environment(), **variables},
        start_new_session=True,
    )


def ended(process: "subprocess.Popen[str]") -> Ended:
    """Wait for a command."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return Ended(process.returncode, out, err)


def ran(*arguments: str, **variables: str) -> Ended:
    """Run `./scim-ledger ARGUMENTS`. variables: of its environment."""
    return ended(command(*arguments, **variables))


def processes_of(data: Path, pid: int) -> set[int]:
    """Every process of a `serve`: itself, its workers, and the database server over its folder with its own."""
    server = find_postmaster(data / "postgres")
    return {*below(pid), *(below(server.pid) if server else ())}


def alive(pids: set[int]) -> set[int]:
    """Those that still run; an ended one that nobody waited for does not."""
    return {pid for pid in pids if _state(pid) not in ("", "Z", "X")}


def left_behind(data: Path, pid: int) -> list[str]:
    """Command lines that name the data folder, or are workers of that `serve`, after half a second at most."""
    deadline = time.monotonic() + 0.5
    while (found := _mentioning(data, pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _mentioning(data: Path, pid: int) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) not in (pid, os.getpid()):
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            if str(data) in line or re.search(rf"api\.worker \d+ {pid}$", line):
                found.append(line)
    return found


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def stopped(service: Service, number: signal.Signals = signal.SIGTERM) -> int:
    """Signal a service, and return its status once it has ended and everything it started with it."""
    assert service.process is not None
    processes = processes_of(service.data, service.process.pid)
    service.process.send_signal(number)
    status = service.process.wait(30)
    assert alive(processes) == set()
    assert left_behind(service.data, service.process.pid) == []
    return status


def secrets_in(text: str) -> list[str]:
    """The token secrets that were printed."""
    return re.findall(r"slt_[A-Za-z0-9_-]{43}", text)
