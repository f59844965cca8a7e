"""Who is meant: from a userName, externalId, displayName of a group, or id, held now or ever, to ids."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg
from msgspec import Struct

from domain.errors import ScimError
from ledger.entry import Stream, Tenant
from projections.names import NAMING, NAMING_OTHERS, key_of

_BY_NAME = """
select kind, resource, id::text, from_position, to_position
  from names
 where tenant_id = %(tenant_id)s
   and (kind, key) in (select * from unnest(%(kinds)s::text[], %(keys)s::bytea[]))
 order by from_position
"""

_BY_STREAM = """
select stream
  from entries
 where tenant_id = %(tenant_id)s
   and stream = any(%(streams)s)
   and stream_version = 1
"""

# A resource that still holds any name is there; userName and a group's displayName cannot be unassigned.
_PRESENT = """
select distinct id::text
  from names
 where tenant_id = %(tenant_id)s
   and id = any(%(ids)s::uuid[])
   and to_position is null
"""


# Every name that some resources had, by the index `names_of`; of too many the latest.
_NAMES_OF = """
select id::text, kind, from_position, to_position
  from names
 where tenant_id = %(tenant_id)s
   and id = any(%(ids)s::uuid[])
 order by from_position desc
 limit 500
"""


class NoSuchSubject(Exception):
    """Nobody and nothing in the tenant is or ever was called so."""

    def __init__(self, tenant: Tenant, asked: str) -> None:
        super().__init__(absence(tenant.slug, asked))


def absence(slug: str, asked: str) -> str:
    """The sentence that says so. slug: the tenant's."""
    return f"nobody and no group in tenant {slug} is or ever was called {asked!r}"


class Match(Struct, frozen=True, omit_defaults=True):
    """A name that led to a candidate, and when it was held; still so while `to_position` is None.

    kind: userName, externalId, displayName or id.
    """

    kind: str
    from_position: int | None = None
    to_position: int | None = None


class Candidate(Struct, frozen=True):
    """A resource that is meant, now or ever. resource: the kind of its stream, such as users or groups."""

    resource: str
    id: str
    present: bool
    matches: list[Match]

    @property
    def stream(self) -> Stream:
        """The stream of its changes."""
        return Stream(f"{self.resource}/{self.id}")


def find_subjects(connection: psycopg.Connection[Any], tenant: Tenant, asked: str) -> list[Candidate]:
    """Return everybody the name means or ever meant: the present holder first, then the latest.

    The names projection must have read as far as the answer is to reach.
    Raises NoSuchSubject.
    """
    matches = _by_name(connection, tenant, asked)
    for stream in _by_id(connection, tenant, asked):
        matches.setdefault(stream, []).append(Match("id"))
    if not matches:
        raise NoSuchSubject(tenant, asked)
    parameters = {"tenant_id": tenant.tenant_id, "ids": [stream.partition("/")[2] for stream in matches]}
    present = {row[0] for row in _rows(connection, _PRESENT, parameters)}
    found = [
        Candidate(stream.partition("/")[0], stream.partition("/")[2], stream.partition("/")[2] in present, matched)
        for stream, matched in matches.items()
    ]
    return sorted(found, key=_order)


def names_of(connection: psycopg.Connection[Any], tenant: Tenant, ids: Iterable[str]) -> list[tuple[Any, ...]]:
    """Return where some resources were given and gave up their names: (id, kind, from_position, to_position)."""
    wanted = sorted(set(ids))
    return _rows(connection, _NAMES_OF, {"tenant_id": tenant.tenant_id, "ids": wanted}) if wanted else []


def _order(candidate: Candidate) -> tuple[Any, ...]:
    """An id is meant as such; then who holds the name now, then who held it last; people before groups."""
    ends = [match.to_position for match in candidate.matches if match.kind != "id"]
    latest = max((_EVER if end is None else end for end in ends), default=_EVER)
    return not any(match.kind == "id" for match in candidate.matches), -latest, candidate.resource != "users"


_EVER = 2**63


def _by_name(connection: psycopg.Connection[Any], tenant: Tenant, asked: str) -> dict[str, list[Match]]:
    keys = name_keys(asked)
    parameters = {"tenant_id": tenant.tenant_id, "kinds": list(keys), "keys": list(keys.values())}
    found: dict[str, list[Match]] = {}
    for kind, resource, resource_id, from_position, to_position in _rows(connection, _BY_NAME, parameters):
        found.setdefault(f"{resource}/{resource_id}", []).append(Match(kind, from_position, to_position))
    return found


def name_keys(asked: str) -> dict[str, bytes]:
    """Return the key of every kind of name that the text can be."""
    keys: dict[str, bytes] = {}
    for kind in NAMING_OTHERS:
        try:
            keys[kind] = key_of(kind, asked)
        except (ScimError, UnicodeEncodeError):
            continue  # Nothing that could not be a userName ever was one.
    return keys


def _by_id(connection: psycopg.Connection[Any], tenant: Tenant, asked: str) -> list[str]:
    try:
        resource_id = str(UUID(asked.strip()))
    except ValueError:
        return []
    streams = [f"{resource}/{resource_id}" for resource in NAMING]
    return [row[0] for row in _rows(connection, _BY_STREAM, {"tenant_id": tenant.tenant_id, "streams": streams})]


def _rows(connection: psycopg.Connection[Any], query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with psycopg.Cursor(connection) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()
