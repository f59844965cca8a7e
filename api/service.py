"""What every handler needs, made once a process."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from typing import TypeVar

import anyio
import anyio.to_thread

from api.access import AccessLog, Write
from api.answers import shows
from api.caller import Caller, Callers
from api.exchange import Answer
from api.metrics import Metrics
from api.turns import Quiet, Turns
from domain.errors import Unavailable
from domain.selections import Selection
from ledger.batch import Appended
from ledger.config import Config
from ledger.connections import DatabaseUnreachable, Pool
from ledger.health import HealthCheck
from ledger.jobs import Job
from ledger.lookups import Groups, Lookups, StoredResource
from ledger.reader import Reader
from ledger.vault import Keys
from ledger.writer import Conflict, Unreachable, Writer
from projections.queries import Queries

DECISIONS_MAX = 5
_BASES_MAX = 10_000
ANSWER_S = 60.0
_PIECE_BYTES = 65_536
Told = TypeVar("Told")

Decide = Callable[[], Awaitable[Job]]
AnswerTo = Callable[[Appended], Awaitable[Answer]]


class TooFast(Unavailable):
    """What a request rests on has changed each time that it was decided."""

    def __init__(self) -> None:
        super().__init__(1, "the resource is changing too fast, try again")


class Service:
    """The parts a request passes through."""

    def __init__(self, config: Config, database_url: str, keys: Keys, write_line: Write) -> None:
        self.config = config
        self.database_url = database_url
        self.keys = keys
        self.metrics = Metrics()
        self.lookups = Lookups(database_url)
        self.queries = Queries(database_url)
        self.health = HealthCheck(database_url)
        self.writer = Writer(database_url, on_batch=self.metrics.batch)
        self.reading = Pool(database_url, "scim-ledger questions", connections=4)
        # Whoever takes a long answer slowly holds a connection meanwhile, and shall not keep others from asking.
        self.streaming = Pool(database_url, "scim-ledger reports", connections=4)
        self.granting = Pool(database_url, "scim-ledger grants", connections=2)
        self.callers = Callers(self.lookups, keys, config.workers)
        self.turns = Turns()
        self.quiet = Quiet()
        self.access = AccessLog(write_line)
        self._bases: dict[str, str] = {}

    def base(self, slug: str) -> str:
        """The tenant's SCIM base URL."""
        base = self._bases.get(slug)
        if base is None:
            base = f"{self.config.public_url}/scim/{slug}/v2"
            if len(self._bases) < _BASES_MAX:
                self._bases[slug] = base
        return base

    def token_url(self, slug: str) -> str:
        """The URL of the tenant's token endpoint."""
        return f"{self.config.public_url}/oauth/{slug}/token"

    async def groups(self, tenant_id: int, user: StoredResource, selection: Selection | None) -> Groups:
        """The groups that a user's answer shows: those read with it, or asked for."""
        if not user.belongs or not shows(selection, "groups"):
            return []
        return user.groups if user.groups is not None else await self.lookups.groups_of(tenant_id, user.id)

    async def write(self, decide: Decide, answer: AnswerTo, *, decisions_max: int = DECISIONS_MAX) -> Answer:
        """Decide and append, again while something the decision rested on changed meanwhile; then answer.

        Raises TooFast after so many decisions. A queued job is written even if its request is cancelled: nothing waits
        for the request.
        """
        for _ in range(decisions_max):
            job = await decide()
            try:
                appended = await self.writer.append(job)
            except Conflict:
                continue
            return await answer(appended)
        raise TooFast

    async def ask(self, caller: Caller, question: Callable[[Reader], Told]) -> Told:
        """Put a question to a tenant's ledger, with a connection of the auditors' pool. Raises as `within`."""

        def answer() -> Told:
            with self.reading.connection() as connection:
                return question(Reader(connection, caller.tenant, caller.vault))

        return await self.within(answer)

    async def within(self, work: Callable[[], Told], answer_s: float = ANSWER_S) -> Told:
        """Work in a thread. Raises Unreachable, also when it takes too long, and what the work raises."""
        try:
            with anyio.fail_after(answer_s):
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        except (DatabaseUnreachable, TimeoutError):
            raise Unreachable("the database cannot be reached, or does not answer in time") from None

    async def stream(self, caller: Caller, tell: Callable[[Reader], Iterator[bytes]]) -> AsyncGenerator[bytes, None]:
        """Yield a long answer piece by piece as it is made: in threads, on one connection of a pool of its own."""

        def pieces() -> Generator[bytes, None, None]:
            with self.streaming.connection() as connection:
                yield from tell(Reader(connection, caller.tenant, caller.vault))

        told = _gathered(pieces())
        try:
            while piece := await anyio.to_thread.run_sync(next, told, b""):
                yield piece
        finally:
            with anyio.CancelScope(shield=True):  # Whoever asked may be gone; the connection has to come back.
                await anyio.to_thread.run_sync(told.close)

    async def close(self) -> None:
        """Let what is queued finish, then close every connection."""
        await self.writer.close()
        await self.lookups.close()
        await self.queries.close()
        self.reading.close()
        self.streaming.close()
        self.granting.close()


def _gathered(pieces: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """Join small pieces to larger ones: each costs a change of threads and a call of the server.

    An empty piece says that what comes next takes its time: what there is goes out now.
    """
    waiting = bytearray()
    with contextlib.closing(pieces):
        for piece in pieces:
            waiting += piece
            if len(waiting) >= _PIECE_BYTES or (waiting and not piece):
                yield bytes(waiting)
                waiting.clear()
        if waiting:
            yield bytes(waiting)
