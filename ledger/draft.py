"""What the operations of one request have decided and nobody has written yet, laid over what is written.

A bulk request decides operation by operation, each on what the ones before it leave, and is written by one job or not
at all. A `Draft` answers the look-ups of such a decision and takes the job it comes to; `merging.py` makes them one.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from domain.comparison import display_name_key, name_key
from domain.users import USER
from ledger.jobs import Job, UserRow
from ledger.lookups import Edge, Lookups, StoredGroup, StoredResource, StoredUser

_NOT_YET = datetime(1, 1, 1, tzinfo=UTC)  # The time of what is not written: nobody is shown it.


class _Holders:
    """Which of the drafted resources hold which key."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}
        self._ids: dict[bytes, dict[str, None]] = {}

    def put(self, resource_id: str, key: bytes | None) -> None:
        before = self._keys.pop(resource_id, None)
        if before is not None:
            del self._ids[before][resource_id]
        if key is not None:
            self._keys[resource_id] = key
            self._ids.setdefault(key, {})[resource_id] = None

    def of(self, key: bytes) -> Iterable[str]:
        return self._ids.get(key, ())


class Draft(Lookups):
    """The look-ups of one request's operations. What is read from outside is read once.

    promised: ids that operations still to come will create, and of what type; they count as existing members.
    jobs: what was taken, in this order.
    """

    def __init__(self, outside: Lookups, tenant_id: int, promised: dict[str, str]) -> None:
        self._outside = outside
        self.tenant_id = tenant_id
        self._promised = promised
        self._read: dict[tuple[Any, ...], asyncio.Future[Any]] = {}
        self._edges_read: dict[tuple[str, str], Edge] = {}
        self._users: dict[str, StoredUser | None] = {}
        self._kinds: dict[str, str] = {}  # Of those, also while they are gone.
        self._values: dict[bytes, str | None] = {}  # Unique values and who holds them.
        self._released: set[bytes] = set()
        self._groups: dict[str, StoredGroup | None] = {}  # Versions and counts without what follows.
        self._bumps: Counter[str] = Counter()
        self._growth: Counter[str] = Counter()
        self._user_names, self._group_names, self._external_ids = _Holders(), _Holders(), _Holders()
        self._members: dict[str, dict[str, str]] = {}  # Group → member → type; "" when it left.
        self._held: dict[str, dict[str, bool]] = {}  # Member → group → whether it is in it.
        self.jobs: list[Job] = []

    async def user_to_change(self, tenant_id: int, user_id: str, kind: str = USER) -> StoredUser | None:
        """Return a user with its key."""
        if user_id in self._users:
            return self._users[user_id] if self._kinds.get(user_id) == kind else None
        found: StoredUser | None = await self._ask("user_to_change", user_id, kind)
        return found

    async def users_by_name(self, tenant_id: int, key: bytes) -> list[StoredResource]:
        """Return the user of a userName key, if any."""
        found: list[StoredResource] = await self._ask("users_by_name", key)
        return self._drafted(found, self._users, self._user_names.of(key))

    async def users_by_external_id(self, tenant_id: int, key: bytes, kind: str = USER) -> list[StoredResource]:
        """Return the users of an externalId key."""
        found: list[StoredResource] = await self._ask("users_by_external_id", key, kind)
        drafted = [user_id for user_id in self._external_ids.of(key) if self._kinds[user_id] == kind]
        return self._drafted(found, self._users, drafted)

    async def holder(self, tenant_id: int, key: bytes) -> str | None:
        """Return the id of the resource that holds a unique value."""
        if key in self._values:
            return self._values[key]
        found: str | None = await self._ask("holder", key)
        return found

    async def group(self, tenant_id: int, group_id: str) -> StoredGroup | None:
        """Return a group without its members."""
        stored: StoredGroup | None
        stored = self._groups[group_id] if group_id in self._groups else await self._ask("group", group_id)
        bumps = self._bumps[group_id]
        if stored is None or not bumps:
            return stored
        return replace(
            stored, version=stored.version + bumps, member_count=stored.member_count + self._growth[group_id]
        )

    async def group_with_edge(
        self, tenant_id: int, group_id: str, member_id: str
    ) -> tuple[StoredGroup, dict[str, Edge]] | None:
        """Return a group without its members, and the edge to one that is or might be one."""
        stored = await self.group(tenant_id, group_id)
        return None if stored is None else (stored, await self.edges(tenant_id, group_id, [member_id]))

    async def groups_by_name(self, tenant_id: int, key: bytes) -> list[StoredGroup]:
        """Return the groups of a displayName key."""
        found: list[StoredGroup] = await self._ask("groups_by_name", key)
        return self._drafted(found, self._groups, self._group_names.of(key))

    async def edges(self, tenant_id: int, group_id: str, member_ids: Sequence[str]) -> dict[str, Edge]:
        """Return the edges of a group by the ids of their members, or of who might be one."""
        read = self._edges_read
        unread = [member_id for member_id in member_ids if (group_id, member_id) not in read]
        if unread:
            found = await self._outside.edges(tenant_id, group_id, unread)
            read.update({(group_id, member_id): edge for member_id, edge in found.items()})
        return {member_id: self._edge(group_id, member_id) for member_id in member_ids}

    def _edge(self, group_id: str, member_id: str) -> Edge:
        is_open, is_user, is_group = self._edges_read[group_id, member_id]
        drafted = self._members.get(group_id, {}).get(member_id)
        promised = self._promised.get(member_id)  # Until it is kept: what was made may be deleted again.
        if member_id in self._users:
            is_user = self._users[member_id] is not None and self._kinds[member_id] == USER
        elif member_id in self._groups:
            is_group = self._groups[member_id] is not None
        elif promised is not None:
            is_user, is_group = promised == "User", promised == "Group"
        return (is_open if drafted is None else drafted != "", is_user, is_group)

    async def members(self, tenant_id: int, group_id: str) -> list[tuple[str, str]]:
        """Return a group's direct members as (id, type)."""
        drafted = self._members.get(group_id, {})
        found = [edge for edge in await self._ask("members", group_id) if edge[0] not in drafted]
        return found + [(member_id, kind) for member_id, kind in drafted.items() if kind]

    async def held(self, tenant_id: int, member_id: str) -> list[str]:
        """Return the ids of the groups that somebody is a direct member of."""
        drafted = self._held.get(member_id, {})
        found = [group_id for group_id in await self._ask("held", member_id) if group_id not in drafted]
        found += [group_id for group_id, is_in in drafted.items() if is_in]
        return [group_id for group_id in found if self._groups.get(group_id, ...) is not None]

    async def _ask(self, *question: Any) -> Any:
        future = self._read.get(question)
        if future is None:
            name, *arguments = question
            future = asyncio.ensure_future(getattr(self._outside, name)(self.tenant_id, *arguments))
            self._read[question] = future
        return await future

    def _answered(self, *question: Any) -> Any:
        """What was read from outside before; None if nothing was."""
        future = self._read.get(question)
        return future.result() if future is not None else None

    def _drafted(self, found: Sequence[Any], drafted: dict[str, Any], ids: Iterable[str]) -> list[Any]:
        return [stored for stored in found if stored.id not in drafted] + [drafted[each] for each in ids]

    async def contradicts(self, job: Job) -> bool:
        """Whether a name or externalId that the job claims is somebody's: a decision may leave that to the append."""
        for key in job.left:
            if any(_is_inactive(stored) for stored in await self.users_by_external_id(self.tenant_id, key)):
                return True
        for key, holder, is_group in job.names:
            if self._was_called(holder, key, is_group=is_group):  # Then it is nobody else's outside.
                named = list((self._group_names if is_group else self._user_names).of(key))
            else:
                look_up = self.groups_by_name if is_group else self.users_by_name
                named = [stored.id for stored in await look_up(self.tenant_id, key)]
            if any(resource_id != holder for resource_id in named):
                return True
        return False

    def _was_called(self, resource_id: str, key: bytes, *, is_group: bool) -> bool:
        question = ("group", resource_id) if is_group else ("user_to_change", resource_id, USER)
        stored: StoredResource | None = self._answered(*question)
        if stored is None:
            return False
        resource = msgspec.json.decode(stored.document)
        return key == (display_name_key(resource["displayName"]) if is_group else name_key(resource["userName"]))

    def take(self, job: Job) -> None:
        """Let what a job wants written be what the next operation finds."""
        self.jobs.append(job)
        keys = {key.subject_id: key for key in job.subject_keys}
        for user, _, _ in job.new_users:
            key = keys[user.id]
            self._users[user.id] = StoredUser(
                user.id, user.version, _NOT_YET, _NOT_YET, user.document, False,
                key_id=key.key_id, key_wrapped=key.wrapped,
            )  # fmt: skip
            self._name_user(user)
        for user, _ in job.changed_users:
            before = self._users.get(user.id) or self._answered("user_to_change", user.id, user.resource_type)
            self._users[user.id] = replace(before, version=user.version, document=user.document)
            self._name_user(user)
        for user_id in job.gone_users:
            self._users[user_id] = None
            self._user_names.put(user_id, None)
            self._external_ids.put(user_id, None)
        self._take_groups(job)
        # What is given up, and was not taken in this request, was held before it.
        self._released |= {key for key in job.released if key not in self._values}
        self._values |= {**dict.fromkeys(job.released), **dict(job.values)}
        for edge in job.opened:
            self._take_edge(edge.group_id, edge.member_id, edge.member_type)
        for edge in job.closed:
            self._take_edge(edge.group_id, edge.member_id, "")

    def _take_groups(self, job: Job) -> None:
        for group, _, _ in job.new_groups:
            self._groups[group.id] = StoredGroup(
                group.id, group.version, _NOT_YET, _NOT_YET, group.document, False,
                attribute_version=1, member_count=group.member_count,
            )  # fmt: skip
            self._group_names.put(group.id, group.name_key)
        for group, _ in job.changed_groups:
            before = self._groups.get(group.id) or self._answered("group", group.id)
            self._groups[group.id] = replace(before, document=group.document)
            self._group_names.put(group.id, group.name_key)
        for group_id, _ in job.gone_groups:
            self._groups[group_id] = None
            self._group_names.put(group_id, None)
        created = {group.id for group, _, _ in job.new_groups}
        self._bumps.update(entry.stream[7:] for entry in job.entries if entry.bumps)
        self._growth.update(edge.group_id for edge in job.opened if edge.group_id not in created)
        self._growth.subtract(edge.group_id for edge in job.closed)

    def _name_user(self, user: UserRow) -> None:
        self._kinds[user.id] = user.resource_type
        self._user_names.put(user.id, user.name_key)
        self._external_ids.put(user.id, user.external_id_key)

    def _take_edge(self, group_id: str, member_id: str, member_type: str) -> None:
        self._members.setdefault(group_id, {})[member_id] = member_type
        self._held.setdefault(member_id, {})[group_id] = bool(member_type)

    def settled_version(self, group_id: str, version: int, base: int | None) -> int:
        """Return what a group's version became, as it stood in the draft.

        base: what the append counted from: members that others added meanwhile are no conflict, but they count.
        """
        read: StoredGroup | None = self._answered("group", group_id)
        return version if base is None or read is None else version + base - read.version

    def left_outside(self, key: bytes) -> bool:
        """Whether an inactive user had this externalId before the request."""
        return any(map(_is_inactive, self._answered("users_by_external_id", key, USER) or ()))

    def values(self) -> tuple[list[tuple[bytes, str]], list[bytes]]:
        """Return which unique values the request leaves held, and which it takes from those who had them before."""
        before = self._released | {key for key in self._values if self._answered("holder", key) is not None}
        return [(key, holder) for key, holder in self._values.items() if holder is not None], list(before)

    def held_outside(self, member_id: str) -> list[str]:
        """Return the groups somebody was in before the request; empty for whom it creates."""
        held: list[str] = self._answered("held", member_id) or []
        return held

    def named_outside(self, key: bytes, *, is_group: bool) -> str | None:
        """Return whose name it was before the request."""
        found = self._answered("groups_by_name" if is_group else "users_by_name", key)
        return found[0].id if found else None

    def member_count(self, group_id: str) -> int:
        """Return how many members a group of this request has in the end."""
        group = self._groups[group_id]
        assert group is not None
        return group.member_count + self._growth[group_id]


def _is_inactive(stored: StoredResource) -> bool:
    return msgspec.json.decode(stored.document).get("active") is False
