"""Attributes by the names that `AttributeChanged` gives them: extensions' as URI, colon and name."""

from typing import Any

NAMED_BY = {"User": "userName", "Group": "displayName"}  # What a resource is known by, where its type says so.


def flat(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource's attributes with those of its extensions beside the core ones."""
    found: dict[str, Any] = {}
    for name, value in resource.items():
        if name.startswith("urn:") and isinstance(value, dict):
            found.update({f"{name}:{attribute}": inner for attribute, inner in value.items()})
        else:
            found[name] = value
    return found


def short(attribute: str) -> str:
    """Return an attribute's name without its schema URI, as people say it."""
    name, bracket, inside = attribute.partition("[")
    return name.rpartition(":")[2] + bracket + inside
