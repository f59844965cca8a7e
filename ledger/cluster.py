"""The embedded server's own folder: how it is made, and the settings it always runs with."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from ledger.account import Account
from ledger.binaries import Binaries
from ledger.endings import endings_deferred
from ledger.server_errors import DataFolderUnusable, ServerFailed, WrongMajorVersion

SUPERUSER = "scim_ledger"


def memory_bytes() -> int:
    """How much memory this process may use: the machine's, or less in a container."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdigit() else machine


def shared_buffers_mib(memory: int) -> int:
    """A quarter of the memory, as Postgres recommends, but 128 MiB at least and 8 GiB at most."""
    return min(8192, max(128, memory // 4 // 2**20))


SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",  # A worker opens thirty at most, when everything is asked at once.
    "shared_buffers": f"{shared_buffers_mib(memory_bytes())}MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_buffers": "16MB",
    "max_wal_size": "4GB",
    "min_wal_size": "512MB",  # Files of the log that are used again: to make one holds an append up.
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A failing statement or a violated key would put a person's values into the diagnostic log; who sent the
    # statement is told, and logs what it knows to be harmless.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

# SCIM_LEDGER_TEST_POSTGRES=1: faster, and everything is lost when the machine stops. Commits still reach the
# system before they are acknowledged, so that tests may kill processes and count what is left.
TEST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
}


def check_version(cluster: Path, binaries: Binaries) -> None:
    """Refuse binaries of another major version than the one that made the cluster: it could not be read."""
    try:
        made_by = (cluster / "PG_VERSION").read_text().strip()
    except OSError:
        raise DataFolderUnusable(f"{cluster} is not a Postgres data folder") from None
    if made_by != str(binaries.major):
        raise WrongMajorVersion(
            f"{cluster.parent} was made by Postgres {made_by}, the binaries found are {binaries.version}: set"
            f" SCIM_LEDGER_PG_BINDIR to the bin folder of a Postgres {made_by}, or use pg_upgrade"
        )


def make_cluster(cluster: Path, binaries: Binaries, account: Account, *, durable: bool) -> None:
    """Run initdb beside the cluster's place and rename, so that a cluster which is there is whole.

    Text sorts by code point on every machine; passwords are asked by nobody, since only the socket is open.
    """
    unfinished = cluster.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    locale = ["--locale=C.UTF-8"]
    if binaries.major >= 17:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        locale += ["--lc-collate=C", "--lc-ctype=C.UTF-8"]
    command = [binaries.program("initdb"), "-D", str(unfinished), "-U", SUPERUSER, "-E", "UTF8", *locale]
    command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--data-checksums"]
    with endings_deferred():  # It is half a second, and an orphaned initdb would write under the next one's feet.
        made = subprocess.run(  # noqa: S603
            command if durable else [*command, "--no-sync"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **account.spawn_options(),
        )
    if made.returncode != 0:
        lines = made.stdout.strip().splitlines()
        said = re.findall(r"(?:error|FATAL|PANIC): +(.+)", made.stdout) or lines[-1:] or ["no message"]
        raise ServerFailed(f"initdb failed for {cluster.parent} as {account.name}: {said[0]}")
    unfinished.rename(cluster)


def server_options(socket: Path, *, durable: bool) -> list[str]:
    """Return the options of the `postgres` command. socket: the folder of the socket."""
    settings = SETTINGS if durable else SETTINGS | TEST_SETTINGS
    settings = settings | {"unix_socket_directories": '"' + str(socket).replace('"', '""') + '"'}
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
