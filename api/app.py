"""The application: SCIM mounted, the auditors' API, the operators' endpoints; parts opened and closed with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from litestar import HttpMethod, Litestar, Response, asgi, route
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive, Scope, Send

from api.audit import AUDIT_HANDLERS
from api.entra_log import take_in
from api.framework import refusal, refuse_long_query
from api.oauth import token_endpoint
from api.observing import observed, tell_defect
from api.openapi.document import schema_endpoint
from api.operations import OPERATIONS
from api.refusals import Refusals
from api.reports import REPORT_HANDLERS
from api.schemas import SCHEMA_HANDLERS
from api.scim import Scim
from api.service import Service
from api.token_use import TokenUse

_LINES_S = 0.05


def create_app(service: Service, pass_on_lines: Callable[[], None]) -> Litestar:
    """Return the ASGI application of one process. pass_on_lines: writes the log lines that wait."""
    refusals = Refusals(service.writer)
    scim = Scim(service, refusals)
    uses = TokenUse(service)

    @asgi("/scim", is_mount=True)
    async def scim_mount(scope: Scope, receive: Receive, send: Send) -> None:
        await scim(scope, receive, send)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await service.queries.open()
        service.reading.open()
        service.streaming.open()
        service.granting.open()
        endless = (refusals.run(), uses.run(), _every(_LINES_S, pass_on_lines))
        tasks = [asyncio.create_task(each) for each in endless]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(Exception):  # The database may be away; the service stops all the same.
                await refusals.sweep(everything=True)
                await uses.write()
            await service.close()
            pass_on_lines()

    class Front(Litestar):
        """Litestar, with the SCIM mount asked first: its routing and middleware would be a sixth of a GET."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
            """Answer one request."""
            if scope["type"] == ScopeType.HTTP and scope["raw_path"].startswith(b"/scim/"):
                await scim(scope, receive, send)
            elif scope["type"] == ScopeType.HTTP:
                await observed(service, super().__call__, scope, receive, send)
            else:
                await super().__call__(scope, receive, send)

    handlers = [*OPERATIONS, *AUDIT_HANDLERS, *SCHEMA_HANDLERS, *REPORT_HANDLERS, take_in]
    app = Front(
        route_handlers=[
            scim_mount,
            *_options(handlers),
            *handlers,
            token_endpoint(service),
            schema_endpoint(service.config.public_url),
        ],
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        before_request=refuse_long_query,
        exception_handlers={Exception: refusal},
        after_exception=[tell_defect],
        request_max_body_size=service.config.body_bytes_max,
    )
    app.state.service = service
    return app


def _options(handlers: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """Return what answers OPTIONS where several handlers share a path: Litestar would name the first one's method."""
    methods: dict[str, list[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, []).extend(map(str, handler.http_methods))
    return [_options_of(path, found) for path, found in methods.items() if len(found) > 1]


def _options_of(path: str, methods: list[str]) -> HTTPRouteHandler:
    allow = ", ".join(sorted([*methods, "OPTIONS"]))

    @route(path, http_method=HttpMethod.OPTIONS, status_code=204)
    async def options() -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": allow})

    return options


async def _every(seconds: float, do: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        do()
