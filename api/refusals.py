"""Refused requests that reached their tenant: each leaves an entry, a repeating client does not fill the ledger.

Of identical refusals of one client the first is recorded at once; what repeats within the next minute becomes one
entry with its count, when the minute is over or the service stops.
"""

import asyncio
import contextlib
from collections import OrderedDict
from hashlib import sha256
from time import monotonic

from api.exchange import Exchange
from api.recording import KEPT_BYTES_MAX_REFUSED, refused, seal_body
from domain.errors import ScimError
from ledger.writer import ClocksDisagree, QueueFull, Unreachable, Writer

WINDOW_S = 60.0
_REMEMBERED = 4_096
_NOT_RECORDED = (401, 429, 503)  # No tenant reached, or nothing decided.


class Repeated:
    """What is known of one kind of refusal within its minute: the last exchange, and how often it came again."""

    __slots__ = ("count", "elapsed_us", "error", "exchange", "since")

    def __init__(self, exchange: Exchange, error: ScimError) -> None:
        self.since = monotonic()
        self.count = 0
        self.keep(exchange, error)

    def again(self, exchange: Exchange, error: ScimError) -> None:
        """Count a repetition."""
        self.count += 1
        self.keep(exchange, error)

    def keep(self, exchange: Exchange, error: ScimError) -> None:
        """Keep the last exchange, and how long it took: it is recorded up to a minute later."""
        self.exchange, self.error, self.elapsed_us = exchange, error, exchange.elapsed_us()


class Refusals:
    """Records refusals. One a process: the minute is each process's own."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._recent: OrderedDict[bytes, Repeated] = OrderedDict()

    async def record(self, exchange: Exchange, error: ScimError) -> None:
        """Record a refusal, or count it with the last one like it. Raises what `Writer.append` raises."""
        if exchange.caller is None or error.status in _NOT_RECORDED:
            return
        kind = _kind(exchange, error)
        if len(exchange.body) > KEPT_BYTES_MAX_REFUSED:  # Committed to now: thousands may be remembered for a minute.
            exchange.received, _ = seal_body(exchange, [], KEPT_BYTES_MAX_REFUSED)
            exchange.body = b""
        known = self._recent.get(kind)
        if known is not None and monotonic() - known.since < WINDOW_S:
            known.again(exchange, error)
            return
        self._recent[kind] = Repeated(exchange, error)
        if known is not None and known.count:
            await self._flush(known)
        while len(self._recent) > _REMEMBERED:
            _, oldest = self._recent.popitem(last=False)
            await self._flush(oldest)
        await self._writer.append(refused(exchange, error))

    async def sweep(self, *, everything: bool = False) -> None:
        """Record the counts of minutes that are over; of all of them when the service stops."""
        now = monotonic()
        over = [(kind, known) for kind, known in self._recent.items() if everything or now - known.since >= WINDOW_S]
        for kind, known in over:
            await self._flush(known)
            if self._recent.get(kind) is known and not known.count:
                del self._recent[kind]

    async def run(self) -> None:
        """Sweep now and then, until cancelled."""
        while True:
            await asyncio.sleep(5)
            with contextlib.suppress(Exception):  # The database is away: the next sweep tries again.
                await self.sweep()

    async def _flush(self, known: Repeated) -> None:
        count, known.count = known.count, 0
        if not count:
            return
        try:
            await self._writer.append(refused(known.exchange, known.error, count, known.elapsed_us))
        except (ClocksDisagree, QueueFull, Unreachable):
            known.count += count  # For the next sweep. If it was written all the same, its stream refuses it then.
            raise


def _kind(exchange: Exchange, error: ScimError) -> bytes:
    assert exchange.caller is not None
    parts = (
        exchange.caller.token_id, exchange.method, exchange.path, str(error.status), error.scim_type or "",
        error.detail, exchange.query.decode("latin-1"),
    )  # fmt: skip
    return sha256("\n".join(parts).encode() + b"\n" + exchange.body).digest()
