"""Coalesced point reads: whatever waits while one query runs is the next query.

Each kind of question has a lane with a connection of its own. Statements are bound to the tenant by the key
itself: every key begins with a tenant id, and every join names it.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import repeat
from time import monotonic
from typing import Any

import psycopg
from msgspec import Struct

from domain.users import USER
from ledger.arrays import byteas, integers, texts, uuids
from ledger.connections import KeptConnection, is_lost
from ledger.statements import Statement
from ledger.writer import Unreachable

PLANS_LIVE_S = 1.0
_KEYS_MAX = 2_000  # Of one query: a long list of members shall not make it a long one.
_ANSWER_S = 5.0  # A point read takes a thousandth of it: whoever waits longer is told to come again.

Key = tuple[Any, ...]
Row = tuple[Any, ...]
Groups = list[tuple[str, bytes, bool]]  # (id, document, whether directly), as they were created.
Members = list[tuple[str, str]]  # (id, type)
Edge = tuple[bool, bool, bool]  # Whether it is open, whether its member is a user, whether it is a group.


class Lane:
    """One question, asked for many keys at once. The row's first columns are the key it answers."""

    def __init__(self, connection: KeptConnection, query: str, packs: Sequence[Callable[[Any], Any]]) -> None:
        self._connection = connection
        self._statement = Statement(connection, query)
        self._packs = packs
        self._waiting: list[tuple[Key, asyncio.Future[list[Row]]]] = []
        self._busy = False
        self._plans_until = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self, *key: Any) -> "asyncio.Future[list[Row]]":
        """Return the rows for a key, without the key. Raises Unreachable."""
        loop = self._loop
        if loop is None:  # Kept: asking asyncio each time costs a system call, getpid, to notice forks.
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Row]] = loop.create_future()
        self._waiting.append((key, future))
        if not self._busy:
            self._busy = True
            loop.create_task(self._run())  # noqa: RUF006  # Ends by itself; the futures hold what waits for it.
        return future

    async def _run(self) -> None:
        await asyncio.sleep(0)  # Let the requests of this turn of the loop join.
        while self._waiting:
            batch, self._waiting = self._waiting[:_KEYS_MAX], self._waiting[_KEYS_MAX:]
            try:
                found = await self._ask({key for key, _ in batch})
            except Exception as error:
                for _, future in batch:  # Every future ends, or a client hangs.
                    if not future.done():
                        future.set_exception(error)
                continue
            for key, future in batch:
                if not future.done():
                    future.set_result(found.get(key, []))
        self._busy = False  # No await between the emptiness test and this line.

    async def _ask(self, keys: set[Key]) -> dict[Key, list[Row]]:
        columns = list(zip(*keys, strict=True))
        arguments = [pack(column) for pack, column in zip(self._packs, columns, strict=True)]
        rows = await self._fetch(arguments)
        found: dict[Key, list[Row]] = {}
        width = len(self._packs)
        for row in rows:
            found.setdefault(row[:width], []).append(row[width:])
        return found

    async def _fetch(self, arguments: list[Any]) -> list[Row]:
        give_up_at = monotonic() + _ANSWER_S
        for attempt in (1, 2):  # A read may be asked again: a restarted server breaks the connection once.
            try:
                # While a table is small all its indexes cost the same; a plan made then would stay for ever.
                if anew := (now := monotonic()) > self._plans_until:
                    self._plans_until = now + PLANS_LIVE_S
                return await self._statement.ask(arguments, _ANSWER_S, anew=anew)
            except (psycopg.Error, OSError) as error:
                if not is_lost(error):
                    raise
                await self._connection.drop()
                if attempt == 2 or monotonic() > give_up_at:
                    raise Unreachable("the database cannot be reached") from None
        raise AssertionError


class StoredResource(Struct):
    """A user or group as the directory holds it; `document` is JSON without id, meta and derived attributes."""

    id: str
    version: int
    created_at: datetime
    modified_at: datetime
    document: bytes
    belongs: bool  # Whether it is a member of some group.
    groups: Groups | None = None  # Those groups; None when they have to be asked for, with those above them.


class StoredUser(StoredResource, kw_only=True):
    """A user, and the key that seals what is recorded about it, wrapped."""

    key_id: str
    key_wrapped: bytes | None


class StoredGroup(StoredResource, kw_only=True):
    """A group. members: (id, type) of the direct ones, in the order they came; None when they have to be asked for."""

    attribute_version: int
    member_count: int
    members: Members | None = None


_RESOURCE = "r.id::text, r.version, r.created_at, r.modified_at, r.document"
# With the groups a user is a direct member of: one query for what is nearly always all of them.
_USER = f"r.resource_type, {_RESOURCE}, b.ids, b.documents, b.nested"
_AND_GROUPS = (
    "left join lateral (select array_agg(g.id::text order by g.created_position), "
    "array_agg(g.document order by g.created_position), "
    "bool_or((select true from memberships a "
    "where a.tenant_id = g.tenant_id and a.member_id = g.id and a.to_position is null limit 1)) "
    "from memberships m join groups g on g.tenant_id = m.tenant_id and g.id = m.group_id "
    "where m.tenant_id = r.tenant_id and m.member_id = r.id and m.to_position is null"
    ") b(ids, documents, nested) on true"
)
_GROUP = f"{_RESOURCE}, r.attribute_version, r.member_count"
_AND_MEMBERS = (
    "left join lateral (select array_agg(m.member_id::text order by m.from_position), "
    "array_agg(m.member_type order by m.from_position) "
    "from memberships m where m.tenant_id = r.tenant_id and m.group_id = r.id and m.to_position is null"
    ") b(ids, types) on true"
)
# The type is no condition: on a small table the partial index for lists would be as good as the key, and the plan then
# stays.
_EDGE = (
    "(select true from memberships m where m.tenant_id = k.tenant_id and m.group_id = k.grp "
    "and m.member_id = k.member and m.to_position is null limit 1) is not null, "
    "coalesce((select u.resource_type from users u where u.tenant_id = k.tenant_id and u.id = k.member) = 'User', "
    "false), "
    "(select true from groups g where g.tenant_id = k.tenant_id and g.id = k.member limit 1) is not null"
)
_BY_EDGE = "from unnest($1::integer[], $2::uuid[], $3::uuid[]) k(tenant_id, grp, member)"
_BY_ID = "from unnest($1::integer[], $2::uuid[]) k(tenant_id, key)"
_BY_HASH = "from unnest($1::integer[], $2::bytea[]) k(tenant_id, key)"

QUERIES: dict[str, tuple[str, Sequence[Callable[[Any], Any]]]] = {
    "user": (
        f"select k.tenant_id, k.key::text, {_USER} {_BY_ID} "
        f"join users r on r.tenant_id = k.tenant_id and r.id = k.key {_AND_GROUPS}",
        (integers, uuids),
    ),
    "user_to_change": (
        f"select k.tenant_id, k.key::text, {_USER}, s.key_id::text, s.wrapped {_BY_ID} "
        f"join users r on r.tenant_id = k.tenant_id and r.id = k.key {_AND_GROUPS} "
        "left join subject_keys s on s.tenant_id = k.tenant_id and s.subject_id = k.key",
        (integers, uuids),
    ),
    "user_by_name": (
        f"select k.tenant_id, k.key, {_USER} {_BY_HASH} "
        f"join users r on r.tenant_id = k.tenant_id and r.user_name_key = k.key {_AND_GROUPS}",
        (integers, byteas),
    ),
    "user_by_external_id": (
        f"select k.tenant_id, k.key, {_USER} {_BY_HASH} "
        f"join users r on r.tenant_id = k.tenant_id and r.external_id_key = k.key {_AND_GROUPS} "
        "order by r.created_position",
        (integers, byteas),
    ),
    "group": (
        f"select k.tenant_id, k.key::text, {_GROUP} {_BY_ID} "
        "join groups r on r.tenant_id = k.tenant_id and r.id = k.key",
        (integers, uuids),
    ),
    "group_by_name": (
        f"select k.tenant_id, k.key, {_GROUP} {_BY_HASH} "
        "join groups r on r.tenant_id = k.tenant_id and r.name_key = k.key order by r.created_position",
        (integers, byteas),
    ),
    "group_by_external_id": (
        f"select k.tenant_id, k.key, {_GROUP} {_BY_HASH} "
        "join groups r on r.tenant_id = k.tenant_id and r.external_id_key = k.key order by r.created_position",
        (integers, byteas),
    ),
    "whole_group": (
        f"select k.tenant_id, k.key::text, {_GROUP}, b.ids, b.types {_BY_ID} "
        f"join groups r on r.tenant_id = k.tenant_id and r.id = k.key {_AND_MEMBERS}",
        (integers, uuids),
    ),
    # (group, member) → an `Edge`.
    "edge": (f"select k.tenant_id, k.grp::text, k.member::text, {_EDGE} {_BY_EDGE}", (integers, uuids, uuids)),
    "group_with_edge": (
        f"select k.tenant_id, k.grp::text, k.member::text, {_EDGE}, {_GROUP} {_BY_EDGE} "
        "join groups r on r.tenant_id = k.tenant_id and r.id = k.grp",
        (integers, uuids, uuids),
    ),
    # A group's direct members, in the order they came.
    "members": (
        f"select k.tenant_id, k.key::text, m.member_id::text, m.member_type {_BY_ID} "
        "join memberships m on m.tenant_id = k.tenant_id and m.group_id = k.key and m.to_position is null "
        "order by m.from_position",
        (integers, uuids),
    ),
    # The groups somebody is a direct member of.
    "held": (
        f"select k.tenant_id, k.key::text, m.group_id::text {_BY_ID} "
        "join memberships m on m.tenant_id = k.tenant_id and m.member_id = k.key and m.to_position is null "
        "order by m.from_position",
        (integers, uuids),
    ),
    # The same and all groups above them: (group, document, is direct). Circles end because union drops repeats.
    "groups_of": (
        "with recursive above(tenant_id, key, grp, direct) as ("  # noqa: S608  All of it is text of ours.
        f"select k.tenant_id, k.key, m.group_id, true {_BY_ID} "
        "join memberships m on m.tenant_id = k.tenant_id and m.member_id = k.key and m.to_position is null "
        "union select a.tenant_id, a.key, m.group_id, false from above a "
        "join memberships m on m.tenant_id = a.tenant_id and m.member_id = a.grp and m.to_position is null) "
        "select a.tenant_id, a.key::text, a.grp::text, g.document, bool_or(a.direct) from above a "
        "join groups g on g.tenant_id = a.tenant_id and g.id = a.grp "
        "group by a.tenant_id, a.key, a.grp, g.document, g.created_position order by g.created_position",
        (integers, uuids),
    ),
    # A bearer token and its tenant: (slug, hash of the secret). Who acts with an access token is its client.
    "token": (
        "select k.slug, k.hash, t.tenant_id, t.origin, t.settings, t.schema_revision, tk.key_id::text, tk.wrapped, "
        "coalesce(o.client_id, o.token_id)::text, o.label, o.scopes, o.profile, o.expires_at, o.user_id::text, "
        "o.revoked_at "
        "from unnest($1::text[], $2::bytea[]) k(slug, hash) join tenants t on t.slug = k.slug "
        "join tenant_keys tk on tk.tenant_id = t.tenant_id "
        "join tokens o on o.tenant_id = t.tenant_id and o.secret_hash = k.hash",
        (texts, byteas),
    ),
    # Who holds a unique value.
    "value": (
        f"select k.tenant_id, k.key, v.resource_id::text {_BY_HASH} "
        "join unique_values v on v.tenant_id = k.tenant_id and v.key = k.key",
        (integers, byteas),
    ),
    # What a tenant declared, in the order in which it came to be: (kind, document).
    "declared": (
        "select k.tenant_id, d.kind, d.document from unnest($1::integer[]) k(tenant_id) "
        "join schema_declarations d on d.tenant_id = k.tenant_id order by d.since",
        (integers,),
    ),
}


class Lookups:
    """Every point read of a request."""

    def __init__(self, database_url: str) -> None:
        self._connections = {name: KeptConnection(database_url, f"scim-ledger {name}") for name in QUERIES}
        self._lanes = {name: Lane(self._connections[name], *query) for name, query in QUERIES.items()}
        self._token = self._lanes["token"]

    async def user(self, tenant_id: int, user_id: str, kind: str = USER) -> StoredResource | None:
        """Return a user for reading. kind: the name of the resource type it has to be of, also below."""
        rows = await self._lanes["user"].get(tenant_id, user_id)
        return _user(rows[0]) if rows and rows[0][0] == kind else None

    async def user_to_change(self, tenant_id: int, user_id: str, kind: str = USER) -> StoredUser | None:
        """Return a user with its key."""
        rows = await self._lanes["user_to_change"].get(tenant_id, user_id)
        if not rows or rows[0][0] != kind:
            return None
        *row, key_id, wrapped = rows[0]
        return StoredUser(*_with_groups(row), key_id=key_id, key_wrapped=wrapped)

    async def users_by_name(self, tenant_id: int, key: bytes) -> list[StoredResource]:
        """Return the user of a userName key, if any."""
        return [_user(row) for row in await self._lanes["user_by_name"].get(tenant_id, key)]

    async def users_by_external_id(self, tenant_id: int, key: bytes, kind: str = USER) -> list[StoredResource]:
        """Return the users of an externalId key."""
        rows = await self._lanes["user_by_external_id"].get(tenant_id, key)
        return [_user(row) for row in rows if row[0] == kind]

    async def group(self, tenant_id: int, group_id: str) -> StoredGroup | None:
        """Return a group without its members."""
        rows = await self._lanes["group"].get(tenant_id, group_id)
        return _group(rows[0]) if rows else None

    async def whole_group(self, tenant_id: int, group_id: str) -> StoredGroup | None:
        """Return a group with its members."""
        rows = await self._lanes["whole_group"].get(tenant_id, group_id)
        if not rows:
            return None
        *row, ids, types = rows[0]
        group = _group(row)
        group.members = list(zip(ids, types, strict=True)) if ids else []
        return group

    async def group_with_edge(
        self, tenant_id: int, group_id: str, member_id: str
    ) -> tuple[StoredGroup, dict[str, Edge]] | None:
        """Return a group without its members, and as `edges` does the one edge to a member or to whom might be one."""
        rows = await self._lanes["group_with_edge"].get(tenant_id, group_id, member_id)
        return (_group(rows[0][3:]), {member_id: rows[0][:3]}) if rows else None

    async def groups_by_name(self, tenant_id: int, key: bytes) -> list[StoredGroup]:
        """Return the groups of a displayName key."""
        return [_group(row) for row in await self._lanes["group_by_name"].get(tenant_id, key)]

    async def groups_by_external_id(self, tenant_id: int, key: bytes) -> list[StoredGroup]:
        """Return the groups of an externalId key."""
        return [_group(row) for row in await self._lanes["group_by_external_id"].get(tenant_id, key)]

    async def edges(self, tenant_id: int, group_id: str, member_ids: Sequence[str]) -> dict[str, Edge]:
        """Return the edges of a group by the ids of their members, or of who might be one."""
        lane = self._lanes["edge"]
        found = await asyncio.gather(*(lane.get(tenant_id, group_id, member_id) for member_id in member_ids))
        return {member_id: rows[0] for member_id, rows in zip(member_ids, found, strict=True)}

    async def members(self, tenant_id: int, group_id: str) -> Members:
        """Return a group's direct members."""
        return await self._lanes["members"].get(tenant_id, group_id)

    async def held(self, tenant_id: int, member_id: str) -> list[str]:
        """Return the ids of the groups that somebody is a direct member of."""
        return [row[0] for row in await self._lanes["held"].get(tenant_id, member_id)]

    async def groups_of(self, tenant_id: int, member_id: str) -> list[tuple[str, bytes, bool]]:
        """Return the groups somebody belongs to as (id, document, directly)."""
        return await self._lanes["groups_of"].get(tenant_id, member_id)

    async def token(self, slug: str, secret_hash: bytes) -> Row | None:
        """Return the row of a bearer token and its tenant."""
        rows = await self._token.get(slug, secret_hash)
        return rows[0] if rows else None

    async def holder(self, tenant_id: int, key: bytes) -> str | None:
        """Return the id of the resource that holds a unique value."""
        rows = await self._lanes["value"].get(tenant_id, key)
        return rows[0][0] if rows else None

    async def declared(self, tenant_id: int) -> list[tuple[str, dict[str, Any]]]:
        """Return what a tenant declared as (kind, document), in the order in which it came to be."""
        return await self._lanes["declared"].get(tenant_id)

    async def close(self) -> None:
        """Close the lanes' connections."""
        for connection in self._connections.values():
            await connection.drop()


def _user(row: Row) -> StoredResource:
    return StoredResource(*_with_groups(row))


def _with_groups(row: Sequence[Any]) -> tuple[Any, ...]:
    """The columns of a stored user from those of `_USER`."""
    _, resource_id, version, created_at, modified_at, document, ids, documents, nested = row
    groups: Groups | None = []
    if ids:
        groups = None if nested else list(zip(ids, documents, repeat(True)))
    return resource_id, version, created_at, modified_at, document, bool(ids), groups


def _group(row: Sequence[Any]) -> StoredGroup:
    resource_id, version, created_at, modified_at, document, attribute_version, member_count = row
    return StoredGroup(
        resource_id, version, created_at, modified_at, document, False,
        attribute_version=attribute_version, member_count=member_count,
    )  # fmt: skip
