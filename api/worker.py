"""One worker process: started by `serve`, told everything on its standard input, gone when `serve` is gone.

Started early, so that it has loaded what it needs by the time the database is there.
"""

import ctypes
import os
import signal
import socket
import sys

from ledger.collector import load_without_collecting

_PR_SET_PDEATHSIG = 1


def main(listener_fd: int, parent_pid: int) -> None:
    """Answer requests until SIGTERM; those in flight are answered first."""
    _die_with(parent_pid)
    load_without_collecting()
    from api.description import read_description
    from api.serving import answer

    line = sys.stdin.buffer.readline()
    if line:  # Otherwise `serve` could not start.
        answer(read_description(line), socket.socket(fileno=listener_fd))


def _die_with(parent_pid: int) -> None:
    """End with the parent, also when it is killed: a worker alone would hold the port against the next start."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            sys.exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
