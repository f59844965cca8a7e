"""The directory: users, groups and memberships as they are now, written inside the append itself.

One function a row, from the state of one resource: the write path calls it with what was just decided, replay
with what the entries add up to. So the two cannot come to different rows.
"""

from hashlib import sha256
from typing import Any

import msgspec

from domain.attributes import ResourceType
from domain.groups import Group
from domain.matching import values
from domain.resources import schemas_of
from domain.search import LEFT_OUT, check_known, search_document, search_terms
from domain.users import USER, User
from ledger.arrays import literal
from ledger.entry import Settings
from ledger.jobs import GroupRow, UserRow

_encode = msgspec.json.Encoder().encode


def equality_key(prepared: str) -> bytes:
    """What unique and equality indexes hold: SHA-256 of a value as it is compared."""
    return sha256(prepared.encode()).digest()


def user_row(tenant_id: int, user: User, resource_type: ResourceType) -> UserRow:
    """Return the row of `users` for a state of a user, or of a resource of a tenant's own type."""
    search = search_document(user.resource, resource_type)
    return UserRow(
        id=user.id,
        version=user.version,
        name_key=equality_key(search["userName"]) if resource_type.name == USER else None,
        external_id_key=_optional_key(search.get("externalId")),
        active=user.resource.get("active"),
        document=document(user.resource, schemas_of(user.resource, resource_type)),
        search=_encode(search).decode(),
        terms=literal(map(str, search_terms(tenant_id, search))),
        resource_type=resource_type.name,
    )


def toggled_user_row(user: User, resource_type: ResourceType) -> UserRow:
    """Return the row of a user of whom nothing but `active` has changed, which filters find without an index."""
    check_known(user.resource, resource_type)
    stored = document(user.resource, schemas_of(user.resource, resource_type))
    active = user.resource.get(LEFT_OUT)
    return UserRow(user.id, user.version, None, None, active, stored, None, None, resource_type.name)


def unique_values(resource: dict[str, Any], resource_type: ResourceType) -> dict[bytes, str]:
    """Return the values that no other resource of the type may have: key in the table `unique_values` → path."""
    return {
        equality_key(f"{resource_type.name}\n{place.path}\n{place.leaf.prepare(value)}"): place.path
        for place in resource_type.unique
        for value in values(place, resource)
        if value != ""
    }


def group_row(tenant_id: int, group: Group, resource_type: ResourceType, settings: Settings) -> GroupRow:
    """Return the row of `groups` for a state of a group."""
    search = search_document(group.resource, resource_type)
    name_key = equality_key(search["displayName"])
    return GroupRow(
        id=group.id,
        version=group.version,
        name_key=name_key,
        unique_name_key=name_key if settings.group_names_unique else None,
        external_id_key=_optional_key(search.get("externalId")),
        document=document(group.resource, schemas_of(group.resource, resource_type)),
        search=_encode(search).decode(),
        terms=literal(map(str, search_terms(tenant_id, search))),
    )


def document(resource: dict[str, Any], schemas: list[str]) -> bytes:
    """Return the stored document: the resource as it is sent, but for id, meta and what is derived."""
    return _encode({"schemas": schemas, **resource})


def resource_of(stored: bytes) -> dict[str, Any]:
    """Return the resource that a stored document holds."""
    resource: dict[str, Any] = msgspec.json.decode(stored)
    del resource["schemas"]
    return resource


def _optional_key(prepared: str | None) -> bytes | None:
    return None if prepared is None else equality_key(prepared)
