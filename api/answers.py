"""Stored resources as SCIM shows them: id, meta and derived attributes added to the stored document."""

from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from api.exchange import Answer, Exchange
from domain.attributes import Attribute, JsonObject, ResourceType, Schema
from domain.errors import ScimError
from domain.ids import is_id
from domain.schemas import GROUP, USER
from domain.selections import Selection, project
from ledger.lookups import StoredResource

_encode = msgspec.json.Encoder().encode
ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
LIST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


def etag(version: int | str) -> str:
    """The weak tag of a version: representations differ by selection (ET-01)."""
    return f'W/"{version}"'


def time_text(time: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return time.isoformat(timespec="milliseconds")[:-6] + "Z"  # The database's times are in UTC: "+00:00".


def location(base: str, resource_type: ResourceType, resource_id: str) -> str:
    """The absolute URI of a resource. `base` comes from the configuration, never from a Host header."""
    return f"{base}{resource_type.endpoint}/{resource_id}"


def user_bytes(
    base: str, resource_type: ResourceType, user: StoredResource, groups: list[tuple[str, bytes, bool]],
    selection: Selection | None,
) -> bytes:  # fmt: skip
    """Return a user as JSON. groups: (id, document, directly) as `Lookups.groups_of` gives them."""
    derived = b""
    if groups:
        uri = location(base, GROUP, "").encode()
        shown = b",".join(
            b'{"value":"%b","$ref":"%b%b","display":%b,"type":"%b"}'
            % (group_id.encode(), uri, group_id.encode(), _named(document), b"direct" if direct else b"indirect")
            for group_id, document, direct in groups
        )
        derived = b',"groups":[' + shown + b"]"
    return _selected(_referenced(_compose(base, resource_type, user, derived), base, resource_type), selection)


class _Named(msgspec.Struct):
    displayName: msgspec.Raw


_decode_named = msgspec.json.Decoder(_Named).decode


def _named(document: bytes) -> bytes:
    """A group's name as JSON, without reading the rest."""
    return bytes(_decode_named(document).displayName)


def _referenced(whole: bytes, base: str, resource_type: ResourceType) -> bytes:
    """Add `$ref` to references such as manager's, if their value is an id that can be ours."""
    for mark, extension, attribute in _references(resource_type):
        if mark in whole:
            resource: JsonObject = msgspec.json.decode(whole)
            value = (resource if extension is None else resource.get(extension, {})).get(attribute.name, [])
            endpoint = USER.endpoint if attribute.refers_to == USER.name else GROUP.endpoint
            for element in value if attribute.multi_valued else [value] if value else []:
                if "$ref" not in element and is_id(str(element.get("value"))):
                    element["$ref"] = f"{base}{endpoint}/{element['value']}"
            whole = _encode(resource)
    return whole


@lru_cache(maxsize=1_000)  # Tenants' types come and go.
def _references(resource_type: ResourceType) -> list[tuple[bytes, str | None, Attribute]]:
    """The attributes whose `$ref` follows from their value: how each is written as JSON, its extension, and itself."""
    extensions = [(schema.id, schema) for schema, _ in resource_type.extensions]
    schemas: list[tuple[str | None, Schema]] = [(None, resource_type.schema), *extensions]
    return [
        (b'"%b":' % attribute.name.encode(), extension, attribute)
        for extension, schema in schemas
        for attribute in schema.attributes
        if attribute.refers_to and attribute.mutability != "readOnly"
    ]


def group_bytes(
    base: str, resource_type: ResourceType, group: StoredResource, members: list[tuple[str, str]],
    selection: Selection | None,
) -> bytes:  # fmt: skip
    """Return a group as JSON. members: (id, type)."""
    derived = b""
    if members:
        users, groups = location(base, USER, ""), location(base, GROUP, "")
        shown = ",".join(
            f'{{"value":"{member_id}","$ref":"{users if kind == "User" else groups}{member_id}","type":"{kind}"}}'
            for member_id, kind in members
        )
        derived = b',"members":[' + shown.encode() + b"]"
    return _selected(_compose(base, resource_type, group, derived), selection)


def resource_bytes(
    base: str, resource_type: ResourceType, stored: StoredResource, edges: list[Any], selection: Selection | None
) -> bytes:
    """Return a group or a user as JSON. edges: the members or the groups, as for these."""
    shown = group_bytes if resource_type.has_members else user_bytes
    return shown(base, resource_type, stored, edges, selection)


def _compose(base: str, resource_type: ResourceType, stored: StoredResource, derived: bytes) -> bytes:
    created = time_text(stored.created_at)
    modified = created if stored.modified_at == stored.created_at else time_text(stored.modified_at)
    tail = (
        f',"id":"{stored.id}","meta":{{"resourceType":"{resource_type.name}","created":"{created}",'
        f'"lastModified":"{modified}","location":"{base}{resource_type.endpoint}/{stored.id}",'
        f'"version":"W/\\"{stored.version}\\""}}}}'
    )
    return stored.document[:-1] + derived + tail.encode()


def _selected(whole: bytes, selection: Selection | None) -> bytes:
    if selection is None:
        return whole
    return _encode(project(msgspec.json.decode(whole), selection))


def shows(selection: Selection | None, name: str) -> bool:
    """Whether a derived attribute (groups, members) has to be read at all (PJ-10)."""
    return selection is None or selection.shows(name)


def with_written(exchange: Exchange, selection: Selection | None) -> Selection | None:
    """The selection, and what the request wrote where that is returned on request only (PJ-09)."""
    return selection.after_writing(exchange.written) if selection is not None and exchange.written else selection


def list_bytes(total: int, start_index: int, resources: list[bytes]) -> bytes:
    """Return a ListResponse (RFC 7644 §3.4.2)."""
    return _list_response(f'"totalResults":{total},"startIndex":{start_index}', resources)


def walk_bytes(total: int, next_cursor: str | None, resources: list[bytes]) -> bytes:
    """Return a page of a walk by cursor (RFC 9865 §2): without startIndex, the last one without nextCursor."""
    going_on = "" if next_cursor is None else f',"nextCursor":"{next_cursor}"'
    return _list_response(f'"totalResults":{total}{going_on}', resources)


def _list_response(place: str, resources: list[bytes]) -> bytes:
    head = f'{{"schemas":["{LIST_SCHEMA}"],{place},"itemsPerPage":{len(resources)},"Resources":['
    return head.encode() + b",".join(resources) + b"]}"


def error_answer(error: ScimError) -> Answer:
    """Return the SCIM error body of a refusal (RFC 7644 §3.12); `status` is a string."""
    body: dict[str, Any] = {"schemas": [ERROR_SCHEMA], "status": str(error.status)}
    if error.scim_type:
        body["scimType"] = error.scim_type
    body["detail"] = error.detail
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in error.headers.items()]
    return Answer(error.status, _encode(body), headers)


def resource_answer(status: int, body: bytes, version: int, uri: str) -> Answer:
    """Return an answer with ETag and Location."""
    return Answer(status, body, [(b"etag", etag(version).encode()), (b"location", uri.encode())])
