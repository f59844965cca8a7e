"""The access log: one JSON line a request, in the shape of the diagnostic log, encoded in one step."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

Write = Callable[[bytes], object]


class AccessLine(Struct):
    """What a request's line holds: ids and routes, never names, bodies or query strings."""

    event: str
    level: str
    timestamp: str
    request_id: str
    tenant_id: int | None
    token_id: str | None
    method: str
    route: str
    target: str | None
    status: int
    duration_us: int


class AccessLog:
    """Writes access lines. structlog's processors for a line of fixed shape would cost more than the line."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._encode = msgspec.json.Encoder().encode
        self._second = 0
        self._second_text = ""

    def __call__(
        self, received_ns: int, request_id: str, tenant_id: int | None, token_id: str | None, method: str,
        route: str, target: str | None, status: int, duration_us: int,
    ) -> None:  # fmt: skip
        """Write one line."""
        second, rest = divmod(received_ns, 1_000_000_000)
        if second != self._second:
            self._second, self._second_text = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        timestamp = f"{self._second_text}.{rest // 1_000:06d}Z"
        line = AccessLine(
            "request", "info", timestamp, request_id, tenant_id, token_id, method, route, target, status, duration_us
        )
        self._write(self._encode(line) + b"\n")
