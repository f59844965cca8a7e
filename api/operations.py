"""/healthz, /readyz, /metrics: for operators and their machines."""

import asyncio
import contextlib
import os

from litestar import HttpMethod, MediaType, Request, Response, route

from api.service import Service

_LAGS_S = 2.0
_READING = [HttpMethod.GET, HttpMethod.HEAD]  # Load balancers send HEAD; the server drops its body.


def _service(request: Request) -> Service:  # type: ignore[type-arg]
    service: Service = request.app.state.service
    return service


@route("/healthz", http_method=_READING, media_type=MediaType.JSON)
async def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@route("/readyz", http_method=_READING, media_type=MediaType.JSON)
async def readyz(request: Request) -> Response[dict[str, object]]:  # type: ignore[type-arg]
    """Say whether requests can be served: 200, or 503 with what is wrong. Warnings do not make it red."""
    service = _service(request)
    health = await service.health.look()
    problems, warnings = list(health.problems), health.warnings
    if service.writer.clocks_disagree and not problems:
        problems.append("the database refused a write: its clock was set back, or disagrees with this service's")
    body: dict[str, object] = {"status": "not ready" if problems else "ready"}
    if problems:
        body["problems"] = problems
    if warnings:
        body["warnings"] = warnings
    return Response(body, status_code=503 if problems else 200)


@route("/metrics", http_method=_READING, media_type="text/plain; version=0.0.4; charset=utf-8")
async def metrics(request: Request) -> bytes:  # type: ignore[type-arg]
    """Return the counters in Prometheus' format."""
    service = _service(request)
    lags: dict[str, int] = {}
    unheard: dict[tuple[int, str], float] = {}
    with contextlib.suppress(TimeoutError):  # Without the database everything else is worth telling all the more.
        async with asyncio.timeout(_LAGS_S):
            lags = await service.queries.lags()
            unheard = await service.queries.unheard()
    shared_folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or None
    service.metrics.queue(service.writer.waiting)
    return service.metrics.page(lags, unheard, shared_folder)


OPERATIONS = [healthz, readyz, metrics]
