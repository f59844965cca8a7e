"""Lists of users and groups: filter, order, page. One short statement each; no snapshot outlives a page."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.attributes import ResourceType
from domain.errors import TooMany
from domain.expressions import Filter
from ledger.connections import answered_within, is_lost
from ledger.lookups import StoredGroup, StoredResource
from ledger.writer import Unreachable
from projections.where import Where, table_of, where

STATEMENT_TIMEOUT_MS = 20_000
_ANSWER_S = 22.0  # For a database that does not even keep its own time limit.
_COLUMNS = (
    "r.id::text, r.version, r.created_at, r.modified_at, r.document, exists(select from memberships m "
    "where m.tenant_id = r.tenant_id and m.member_id = r.id and m.to_position is null)"
)
_GROUP_COLUMNS = _COLUMNS + ", r.attribute_version, r.member_count"


class Found(Struct, frozen=True):
    """One page: how many match in all, and the page's resources with their types, in creation order."""

    total: int
    resources: list[tuple[ResourceType, StoredResource]]


class Queries:
    """Everything that is not a point read. Uses a small pool of its own: a slow list delays no write."""

    def __init__(self, database_url: str, connections: int = 3) -> None:
        self._pool = AsyncConnectionPool(
            database_url,
            min_size=0,
            max_size=connections,
            open=False,
            timeout=10,
            kwargs={
                "autocommit": True,
                "application_name": "scim-ledger lists",
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c jit=off -c timezone=UTC",
            },
        )

    async def open(self) -> None:
        """Start the pool; connections come when needed."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()

    async def page(
        self, tenant_id: int, types: tuple[ResourceType, ...], expression: Filter | None, *, offset: int, count: int,
        location_base: str,
    ) -> Found:  # fmt: skip
        """Return `count` matches from `offset` on, users before groups. Raises TooMany, Unreachable."""
        total = 0
        resources: list[tuple[ResourceType, StoredResource]] = []
        for resource_type in types:
            clause = where(expression, resource_type, tenant_id, location_base=location_base)
            matching, rows = await self._ask(
                tenant_id, resource_type, clause, offset=max(0, offset - total), count=count - len(resources)
            )
            total += matching
            resources += [(resource_type, row) for row in rows]
        return Found(total, resources)

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

    async def _rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            async with self._borrowed() as connection:
                cursor = await connection.execute(query, parameters)
                return await cursor.fetchall()
        except (psycopg.Error, OSError, PoolTimeout) as error:
            if isinstance(error, PoolTimeout) or is_lost(error):
                raise Unreachable("the database cannot be reached") from None
            raise

    async def _ask(
        self, tenant_id: int, resource_type: ResourceType, clause: Where, *, offset: int, count: int
    ) -> tuple[int, list[StoredResource]]:
        columns, shape = (_GROUP_COLUMNS, StoredGroup) if resource_type.has_members else (_COLUMNS, StoredResource)
        matching = f" from {table_of(resource_type)} r where r.tenant_id = %(tenant)s and ({clause.clause})"
        parameters = {**clause.parameters, "tenant": tenant_id, "offset": offset, "count": count}
        try:
            async with self._borrowed() as connection:
                cursor = await connection.execute("select count(*)" + matching, parameters)
                total: int = (await cursor.fetchone())[0]  # type: ignore[index]
                if count <= 0 or offset >= total:
                    return total, []
                cursor = await connection.execute(
                    f"select {columns}{matching} order by r.created_position limit %(count)s offset %(offset)s",
                    parameters,
                )
                return total, [shape(*_bytes(row)) for row in await cursor.fetchall()]
        except psycopg.errors.QueryCanceled:
            raise TooMany("the query takes too long; narrow the filter") from None
        except (TimeoutError, psycopg.Error, OSError, PoolTimeout) as error:
            if isinstance(error, PoolTimeout) or is_lost(error):
                raise Unreachable("the database cannot be reached") from None
            raise


def _bytes(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
