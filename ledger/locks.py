"""Locks on files, between processes; the kernel lets go of them when the process dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Lock:
    """A held lock. Not inherited by programs that we start, so that only we hold it."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: of the open lock file; closed by `release`."""
        self._descriptor = descriptor

    def note(self, text: str) -> None:
        """Write into the lock file who holds it, for the message that others print."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def upgrade(self) -> bool:
        """From shared to exclusive, without waiting; False, and nothing held, when others share it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go."""
        os.close(self._descriptor)


def try_lock(path: Path) -> Lock | None:
    """Take the lock for ourselves, or return None when somebody holds it."""
    lock = _open(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return Lock(lock)


def shared_lock(path: Path) -> Lock:
    """Take the lock together with others, waiting for whoever has it alone."""
    lock = _open(path)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return Lock(lock)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock alone for the block, waiting for it first."""
    lock = _open(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _open(path: Path) -> int:
    # The folder may belong to the server's account: root must not follow what it may have put there.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
