"""One law: operations sent as one bulk request end where the same operations sent one by one end."""

import itertools
from random import Random
from typing import Any

import pytest
from bulking import bulk, differences, id_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from speaking import Json, Speaker, comparable, group_body, op, patch_body, user_body

USERS, GROUPS, NAMES = ("u0", "u1", "u2"), ("g0", "g1"), ("n0", "n1", "n2", "n3")
_rounds = itertools.count()

Step = dict[str, Any]  # method, symbol of the resource, data with symbols of others


@pytest.fixture(scope="module")
def pair(service: Any) -> Any:
    """Two tenants: one gets bulk requests, the other the same requests one by one."""
    tenants = Speaker(service), Speaker(service)
    yield tenants
    assert [differences(each) for each in tenants] == [[], []]


KINDS = (
    "new user", "new user", "new group", "new group", "rename", "rename", "title", "active", "put user", "delete user",
    "add", "add", "add", "remove", "remove", "replace", "clear", "rename group", "rename group", "put group",
    "delete group", "nothing",
)  # fmt: skip


def steps(seed: int, count: int) -> list[Step]:
    """A sequence in which everything named was there before, or is made by an earlier operation."""
    random = Random(seed)
    return [_step(random) for _ in range(count)]


def _step(random: Random) -> Step:
    return {
        "kind": random.choice(KINDS),
        "new": random.choice(("m0", "m1")),
        "user": random.choice((*USERS, "m0", "m1")),
        "group": random.choice((*GROUPS, *GROUPS, "m0", "m1")),
        "name": random.choice(NAMES),
        "members": random.sample([*USERS, *GROUPS, "m0", "m1"], random.choice((0, 1, 1, 2, 3))),
        "version": random.choice((None, None, None, None, None, 'W/"1"', 'W/"2"')),
    }


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 1 << 32), st.integers(1, 20))
def test_a_bulk_request_is_its_operations_one_by_one(pair: Any, seed: int, count: int) -> None:
    """BU-08, BU-20: the same statuses, versions, resources and memberships."""
    turn, sequence = next(_rounds), steps(seed, count)
    together, single = (World(speaker, turn) for speaker in pair)
    operations = [together.operation(number, step) for number, step in enumerate(sequence)]
    results = [(each["status"], each.get("version")) for each in together.send(operations)]
    assert results == [single.execute(number, step) for number, step in enumerate(sequence)]
    assert together.seen() == single.seen()


class World:
    """One tenant's part of a round: its resources by symbol, whatever their ids are here."""

    def __init__(self, speaker: Speaker, turn: int) -> None:
        self.speaker, self.turn = speaker, turn
        self.ids: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self.made: dict[str, int] = {}  # Symbol → the operation that makes what it stands for now.
        for symbol in USERS:
            self._note(symbol, "Users", speaker.user(self.name(symbol))["id"])
        for symbol in GROUPS:
            self._note(symbol, "Groups", speaker.group(self.name(symbol), self.ids["u0"])["id"])

    def _note(self, symbol: str, kind: str, resource_id: str) -> None:
        self.ids[symbol], self.kinds[symbol] = resource_id, kind

    def name(self, text: str) -> str:
        return f"{text}.{self.turn}"

    def operation(self, number: int, step: Step) -> Json:
        """The step as an operation of a bulk request; what it makes is called by a bulkId from then on."""
        method, path, data, version = self._spelled(step)
        operation = {"method": method, "path": path, "version": version}
        if data is not None:
            operation["data"] = data
        if method == "POST":
            operation["bulkId"] = f"{step['new']}-{number}"
            self._note(step["new"], path[1:], f"bulkId:{operation['bulkId']}")
            self.made[step["new"]] = number
        return operation

    def send(self, operations: list[Json]) -> list[Json]:
        results = bulk(self.speaker, *operations)
        for symbol, number in self.made.items():
            self.ids[symbol] = id_of(results[number]) if results[number]["status"] == "201" else ""
        return results

    def execute(self, number: int, step: Step) -> tuple[str, str | None]:
        """The step as a request; 409 without one when it names what was not made."""
        method, path, data, version = self._spelled(step)
        if "lost" in f"{path} {data}":
            if method == "POST":
                self._note(step["new"], path[1:], "lost")
            return "409", None
        headers = {"If-Match": version} if version and method != "POST" else {}
        response = self.speaker.send(method, path, data, headers=headers)
        if method == "POST":
            self._note(step["new"], path[1:], response.json()["id"] if response.status_code == 201 else "lost")
        succeeded = response.status_code in (200, 201) or (response.status_code == 204 and method != "DELETE")
        return str(response.status_code), response.headers["etag"] if succeeded else None

    def _spelled(self, step: Step) -> tuple[str, str, Any, str | None]:
        user, group = (f"/{kind}s/{self.ids.get(step[kind.lower()], 'none')}" for kind in ("User", "Group"))
        name, version = self.name(step["name"]), step["version"]
        members = [{"value": self.ids[each]} for each in step["members"] if each in self.ids]
        return {
            "new user": ("POST", "/Users", user_body(name, externalId=name, active=len(members) != 1), None),
            "new group": ("POST", "/Groups", group_body(name, members=members), None),
            "rename": ("PATCH", user, patch_body(op("replace", "userName", name)), version),
            "title": ("PATCH", user, patch_body(op("add", "title", name)), version),
            "active": ("PATCH", user, patch_body(op("replace", "active", len(members) > 1)), version),
            "put user": ("PUT", user, user_body(name, nickName=name), version),
            "delete user": ("DELETE", user, None, version),
            "add": ("PATCH", group, patch_body(op("add", "members", members)), version),
            "remove": ("PATCH", group, patch_body(op("remove", "members", members or None)), version),
            "replace": ("PATCH", group, patch_body(op("replace", "members", members)), version),
            "clear": ("PATCH", group, patch_body(op("remove", "members")), version),
            "rename group": ("PATCH", group, patch_body(op("replace", "displayName", name)), version),
            "put group": ("PUT", group, group_body(name, members=members), version),
            "delete group": ("DELETE", group, None, version),
            "nothing": ("PATCH", user, patch_body(), None),
        }[step["kind"]]

    def seen(self) -> dict[str, Any]:
        """Everything there is in the end: by symbol the resource, its version, its members by symbol."""
        symbols = {resource_id: symbol for symbol, resource_id in self.ids.items()}
        found: dict[str, Any] = {}
        for symbol, resource_id in self.ids.items():
            response = self.speaker.get(f"/{self.kinds[symbol]}/{resource_id or 'lost'}")
            shown = response.json()
            members = {symbols.get(each["value"], "earlier") for each in shown.pop("members", [])}
            groups = {(symbols.get(each["value"], "earlier"), each["type"]) for each in shown.get("groups", [])}
            version = shown["meta"]["version"] if response.status_code == 200 else shown.pop("detail")
            found[symbol] = (comparable(shown), version, members, groups)
        return found
