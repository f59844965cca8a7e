"""The names that a request wanted to give: read from its body, whatever became of it.

A refused request may name somebody who never came to be. The ids that stand for its names are kept with the key of
its body, so that *why was she not provisioned* finds it, and whoever erases her finds it too.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from domain.errors import ScimError
from domain.schemas import CORE_GROUP, CORE_USER
from projections.names import key_of, name_id

_KINDS = {"username": "userName", "externalid": "externalId", "displayname": "displayName"}
_OPERATIONS_MAX = 100
_CORES = (CORE_USER.lower(), CORE_GROUP.lower())


def names_in(body: bytes) -> list[tuple[str, str]]:
    """Return the names in the body of a POST, PUT or PATCH as (kind, name); none of what cannot be read."""
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return list(dict.fromkeys(_names(read))) if isinstance(read, dict) else []


def sets_active(body: bytes) -> bool:
    """Whether a PUT or PATCH says anything about `active`; not, when it cannot be read."""
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if not isinstance(read, dict):
        return False
    operations = next((read[name] for name in read if name.lower() == "operations"), None)
    if not isinstance(operations, list):
        return any(name.lower() == "active" for name, _ in _members(read))
    return any(_sets_active(each) for each in operations[:_OPERATIONS_MAX])


def _sets_active(operation: Any) -> bool:
    told = {name.lower(): value for name, value in operation.items()} if isinstance(operation, dict) else {}
    path, value = told.get("path"), told.get("value")
    if isinstance(path, str):
        value = {_attribute(path): value}
    return isinstance(value, dict) and any(name.lower() == "active" for name, _ in _members(value))


def name_ids(origin: str, body: bytes) -> list[str]:
    """Return the ids that stand for the names in a body. origin: the tenant's."""
    found = []
    for kind, name in names_in(body):
        try:
            found.append(name_id(origin, kind, key_of(kind, name)))
        except (ScimError, UnicodeEncodeError):
            continue  # What could not be a name leads to nobody.
    return found


def _names(read: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    for attribute, value in _members(read):
        folded = attribute.lower()
        if folded == "operations" and isinstance(value, list):
            for operation in value[:_OPERATIONS_MAX]:
                yield from _operation(operation)
        elif folded in _KINDS and isinstance(value, str):
            yield _KINDS[folded], value


def _operation(operation: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(operation, dict):
        return
    told = {name.lower(): value for name, value in operation.items()}
    path, value = told.get("path"), told.get("value")
    if isinstance(path, str):
        yield from _names({_attribute(path): value})
    elif isinstance(value, dict):
        yield from _names(value)


def _attribute(path: str) -> str:
    """What a path ends in; a core schema's URI alone is the whole."""
    return path if path.lower() in _CORES else path.rpartition(":")[2]


def _members(read: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Names and values, also those below a core schema's own URI (RX-03)."""
    for name, value in read.items():
        if name.lower() in _CORES and isinstance(value, dict):
            yield from value.items()
        else:
            yield name, value
