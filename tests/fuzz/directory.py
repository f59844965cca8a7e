"""A SCIM directory as a few dictionaries: what the service has to look like after the same requests."""

from typing import Any

from msgspec import Struct, field

from tests.api.speaking import ENTERPRISE, GROUP, USER, Json

WORK_EMAIL = 'emails[type eq "work"].value'
DEPARTMENT = f"{ENTERPRISE}:department"
OPTIONAL = ("displayName", "title", "externalId", WORK_EMAIL, DEPARTMENT)


class Person(Struct):
    """A user. held: its attributes by PATCH path, assigned ones only; `userName` and `active` among them."""

    id: str
    held: dict[str, Any]
    version: int

    def shown(self) -> Json:
        """The attributes as SCIM shows them."""
        return shown(self.held)


class Team(Struct):
    """A group. members: ids of users and groups; also its own, since cycles may be."""

    id: str
    name: str
    version: int
    members: set[str] = field(default_factory=set)


class Remembered(Struct, frozen=True):
    """A user as it was after the entry at a position. groups: the direct ones."""

    position: int
    user_id: str
    resource: Json
    groups: frozenset[str]


class Directory:
    """Users and groups, as the requests that were answered made them."""

    def __init__(self) -> None:
        self.users: dict[str, Person] = {}
        self.groups: dict[str, Team] = {}
        self.gone: list[str] = []

    def user(self, pick: int) -> Person:
        """One of the users."""
        return list(self.users.values())[pick % len(self.users)]

    def group(self, pick: int) -> Team:
        """One of the groups."""
        return list(self.groups.values())[pick % len(self.groups)]

    def anybody(self, pick: int) -> str:
        """The id of a user or group."""
        return [*self.users, *self.groups][pick % (len(self.users) + len(self.groups))]

    def name_taken(self, user_name: str, but: str = "") -> bool:
        """Whether another user has this userName, in whatever case."""
        return any(
            user.held["userName"].casefold() == user_name.casefold() for user in self.users.values() if user.id != but
        )

    def is_inactive(self, external_id: str | None) -> bool:
        """Whether an inactive user has this externalId; an empty one is nobody's."""
        return bool(external_id) and any(
            user.held.get("externalId") == external_id and user.held.get("active") is False
            for user in self.users.values()
        )

    def group_name_taken(self, name: str, but: str = "") -> bool:
        """Whether another group is called so, in whatever case."""
        return any(group.name.casefold() == name.casefold() for group in self.groups.values() if group.id != but)

    def delete(self, resource_id: str) -> None:
        """Somebody goes, and leaves every group; the version of each counts that."""
        if self.users.pop(resource_id, None):
            self.gone.append(resource_id)
        self.groups.pop(resource_id, None)
        for group in self.groups.values():
            if resource_id in group.members:
                group.members.discard(resource_id)
                group.version += 1

    def groups_of(self, member_id: str) -> dict[str, str]:
        """Every group somebody belongs to: direct, or indirect through other groups."""
        found = {group.id: "direct" for group in self.groups.values() if member_id in group.members}
        waiting = list(found)
        while waiting:
            inner = waiting.pop()
            for group in self.groups.values():
                if inner in group.members and group.id not in found:
                    found[group.id] = "indirect"
                    waiting.append(group.id)
        return found

    def members_shown(self, group: Team) -> set[tuple[str, str]]:
        """Members with what they are."""
        return {(member, "User" if member in self.users else "Group") for member in group.members}


def shown(held: dict[str, Any]) -> Json:
    """Attributes by PATCH path, as SCIM shows them."""
    resource: Json = {"schemas": [USER]}
    for path, value in held.items():
        if path == WORK_EMAIL:
            resource["emails"] = [{"type": "work", "value": value}]
        elif path == DEPARTMENT:
            resource |= {"schemas": [USER, ENTERPRISE], ENTERPRISE: {"department": value}}
        else:
            resource[path] = value
    return resource


def group_shown(team: Team) -> Json:
    """A group without its members, as SCIM shows it."""
    return {"schemas": [GROUP], "displayName": team.name}


def folded(changes: list[Json]) -> Json | None:
    """A user's attributes, from the changes that its history tells; None when it ends with its deletion."""
    resource: Json = {}
    for change in changes:
        match change["event"]:
            case "UserCreated":
                resource = dict(change["resource"])
            case "AttributeChanged" | "Deactivated" | "Reactivated":
                resource[change["attribute"]] = change.get("after")
            case "UserDeleted":
                return None
    return {name: value for name, value in resource.items() if value is not None}
