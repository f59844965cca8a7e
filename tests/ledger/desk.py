"""A tenant's SCIM endpoint in this process: requests answered, or only decided, so that a test can append the job.

Everything is the service's own but the socket: what is decided here is what a client's request would have written.
"""

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import psycopg
import uvicorn

from api.app import create_app
from api.exchange import Answer
from api.refusals import Refusals
from api.scim import Scim
from api.service import AnswerTo, Decide, Service
from ledger.batch import Appended
from ledger.config import Config
from ledger.entry import Tenant
from ledger.jobs import Job
from ledger.reader import Reader
from ledger.tenants import create_tenant, issue_token
from ledger.vault import Keys, Vault
from ledger.writer import Writer
from projections.replay import replay
from projections.runner import catch_up
from tests.conftest import Database
from tests.faults.audit import broken
from tests.running import free_port

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

Json = dict[str, Any]
Connection = psycopg.Connection[Any]


class Decided(BaseException):
    """Carries a job out of the request that decided it; nothing catches it on the way."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job


class Deciding(Service):
    """A service whose requests stop where their job would be queued."""

    async def write(self, decide: Decide, answer: AnswerTo) -> Answer:
        """Raise what was decided."""
        raise Decided(await decide())


class Said(msgspec.Struct, frozen=True):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: Json


def patch(*operations: Json) -> Json:
    """The body of a PATCH."""
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def user(user_name: str, **attributes: Any) -> Json:
    """The body of a user."""
    return {"schemas": [USER], "userName": user_name, **attributes}


def group(display_name: str, *members: str) -> Json:
    """The body of a group."""
    return {"schemas": [GROUP], "displayName": display_name, "members": [{"value": each} for each in members]}


@asynccontextmanager
async def serving(database: Database, keys: Keys, kind: type[Service] = Service) -> AsyncIterator[Service]:
    """A service of the running loop, on the role that `serve` uses."""
    opened = kind(Config(data=Path("unused"), keys=keys.folder), database.app_url, keys, lambda line: None)
    await opened.queries.open()
    opened.reading.open()
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def served(
    database: Database, keys: Keys, *, waiting_max: int = 4_096
) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """A service of the running loop on a port of its own, and a client of it. waiting_max: of its writer."""
    service = Service(Config(data=Path("unused"), keys=keys.folder), database.app_url, keys, lambda line: None)
    service.writer = Writer(database.app_url, waiting_max=waiting_max)
    port = free_port()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Litestar's; what they ask for is another matter.
        app = create_app(service, lambda: None)
    settings = uvicorn.Config(app, port=port, http="api.protocol:Protocol", lifespan="on", log_config=None)
    server = uvicorn.Server(settings)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done(), "uvicorn did not start"
        await asyncio.sleep(0.005)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield service, client
    finally:
        server.should_exit = True
        await serving


Offices = tuple[Service, Service]  # One that answers, one that only decides.


class Desk:
    """Where one tenant's requests arrive."""

    def __init__(self, service: Service, deciding: Service, tenant: Tenant, secret: str) -> None:
        """secret: of a token of the tenant."""
        self.service = service
        self.writer = service.writer
        self.tenant = tenant
        self.secret = secret
        self.refusals = Refusals(service.writer)
        self._scim = Scim(service, self.refusals)
        self._deciding = Scim(deciding, Refusals(deciding.writer))
        self._authorization = f"Bearer {secret}"

    @classmethod
    def new(cls, offices: Offices, database: Database, keys: Keys, *scopes: str) -> "Desk":
        """Open the desk of a new tenant. scopes: of its token besides `scim`."""
        with psycopg.connect(database.owner_url, autocommit=True) as connection:
            tenant = create_tenant(connection, f"t-{uuid4().hex[:12]}", authority="scim.example.com", keys=keys)
            vault = Vault.load(connection, tenant.tenant_id, keys)
            _, secret = issue_token(connection, tenant, vault, label="desk", scopes=["scim", *scopes])
        return cls(*offices, tenant, secret)

    async def ask(self, method: str, path: str, body: Json | None = None, **headers: str) -> Said:
        """Send a request and wait for its answer."""
        return await self._send(self._scim, method, path, body, headers)

    async def made(self, path: str, body: Json) -> str:
        """Create a resource and return its id."""
        said = await self.ask("POST", path, body)
        assert said.status == 201, said
        return str(said.body["id"])

    async def decided(self, method: str, path: str, body: Json | None = None, **headers: str) -> Job:
        """Return what a request would write, without writing it."""
        try:
            said = await self._send(self._deciding, method, path, body, headers)
        except Decided as decided:
            return decided.job
        raise AssertionError(f"answered without a decision: {said}")

    async def appended(self, *jobs: Job) -> list[Appended | BaseException]:
        """Queue jobs together, and return what became of each."""
        return await asyncio.gather(*map(self.writer.append, jobs), return_exceptions=True)

    async def _send(self, scim: Scim, method: str, path: str, body: Json | None, headers: dict[str, str]) -> Said:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"" if body is None else msgspec.json.encode(body)}

        async def send(message: Any) -> None:
            sent.append(message)

        path, _, query = path.partition("?")
        named = {"authorization": self._authorization, **{k.replace("_", "-"): v for k, v in headers.items()}}
        scope: Any = {
            "type": "http",
            "method": method,
            "raw_path": f"/scim/{self.tenant.slug}/v2{path}".encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
            "client": ("203.0.113.9", 443),
        }
        await scim(scope, receive, send)
        content = sent[1]["body"]
        answered = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Said(sent[0]["status"], answered, msgspec.json.decode(content) if content else {})


@asynccontextmanager
async def locked(database: Database, tenant: Tenant) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Hold a tenant's lock, as a long call would; yields what waits until so many others wait for a lock."""
    connection = await psycopg.AsyncConnection.connect(database.owner_url)
    try:
        await connection.execute("select from tenants where tenant_id = %s for no key update", (tenant.tenant_id,))

        async def waiting(count: int) -> None:
            asked = "select count(*) from pg_locks where not granted"
            while (await (await connection.execute(asked)).fetchone()) != (count,):
                await asyncio.sleep(0.002)

        yield waiting
    finally:
        await connection.close()


def check_whole(connection: Connection, tenant: Tenant, keys: Keys) -> int:
    """Check every promise of the ledger, and that a replay finds the live rows; returns the ledger's size.

    connection: of a role that may read everything; it is not fit for another replay afterwards.
    """
    assert list(broken(connection, tenant.tenant_id)) == []
    reader = Reader(connection, tenant, Vault.load(connection, tenant.tenant_id, keys))
    catch_up(reader)
    replayed = replay(reader)
    assert replayed.differences == []
    return replayed.size


def failures(results: Sequence[Appended | BaseException]) -> list[str]:
    """What became of some jobs: "stands", or the name of what was raised."""
    return ["stands" if isinstance(each, Appended) else type(each).__name__ for each in results]
