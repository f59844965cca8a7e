"""What is different between two moments: who came, left, was changed, and who joined or left which group.

What was touched in between is found among the entries between the two positions; the rest is two looks at intervals
for each. So the cost is that of what happened, not of who is there, and not of what happened before or since.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from psycopg import sql

from domain.attributes import ResourceType
from domain.errors import InvalidValue
from domain.registry import ResourceTypes
from domain.resources import difference
from ledger.reader import Reader
from projections.asof import last_position
from projections.attributes import NAMED_BY
from projections.directory import resource_of

_PAGE = 500
CAME, LEFT, CHANGED = "came", "left", "changed"
GAINED, LOST = "gained", "lost"


class Standing(Struct, frozen=True):
    """A moment. position: of the last entry that counts; -1 before the first. recorded_at: of that entry."""

    position: int
    recorded_at: datetime | None


class AttributeDiffers(Struct, frozen=True):
    """An attribute, by the name that `AttributeChanged` gives it; None while unassigned."""

    attribute: str
    before: Any
    after: Any


class MembershipDiffers(Struct, frozen=True):
    """A direct membership that there is at one moment only. change: gained or lost. Names are the latest known."""

    change: str
    group_id: str
    group: str
    member_id: str
    member: str
    member_type: str


class ResourceDiffers(Struct, frozen=True):
    """A resource that is not as it was.

    change: came, left, or changed. name: the latest known userName or displayName. renamed: whether it was another
    one. activity: deactivated, reactivated, or empty. attributes: of who came or left, all that there were.
    groups: the memberships it gained or lost.
    """

    change: str
    type: str
    id: str
    name: str
    renamed: bool
    activity: str
    attributes: list[AttributeDiffers]
    groups: list[MembershipDiffers]


class Totals(Struct):
    """How many of each there were, by resource type and word; memberships gained and lost."""

    resources: dict[str, dict[str, int]] = field(default_factory=dict)
    memberships: dict[str, int] = field(default_factory=lambda: {GAINED: 0, LOST: 0})

    def count(self, told: ResourceDiffers) -> None:
        """Count a resource under every word that is true of it."""
        words = (told.change, "renamed" if told.renamed else "", told.activity)
        of_type = self.resources.setdefault(told.type, {})
        for word in filter(None, words):
            of_type[word] = of_type.get(word, 0) + 1


def moments(reader: Reader, start: datetime | int, end: datetime | int | None) -> tuple[Standing, Standing]:
    """Return the two moments, the second one now if it is not said.

    Raises InvalidValue for what has not come yet, and when the first one is the later one.
    """
    first = last_position(reader, start)
    last = last_position(reader, reader.size() - 1 if end is None else end)
    if first > last:
        raise InvalidValue(f"the first moment, position {first}, comes after the second, position {last}")
    return _standing(reader, first), _standing(reader, last)


def _standing(reader: Reader, position: int) -> Standing:
    entries = reader.at([position])
    return Standing(position, entries[0].recorded_at if entries else None)


_MEMBERSHIPS = """
create temporary table different_memberships as
  with told as (
       select e.event_type, e.position, substr(e.stream, 8)::uuid as group_id, e.subject_id as member_id
         from entries e
        where e.tenant_id = {tenant}
          and e.position > {first}
          and e.position <= {last}
          and e.event_type in ('MembershipAdded', 'MembershipRemoved', 'GroupDeleted')
       ),
       touched as (
       select t.group_id, t.member_id
         from told t
        where t.event_type <> 'GroupDeleted'
        union
       select m.group_id, m.member_id
         from told t
         join memberships m on m.tenant_id = {tenant} and m.group_id = t.group_id and m.to_position = t.position
        where t.event_type = 'GroupDeleted'
       )
select row_number() over (order by t.group_id, is_one.member_id is null, t.member_id) as rank,
       t.group_id, t.member_id, coalesce(is_one.member_type, was_one.member_type) as member_type,
       is_one.member_id is not null as gained
  from touched t
  left join memberships_at({tenant}, {first}) was_one using (group_id, member_id)
  left join memberships_at({tenant}, {last}) is_one using (group_id, member_id)
 where (was_one.member_id is null) <> (is_one.member_id is null)
"""

_RESOURCES = """
create temporary table different_resources as
  with touched as (
       select distinct split_part(e.stream, '/', 2)::uuid as id
         from entries e
        where e.tenant_id = {tenant}
          and e.position > {first}
          and e.position <= {last}
          and split_part(e.stream, '/', 1) = any({kinds})
          and e.event_type not in ('MembershipAdded', 'MembershipRemoved')
        union
       select member_id
         from different_memberships
       )
select row_number() over (order by array_position({types}, c.type), c.from_position) as rank,
       t.id, c.type, b.from_position as before, a.from_position as after
  from touched t
  join resource_versions c on c.tenant_id = {tenant} and c.id = t.id and c.version = 1
  left join lateral (select v.from_position, v.document is not null as there
                       from resource_versions v
                      where v.tenant_id = {tenant} and v.id = t.id and v.from_position <= {first}
                      order by v.from_position desc
                      limit 1) b on true
  left join lateral (select v.from_position, v.document is not null as there
                       from resource_versions v
                      where v.tenant_id = {tenant} and v.id = t.id and v.from_position <= {last}
                      order by v.from_position desc
                      limit 1) a on true
 where b.there
    or a.there
"""

_RESOURCES_PAGE = """
select d.rank, d.type, d.id::text, b.document, a.document
  from different_resources d
  left join resource_versions b on b.tenant_id = %(tenant)s and b.id = d.id and b.from_position = d.before
  left join resource_versions a on a.tenant_id = %(tenant)s and a.id = d.id and a.from_position = d.after
 where d.rank > %(rank)s
 order by d.rank
 limit %(count)s
"""

_MEMBERSHIPS_PAGE = """
select rank, gained, group_id::text, member_id::text, member_type
  from different_memberships
 where rank > %(rank)s
 order by rank
 limit %(count)s
"""

_MEMBERSHIPS_OF = """
select rank, gained, group_id::text, member_id::text, member_type
  from different_memberships
 where member_id = any(%(ids)s::uuid[])
 order by rank
"""

# What somebody was called last, until then.
NAMES = """
select k.id::text, v.type, v.document
  from unnest(%(ids)s::uuid[]) k(id)
 cross join lateral (select r.type, r.document
                       from resource_versions r
                      where r.tenant_id = %(tenant)s
                        and r.id = k.id
                        and r.from_position <= %(last)s
                        and r.document is not null
                      order by r.from_position desc
                      limit 1) v
"""
_INDEXES = """
create index on different_resources (rank);
create index on different_memberships (rank);
create index on different_memberships (member_id);
analyze different_resources, different_memberships;
"""
_DROP = "drop table if exists different_resources, different_memberships"


class Differences:
    """The differences between two moments, read page by page from tables that are the connection's own.

    First `resources` to the end, then `memberships`; `totals` are complete after both.
    """

    def __init__(self, reader: Reader, types: ResourceTypes, first: Standing, last: Standing) -> None:
        self.first, self.last = first, last
        self.totals = Totals()
        self._reader = reader
        self._types = {kind.name: kind for kind in types.types}
        self._kinds = list(types.by_stream)

    @contextmanager
    def opened(self) -> "Iterator[Differences]":
        """Find what was touched; forget it at the end."""
        connection = self._reader.connection
        values = {
            "tenant": self._reader.tenant.tenant_id, "first": self.first.position, "last": self.last.position,
            "kinds": self._kinds, "types": list(self._types),
        }  # fmt: skip
        literals = {name: sql.Literal(each) for name, each in values.items()}  # A table's making takes no parameters.
        connection.execute(_DROP)
        try:
            for statement in (_MEMBERSHIPS, _RESOURCES, _INDEXES):
                connection.execute(sql.SQL(statement).format(**literals))
            yield self
        finally:
            if not connection.broken:
                connection.execute(_DROP)

    def resources(self) -> Iterator[ResourceDiffers]:
        """Who came, left or changed: users first, then groups, in the order of their creation."""
        for page in self._pages(_RESOURCES_PAGE):
            groups: dict[str, list[MembershipDiffers]] = {}
            ids = [row[2] for row in page]
            for membership in self._named(self._rows(_MEMBERSHIPS_OF, ids=ids)):
                groups.setdefault(membership.member_id, []).append(membership)
            for _, kind, resource_id, before, after in page:
                told = _resource(self._types[kind], resource_id, before, after, groups.get(resource_id, []))
                if told.change != CHANGED or told.attributes or told.groups:  # Back to what it was is no difference.
                    self.totals.count(told)
                    yield told

    def memberships(self) -> Iterator[MembershipDiffers]:
        """Who joined and left, group by group."""
        for page in self._pages(_MEMBERSHIPS_PAGE):
            for membership in self._named(page):
                self.totals.memberships[membership.change] += 1
                yield membership

    def _pages(self, query: str) -> Iterator[list[tuple[Any, ...]]]:
        rank = 0
        while page := self._rows(query, rank=rank, count=_PAGE):
            yield page
            rank = page[-1][0]

    def _named(self, rows: Iterable[tuple[Any, ...]]) -> list[MembershipDiffers]:
        rows = list(rows)
        names = self._names({each for _, _, group_id, member_id, _ in rows for each in (group_id, member_id)})
        return [
            MembershipDiffers(
                GAINED if gained else LOST, group_id, names.get(group_id, ""), member_id, names.get(member_id, ""), kind
            )
            for _, gained, group_id, member_id, kind in rows
        ]

    def _names(self, ids: set[str]) -> dict[str, str]:
        rows = self._rows(NAMES, ids=list(ids), last=self.last.position) if ids else []
        return {resource_id: _name(kind, resource_of(document)) for resource_id, kind, document in rows}

    def _rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self._reader.found(query, **parameters)


def _resource(
    kind: ResourceType, resource_id: str, before: bytes | None, after: bytes | None, groups: list[MembershipDiffers]
) -> ResourceDiffers:
    old = {} if before is None else resource_of(before)
    new = {} if after is None else resource_of(after)
    attributes = [AttributeDiffers(*changed) for changed in difference(old, new, kind)]
    stays = before is not None and after is not None
    return ResourceDiffers(
        change=CHANGED if stays else LEFT if after is None else CAME,
        type=kind.name,
        id=resource_id,
        name=_name(kind.name, old if after is None else new),
        renamed=stays and any(each.attribute == NAMED_BY.get(kind.name) for each in attributes),
        activity=_activity(old.get("active"), new.get("active")) if stays else "",
        attributes=attributes,
        groups=groups,
    )


def _activity(before: bool | None, after: bool | None) -> str:
    if (before is False) is (after is False):
        return ""
    return "deactivated" if after is False else "reactivated"


def _name(kind: str, resource: dict[str, Any]) -> str:
    return str(resource.get(NAMED_BY.get(kind, "displayName"), ""))
