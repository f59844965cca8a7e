"""The diagnostic log: JSON lines on standard error with ids, never names, bodies or query strings."""

import contextlib
import io
import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import msgspec
import structlog

_ROOT = Path(__file__).resolve().parent.parent
_FRAMES_MAX = 12


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
    """Make every logger of this process, also the libraries' own, write JSON lines. lines: where to, else stderr."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _frames,
            structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event, enc_hook=repr)),
        ],
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", lines or sys.stderr.buffer)),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Retold()]
    root.setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Retold(logging.Handler):
    """What libraries log, as a line of ours: the text before any value is put into it, and where it came from."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. Arguments stay out: they may be values of a request."""
        told = str(record.msg).strip().partition("\n")[0]
        log = structlog.get_logger()
        with contextlib.suppress(Exception):  # The log is never a reason to fail.
            log.log(record.levelno, "library", logger=record.name, told=told, exc_info=record.exc_info)


def _frames(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put kind and place of an exception in its stead. Its message stays out: it may quote a person's values."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.setdefault("error", type(error).__name__)
        event["frames"] = _places(error.__traceback__)
    return event


def _places(trace: TracebackType | None) -> list[str]:
    """The innermost calls of a traceback, as file:line function."""
    places = traceback.extract_tb(trace)[-_FRAMES_MAX:]
    return [f"{_short(Path(place.filename))}:{place.lineno} {place.name}" for place in places]


def _short(path: Path) -> str:
    if path.is_relative_to(_ROOT) and ".venv" not in path.parts:
        return str(path.relative_to(_ROOT))
    return "/".join(path.parts[-2:])
