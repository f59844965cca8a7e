"""Group commit: what queues is one batch, one bad job is its own trouble, nobody waits for somebody else's tenant."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx
import psycopg
import pytest

from ledger.batch import Appended
from ledger.jobs import Job, SubjectKey
from ledger.vault import Keys
from ledger.writer import BATCH_JOBS_MAX, Conflict, QueueFull, Writer
from tests.conftest import Database
from tests.ledger.desk import Connection, Desk, Offices, check_whole, group, locked, patch, served, user

GOOD = 64


@asynccontextmanager
async def writing(database: Database, **options: Any) -> AsyncIterator[Writer]:
    """A writer of the test's own."""
    writer = Writer(database.app_url, **options)
    try:
        yield writer
    finally:
        await writer.close()


async def creations(desk: Desk, count: int) -> list[Job]:
    """Jobs that create users."""
    return list(await asyncio.gather(*(desk.decided("POST", "/Users", user(f"u{n}")) for n in range(count))))


async def test_what_queues_while_a_call_runs_is_the_next_batch(desk: Desk, database: Database) -> None:
    """Half of what is new to it: the other half is written while the first is answered."""
    sizes: list[int] = []
    jobs = await creations(desk, 300)
    async with writing(database, on_batch=sizes.append) as writer:
        async with locked(database, desk.tenant) as waiting:
            first = asyncio.create_task(writer.append(jobs[0]))
            await waiting(1)
            rest = [asyncio.create_task(writer.append(job)) for job in jobs[1:]]
            await asyncio.sleep(0)
            assert writer.waiting == 299
        appended = await asyncio.gather(first, *rest)
    assert sizes == [1, 150, 149]
    assert [each.position for each in appended] == list(range(1, 301))
    assert writer.waiting == 0


async def test_no_batch_is_larger_than_is_good_for_it(desk: Desk, database: Database) -> None:
    """What comes at once is one batch, up to a limit."""
    sizes: list[int] = []
    jobs = await creations(desk, 300)
    async with writing(database, on_batch=sizes.append) as writer:
        await asyncio.gather(*map(writer.append, jobs))
    assert sizes == [BATCH_JOBS_MAX, 300 - BATCH_JOBS_MAX]


async def test_neither_side_waits_for_the_other(desk: Desk, database: Database) -> None:
    """Sixteen clients that write one after the other soon share two batches, not one of fifteen and one of one.

    And each next batch is on its way before those that the last one answers go on.
    """
    told: list[str] = []
    jobs = iter(await creations(desk, 160))

    async def client(writer: Writer) -> None:
        for job in jobs:
            await writer.append(job)
            told.append("answered")

    async with writing(database, on_batch=lambda jobs: told.append(f"batch of {jobs}")) as writer:
        async with locked(database, desk.tenant) as waiting:
            first = asyncio.create_task(client(writer))
            await waiting(1)
            others = [asyncio.create_task(client(writer)) for _ in range(15)]
            await asyncio.sleep(0)
        await asyncio.gather(first, *others)
    sizes = [int(each.removeprefix("batch of ")) for each in told if each != "answered"]
    assert sizes[:2] == [1, 8] and set(sizes[2:-2]) <= {7, 8, 9}, sizes
    assert told[:4] == ["batch of 1", "batch of 8", "answered", "batch of 8"]


async def test_jobs_that_fail_leave_the_rest_of_their_batch_to_be_sent_again(desk: Desk, database: Database) -> None:
    """Three of nine were decided on what is no longer so; six are written by the second call."""
    ada = await desk.made("/Users", user("ada"))
    jobs = await creations(desk, 6)
    late = [
        await desk.decided("PATCH", f"/Users/{ada}", patch({"op": "add", "path": "title", "value": "Dr"})),
        await desk.decided("POST", "/Users", user("taken")),
        await desk.decided("POST", "/Groups", group("Staff", ada)),
    ]
    await desk.ask("DELETE", f"/Users/{ada}")
    await desk.made("/Users", user("taken"))
    sizes: list[int] = []
    async with writing(database, on_batch=sizes.append) as writer:
        queue = [late[0], *jobs[:3], late[1], *jobs[3:], late[2]]
        results = await asyncio.gather(*map(writer.append, queue), return_exceptions=True)
    assert sizes == [9, 6]
    assert [isinstance(result, Conflict) for result in results] == [job in late for job in queue]


async def test_disabled_and_changed_users_share_a_batch(
    desk: Desk, database: Database, keys: Keys, auditor: Connection
) -> None:
    """Whatever their order: of the disabled ones less is written."""
    people = [await desk.made("/Users", user(f"u{number}", active=True)) for number in range(5)]
    off = patch({"op": "replace", "path": "active", "value": False})
    changes = [off, patch({"op": "add", "path": "title", "value": "Dr"}), off]
    changes += [patch({"op": "replace", "path": "userName", "value": "renamed"}), off]
    jobs = [
        await desk.decided("PATCH", f"/Users/{person}", change) for person, change in zip(people, changes, strict=True)
    ]
    sizes: list[int] = []
    async with writing(database, on_batch=sizes.append) as writer:
        await asyncio.gather(*map(writer.append, jobs))
    assert sizes == [5]
    found = [(await desk.ask("GET", f"/Users/{person}")).body for person in people]
    assert [each["active"] for each in found] == [False, True, False, True, False]
    assert [each.get("title") for each in found] == [None, "Dr", None, None, None]
    assert [each["userName"] for each in found] == ["u0", "u1", "u2", "renamed", "u4"]
    check_whole(auditor, desk.tenant, keys)


def _not_an_id(job: Job) -> None:
    job.new_users[0][0].id = "0b5c9b0e-7c4b-4f0e-9a51-3b7a4c1f6d"


def _no_hexadecimal(job: Job) -> None:
    job.entries[0].subject_id = "not an id at all, of 32 letters!"


def _lone_surrogate(job: Job) -> None:
    job.new_users[0][0].search = '{"userName": "\ud800"}'


def _nul(job: Job) -> None:
    job.entries[0].stream = "users/\0"


def _no_json(job: Job) -> None:
    job.new_users[0][0].search = "{"


def _too_large(job: Job) -> None:
    job.new_users[0][0].version = 1 << 31


def _no_term(job: Job) -> None:
    job.new_users[0][0].terms = "{9223372036854775808}"


def _key_twice(job: Job) -> None:
    job.subject_keys.append(SubjectKey(job.subject_keys[0].subject_id, job.request_id, b"wrapped"))


def _over_long_name(job: Job) -> None:
    job.new_users[0][0].name_key = Random(0).randbytes(16_384)  # More than an index takes.


def _position_taken(job: Job) -> None:
    job.entries.append(job.entries[0])


POISONS = (
    _not_an_id, _no_hexadecimal, _lone_surrogate, _nul, _no_json, _too_large, _no_term, _key_twice, _over_long_name,
    _position_taken,
)  # fmt: skip


@pytest.mark.parametrize("poison", POISONS, ids=lambda each: each.__name__.strip("_"))
async def test_a_poison_job_among_64_good_ones_harms_none(
    poison: Callable[[Job], None], desk: Desk, database: Database, auditor: Connection, keys: Keys
) -> None:
    """However it breaks the call, in packing or in Postgres: it alone fails, and leaves nothing."""
    jobs = await creations(desk, GOOD + 1)
    guilty = jobs[GOOD // 3]
    poison(guilty)
    async with writing(database) as writer:
        results = await asyncio.gather(*map(writer.append, jobs), return_exceptions=True)
    failed = [job for job, result in zip(jobs, results, strict=True) if not isinstance(result, Appended)]
    assert failed == [guilty]
    error = results[jobs.index(guilty)]
    assert isinstance(error, ValueError | psycopg.DataError | psycopg.IntegrityError | psycopg.OperationalError) or (
        type(error).__name__ == "error"  # struct's
    ), repr(error)
    check_whole(auditor, desk.tenant, keys)


async def test_a_full_queue_refuses_at_once_and_drains(desk: Desk, database: Database) -> None:
    jobs = await creations(desk, 6)
    async with writing(database, waiting_max=4) as writer:
        async with locked(database, desk.tenant) as waiting:
            queued = [asyncio.create_task(writer.append(jobs[0]))]
            await waiting(1)
            queued += [asyncio.create_task(writer.append(job)) for job in jobs[1:5]]
            await asyncio.sleep(0)
            with pytest.raises(QueueFull):
                await writer.append(jobs[5])
            assert writer.waiting == 4
        assert [each.position for each in await asyncio.gather(*queued)] == [1, 2, 3, 4, 5]
        assert writer.waiting == 0
        await writer.append(jobs[5])


async def test_a_full_queue_is_answered_503_with_retry_after(
    offices: Offices, database: Database, keys: Keys, auditor: Connection
) -> None:
    """Reads go on meanwhile; whoever was queued is answered when the database is, and the rest may come again."""
    async with served(database, keys, waiting_max=3) as (service, client):
        desk = Desk.new((service, offices[1]), database, keys)
        base, headers = f"/scim/{desk.tenant.slug}/v2/Users", {"Authorization": f"Bearer {desk.secret}"}

        def post(number: int) -> "asyncio.Task[httpx.Response]":
            return asyncio.create_task(client.post(base, headers=headers, json=user(f"u{number}")))

        async with locked(database, desk.tenant) as waiting:
            tasks = [post(0)]
            await waiting(1)
            tasks += [post(number) for number in range(1, 9)]
            refused, queued = await asyncio.wait(tasks, timeout=None, return_when=asyncio.FIRST_COMPLETED)
            while len(refused) < 5:
                more, queued = await asyncio.wait(queued, return_when=asyncio.FIRST_COMPLETED)
                refused |= more
            assert service.writer.waiting == 3
            answers = [task.result() for task in refused]
            assert [(each.status_code, each.headers["retry-after"]) for each in answers] == [(503, "1")] * 5
            assert (await client.get(base, headers=headers)).status_code == 200
        assert [(await task).status_code for task in queued] == [201] * 4
        assert service.writer.waiting == 0
        assert (await client.post(base, headers=headers, json=user("later"))).status_code == 201
    assert check_whole(auditor, desk.tenant, keys) == 1 + 4 + 1


async def test_the_job_of_a_request_that_was_cancelled_is_written_all_the_same(
    desk: Desk, database: Database, auditor: Connection, keys: Keys
) -> None:
    """In its call or still in the queue; nobody else's answer depends on it."""
    jobs = await creations(desk, 3)
    async with writing(database) as writer:
        async with locked(database, desk.tenant) as waiting:
            tasks = [asyncio.create_task(writer.append(jobs[0]))]
            await waiting(1)
            tasks += [asyncio.create_task(writer.append(job)) for job in jobs[1:]]
            await asyncio.sleep(0)
            tasks[0].cancel()
            tasks[1].cancel()
            await asyncio.sleep(0)
        assert (await tasks[2]).position == 3
        assert tasks[0].cancelled() and tasks[1].cancelled()
    assert check_whole(auditor, desk.tenant, keys) == 4


async def test_closing_finishes_what_is_queued(desk: Desk, database: Database) -> None:
    jobs = await creations(desk, 5)
    writer = Writer(database.app_url)
    tasks = [asyncio.create_task(writer.append(job)) for job in jobs]
    await asyncio.sleep(0)
    await writer.close()
    assert [task.result().position for task in tasks] == [1, 2, 3, 4, 5]


async def test_two_writers_on_one_tenant_interleave_without_a_gap(
    desk: Desk, database: Database, auditor: Connection, keys: Keys
) -> None:
    """Two processes' worth of requests; also those that fail there and are decided again."""
    jobs = await creations(desk, 200)
    async with writing(database) as one, writing(database) as other:

        async def write(writer: Writer, mine: list[Job]) -> list[int]:
            return [(await writer.append(job)).position for job in mine]

        shares = [write(writer, jobs[start::8]) for start, writer in enumerate((one, other) * 4)]
        positions = await asyncio.gather(*shares)
    assert sorted(position for share in positions for position in share) == list(range(1, 201))
    assert all(share == sorted(share) for share in positions)
    assert check_whole(auditor, desk.tenant, keys) == 201


async def test_a_tenant_does_not_wait_for_another(desk: Desk, offices: Offices, database: Database, keys: Keys) -> None:
    """One tenant's lock is held for long; the other's writes go on."""
    free = Desk.new(offices, database, keys)
    (stuck,) = await creations(desk, 1)
    async with writing(database) as writer:
        async with locked(database, desk.tenant) as waiting:
            held = asyncio.create_task(writer.append(stuck))
            await waiting(1)
            for job in await creations(free, 20):
                await asyncio.wait_for(writer.append(job), 5)
            assert not held.done()
        await held


async def test_tenants_with_work_take_turns(desk: Desk, offices: Offices, database: Database, keys: Keys) -> None:
    """On a single lane, somebody's long queue is interrupted for everybody else's short one."""
    other = Desk.new(offices, database, keys)
    ada = await desk.made("/Users", user("ada"))
    change = patch({"op": "add", "path": "title", "value": "Dr"})
    crowd = await creations(desk, 3)
    conflicting = [await desk.decided("PATCH", f"/Users/{ada}", change) for _ in range(20)]
    (single,) = await creations(other, 1)
    async with writing(database, lanes=1) as writer:
        queue = [asyncio.create_task(writer.append(job)) for job in (*crowd, *conflicting)]
        await asyncio.sleep(0)
        await writer.append(single)
        assert sum(task.done() for task in queue) < len(queue)
        await asyncio.gather(*queue, return_exceptions=True)
        assert writer.waiting == 0
