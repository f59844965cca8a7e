"""Group commit: what queues while one call runs is the next batch. One leader a tenant, one call a batch.

The way of a write: a request decides, its `Job` is queued here, the tenant's leader packs waiting jobs that may
stand together (`ledger/jobs.py`), `ledger_append` checks and writes them under the tenant's lock, the results go
back into the futures. A job whose preconditions fail raises `Conflict`: its request reads and decides again.

Postgres writes one batch while this process answers the one before and decides the next. For neither to wait for the
other, a leader sends on before the requests it has answered go on, and batches are of like size (`Writer.take`).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import psycopg
from psycopg import AsyncConnection

from ledger.batch import CALL, Appended, Batch
from ledger.connections import KeptConnection, answered_within, is_lost
from ledger.jobs import Job, batch_of
from ledger.statements import Statement

BATCH_JOBS_MAX = 256
_CALL_S = 10.0  # Then the call counts as lost, and its fate is looked up; with many entries it may take longer.
_ENTRIES_A_SECOND_MIN = 2_000
_MANY_ENTRIES = 2_000
_TAIL_ENTRIES = 100_000  # How far back its entries are looked for, beside their own number.
CLOCKS_DISAGREE = "SL001"  # The SQLSTATE that ledger_append refuses with.
# A refusal is then forgotten: whoever sends no writes to a service that is not ready would never learn of the end.
_CLOCKS_REMEMBERED_S = 30.0
_LOOK_UP_S = 5.0  # How long the fate of a batch is looked up after its connection broke.

Row = tuple[object, ...]


class Conflict(Exception):
    """Something the decision rested on has changed: read and decide again."""


class QueueFull(Exception):
    """More writes are waiting than will be served soon."""


class Unreachable(Exception):
    """The database did not answer; nothing of the job was written, or its fate is unknown."""


class ClocksDisagree(Exception):
    """The database's time is more than a minute from the service's; nothing is written meanwhile."""


class Unsendable(Exception):
    """A job of the batch holds what no argument can; nothing was sent. Its cause says what is wrong."""


class Queued:
    """A job on its way, and the future that gets its result."""

    __slots__ = ("future", "job")

    def __init__(self, job: Job, future: "asyncio.Future[Appended]") -> None:
        self.job = job
        self.future = future

    def succeed(self, appended: Appended) -> None:
        """Answer, unless the request has gone away: its write stands all the same."""
        if not self.future.done():
            self.future.set_result(appended)

    def fail(self, error: BaseException) -> None:
        """Answer with a failure."""
        if not self.future.done():
            self.future.set_exception(error)


class Writer:
    """The only way into the ledger for requests. A small fixed set of lanes; tenants with work take turns."""

    def __init__(
        self, database_url: str, *, lanes: int = 2, waiting_max: int = 4_096,
        on_batch: Callable[[int], None] = lambda jobs: None,
    ) -> None:  # fmt: skip
        self._lanes = [Lane(database_url, number, self) for number in range(lanes)]
        self._idle = list(self._lanes)
        self._waiting_max = waiting_max
        self._queues: dict[int, deque[Queued]] = {}
        self._last_jobs: dict[int, int] = {}  # How many the last batch had, of each tenant with a queue.
        self._turns: deque[int] = deque()  # Tenants with waiting jobs and no leader.
        self._led: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_batch = on_batch
        self.waiting = 0
        self._clocks_disagreed_at = -_CLOCKS_REMEMBERED_S

    @property
    def clocks_disagree(self) -> bool:
        """Whether the database has just refused a write for its time."""
        return monotonic() - self._clocks_disagreed_at < _CLOCKS_REMEMBERED_S

    def tell_clocks(self, *, agree: bool) -> None:
        """Keep in mind what a lane found out about the clocks."""
        self._clocks_disagreed_at = -_CLOCKS_REMEMBERED_S if agree else monotonic()

    async def append(self, job: Job) -> Appended:
        """Write a job; returns after the commit.

        Raises Conflict, QueueFull, Unreachable, ClocksDisagree; any other error is a defect of this one job.
        """
        if self.waiting >= self._waiting_max:
            raise QueueFull
        queued = Queued(job, asyncio.get_running_loop().create_future())
        self._enqueue(queued)
        return await queued.future

    def _enqueue(self, queued: Queued) -> None:
        tenant_id = queued.job.tenant_id
        self.waiting += 1
        queue = self._queues.get(tenant_id)
        if queue is None:
            queue = self._queues[tenant_id] = deque()
        queue.append(queued)
        if len(queue) == 1 and tenant_id not in self._led:
            self._turns.append(tenant_id)
            self._start()

    def _start(self) -> None:
        while self._idle and self._turns:
            lane = self._idle.pop()
            task = asyncio.get_running_loop().create_task(lane.lead(self._turns.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def take(self, tenant_id: int) -> list[Queued]:
        """Hand a lane the tenant's next batch: of what waits, as many as bring it nearer to the last one.

        Taking all would leave batches of one and of fifteen in turns, each side idle while the other has the fifteen.
        """
        self._led.add(tenant_id)
        queue = self._queues[tenant_id]
        last = self._last_jobs.get(tenant_id, len(queue))
        taken = [queue.popleft() for _ in range(min(len(queue), (len(queue) + last + 1) // 2, BATCH_JOBS_MAX))]
        self._last_jobs[tenant_id] = len(taken)
        by_job = {id(queued.job): queued for queued in taken}
        together, later = batch_of([queued.job for queued in taken])
        queue.extendleft(by_job[id(job)] for job in reversed(later))
        self.waiting -= len(together)
        return [by_job[id(job)] for job in together]

    def release(self, tenant_id: int, lane: "Lane") -> int | None:
        """A lane has led one batch: the tenant queues for another turn when it still has work.

        Return whose turn it is on that lane, or None.
        """
        # No await between asking and leaving: a job queued in between would wait for nobody.
        self._led.discard(tenant_id)
        if self._queues[tenant_id]:
            self._turns.append(tenant_id)
        else:
            del self._queues[tenant_id], self._last_jobs[tenant_id]
        if self._turns:
            return self._turns.popleft()
        self._idle.append(lane)
        return None

    async def close(self) -> None:
        """Finish what is queued, then close the lanes."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._lanes:
            await lane.connection.drop()


class Lane:
    """One connection for writes. Leads one tenant's batch at a time."""

    def __init__(self, database_url: str, number: int, writer: Writer) -> None:
        self.connection = KeptConnection(database_url, f"scim-ledger writer {number}")
        self._statement = Statement(self.connection, CALL)
        self._writer = writer
        self._calls = 0
        self._replan_at = 4

    async def lead(self, tenant_id: int) -> None:
        """Write a tenant's next batch and answer its jobs, and go on with whoever's turn it then is."""
        turn: int | None = tenant_id
        while turn is not None:
            batch = self._writer.take(turn)
            try:
                await self._write(batch)
            except Exception as error:
                for queued in batch:
                    queued.fail(error)
            finally:
                turn = self._writer.release(turn, self)

    async def _write(self, todo: list[Queued]) -> None:
        """Send jobs until each is written or refused. A job that breaks the call is found by halving."""
        while todo:
            self._writer.on_batch(len(todo))
            try:
                todo = await self._call(todo)
            except Unsendable as error:
                todo = await self._halved(todo, error.__cause__ or error)
            except (psycopg.Error, OSError) as error:
                if is_lost(error):
                    return await self._settle(todo)
                if isinstance(error, psycopg.Error) and error.sqlstate == CLOCKS_DISAGREE:
                    self._writer.tell_clocks(agree=False)
                    return _fail(todo, ClocksDisagree(error.diag.message_primary))
                todo = await self._halved(todo, error)

    async def _halved(self, todo: list[Queued], error: BaseException) -> list[Queued]:
        """Write one half of jobs that broke the call and return the other; a job alone is the guilty one."""
        if len(todo) == 1:
            _fail(todo, error)
            return []
        half = len(todo) // 2
        await self._write(todo[:half])
        return todo[half:]

    async def _call(self, todo: list[Queued]) -> list[Queued]:
        """One call. Returns the jobs to send again, because others of the batch failed their preconditions."""
        try:
            await self.connection.get()
        except psycopg.OperationalError:
            await self.connection.drop()
            _fail(todo, Unreachable("the database cannot be reached"))
            return []
        entries = sum(len(queued.job.entries) for queued in todo)
        # Many entries, of one bulk request or one long list of members, would keep everybody waiting.
        batch, arguments = _packed(todo) if entries < _MANY_ENTRIES else await asyncio.to_thread(_packed, todo)
        within_s = _CALL_S + entries / _ENTRIES_A_SECOND_MIN
        ((size, recorded_at, failed, base),) = await self._statement.ask(arguments, within_s, anew=self._replans())
        self._writer.tell_clocks(agree=True)
        if failed is None:
            for number, queued in enumerate(todo):
                queued.succeed(batch.result(number, size, recorded_at, base))
            return []
        lost = set(failed)
        _fail([queued for number, queued in enumerate(todo) if number in lost], Conflict())
        return [queued for number, queued in enumerate(todo) if number not in lost]

    def _replans(self) -> bool:
        """Say now and then: statements planned while the tables were empty may have picked the wrong index for ever."""
        self._calls += 1
        if self._calls < self._replan_at:
            return False
        self._replan_at = min(self._replan_at * 4, self._replan_at + 20_000)
        return True

    async def _settle(self, todo: list[Queued]) -> None:
        """The connection broke during the call: look up whether it was committed; never send it twice."""
        pid, connection_was = self.connection.backend_pid, self.connection
        await connection_was.drop()
        try:
            connection = await connection_was.get_again(give_up_after_s=_LOOK_UP_S)
            with answered_within(connection, _LOOK_UP_S):
                await _until_gone(connection, pid)
                written = await _written(connection, todo)
        except (psycopg.Error, OSError, TimeoutError):
            await connection_was.drop()
            return _fail(todo, Unreachable("the connection broke and the database did not come back in time"))
        for number, queued in enumerate(todo):
            appended = written.get(number)
            if appended is None:
                queued.fail(Unreachable("the connection broke before the write"))
            else:
                queued.succeed(appended)


def _fail(jobs: list[Queued], error: BaseException) -> None:
    for queued in jobs:
        queued.fail(error)


def _packed(todo: list[Queued]) -> tuple[Batch, list[Any]]:
    """Pack jobs for the call. Raises Unsendable: what fails before the call may be tried again without a doubt."""
    try:
        batch = Batch([queued.job for queued in todo])
        return batch, batch.arguments(datetime.now(UTC))
    except Exception as error:
        raise Unsendable from error


async def _until_gone(connection: AsyncConnection[Row], pid: int) -> None:
    """Make sure that the broken connection's backend does not still run, or begin, the call."""
    for _ in range(100):
        cursor = await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where pid = %s and pid <> pg_backend_pid() and application_name like 'scim-ledger writer%%'",
            (pid,),
        )
        if await cursor.fetchone() is None:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError


async def _written(connection: AsyncConnection[Row], todo: list[Queued]) -> dict[int, Appended]:
    """Find which of the jobs are in the ledger. They are near its end, and written together or not at all."""
    jobs = {
        entry.request_id or queued.job.request_id: number
        for number, queued in enumerate(todo)
        for entry in queued.job.entries
    }
    cursor = await connection.execute(
        """
        with tail as (
            select position, stream, stream_version, request_id, recorded_at from entries
             where tenant_id = %(tenant)s order by position desc limit %(tail)s
        )
        select t.request_id::text, t.position, t.recorded_at, t.stream, t.stream_version
          from tail t where t.request_id = any(%(requests)s::uuid[]) order by t.position
        """,
        {
            "tenant": todo[0].job.tenant_id,
            "requests": list(jobs),
            "tail": _TAIL_ENTRIES + sum(len(queued.job.entries) for queued in todo),
        },
    )
    found: dict[int, list[FoundRow]] = {}
    for row in await cursor.fetchall():
        found.setdefault(jobs[row[0]], []).append(row)  # type: ignore[index, arg-type]
    return {number: _appended_before(rows) for number, rows in found.items()}


FoundRow = tuple[str, int, datetime, str, int]


def _appended_before(rows: list[FoundRow]) -> Appended:
    base: dict[str, int] = {}
    for _, _, _, stream, version in rows:
        kind, _, resource_id = stream.partition("/")
        if kind == "groups":
            base.setdefault(resource_id, version - 1)
    return Appended(rows[0][1], rows[0][2], base)
