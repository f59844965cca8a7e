"""Every public PATCH vector in memory, from body to events and back to the resource."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from vectors import TYPES, Json, comparable, lines, patch_body

from domain import groups, users
from domain.errors import ScimError
from domain.events import Event, MembershipAdded, MembershipRemoved
from domain.groups import Group
from domain.members import selected
from domain.patches import apply_patch, read_patch
from domain.profiles import PROFILES, STRICT, Profile
from domain.resources import read_resource, schemas_of
from domain.users import User

VECTORS = lines("patches.jsonl")


def cases() -> Iterator[Any]:
    for vector in VECTORS:
        for name in [vector["profile"]] if "profile" in vector else PROFILES:
            yield pytest.param(vector, PROFILES[name], id=f"{vector['id']}-{name}")


class Bench:
    """One resource of a vector, which takes one PATCH the way the write path does it."""

    def __init__(self, vector: Json) -> None:
        self.type = TYPES[vector["resourceType"]]
        body = {name: value for name, value in vector["before"].items() if name != "id"}
        reading = read_resource(body, self.type, STRICT)
        state = User("x1", reading.resource, 1) if self.type.name == "User" else Group("x1", reading.resource, 1)
        self.state: User | Group = state
        self.members = dict.fromkeys(reading.members or (), True)

    def patch(self, body: Json, profile: Profile) -> list[Event]:
        patch = read_patch(body, self.type, profile)
        patched = apply_patch(patch, self.state.resource)
        if isinstance(self.state, User):
            return self.evolved(users.change(self.state, patched, self.type))
        events = groups.change(self.state, patched, self.type)
        if patched.members is not None:
            elements = [{"value": name, "type": kind(name)} for name in self.members]
            wanted = selected(patched.members, elements)
            events += groups.member_events(wanted, self.members, {name: kind(name) for name in wanted.wanted})
        return self.evolved(events)

    def evolved(self, events: list[Any]) -> list[Event]:
        for event in events:
            if isinstance(event, MembershipAdded):
                self.members[event.member_id] = True
            elif isinstance(event, MembershipRemoved):
                del self.members[event.member_id]
            after = (
                users.evolve(self.state, event) if isinstance(self.state, User) else groups.evolve(self.state, event)
            )
            assert after is not None
            self.state = after
        return events

    def shown(self) -> Json:
        resource = {"schemas": schemas_of(self.state.resource, self.type), **self.state.resource}
        return resource | {"members": [{"value": name} for name in self.members]}


def kind(member_id: str) -> str:
    """The vectors call groups g…"""
    return "Group" if member_id.startswith("g") else "User"


@pytest.mark.parametrize(("vector", "profile"), list(cases()))
def test_a_patch_does_what_its_vector_says(vector: Json, profile: Profile) -> None:
    """PT-01 to PT-14 and the other rows that test_vectors.py names."""
    bench = Bench(vector)
    before = copy.deepcopy(bench.shown())
    assert comparable(before) == comparable({"members": [], **vector["before"]})
    body = vector.get("body") or patch_body(*vector["ops"])
    sent = copy.deepcopy(body)
    if error := vector["error"]:
        with pytest.raises(ScimError) as refusal:
            bench.patch(body, profile)
        assert refusal.value.status == int(error["status"])
        assert refusal.value.scim_type in (error["scimType"], *error.get("also", ()))
        assert bench.shown() == before
    else:
        events = bench.patch(body, profile)
        assert comparable(bench.shown()) == comparable(vector["after"])
        assert (events == []) is vector["no_op"]
    assert body == sent, "a request has to be decided again after a lost race"


def test_every_vector_is_run() -> None:
    """183 vectors hold under both profiles, 13 under one."""
    assert len(list(cases())) == 2 * 183 + 13
