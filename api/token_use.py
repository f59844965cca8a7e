"""When each token was last used: written in batches, off the request."""

import asyncio
import contextlib

from api.service import Service
from ledger.connections import DatabaseError
from ledger.writer import Unreachable

EVERY_S = 5.0


class TokenUse:
    """Writes what `Callers` has seen since the last time."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def run(self) -> None:
        """Write now and then, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            with contextlib.suppress(DatabaseError, OSError, Unreachable):
                await self.write()

    async def write(self) -> None:
        """Write the last use of every token used meanwhile, with one statement."""
        used, self._service.callers.used = self._service.callers.used, {}
        if used:
            await self._service.queries.mark_used(used)
