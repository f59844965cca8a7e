"""The public test vectors and the fixture directory, read; comparison by section 28 of the requirement catalogue."""

import json
from pathlib import Path
from typing import Any

from domain.schemas import GROUP, RESOURCE_TYPES, USER

Json = dict[str, Any]

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
TYPES = {"User": USER, "Group": GROUP}
ASKED = {"User": (USER,), "Group": (GROUP,), "*": RESOURCE_TYPES}

_NOT_COMPARED = ("id", "meta", "groups", "password")
_OURS = {"members": ("$ref", "display", "type"), "manager": ("$ref", "displayName")}


def lines(name: str) -> list[Json]:
    """The vectors of one file."""
    return [json.loads(line) for line in (GOLDEN / name).read_text().splitlines() if line.strip()]


def fixture() -> dict[str, list[Json]]:
    """Twelve users and four groups as SCIM shows them, by "Users" and "Groups"."""
    read: dict[str, list[Json]] = json.loads((GOLDEN / "fixture-users.json").read_text())
    return read


def patch_body(*operations: Json) -> Json:
    """A PATCH message of these operations."""
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def comparable(resource: Json | None) -> Any:
    """A resource reduced to what a vector's `after` says about it."""
    return _plain({name: value for name, value in (resource or {}).items() if name not in _NOT_COMPARED})


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        pairs = ((k, _plain(v, k)) for k, v in value.items() if k not in _OURS.get(name, ()))
        return {k: v for k, v in pairs if v not in (None, [], {}) and not (k == "primary" and v is False)}
    if isinstance(value, list):
        parts = [part for part in (_plain(part, name) for part in value) if part not in (None, [], {})]
        return sorted(parts, key=lambda part: json.dumps(part, sort_keys=True))
    return value
