"""How fast somebody may ask: leaky buckets, in this process's memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from math import ceil
from time import monotonic

from domain.errors import TooManyRequests
from ledger.entry import TOKEN_RATE_MIN, Tenant

_BUCKETS_KEPT = 10_000
PATIENCE_S = 1.0  # Entra counts refusals against us; a client that waits for its answers is only slowed down.


class Bucket:
    """One number: when, by the monotonic clock, everything admitted so far will have run out.

    per_second: how fast it runs out. burst: how many requests an empty bucket takes at once.
    patience_s: how long a request that finds it full may wait for its turn instead of being refused.
    """

    __slots__ = ("_burst_s", "_empty_at", "_interval_s", "_patience_s")

    def __init__(self, per_second: float, burst: int, patience_s: float = 0.0) -> None:
        self._interval_s = 1 / per_second
        self._burst_s = (burst - 1) * self._interval_s
        self._patience_s = patience_s
        self._empty_at = 0.0

    def take(self) -> float:
        """Admit a request; returns how many seconds it has to wait, at most `patience_s`. Raises TooManyRequests."""
        now = monotonic()
        empty_at = self._empty_at
        if empty_at < now:
            empty_at = now
        wait_s = empty_at - now - self._burst_s
        if wait_s > self._patience_s:
            raise TooManyRequests(ceil(wait_s - self._patience_s))
        self._empty_at = empty_at + self._interval_s
        return wait_s if wait_s > 0 else 0.0

    async def turn(self) -> None:
        """Return when a request may go on. Raises TooManyRequests."""
        wait_s = self.take()
        if wait_s:
            await asyncio.sleep(wait_s)

    def give_back(self) -> None:
        """Forget one request that was admitted."""
        self._empty_at -= self._interval_s


class Buckets:
    """A bucket for each of many; those that were not asked for the longest are forgotten."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def of(self, key: Hashable, per_second: float, burst: int, patience_s: float = 0.0) -> Bucket:
        """Return the bucket of a key, one key always asked for in one shape; a new one is empty."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(per_second, burst, patience_s)
            if len(self._buckets) > _BUCKETS_KEPT:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket


class TokenRates:
    """The buckets of tokens whose tenant set a limit; they outlive what is known of a token for a moment.

    workers: how many processes share the limit. Each enforces its part, but never less than what is guaranteed:
    all connections of a client may have come to one process.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._buckets = Buckets()

    def of(self, tenant: Tenant, token_id: str) -> Bucket | None:
        """Return a token's bucket; None without a limit."""
        limit = tenant.settings.token_requests_per_second
        if not limit:
            return None
        ours = max(TOKEN_RATE_MIN, ceil(limit / self._workers))
        return self._buckets.of((tenant.tenant_id, token_id, ours), ours, ours, PATIENCE_S)
