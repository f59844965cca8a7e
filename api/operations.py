"""/healthz, /readyz, /metrics: for operators and their machines."""

import os

from litestar import MediaType, Request, Response, get

from api.service import Service


def _service(request: Request) -> Service:  # type: ignore[type-arg]
    service: Service = request.app.state.service
    return service


@get("/healthz", media_type=MediaType.JSON)
async def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@get("/readyz", media_type=MediaType.JSON)
async def readyz(request: Request) -> Response[dict[str, object]]:  # type: ignore[type-arg]
    """Say whether requests can be served: 200, or 503 with what is wrong. Warnings do not make it red."""
    service = _service(request)
    problems = await service.queries.problems()
    if service.writer.clocks_disagree:
        problems.append("the clocks of the database and of this service disagree by more than 60 seconds")
    warnings = await service.queries.warnings() if not problems else []
    body: dict[str, object] = {"status": "not ready" if problems else "ready"}
    if problems:
        body["problems"] = problems
    if warnings:
        body["warnings"] = warnings
    return Response(body, status_code=503 if problems else 200)


@get("/metrics", media_type="text/plain; version=0.0.4; charset=utf-8")
async def metrics(request: Request) -> bytes:  # type: ignore[type-arg]
    """Return the counters in Prometheus' format."""
    service = _service(request)
    lags = await service.queries.lags()
    shared_folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or None
    return service.metrics.page(service.writer.waiting, lags, shared_folder)


OPERATIONS = [healthz, readyz, metrics]
