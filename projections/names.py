"""Every name a resource ever had: which id it meant, from which position to which.

Names are kept as SHA-256 of their comparison form, as the directory keeps them: what somebody asks for is
hashed and looked up, what nobody asks for stays unreadable here. The id of a user or group needs no row: their
streams are known. Other resources may have no other name, and are found by it.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Cursor

from domain.comparison import display_name_key, exact, name_key
from domain.events import AttributeChanged, GroupCreated, ResourceCreated, UserCreated
from ledger.entry import Entry, TenantId
from projections.directory import equality_key
from projections.tables import NULL, Table, byte_string, copy_lines

# Which attributes name a resource, by the kind of its stream.
NAMING = {"users": ("userName", "externalId"), "groups": ("displayName", "externalId")}
NAMING_OTHERS = ("id", "userName", "displayName", "externalId")  # Where a tenant's own type has them.
# By which records of one person are recognised as such; nobody is asked for by it.
MAIL = "mail"


class Opened(Struct, frozen=True):
    """From a position on, a name means this id. kind: userName, externalId, displayName, id or mail."""

    resource: str
    id: str
    kind: str
    key: bytes
    position: int


class Closed(Struct, frozen=True):
    """From a position on, the resource's name of this kind is no longer its own."""

    resource: str
    id: str
    kind: str
    position: int


class NameRow(Struct):
    """A name and the interval of positions in which it was held; open while `to_position` is None."""

    kind: str
    key: bytes
    resource: str
    id: str
    from_position: int
    to_position: int | None = None


def key_of(kind: str, value: str) -> bytes:
    """Return the 32 bytes a name is looked up by. Others than externalId are folded (RFC 7643 §3.1)."""
    match kind:
        case "userName":
            return name_key(value)
        case "displayName" | "mail":
            return display_name_key(value)
        case "id":
            return equality_key(value.strip().lower())
        case _:
            return equality_key(exact(value))


def name_id(origin: str, kind: str, key: bytes) -> str:
    """Return the id that stands for whoever is called so, in the table of those whom a received request names.

    A request that was refused may name somebody who never came to be: no other id leads to it. origin: the tenant's,
    so that one name of two tenants is two ids. Source: RFC 9562 §5.8 (UUID version 8).
    """
    digest = bytearray(sha256(f"scim-ledger/name/v1\n{origin}\n{kind}\n".encode() + key).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))


def rows(entries: Iterable[Entry]) -> Iterator[Opened | Closed]:
    """Names that the entries gave and took, in order. Pure: runner and replay both fold it with `settle`."""
    for entry in entries:
        resource, _, resource_id = entry.stream.partition("/")
        kinds = NAMING.get(resource, NAMING_OTHERS)
        match entry.event:
            case UserCreated(resource=attributes) | GroupCreated(resource=attributes):
                yield from _named(resource, resource_id, kinds, attributes, entry.position)
                yield from _renamed(resource, resource_id, MAIL, None, mail(attributes.get("emails")), entry.position)
            case ResourceCreated(resource=attributes):
                yield from _named(resource, resource_id, kinds, {**attributes, "id": resource_id}, entry.position)
            case AttributeChanged("emails", before, after) if resource == "users":
                yield from _renamed(resource, resource_id, MAIL, mail(before), mail(after), entry.position)
            case AttributeChanged(attribute, before, after) if attribute in kinds:
                yield from _renamed(resource, resource_id, attribute, before, after, entry.position)
            case _ if entry.event_type in _DELETIONS:  # By type: the event may be erased.
                for kind in (*kinds, MAIL):
                    yield Closed(resource, resource_id, kind, entry.position)


_DELETIONS = ("UserDeleted", "GroupDeleted", "ResourceDeleted")


def _named(
    resource: str, id: str, kinds: tuple[str, ...], attributes: dict[str, Any], position: int
) -> Iterator[Opened]:
    for kind in kinds:
        if isinstance(value := attributes.get(kind), str):
            yield Opened(resource, id, kind, key_of(kind, value), position)


def _renamed(resource: str, id: str, kind: str, before: Any, after: Any, position: int) -> Iterator[Opened | Closed]:
    old = key_of(kind, before) if isinstance(before, str) else None
    new = key_of(kind, after) if isinstance(after, str) else None
    if old == new:
        return  # Another spelling of the same name.
    if old is not None:
        yield Closed(resource, id, kind, position)
    if new is not None:
        yield Opened(resource, id, kind, new, position)


def mail(emails: Any) -> str | None:
    """Return somebody's mail address: the primary one of `emails`, else the first; None without any."""
    elements = [each for each in emails if isinstance(each, dict)] if isinstance(emails, list) else []
    elements.sort(key=lambda each: each.get("primary") is not True)
    return next((each["value"] for each in elements if isinstance(each.get("value"), str)), None)


def settle(changes: Iterable[Opened | Closed]) -> tuple[list[NameRow], list[Closed]]:
    """Fold changes into new rows, some of them closed again, and what is left: older rows to close, each once.

    Who goes gives up every kind of name, also one that it had given up before: that end is no other.
    """
    made: list[NameRow] = []
    open_rows: dict[tuple[str, str], NameRow] = {}
    seen: set[tuple[str, str]] = set()
    older: list[Closed] = []
    for change in changes:
        name = (change.id, change.kind)
        if isinstance(change, Opened):
            row = NameRow(change.kind, change.key, change.resource, change.id, change.position)
            made.append(row)
            open_rows[name] = row
        elif row_to_close := open_rows.pop(name, None):
            row_to_close.to_position = change.position
        elif name not in seen:
            older.append(change)
        seen.add(name)
    return made, older


NAMES = Table(
    "names",
    key=("tenant_id", "key", "kind", "id", "from_position"),
    columns=("tenant_id", "kind", "key", "resource", "id", "from_position", "to_position"),
    owner="id",
    searched=True,
)

_CLOSE = """
update names n
   set to_position = c.position
  from unnest(%(tenants)s::integer[], %(ids)s::uuid[], %(kinds)s::text[], %(positions)s::bigint[])
       c(tenant_id, id, kind, position)
 where n.tenant_id = c.tenant_id
   and n.id = c.id
   and n.kind = c.kind
   and n.to_position is null
"""


class Names:
    """The catch-up projection that finds people by what they are or were called."""

    name = "names"
    revision = 2
    tables = (NAMES,)

    def write(self, cursor: Cursor[Any], tenant_id: TenantId, entries: Sequence[Entry]) -> None:
        """Append new names and end the ones given up."""
        made, older = settle(rows(entries))
        if older:
            # Before the new rows: those carry the names that follow the ended ones.
            cursor.execute(
                _CLOSE,
                {
                    "tenants": [tenant_id] * len(older),
                    "ids": [closed.id for closed in older],
                    "kinds": [closed.kind for closed in older],
                    "positions": [closed.position for closed in older],
                },
            )
        copy_lines(cursor, NAMES, [_line(tenant_id, row) for row in made])


def _line(tenant_id: TenantId, row: NameRow) -> str:
    key = byte_string(row.key)
    to_position = NULL if row.to_position is None else row.to_position
    return f"{tenant_id}\t{row.kind}\t{key}\t{row.resource}\t{row.id}\t{row.from_position}\t{to_position}"
