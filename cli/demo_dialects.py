"""Entra's two ways to write a PATCH, as they are on the wire.

default: capitalised ops, one for each attribute, `active` as a text, members removed by `value`.
flag: what Entra sends once `aadOptscim062020` is appended to the Tenant URL: nearer to RFC 7644.
"""

from typing import Any

from msgspec import Struct

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

Operation = dict[str, Any]


class Dialect(Struct, frozen=True):
    """One of the two. flag: whether it is the one behind aadOptscim062020."""

    name: str
    flag: bool

    def add(self, path: str, value: Any) -> list[Operation]:
        """Give an attribute its first value."""
        return [{"op": "add" if self.flag else "Add", "path": path, "value": value}]

    def replace(self, values: dict[str, Any]) -> list[Operation]:
        """Give attributes new values, by path."""
        if not self.flag:
            return [{"op": "Replace", "path": path, "value": value} for path, value in values.items()]
        filtered = {path: value for path, value in values.items() if "[" in path}
        plain = {path: value for path, value in values.items() if path not in filtered}
        operations: list[Operation] = [
            {"op": "replace", "path": path, "value": value} for path, value in filtered.items()
        ]
        return [*operations, {"op": "replace", "value": plain}] if plain else operations

    def active(self, value: bool) -> list[Operation]:
        """Enable or disable."""
        if self.flag:
            return [{"op": "replace", "path": "active", "value": value}]
        return [{"op": "Replace", "path": "active", "value": str(value)}]

    def add_member(self, member_id: str) -> list[Operation]:
        """Add one member to a group: the same shape in both, but for the capital."""
        return self.add("members", [{"$ref": None, "value": member_id}])

    def remove_member(self, member_id: str) -> list[Operation]:
        """Remove one member from a group."""
        if self.flag:
            return [{"op": "remove", "path": f'members[value eq "{member_id}"]'}]
        return [{"op": "Remove", "path": "members", "value": [{"$ref": None, "value": member_id}]}]


DEFAULT = Dialect("default dialect", flag=False)
FLAG = Dialect("aadOptscim062020 dialect", flag=True)


def patch(operations: list[Operation]) -> dict[str, Any]:
    """Return the body of a PATCH."""
    return {"schemas": [PATCH_OP], "Operations": operations}
