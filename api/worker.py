"""One worker process: made by `serve`, told everything through its environment, gone when `serve` is gone."""

import contextlib
import ctypes
import gc
import io
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

import msgspec
import structlog
from litestar import Litestar

from api.app import create_app
from api.service import Service
from ledger.config import Config
from ledger.vault import Keys

DESCRIPTION = "SCIM_LEDGER_WORKER"
_PR_SET_PDEATHSIG = 1


class WorkerDescription(msgspec.Struct, frozen=True):
    """What a worker needs to know."""

    config: Config
    database_url: str
    parent_pid: int


def describe(config: Config, database_url: str) -> str:
    """Return the value of SCIM_LEDGER_WORKER for workers of this process."""
    return msgspec.json.encode(WorkerDescription(config, database_url, os.getpid()), enc_hook=str).decode()


def start_worker(environ: Mapping[str, str]) -> Litestar:
    """Return this worker's application."""
    description = msgspec.json.decode(
        environ[DESCRIPTION], type=WorkerDescription, dec_hook=lambda kind, text: kind(text)
    )
    _die_with(description.parent_pid)
    # What the modules made stays for good: looking through it at every collection would stall requests.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    lines = Lines()
    configure_logging(lines)
    service = Service(description.config, description.database_url, Keys.open(description.config.keys), lines.write)
    return create_app(service, lines.pass_on)


def _die_with(parent_pid: int) -> None:
    """End with the parent, also when it is killed: a worker alone would hold the port against the next start."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit("the scim-ledger that started this worker is gone")


class Lines(io.RawIOBase):
    """Log lines on their way to standard error, a few milliseconds' worth with one system call."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, line: Any) -> int:
        """Take a line."""
        self._waiting.append(line)
        return len(line)

    def flush(self) -> None:
        """Lines wait for `pass_on`: the logger asks for a flush after each."""

    def pass_on(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            with contextlib.suppress(OSError):  # Nobody reads the log any more: serving goes on.
                sys.stderr.buffer.write(b"".join(waiting))
                sys.stderr.buffer.flush()


def configure_logging(lines: Lines | None = None) -> None:
    """JSON lines on standard error: ids, never names, bodies or query strings."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event)),
        ],
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", lines or sys.stderr.buffer)),
        cache_logger_on_first_use=True,
    )
