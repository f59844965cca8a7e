"""What refused requests leave in the ledger: the first at once, what repeats as one entry with its count."""

import asyncio
from typing import Any

import pytest

from domain.events import RequestRefused
from ledger.entry import Cause
from ledger.reader import Reader
from ledger.vault import Keys, Vault
from ledger.writer import QueueFull, Writer
from tests.conftest import Database
from tests.ledger.desk import Connection, Desk, Offices, locked, serving, user

TAKEN = user("ada")


def refusals(connection: Connection, desk: Desk, keys: Keys) -> list[tuple[int, Cause]]:
    """The repetitions and the cause of each refusal that was recorded."""
    reader = Reader(connection, desk.tenant, Vault.load(connection, desk.tenant.tenant_id, keys))
    return [
        (entry.event.repetitions, entry.cause)
        for entry in reader.entries_after(0)
        if isinstance(entry.event, RequestRefused) and entry.cause
    ]


async def refuse(desk: Desk, count: int) -> None:
    """Let one client repeat a request that is refused."""
    for _ in range(count):
        assert (await desk.ask("POST", "/Users", TAKEN)).status == 409


async def test_a_repeated_refusal_is_recorded_with_what_the_request_took(
    desk: Desk, auditor: Connection, keys: Keys
) -> None:
    """The entry is written up to a minute later; its duration, time and id are the last request's own."""
    await desk.made("/Users", TAKEN)
    await refuse(desk, 3)
    await asyncio.sleep(1.0)
    await desk.refusals.sweep(everything=True)
    (first, cause), (repeated, later) = refusals(auditor, desk, keys)
    assert (first, repeated) == (0, 2)
    assert cause.request_id != later.request_id and cause.received_at < later.received_at
    assert 0 < later.elapsed_us < 1_000_000
    await desk.refusals.sweep(everything=True)
    assert len(refusals(auditor, desk, keys)) == 2


async def test_repetitions_that_could_not_be_recorded_are_not_forgotten(
    offices: Offices, database: Database, auditor: Connection, keys: Keys
) -> None:
    """More writes are waiting than will be served soon: the next sweep records them, with those that came since."""
    async with serving(database, keys) as service:
        await service.writer.close()
        service.writer = Writer(database.app_url, waiting_max=1)
        desk = Desk.new((service, offices[1]), database, keys)
        await desk.made("/Users", TAKEN)
        await refuse(desk, 3)
        jobs: list[Any] = [await desk.decided("POST", "/Users", user(name)) for name in ("bob", "eve")]
        async with locked(database, desk.tenant) as waiting:
            tasks = [asyncio.create_task(service.writer.append(jobs[0]))]
            await waiting(1)
            tasks.append(asyncio.create_task(service.writer.append(jobs[1])))
            await asyncio.sleep(0)
            with pytest.raises(QueueFull):
                await desk.refusals.sweep(everything=True)
        await asyncio.gather(*tasks)
        await refuse(desk, 1)
        await desk.refusals.sweep(everything=True)
        assert [repetitions for repetitions, _ in refusals(auditor, desk, keys)] == [0, 3]
