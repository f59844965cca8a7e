"""The server process as its pid file tells it: is it there, is it ours, is it ready, has it gone."""

import os
import signal
import subprocess
import time
from pathlib import Path

from msgspec import Struct

POLL_S = 0.01
STOP_S = 30.0  # A fast shutdown writes a last checkpoint; after this long, crash recovery is the lesser evil.


class Postmaster(Struct, frozen=True):
    """A running server. socket: the folder its socket is in. status: ready, starting or stopping."""

    pid: int
    socket: Path
    port: int
    status: str


def read_pid_file(cluster: Path) -> Postmaster | None:
    """Return what postmaster.pid says, which may be out of date; None when there is none.

    Lines: pid, data folder, start time, port, socket folder, address, shared memory, status. The server
    writes them one after the other, so a young file may be short: it then counts as starting.
    """
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    lines += [""] * (8 - len(lines))
    if not lines[0].strip().lstrip("-").isdigit():
        return None
    return Postmaster(
        pid=abs(int(lines[0])),
        socket=Path(lines[4]),
        port=int(lines[3]) if lines[3].strip().isdigit() else 0,
        status=lines[7].strip() or "starting",
    )


def is_postmaster(pid: int, cluster: Path) -> bool:
    """Whether the process is the Postgres server of this data folder, and not another one that got its pid.

    By its command line, which everybody may read; its folder under /proc is closed in most containers.
    A process that ended and was not waited for has no command line, and is none.
    """
    proc = Path("/proc") / str(pid) / "cmdline"
    if Path("/proc/self").exists():
        try:
            arguments = proc.read_bytes().split(b"\0")
        except OSError:
            return False
        return arguments[0].endswith(b"postgres") and os.fsencode(cluster) in arguments
    command = ["ps", "-ww", "-o", "stat=,command=", "-p", str(pid)]
    said = subprocess.run(command, capture_output=True, text=True).stdout.strip()  # noqa: S603
    return f"-D {cluster} " in said and not said.startswith("Z")


def find_postmaster(cluster: Path) -> Postmaster | None:
    """Return the live server of this data folder, whatever its status, or None."""
    found = read_pid_file(cluster)
    return found if found is not None and is_postmaster(found.pid, cluster) else None


def disown_stale_pid(cluster: Path) -> None:
    """Let the next server start although the pid in postmaster.pid belongs to another process by now.

    Postgres refuses to start while that pid lives. Deleting the file would also delete the shared memory key
    in it, by which Postgres notices that orphaned children of the dead server still write; so only the pid
    is replaced, by ours: Postgres takes its parent's pid for stale.
    """
    path = cluster / "postmaster.pid"
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return
    if lines:
        # The folder belongs to the server's account: root must not follow what it may have put there.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "w") as file:
            file.write("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    else:
        path.unlink()  # The machine stopped before the file was written; Postgres refuses an empty one.


def stop_postmaster(cluster: Path, child: "subprocess.Popen[bytes] | None") -> bool:
    """Stop the server of this data folder and wait until it has gone. True when it was a clean shutdown.

    child: our handle of it when we started it, so that it is waited for and leaves no zombie.
    """
    found = find_postmaster(cluster)
    if found is not None:
        pid = found.pid
    elif child is not None and child.poll() is None:
        pid = child.pid  # So young that it has not written its pid file.
    else:
        return True
    clean = False
    for stop, patience_s in ((signal.SIGINT, STOP_S), (signal.SIGQUIT, 5.0)):
        try:
            os.kill(pid, stop)
        except ProcessLookupError:
            break
        if _gone(pid, cluster, child, patience_s):
            clean = stop is signal.SIGINT
            break
    if child is not None:
        child.poll()
    return clean


def _gone(pid: int, cluster: Path, child: "subprocess.Popen[bytes] | None", patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if child is not None and child.pid == pid:
            if child.poll() is not None:
                return True
        elif not is_postmaster(pid, cluster):
            return True
        time.sleep(POLL_S)
    return False
