"""A tenant with a random past, made by requests; and the directory that its first entries add up to, in memory."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from peopling import Directory, Json, Made

from domain import groups, users
from ledger.entry import Entry
from tests.ledger.desk import Desk, group, patch, user

_NAMES = st.sampled_from(["ada", "bob", "Zoë", "eve"])
_TEXTS = st.sampled_from(["a", "A", "b", "é", "work"])
_WHO = st.integers(0, 7)  # Of those who are there, counted round.
_ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "externalId": _TEXTS,
        "title": _TEXTS,
        "active": st.booleans(),
        "emails": st.lists(st.fixed_dictionaries({"value": _TEXTS}, optional={"type": _TEXTS}), max_size=2),
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": _TEXTS,
    },
)
_SOME = st.lists(_WHO, max_size=3)
Step = tuple[Any, ...]
STEP: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("come"), _NAMES, _ATTRIBUTES),
    st.tuples(st.just("change"), _WHO, _ATTRIBUTES | st.fixed_dictionaries({"userName": _NAMES})),
    st.tuples(st.just("go"), _WHO),
    st.tuples(st.just("found"), _TEXTS, _SOME),
    st.tuples(st.just("rename"), _WHO, _TEXTS),
    st.tuples(st.just("join"), _WHO, _SOME),
    st.tuples(st.just("leave"), _WHO, _WHO),
    st.tuples(st.just("dissolve"), _WHO),
)
LIFE = st.lists(STEP, min_size=3, max_size=18)


# Everything that can happen, once: comings, changes, two names, nested groups, leaving and joining again, both ends.
FULL_LIFE: list[Step] = [
    ("come", "ada", {"title": "a", "active": True, "externalId": "é"}),
    ("come", "bob", {"emails": [{"value": "b", "type": "work"}]}),
    ("found", "a", [0, 1]),
    ("found", "b", [2]),
    ("change", 0, {"active": False, "title": "b"}),
    ("leave", 0, 0),
    ("join", 0, [0]),
    ("rename", 0, "é"),
    ("change", 0, {"userName": "eve", "externalId": "a"}),
    ("come", "Zoë", {"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "A"}),
    ("change", 0, {"active": True}),
    ("join", 1, [1, 2]),
    ("found", "work", [3]),
    ("go", 1),
    ("come", "bob", {"title": "a"}),
    ("join", 0, [2]),
    ("dissolve", 0),
    ("leave", 0, 2),
    ("go", 0),
]


class Living:
    """Who is there while steps are taken. What a step cannot do is refused, which is an entry as well."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._users: list[str] = []
        self._groups: list[str] = []

    async def take(self, steps: Iterable[Step]) -> None:
        """Send the requests of some steps, one after the other."""
        for name, *rest in steps:
            with suppress(IndexError):  # There is nobody yet.
                await getattr(self, f"_{name}")(*rest)

    async def _come(self, name: str, attributes: Json) -> None:
        await self._made("/Users", user(name, **attributes), self._users)

    async def _found(self, name: str, members: list[int]) -> None:
        people = [*self._users, *self._groups]
        await self._made("/Groups", group(name, *(_nth(people, each) for each in members if people)), self._groups)

    async def _made(self, path: str, body: Json, found: list[str]) -> None:
        said = await self._desk.ask("POST", path, body)
        if said.status == 201:
            found.append(said.body["id"])

    async def _change(self, who: int, attributes: Json) -> None:
        operation = {"op": "replace", "value": attributes}
        await self._desk.ask("PATCH", f"/Users/{_nth(self._users, who)}", patch(operation))

    async def _rename(self, which: int, name: str) -> None:
        operation = {"op": "replace", "path": "displayName", "value": name}
        await self._desk.ask("PATCH", f"/Groups/{_nth(self._groups, which)}", patch(operation))

    async def _join(self, which: int, members: list[int]) -> None:
        people = [*self._users, *self._groups]
        value = [{"value": _nth(people, each)} for each in members]
        operation = {"op": "add", "path": "members", "value": value}
        await self._desk.ask("PATCH", f"/Groups/{_nth(self._groups, which)}", patch(operation))

    async def _leave(self, which: int, who: int) -> None:
        operation = {"op": "remove", "path": f'members[value eq "{_nth([*self._users, *self._groups], who)}"]'}
        await self._desk.ask("PATCH", f"/Groups/{_nth(self._groups, which)}", patch(operation))

    async def _go(self, who: int) -> None:
        await self._leaving("/Users", _nth(self._users, who), self._users)

    async def _dissolve(self, which: int) -> None:
        await self._leaving("/Groups", _nth(self._groups, which), self._groups)

    async def _leaving(self, path: str, resource_id: str, present: list[str]) -> None:
        await self._desk.ask("DELETE", f"{path}/{resource_id}")
        present.remove(resource_id)


def _nth(of: list[str], number: int) -> str:
    if not of:
        raise IndexError
    return of[number % len(of)]


def added_up(tenant_id: int, entries: Iterable[Entry]) -> Directory:
    """What entries add up to: read one by one, by nothing but `evolve`."""
    found: dict[str, dict[str, Made]] = {"users": {}, "groups": {}}
    for entry in entries:
        kind, _, resource_id = entry.stream.partition("/")
        if kind not in found:
            continue
        before = found[kind].get(resource_id)
        state: Any = None if before is None else _state(kind, before)
        after = (groups if kind == "groups" else users).evolve(state, entry.event)  # type: ignore[attr-defined]
        if after is None:
            del found[kind][resource_id]
            continue
        created = before.created if before else entry.recorded_at
        members = _members(dict(before.members) if before else {}, entry.event)
        found[kind][resource_id] = Made(
            resource_id, after.resource, entry.version, created, entry.recorded_at, tuple(members.items())
        )
    return Directory(tenant_id, list(found["users"].values()), list(found["groups"].values()))


def _state(kind: str, made: Made) -> users.User | groups.Group:
    return (groups.Group if kind == "groups" else users.User)(made.id, made.resource, made.version)


def _members(members: dict[str, str], event: Any) -> dict[str, str]:
    match type(event).__name__:
        case "MembershipAdded":
            members[event.member_id] = event.member_type
        case "MembershipRemoved":
            del members[event.member_id]
    return members
