"""The folder that an embedded server keeps everything in: made, taken into use, or refused."""

from pathlib import Path

from ledger.account import Account
from ledger.server_errors import DataFolderUnusable

OURS = ("postgres", "serve.lock", "in-use.lock")  # One of them marks a folder as made by us.
TOLERATED = {"keys", "lost+found"}  # What may lie in a folder that we are to take into use.


def resolved(data: Path) -> Path:
    """Return the absolute path without symlinks, by which running servers are recognised."""
    if any(character in str(data) for character in "\n\0"):
        raise DataFolderUnusable("the path of a data folder may not hold line ends")
    return data.expanduser().resolve()


def is_served_from(data: Path) -> bool:
    """Whether a server was ever made here. Raises DataFolderUnusable when we may not look."""
    try:
        return (data / "postgres").exists()
    except PermissionError:
        raise DataFolderUnusable(_foreign(data)) from None


def prepare(data: Path, account: Account) -> None:
    """Make the data folder, 0700 and the account's own, or refuse to take a folder that is not for us.

    Parents are made where missing, and left alone where not: opening somebody's home is not ours to do.
    """
    try:
        _make(data, account)
        names = {path.name for path in data.iterdir()}
        if not names.intersection(OURS) and not names <= TOLERATED:
            raise DataFolderUnusable(f"{data} holds other files: choose an empty or a new folder with --data")
        account.give(data)
        if data.stat().st_uid != account.uid:
            raise DataFolderUnusable(_foreign(data))
        data.chmod(0o700)
    except PermissionError:
        raise DataFolderUnusable(_foreign(data)) from None
    except OSError as failure:
        raise DataFolderUnusable(f"cannot use {data} as data folder: {failure.strerror}") from None
    if account.switched and (closed := account.closed_part(data / "postgres")) is not None:
        raise DataFolderUnusable(
            f"Postgres runs as {account.name} here, and {closed} is closed to that account:"
            " choose a folder elsewhere with --data, such as /var/lib/scim-ledger"
        )


def _make(data: Path, account: Account) -> None:
    for folder in reversed([data, *data.parents]):
        if not folder.exists():
            through = folder != data and account.switched  # Of root's making: the account must get through.
            folder.mkdir(mode=0o755 if through else 0o700, exist_ok=True)  # Another verb may make it now.
            if through:
                folder.chmod(0o755)  # Whatever root's umask.


def _foreign(data: Path) -> str:
    return f"{data} belongs to another account or lies in a closed folder: run this as its owner, or use --data"
