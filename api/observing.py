"""Requests outside of SCIM: counted and logged like those of SCIM, ids and routes only."""

from time import perf_counter_ns, time_ns
from typing import Any

import structlog
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.exchange import new_request_id
from api.service import Service

_UNLOGGED = ("/healthz", "/readyz", "/metrics")  # Machines ask these every few seconds.

log = structlog.get_logger()


async def observed(service: Service, answer: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request, count it, and write its line."""
    started_ns, received_ns, status = perf_counter_ns(), time_ns(), 500
    seen: dict[str, Any] = scope  # type: ignore[assignment]  # Litestar's union knows no path_template.

    async def noting(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    await answer(scope, receive, noting)
    route = seen.get("path_template") or "other"
    elapsed_us = (perf_counter_ns() - started_ns) // 1_000
    service.metrics.request(route, seen["method"], status, elapsed_us)
    if route not in _UNLOGGED:
        method = seen["method"] if seen["method"].isalpha() else "?"
        service.access(received_ns, new_request_id(received_ns), None, None, method, route, None, status, elapsed_us)


async def tell_defect(error: Exception, scope: Scope) -> None:
    """Log an error of ours, by kind and place; what a client did wrong is in its answer."""
    if not isinstance(error, HTTPException):
        log.error("defect", exc_info=error)
