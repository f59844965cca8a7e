"""What every handler needs, made once a process."""

from collections.abc import Awaitable, Callable

from api.access import AccessLog, Write
from api.answers import shows
from api.caller import Callers
from api.exchange import Answer
from api.metrics import Metrics
from api.turns import Turns
from domain.errors import Unavailable
from domain.selections import Selection
from ledger.batch import Appended
from ledger.config import Config
from ledger.connections import Pool
from ledger.health import HealthCheck
from ledger.jobs import Job
from ledger.lookups import Groups, Lookups, StoredResource
from ledger.vault import Keys
from ledger.writer import Conflict, Writer
from projections.queries import Queries

DECISIONS_MAX = 5
_BASES_MAX = 10_000

Decide = Callable[[], Awaitable[Job]]
AnswerTo = Callable[[Appended], Awaitable[Answer]]


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
        self.granting = Pool(database_url, "scim-ledger grants", connections=2)
        self.callers = Callers(self.lookups, keys, config.workers)
        self.turns = Turns()
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

    async def write(self, decide: Decide, answer: AnswerTo) -> Answer:
        """Decide and append, again while something the decision rested on changed meanwhile; then answer.

        A queued job is written even if its request is cancelled: nothing waits for the request.
        """
        for _ in range(DECISIONS_MAX):
            job = await decide()
            try:
                appended = await self.writer.append(job)
            except Conflict:
                continue
            return await answer(appended)
        raise Unavailable(1, "the resource is changing too fast, try again")

    async def close(self) -> None:
        """Let what is queued finish, then close every connection."""
        await self.writer.close()
        await self.lookups.close()
        await self.queries.close()
        self.reading.close()
        self.granting.close()
