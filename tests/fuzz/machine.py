"""The state machine without its rules: a tenant and the model of it, compared after each request and in the end."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import httpx
from hypothesis.stateful import RuleBasedStateMachine, invariant

from projections.attributes import flat
from tests.api.speaking import Json, Speaker, group_body, list_of, version_of
from tests.fuzz.directory import (
    Directory,
    Person,
    Remembered,
    Team,
    folded,
    group_shown,
    shown,
)
from tests.fuzz.whole import check_whole
from tests.running import Service

Sent = tuple[str, str, Any]


class Machine(RuleBasedStateMachine):
    """One tenant of the running service and the model of it."""

    service: ClassVar[Service]

    def __init__(self) -> None:
        super().__init__()
        self.speaker = Speaker(self.service)
        self.model = Directory()
        self.remembered: list[Remembered] = []
        self.agreed, self.names = True, 0
        self.threads = ThreadPoolExecutor(8)
        for user_name in ("first@example.com", "second@example.com"):
            held = {"userName": user_name, "active": True}
            self.created_user(self.send("POST", "/Users", shown(held)), held)
        made = self.send("POST", "/Groups", group_body("First", *self.model.users)).json()
        self.model.groups[made["id"]] = Team(made["id"], "First", version_of(made), set(self.model.users))

    # --- speaking

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request, its answer checked for what holds for all of them."""
        self.agreed = False
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.speaker.send(method, path, body, headers=headers)

    def send_at_once(self, requests: list[Sent]) -> list[httpx.Response]:
        """Requests on connections of their own, all on the way together."""
        return list(self.threads.map(lambda request: self.send(*request), requests))

    def unused(self, word: str) -> str:
        """A name nobody had in this tenant."""
        self.names += 1
        return f"{word}-{self.names}"

    # --- what answers mean for the model

    def created_user(self, response: httpx.Response, held: dict[str, Any]) -> None:
        """Note a user that was created."""
        assert response.status_code == 201, response.text
        made = response.json()
        self.model.users[made["id"]] = Person(made["id"], held, version_of(made))

    def changed_user(self, response: httpx.Response, user: Person, held: dict[str, Any]) -> None:
        """A version more for a change, and none for a request that changes nothing (PA-09, PU-11)."""
        assert response.status_code == 200, response.text
        version = version_of(response)
        assert (version > user.version) is (held != user.held), (user.version, version, user.held, held)
        user.held, user.version = held, version

    def changed_members(self, response: httpx.Response, group: Team, members: set[str]) -> None:
        """A version more for each who joins or leaves."""
        assert response.status_code == 200, response.text
        assert version_of(response) == group.version + len(members ^ group.members)
        group.members, group.version = members, version_of(response)

    # --- what holds after each of them

    @invariant()
    def the_service_agrees_with_the_model(self) -> None:
        """Everybody and every group, in lists: totals, attributes, versions, memberships from both sides."""
        for endpoint, known, compare in (
            ("/Users", self.model.users, self.compare_user),
            ("/Groups", self.model.groups, self.compare_group),
        ):
            body = self.speaker.read(f"{endpoint}?count=200")
            assert body["totalResults"] == len(known)
            resources = {each["id"]: each for each in list_of(body)}
            assert resources.keys() == known.keys()
            compare_each: Callable[[Json, Any], None] = compare
            for each, resource in resources.items():
                compare_each(resource, known[each])
        self.agreed = True

    def compare_user(self, resource: Json, user: Person) -> None:
        """One user, as it was answered, and as it has to be."""
        attributes = {name: value for name, value in resource.items() if name not in ("id", "meta", "groups")}
        assert attributes == user.shown()
        assert version_of(resource) == user.version
        told = {group["value"]: (group["type"], group["display"]) for group in resource.get("groups", [])}
        groups = self.model.groups_of(user.id)
        assert told == {group: (kind, self.model.groups[group].name) for group, kind in groups.items()}

    def compare_group(self, resource: Json, group: Team) -> None:
        """One group, likewise."""
        attributes = {name: value for name, value in resource.items() if name not in ("id", "meta", "members")}
        assert attributes == group_shown(group)
        members = [(member["value"], member["type"]) for member in resource.get("members", [])]
        assert (set(members), len(members)) == (self.model.members_shown(group), len(group.members))
        assert version_of(resource) == group.version

    # --- what holds in the end

    def teardown(self) -> None:
        """Histories, the past, and the ledger itself; unless something was wrong already."""
        self.threads.shutdown()
        if not self.agreed:
            return
        for user in self.model.users.values():
            held = {name: value for name, value in user.shown().items() if name != "schemas"}
            assert folded(self.speaker.history(user.id)) == flat(held)
            (story,) = self.speaker.asked("/why", subject=user.id, id=user.id)["explanations"]
            assert story["state"] == ("inactive" if user.held.get("active") is False else "active")
        for user_id in self.model.gone:
            assert folded(self.speaker.history(user_id)) is None
        for past in self.remembered:
            self.compare_past(past)
        check_whole(self.service, self.speaker.tenant)

    def compare_past(self, past: Remembered) -> None:
        """The state at an earlier position is what it was then."""
        (told,) = self.speaker.asked(f"/users/{past.user_id}", asOf=past.position)["resources"]
        assert told["exists"] and told["resource"] == past.resource | {"id": past.user_id}
        assert {group["group_id"] for group in told["groups"]} == past.groups
