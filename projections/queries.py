"""Lists of users and groups: filter, order, page. One short statement each; no snapshot outlives a page."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.attributes import ResourceType
from domain.errors import TooMany
from domain.expressions import Filter
from domain.sorting import Sort
from ledger.connections import answered_within, is_lost
from ledger.lookups import StoredResource
from ledger.writer import Unreachable
from projections.ordering import Mark, ordering
from projections.places import Parameters
from projections.rhythm import SENDERS, USED_BY_SENDER
from projections.where import where

STATEMENT_TIMEOUT_MS = 20_000
_ANSWER_S = 22.0  # For a database that does not even keep its own time limit.


# The edges of some resources as they were; see `Lookups` for those of now.
_MEMBERS_THEN = (
    "select m.group_id::text, m.member_id::text, m.member_type from memberships_at(%(tenant)s, %(at)s::bigint) m "
    "where m.tenant_id = %(tenant)s and m.group_id = any(%(ids)s::uuid[]) order by m.from_position"
)
_GROUPS_THEN = (
    "with recursive above(id, grp, direct) as ("
    "select m.member_id, m.group_id, true from memberships_at(%(tenant)s, %(at)s::bigint) m "
    "where m.tenant_id = %(tenant)s and m.member_id = any(%(ids)s::uuid[]) "
    "union select a.id, m.group_id, false from above a join memberships_at(%(tenant)s, %(at)s::bigint) m "
    "on m.tenant_id = %(tenant)s and m.member_id = a.grp) "
    "select a.id::text, a.grp::text, g.document, bool_or(a.direct) from above a "
    "join groups_at(%(tenant)s, %(at)s::bigint) g on g.tenant_id = %(tenant)s and g.id = a.grp "
    "group by a.id, a.grp, g.document, g.created_position order by g.created_position"
)


Edges = dict[str, list[Any]]  # By resource: (id, type) of a group's members; (id, document, directly) of one's groups.
Resources = list[tuple[ResourceType, StoredResource]]


class Question(Struct, frozen=True):
    """Which resources of a tenant, in which order; without sort in that of their creation.

    location_base: what `meta.location` and `$ref` begin with. at: as of the entry at which position; None for now.
    """

    tenant_id: int
    types: tuple[ResourceType, ...]
    filter: Filter | None
    sort: Sort | None
    location_base: str
    at: int | None = None


class Found(Struct, frozen=True):
    """One page: how many match in all, and the page's resources with their types, in order."""

    total: int
    resources: Resources


class Queries:
    """Everything that is not a point read. Uses a small pool of its own: a slow list delays no write."""

    def __init__(self, database_url: str, connections: int = 3, timeout_ms: int = STATEMENT_TIMEOUT_MS) -> None:
        self._pool = AsyncConnectionPool(
            database_url,
            min_size=0,
            max_size=connections,
            open=False,
            timeout=10,
            kwargs={
                "autocommit": True,
                "application_name": "scim-ledger lists",
                "options": f"-c statement_timeout={timeout_ms} -c jit=off -c timezone=UTC",
            },
        )

    async def open(self) -> None:
        """Start the pool; connections come when needed."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()

    async def page(self, question: Question, *, offset: int, count: int) -> Found:
        """Return `count` matches from `offset` on. Raises TooMany, Unreachable."""
        if 0 == offset < count:  # What fits into the first page, as most filters' matches do, is counted by reading it.
            rows = await self._ask(*select_page(question, None, offset=0, count=count))
            total = len(rows) if len(rows) < count else max(count, await self.count(question))
        else:
            total, rows = await self.count(question), []
            if count > 0 and offset < total:
                rows = await self._ask(*select_page(question, None, offset=offset, count=count))
        return Found(total, [_read(question, row) for row in rows])

    async def walk(self, question: Question, after: Mark | None, count: int) -> tuple[Resources, Mark | None]:
        """Return the next `count` matches behind a mark, and the mark to go on from; None when there are no more.

        Costs the same wherever the mark is. Raises TooMany, Unreachable.
        """
        rows = await self._ask(*select_page(question, after, offset=0, count=count + 1))
        return read_page(question, rows, count)

    async def count(self, question: Question) -> int:
        """Return how many match. Raises TooMany, Unreachable."""
        parameters = Parameters(question.tenant_id, question.at)
        counts = [f"(select count(*){_matching(question, kind, parameters)})" for kind in question.types]
        ((total,),) = await self._ask("select " + " + ".join(counts), parameters.by_name)
        return int(total)

    async def edges_then(self, question: Question, resources: Resources) -> Edges:
        """Return the edges that resources had as of the question's position. Raises TooMany, Unreachable."""
        rows = [await self._ask(*asked) for asked in select_edges(question, resources)]
        return read_edges(rows)

    async def mark_used(self, used: Mapping[tuple[int, str], datetime]) -> None:
        """Note when tokens were last used: (tenant, token) → time. Raises Unreachable."""
        columns = list(zip(*((tenant, token, time) for (tenant, token), time in used.items()), strict=True))
        await self._rows(
            "update tokens t set last_used_at = x.at from unnest(%s::int[], %s::uuid[], "
            "%s::timestamptz[]) x(tenant, id, at) "
            "where t.tenant_id = x.tenant and t.token_id = x.id and (t.last_used_at is null or t.last_used_at < x.at) "
            "returning 1",
            [list(column) for column in columns],
        )

    async def unheard(self) -> dict[tuple[int, str], float]:
        """Return how many seconds ago each client sent its last request, reads too: (tenant, client) → seconds.

        Only who may send SCIM and has done so; empty while unreachable.
        """
        try:
            rows = await self._rows(
                "select k.tenant_id, k.id, extract(epoch from clock_timestamp() - max(u.last_used_at))::float8 "
                f"from {SENDERS} join tokens u on {USED_BY_SENDER} "
                "where u.last_used_at is not null group by k.tenant_id, k.id"
            )
        except (Unreachable, psycopg.Error):
            return {}
        return {(tenant_id, str(client_id)): max(0.0, seconds) for tenant_id, client_id, seconds in rows}

    async def lags(self) -> dict[str, int]:
        """Return by projection how many entries it has not read, over all tenants; empty while unreachable."""
        try:
            rows = await self._rows(
                "select k.projection, sum(greatest(0, coalesce(e.position + 1, 0) - k.position))::bigint "
                "from tracking k left join lateral (select position from entries e where e.tenant_id = k.tenant_id "
                "order by position desc limit 1) e on true group by k.projection"
            )
        except (Unreachable, psycopg.Error):
            return {}
        return {projection: int(entries) for projection, entries in rows}

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with self._pool.connection() as connection:
            with answered_within(connection, _ANSWER_S):
                yield connection

    async def _rows(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        try:
            async with self._borrowed() as connection:
                cursor = await connection.execute(query, parameters)
                return await cursor.fetchall()
        except (TimeoutError, psycopg.Error, OSError, PoolTimeout) as error:
            if isinstance(error, PoolTimeout) or is_lost(error):
                raise Unreachable("the database cannot be reached") from None
            raise

    async def _ask(self, query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        try:
            return await self._rows(query, parameters)
        except psycopg.errors.QueryCanceled:
            raise TooMany("the query takes too long; narrow the filter") from None


def _matching(question: Question, resource_type: ResourceType, parameters: Parameters) -> str:
    """Return the statement for the matches of one type, from its `from` on."""
    clause = where(
        question.filter, resource_type, question.tenant_id,
        location_base=question.location_base, parameters=parameters,
    )  # fmt: skip
    return f" from {parameters.tables.of(resource_type)} r where r.tenant_id = %(tenant)s and ({clause.clause})"


def select_page(question: Question, after: Mark | None, *, offset: int, count: int) -> tuple[str, dict[str, Any]]:
    """Return the statement for one page, and its parameters.

    Each type gives its first rows up to the end of the page, in order; several are merged. The last columns of a row
    are its mark.
    """
    parameters = Parameters(question.tenant_id, question.at)
    parameters.by_name |= {"offset": offset, "count": count, "end": offset + count}
    parts = []
    for rank, kind in enumerate(question.types):
        order = ordering(question.sort, kind, parameters, question.location_base)
        beyond = "" if after is None else f" and {order.beyond(after, parameters)}"
        key, position = order.key or "null", "r.created_position"
        parts.append(
            f"select {rank} as type, r.id, r.version, r.created_at, r.modified_at, r.document, {key} as key, "
            f"{position} as position{_matching(question, kind, parameters)}{beyond} "
            f"order by {order.clause(key, position)}"
        )
    last, page = f"order by {order.clause('key', 'position')}", "limit %(count)s offset %(offset)s"
    # Of a page's rows only: whoever is skipped on the way to it is not asked for memberships.
    columns = (
        "select x.type, x.id::text, x.version, x.created_at, x.modified_at, x.document, exists(select from "
        f"{parameters.tables.memberships} m where m.tenant_id = %(tenant)s and m.member_id = x.id "
        "and m.to_position is null), x.key, x.position"
    )
    if len(parts) == 1:
        return f"{columns} from ({parts[0]} {page}) x {last}", parameters.by_name
    merged = " union all ".join(f"({part} limit %(end)s)" for part in parts)
    return f"{columns} from (select * from ({merged}) x {last} {page}) x {last}", parameters.by_name


def select_edges(question: Question, resources: Resources) -> list[tuple[str, dict[str, Any]]]:
    """Return the statements for the members of groups and the groups of all others, as of the question's position."""
    groups = [stored.id for kind, stored in resources if kind.has_members]
    others = [stored.id for kind, stored in resources if not kind.has_members]
    asked = {"tenant": question.tenant_id, "at": question.at}
    return [
        (query, {**asked, "ids": ids}) for query, ids in ((_MEMBERS_THEN, groups), (_GROUPS_THEN, others)) if ids
    ]  # fmt: skip


def read_edges(answers: Iterable[Iterable[tuple[Any, ...]]]) -> Edges:
    """Return what these statements found, by resource."""
    found: Edges = {}
    for rows in answers:
        for resource_id, *edge in rows:
            found.setdefault(resource_id, []).append(edge)
    return found


def read_page(question: Question, rows: Sequence[tuple[Any, ...]], count: int) -> tuple[Resources, Mark | None]:
    """Return what a page holds, of rows of which one more was asked for, and the mark to go on from."""
    page = rows[:count]
    mark = None
    if len(rows) > count:
        *_, key, position = page[-1]
        mark = Mark(None if key is None else str(key), position)
    return [_read(question, row) for row in page], mark


def _read(question: Question, row: tuple[Any, ...]) -> tuple[ResourceType, StoredResource]:
    rank, *stored = row[:-2]
    return question.types[rank], StoredResource(*stored)
