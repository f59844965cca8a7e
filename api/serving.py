"""The HTTP server of one worker process, on the socket that all of them share."""

import socket

import uvicorn

from api.app import create_app
from api.description import WorkerDescription
from api.lines import Lines, configure_logging
from api.service import Service
from ledger.collector import spare_what_is_loaded
from ledger.vault import Keys

GRACEFUL_STOP_S = 20  # For requests in flight; then they are cancelled.


def answer(description: WorkerDescription, listener: socket.socket) -> None:
    """Answer requests until SIGTERM; those in flight are answered first."""
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
    spare_what_is_loaded()
    uvicorn.Server(settings).run(sockets=[listener])
