"""The resource types of one tenant, and the lookups over all of them, made once.

A tenant without schemas of its own shares `schemas.STANDARD` with all others. Whoever serves a request takes its
types from the caller's tenant, never from a module: the same endpoint means more attributes here than there.
"""

from msgspec import Struct
from msgspec.structs import force_setattr

from domain.attributes import ResourceType, Schema


class ResourceTypes(Struct, frozen=True, eq=False):
    """What one tenant's resources can be.

    types: User and Group first, as lists over several types have them. The rest is derived:
    by_name: `User`. by_endpoint: by the path segment of the endpoint, `Users`. by_stream: by the kind of their
    streams, `users`.
    schemas: every schema in use, each once.
    never_returned: see `ResourceType.never_returned`, of all types together. secret_names: the same as bytes.
    """

    types: tuple[ResourceType, ...]
    by_name: dict[str, ResourceType] = {}
    by_endpoint: dict[str, ResourceType] = {}
    by_stream: dict[str, ResourceType] = {}
    schemas: tuple[Schema, ...] = ()
    never_returned: frozenset[str] = frozenset()
    secret_names: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        schemas = [each for kind in self.types for each in (kind.schema, *(schema for schema, _ in kind.extensions))]
        force_setattr(self, "by_name", {kind.name: kind for kind in self.types})
        force_setattr(self, "by_endpoint", {kind.endpoint[1:]: kind for kind in self.types})
        force_setattr(self, "by_stream", {kind.stream: kind for kind in self.types})
        force_setattr(self, "schemas", tuple({schema.id: schema for schema in schemas}.values()))
        never_returned = frozenset[str]().union(*(kind.never_returned for kind in self.types))
        force_setattr(self, "never_returned", never_returned)
        force_setattr(self, "secret_names", tuple(name.encode() for name in sorted(never_returned)))

    @property
    def user(self) -> ResourceType:
        """User, with the extensions that the tenant gave it."""
        return self.by_stream["users"]

    @property
    def group(self) -> ResourceType:
        """Group, likewise."""
        return self.by_stream["groups"]
