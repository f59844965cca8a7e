"""Whose account the embedded server runs under: Postgres refuses root, so root lends it another one."""

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

from msgspec import Struct

from ledger.server_errors import ServerFailed

CANDIDATES = ("postgres", "nobody")  # Accounts that are there already; we never make one.


class Account(Struct, frozen=True):
    """The account of the server's processes.

    switched: whether it is another one than ours, which only root can arrange.
    """

    name: str
    uid: int
    gid: int
    switched: bool

    def spawn_options(self) -> dict[str, Any]:
        """Return what `subprocess.Popen` needs to start a process under this account, and only that."""
        options: dict[str, Any] = {
            "cwd": "/",
            "env": {"LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"},
            "stdin": subprocess.DEVNULL,
            "umask": 0o077,
        }
        if self.switched:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def may(self, test: str, path: Path) -> bool:
        """Ask the kernel, as this account. test: an option of test(1), such as "-x" or "-r"."""
        command = ["/bin/sh", "-c", f'test {test} "$1"', "sh", str(path)]
        return subprocess.run(command, **self.spawn_options()).returncode == 0  # noqa: S603

    def closed_part(self, path: Path) -> Path | None:
        """Return the topmost folder on the way to `path` that this account may not enter, or None."""
        if self.may("-x", path.parent):
            return None
        return next((part for part in reversed(path.parents) if not self.may("-x", part)), None)

    def give(self, path: Path) -> None:
        """Make the account the owner of `path` itself, never of what is above or below it."""
        if self.switched:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def account_for(cluster: Path) -> Account:
    """Return the account that runs, or is to run, the server over the data folder `cluster`.

    Ours unless we are root; for root the owner of what is there already, so that a folder which an
    ordinary user made goes on working, else `postgres`, else `nobody`.
    """
    uid = os.geteuid()
    if uid != 0:
        return Account(_name(uid), uid, os.getegid(), switched=False)
    if cluster.is_dir() and (owner := cluster.stat()).st_uid != 0:
        return Account(_name(owner.st_uid), owner.st_uid, owner.st_gid, switched=True)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, switched=True)
    raise ServerFailed("Postgres does not run as root, and there is no account postgres or nobody")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
