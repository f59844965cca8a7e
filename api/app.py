"""The application: SCIM mounted, the auditors' API, the operators' endpoints; parts opened and closed with it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send

from api.audit import AUDIT_HANDLERS
from api.operations import OPERATIONS
from api.refusals import Refusals
from api.scim import Scim
from api.service import Service
from api.token_use import TokenUse


def create_app(service: Service) -> Litestar:
    """Return the ASGI application of one process."""
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
        tasks = [asyncio.create_task(refusals.run()), asyncio.create_task(uses.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(Exception):  # The database may be away; the service stops all the same.
                await refusals.sweep(everything=True)
                await uses.write()
            await service.close()

    app = Litestar(
        route_handlers=[scim_mount, *OPERATIONS, *AUDIT_HANDLERS],
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=service.config.body_bytes_max,
    )
    app.state.service = service
    return app


def from_environment() -> Litestar:
    """Return the application of a worker process, as its parent describes it in the environment."""
    from api.worker import start_worker

    return start_worker(os.environ)
