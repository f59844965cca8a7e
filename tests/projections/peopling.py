"""Users, groups and memberships put straight into the directory's tables, and what SCIM shows of them.

The rows come from the functions that the service writes them with; the representations are made up here, from the
facts alone, so that a where clause and `domain.matching` have two independent views of the same people.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
from msgspec import Struct, field

from domain.attributes import ResourceType
from domain.expressions import Filter
from domain.filters import parse_filter
from domain.groups import Group
from domain.matching import matches
from domain.resources import schemas_of
from domain.schemas import GROUP, USER
from domain.users import User
from ledger.entry import Settings
from ledger.jobs import GroupRow, UserRow
from projections.directory import group_row, user_row
from projections.places import NOW
from projections.where import where

Json = dict[str, Any]

BASE = "https://scim.example.test/v2"
TIME = datetime(2024, 2, 29, 12, 0, 0, 500_000, UTC)
SETTINGS = Settings(group_names_unique=False)


class Made(Struct, frozen=True):
    """A resource to be put into the tables. resource: as in `User` and `Group`. members: (id, type), of groups."""

    id: str
    resource: Json
    version: int = 1
    created: datetime = TIME
    modified: datetime = TIME
    members: tuple[tuple[str, str], ...] = ()


class Directory(Struct):
    """One tenant's people."""

    tenant_id: int
    users: list[Made] = field(default_factory=list)
    groups: list[Made] = field(default_factory=list)

    def put(self, connection: psycopg.Connection[Any]) -> "Directory":
        """Write everybody's rows."""
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into users values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (self.tenant_id, row.id, row.version, at, at, made.created, made.modified, row.name_key,
                     row.external_id_key, row.active, row.document, row.search, row.terms)
                    for at, (made, row) in enumerate(self._user_rows())
                ],
            )  # fmt: skip
            cursor.executemany(
                "insert into groups values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (self.tenant_id, row.id, row.version, row.version, len(made.members), at, at, made.created,
                     made.modified, row.name_key, row.unique_name_key, row.external_id_key, row.document, row.search,
                     row.terms)
                    for at, (made, row) in enumerate(self._group_rows(), len(self.users))
                ],
            )  # fmt: skip
            cursor.executemany(
                "insert into memberships values (%s, %s, %s, %s, 0, null)",
                [(self.tenant_id, group.id, *member) for group in self.groups for member in group.members],
            )
        return self

    def _user_rows(self) -> Iterator[tuple[Made, UserRow]]:
        for made in self.users:
            yield made, user_row(self.tenant_id, User(made.id, made.resource, made.version), USER)

    def _group_rows(self) -> Iterator[tuple[Made, GroupRow]]:
        for made in self.groups:
            yield made, group_row(self.tenant_id, Group(made.id, made.resource, made.version), GROUP, SETTINGS)

    # What SCIM shows.

    def shown(self) -> Iterator[tuple[ResourceType, Json]]:
        """Every resource with its type, users before groups."""
        for user in self.users:
            yield USER, _with_meta(user, USER) | _some("groups", self._groups_of(user.id))
        for group in self.groups:
            members = [
                {"value": member, "$ref": f"{BASE}/{kind}s/{member}", "type": kind} for member, kind in group.members
            ]
            yield GROUP, _with_meta(group, GROUP) | _some("members", members)

    def _groups_of(self, user_id: str) -> list[Json]:
        direct = [group for group in self.groups if any(member == user_id for member, _ in group.members)]
        above, reached = list(direct), {group.id for group in direct}
        for group in above:  # Grows while it is walked.
            for other in self.groups:
                if other.id not in reached and any(member == group.id for member, _ in other.members):
                    reached.add(other.id)
                    above.append(other)
        return [
            {
                "value": group.id,
                "$ref": f"{BASE}/Groups/{group.id}",
                "display": group.resource["displayName"],
                "type": "direct" if group in direct else "indirect",
            }
            for group in above
        ]

    # The two ways to find.

    def matching(self, text: str, types: tuple[ResourceType, ...]) -> list[str]:
        """Find in memory: the ids, in order."""
        asked = parse_filter(text, types)
        return [shown["id"] for kind, shown in self.shown() if kind in types and matches(asked, shown)]

    def found(self, connection: psycopg.Connection[Any], text: str, types: tuple[ResourceType, ...]) -> list[str]:
        """Find by SQL: the ids, in order."""
        asked = parse_filter(text, types)
        return [found for kind in types for found in ids(connection, self.tenant_id, asked, kind)]


def query(tenant_id: int, asked: Filter | None, kind: ResourceType) -> tuple[str, dict[str, Any]]:
    """The statement for a filter, without what is selected, and its parameters."""
    clause = where(asked, kind, tenant_id, location_base=BASE)
    return f" from {NOW.of(kind)} r where r.tenant_id = %(tenant)s and ({clause.clause})", clause.parameters


def ids(connection: psycopg.Connection[Any], tenant_id: int, asked: Filter | None, kind: ResourceType) -> Iterable[str]:
    """The ids of the resources of one type that a filter finds, in creation order."""
    matching, parameters = query(tenant_id, asked, kind)
    rows = connection.execute(f"select r.id::text{matching} order by r.created_position", parameters)
    return [row[0] for row in rows]


def _with_meta(made: Made, kind: ResourceType) -> Json:
    meta = {
        "resourceType": kind.name,
        "created": made.created.isoformat(timespec="milliseconds"),
        "lastModified": made.modified.isoformat(timespec="milliseconds"),
        "location": f"{BASE}{kind.endpoint}/{made.id}",
        "version": f'W/"{made.version}"',
    }
    return {"schemas": schemas_of(made.resource, kind), "id": made.id, **made.resource, "meta": meta}


def _some(name: str, elements: list[Json]) -> Json:
    return {name: elements} if elements else {}
