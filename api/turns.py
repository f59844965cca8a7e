"""Requests that change the same attributes take turns within a process: each decides on what the last one left.

And where all of that is too slow for one, the others of its tenant wait for it.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turns:
    """A lock a key, gone when nobody waits. Correctness does not rest on it: the append's preconditions do.

    Without it sixteen clients that change one user would decide on the same version, and fifteen of them again.
    """

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for one's turn."""
        lock, waiting = self._locks.get(key, (None, 0))
        if lock is None:
            lock = asyncio.Lock()
        self._locks[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._locks[key]
            if waiting == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, waiting - 1)


class Quiet:
    """Tenants in which one request is left alone: others that would change something wait until it has done so.

    For requests that take so long to decide that something they rest on has always changed meanwhile. It ends such a
    race within this process; between processes nothing but the append's preconditions tells who was first.
    """

    def __init__(self) -> None:
        self._over: dict[int, asyncio.Event] = {}

    def __bool__(self) -> bool:
        return bool(self._over)

    @asynccontextmanager
    async def kept(self, tenant_id: int) -> AsyncIterator[None]:
        """Keep others of the tenant waiting. One at a time: whoever asks holds the tenant's turn for it."""
        over = self._over[tenant_id] = asyncio.Event()
        try:
            yield
        finally:
            del self._over[tenant_id]
            over.set()

    async def passed(self, tenant_id: int) -> None:
        """Wait until nobody of the tenant is to be left alone."""
        while (over := self._over.get(tenant_id)) is not None:
            await over.wait()
