"""A bulk request read (RFC 7644 §3.7): its operations in order, and the bulkIds that they refer to.

A `bulkId:xyz` stands for the id of what the operation with that bulkId creates. It is looked for where a reference
can stand, and nowhere else: a title that happens to begin so is a title.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from domain.attributes import Attribute, JsonObject, ResourceType
from domain.bodies import names_message
from domain.errors import InvalidSyntax, InvalidValue, NoSuchResource, PayloadTooLarge, ScimError, UnsupportedVersion
from domain.reading import MANAGER_ID

BULK_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
METHODS = ("POST", "PUT", "PATCH", "DELETE")

_NO_OPERATIONS = ("Bulk", "Me", "ServiceProviderConfig", "ResourceTypes", "Schemas")
_VERSION = re.compile(r"v\d+", re.IGNORECASE)
_MARK = "bulkId:"
_QUOTED_REFERENCE = re.compile(r'"bulkId:((?:[^"\\]|\\.)+)"')


class Operation(Struct, frozen=True):
    """One operation as it was sent.

    number: its place in the request, from 1. method: as written, "" without one that is a string.
    resource_type: whose endpoint `path` names; None when it names none. resource_id: as the path has it, perhaps a
    `bulkId:…`; "" for a collection. query: of the path. refusal: why it cannot be executed, if so.
    """

    number: int
    method: str
    resource_type: ResourceType | None
    resource_id: str
    query: str
    bulk_id: str | None
    version: str | None
    data: JsonObject
    refusal: ScimError | None = None


class BulkRequest(Struct, frozen=True):
    """operations: at least one. fail_on_errors: after how many errors to stop; None for never."""

    operations: list[Operation]
    fail_on_errors: int | None


def read_bulk(
    body: JsonObject, endpoints: Mapping[str, ResourceType], operations_max: int, *, any_case: bool = False
) -> BulkRequest:
    """Read the message.

    body: from `parse_json`. endpoints: resource types by the name of their endpoint, without its slash. any_case:
    whether paths may write those in any letter case (RX-33).
    Raises InvalidSyntax for what is no BulkRequest, PayloadTooLarge for more operations than there may be. What is
    wrong with one operation is its `refusal`.
    """
    message = _folded(body)
    schemas = message.get("schemas")
    if schemas is not None and not names_message(schemas, BULK_REQUEST):
        raise InvalidSyntax(f"schemas does not name {BULK_REQUEST}")
    operations = message.get("operations")
    if type(operations) is not list or not all(type(each) is dict for each in operations):
        raise InvalidSyntax("Operations takes an array of objects")
    if not operations:
        raise InvalidSyntax("Operations is empty")
    if len(operations) > operations_max:
        raise PayloadTooLarge(f"a bulk request may have {operations_max} operations (maxOperations)")
    stop = message.get("failonerrors")
    if stop is not None and (type(stop) is not int or stop < 1):
        raise InvalidSyntax("failOnErrors takes a positive integer")
    paths = _Paths(endpoints, any_case, frozenset(_bulk_ids(operations)))
    seen: set[str] = set()
    return BulkRequest([_operation(n, each, paths, seen) for n, each in enumerate(operations, 1)], stop)


def _bulk_ids(operations: list[JsonObject]) -> Iterator[str]:
    for each in operations:
        bulk_id = _folded(each).get("bulkid")
        if type(bulk_id) is str:
            yield bulk_id


def _folded(body: JsonObject) -> JsonObject:
    return {name.lower(): value for name, value in body.items()}  # RX-22


def _operation(number: int, body: JsonObject, paths: "_Paths", seen: set[str]) -> Operation:
    given = _folded(body)
    method, bulk_id, version, data = (given.get(name) for name in ("method", "bulkid", "version", "data"))
    resource_type, resource_id, query = None, "", ""
    refusal = _fault(given, seen)
    if type(bulk_id) is str:
        seen.add(bulk_id)
    try:
        resource_type, resource_id, query = paths.target(given.get("path"))
        if not refusal and (method == "POST") is not (resource_id == ""):
            raise InvalidSyntax("POST takes the path of a collection, the other methods that of a resource")
    except ScimError as error:
        refusal = refusal or error
    return Operation(
        number=number,
        method=method if type(method) is str else "",
        resource_type=resource_type,
        resource_id=resource_id,
        query=query,
        bulk_id=bulk_id if type(bulk_id) is str else None,
        version=version if type(version) is str else None,
        data=data if type(data) is dict else {},
        refusal=refusal,
    )


def _fault(given: JsonObject, seen: set[str]) -> ScimError | None:
    """What is wrong with an operation's members, its path apart (BU-02, BU-15)."""
    method, bulk_id, version = given.get("method"), given.get("bulkid"), given.get("version")
    if method not in METHODS:
        return InvalidSyntax("method is one of " + ", ".join(METHODS))
    if bulk_id is not None and (type(bulk_id) is not str or not bulk_id):
        return InvalidSyntax("bulkId takes a string")
    if bulk_id is None and method == "POST":
        return InvalidSyntax("POST needs a bulkId")
    if bulk_id in seen:
        return InvalidValue("an earlier operation has the same bulkId")
    if version is not None and type(version) is not str:
        return InvalidSyntax("version takes a string")
    if method != "DELETE" and type(given.get("data")) is not dict:
        return InvalidSyntax(f"{method} needs data, an object")
    return None


class _Paths:
    """The paths of a request's operations. bulk_ids: that it has; they may hold any character, also a slash."""

    def __init__(self, endpoints: Mapping[str, ResourceType], any_case: bool, bulk_ids: frozenset[str]) -> None:
        self._endpoints = endpoints
        self._spelled = {name.lower(): name for name in (*endpoints, *_NO_OPERATIONS)} if any_case else {}
        self._bulk_ids = bulk_ids

    def target(self, path: Any) -> tuple[ResourceType, str, str]:
        """Return what a path below the base URI names: resource type, id ("" for the collection), query."""
        path, mark, rest = path.partition(f"/{_MARK}") if type(path) is str else ("", "", "")
        bulk_id, query = self._bulk_id(rest) if mark else ("", "")
        if not mark:
            path, _, query = path.partition("?")
        if not path.strip("/"):
            raise InvalidSyntax("path takes the path of an endpoint or a resource")
        segments = [unquote(segment) for segment in path.strip("/").split("/")]
        if mark:
            segments.append(_MARK + bulk_id)
        if _VERSION.fullmatch(segments[0]) and segments.pop(0).lower() != "v2":  # BU-19
            raise UnsupportedVersion
        endpoint = self._spelled.get(segments[0].lower(), segments[0]) if segments else ""
        if endpoint in ("", *_NO_OPERATIONS) or segments[-1] == ".search":
            raise InvalidSyntax("a bulk operation is about a resource")  # BU-18
        resource_type = self._endpoints.get(endpoint)
        if resource_type is None or len(segments) > 2:
            raise NoSuchResource("there is no such endpoint")
        return resource_type, segments[1] if len(segments) == 2 else "", query

    def _bulk_id(self, text: str) -> tuple[str, str]:
        """What follows `bulkId:` as the bulkId and the query behind it."""
        if text in self._bulk_ids:
            return text, ""
        text, _, query = text.partition("?")
        spellings = (text, unquote(text), text.rstrip("/"), unquote(text.rstrip("/")))
        return next((each for each in spellings if each in self._bulk_ids), spellings[-1]), query


class References:
    """The bulkIds that one operation refers to, found while its path and data are made to name ids.

    ids: by bulkId, of everything the request creates. used: bulkIds that were replaced. unknown: whether there was
    one that the request does not have (BU-14).
    """

    def __init__(self, ids: Mapping[str, str]) -> None:
        self._ids = ids
        self.used: set[str] = set()
        self.unknown = False

    def text(self, text: str) -> str:
        """Return a reference's text with the id in the place of a bulkId, which may hold any character."""
        at = 0 if text.startswith(_MARK) else text.rfind(f"/{_MARK}") + 1
        if not at and not text.startswith(_MARK):
            return text
        bulk_id = text[at + len(_MARK) :]
        return text[:at] + self._id(bulk_id if bulk_id in self._ids else unquote(bulk_id))

    def data(self, operation: Operation) -> JsonObject:
        """Return an operation's data with ids in the place of bulkIds."""
        assert operation.resource_type is not None
        if operation.method == "PATCH":
            return self._patch(operation.data, operation.resource_type)
        return self._body(operation.data, operation.resource_type)

    def _patch(self, body: JsonObject, resource_type: ResourceType) -> JsonObject:
        replaced = dict(body)
        for name, value in body.items():
            if name.lower() == "operations" and type(value) is list:
                replaced[name] = [self._step(each, resource_type) if type(each) is dict else each for each in value]
        return replaced

    def _step(self, step: JsonObject, resource_type: ResourceType) -> JsonObject:
        names = {name.lower(): name for name in step}
        path = step[names["path"]] if "path" in names else None
        replaced = dict(step)
        if path is None or type(path) is not str:
            if "value" in names and type(step[names["value"]]) is dict:
                replaced[names["value"]] = self._body(step[names["value"]], resource_type)
            return replaced
        if "value" in names:
            replaced[names["value"]] = self._member(path, step[names["value"]], resource_type)
        replaced[names["path"]] = self._path(path, resource_type)
        return replaced

    def _path(self, path: str, resource_type: ResourceType) -> str:
        """A path with ids in the place of the bulkIds that its filter compares references with."""
        head, bracket, _ = path.partition("[")
        place = resource_type.places.get(head.rstrip(" ").lower()) if bracket else None
        if place is None or not _refers(place.attribute):
            return path
        return _QUOTED_REFERENCE.sub(lambda found: f'"{self._id(_unescaped(found[1]))}"', path)

    def _body(self, body: JsonObject, resource_type: ResourceType) -> JsonObject:
        return {
            self._path(name, resource_type): self._member(name, value, resource_type) for name, value in body.items()
        }

    def _member(self, name: str, value: Any, resource_type: ResourceType) -> Any:
        """Replace within what stands below an attribute's name, however that is qualified, or a schema's URI."""
        if type(value) is dict and name.lower() == resource_type.schema.id.lower():
            return self._body(value, resource_type)
        schema = resource_type.containers.get(name.lower())
        if schema is not None:
            if type(value) is not dict:
                return value
            attributes = schema.by_name
            return {
                n: self._value(attributes[n.lower()], v) if n.lower() in attributes else v for n, v in value.items()
            }
        place = resource_type.places.get(name.partition("[")[0].rstrip(" ").lower())
        if place is None:
            return value
        if place.sub is None:
            return self._value(place.attribute, value)
        return self._value(place.attribute, {place.sub.name: value})[place.sub.name]

    def _value(self, attribute: Attribute, value: Any) -> Any:
        if type(value) is list:
            return [self._value(attribute, each) for each in value]
        if type(value) is dict:
            return {name: self._sub_value(attribute, name, part) for name, part in value.items()}
        return self.text(value) if type(value) is str and _refers(attribute) else value

    def _sub_value(self, attribute: Attribute, name: str, part: Any) -> Any:
        sub = attribute.subs.get(name.lower())
        if sub is None and name.lower() == MANAGER_ID and attribute.refers_to:
            sub = attribute.value
        if sub is None:
            return part
        if sub is attribute.value and _refers(attribute):
            return self.text(part) if type(part) is str else part
        return self._value(sub, part)

    def _id(self, bulk_id: str) -> str:
        found = self._ids.get(bulk_id)
        if found is None:
            self.unknown = True
            return ""
        self.used.add(bulk_id)
        return found


def _refers(attribute: Attribute) -> bool:
    """Whether an attribute's value is another resource: its `value`, its `$ref`, or itself, when it is given bare."""
    return "$ref" in attribute.subs or any(kind not in ("external", "uri") for kind in attribute.reference_types)


def _unescaped(literal: str) -> str:
    """A JSON string's text, given without its quotes; as it stands where it is none."""
    try:
        text: str = json.loads(f'"{literal}"')
    except ValueError:
        return literal
    return text


def strings(data: Any) -> Iterator[str]:
    """Yield every string in a JSON value: what may name a resource."""
    if type(data) is str:
        yield data
    elif type(data) is dict:
        for part in data.values():
            yield from strings(part)
    elif type(data) is list:
        for part in data:
            yield from strings(part)
