"""One worker process: started by `serve`, told everything on its standard input, gone when `serve` is gone.

Started early, so that it has imported what it needs by the time the database is there.
"""

import ctypes
import os
import signal
import socket
import sys

import uvicorn

from api.app import create_app
from api.description import read_description
from api.lines import Lines, configure_logging
from api.service import Service
from ledger.collector import spare_what_is_loaded
from ledger.vault import Keys

GRACEFUL_STOP_S = 20  # For requests in flight; then they are cancelled.
_PR_SET_PDEATHSIG = 1


def main(listener_fd: int, parent_pid: int) -> None:
    """Answer requests until SIGTERM; those in flight are answered first."""
    _die_with(parent_pid)
    listener = socket.socket(fileno=listener_fd)
    line = sys.stdin.buffer.readline()
    if not line:
        return  # `serve` could not start.
    description = read_description(line)
    spare_what_is_loaded()
    lines = Lines()
    configure_logging(lines)
    service = Service(description.config, description.database_url, Keys.open(description.config.keys), lines.write)

    def pass_on() -> None:
        service.metrics.queue(service.writer.waiting)
        lines.pass_on()

    settings = uvicorn.Config(
        create_app(service, pass_on),
        loop="uvloop",
        http="api.protocol:Protocol",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=2_048,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACEFUL_STOP_S,
    )
    uvicorn.Server(settings).run(sockets=[listener])


def _die_with(parent_pid: int) -> None:
    """End with the parent, also when it is killed: a worker alone would hold the port against the next start."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            sys.exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
