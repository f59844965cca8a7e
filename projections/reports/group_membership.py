"""Who was in which group, as of a moment: the list of an access review, with columns for the reviewer."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from domain.errors import InvalidValue
from projections.directory import resource_of
from projections.reports.frame import PAGE, Figure, Parameter, Report, Row, Rows, Scope, name_of
from projections.subjects import NoSuchSubject, find_subjects

_START = "00000000-0000-0000-0000-000000000000"
GROUP = Parameter("group", "Only these groups: displayName, externalId or id, held now or ever.", many=True)

# Group by group, member by member: the primary key's own order.
_PAGE = """
select m.group_id::text, m.member_id::text, m.member_type, m.from_position
  from memberships m
 where m.tenant_id = %(tenant)s
   and (m.group_id, m.member_id) > (%(after_group)s, %(after_member)s)
   and (%(groups)s::uuid[] is null or m.group_id = any(%(groups)s::uuid[]))
   and m.from_position <= %(last)s
   and (m.to_position is null or m.to_position > %(last)s)
 order by m.group_id, m.member_id
 limit %(count)s
"""

# The groups within a group, each by the way that was found first. Circles end: nobody is entered twice.
_WITHIN = """
with recursive within(id, way) as (
select m.member_id, array[m.member_id]
  from memberships_at(%(tenant)s, %(last)s) m
 where m.group_id = %(group)s
   and m.member_id = %(member)s
 union all
select m.member_id, w.way || m.member_id
  from within w
  join memberships_at(%(tenant)s, %(last)s) m on m.group_id = w.id
 where m.member_type = 'Group'
   and m.member_id <> all(w.way)
   and m.member_id <> %(group)s
   and cardinality(w.way) < 20
)
select distinct on (id) id::text, way::text[] from within order by id, cardinality(way), way
"""

_MEMBERS = """
select v.id::text, v.document, v.active
  from resource_states v
 where v.tenant_id = %(tenant)s
   and v.id = any(%(ids)s::uuid[])
   and v.from_position <= %(last)s
   and v.to_position > %(last)s
"""

# Counted from the entries; memberships that ended with their group have no entry of their own.
_EVENTS = """
select count(*) filter (where e.event_type = 'MembershipAdded'),
       count(*) filter (where e.event_type = 'MembershipRemoved'),
       coalesce(sum((select count(*)
                       from memberships m
                      where m.tenant_id = e.tenant_id
                        and m.group_id = e.subject_id
                        and m.to_position = e.position)) filter (where e.event_type = 'GroupDeleted'), 0)
  from entries e
 where e.tenant_id = %(tenant)s
   and e.position <= %(last)s
   and e.event_type in ('MembershipAdded', 'MembershipRemoved', 'GroupDeleted')
   and (%(streams)s::text[] is null or e.stream = any(%(streams)s::text[]))
"""
_GROUPS = """
select count(*),
       count(*) filter (where not exists (select from memberships_at(%(tenant)s, %(last)s) m where m.group_id = g.id))
  from groups_at(%(tenant)s, %(last)s) g
 where %(groups)s::uuid[] is null or g.id = any(%(groups)s::uuid[])
"""


def groups_asked(scope: Scope) -> list[str] | None:
    """The ids of the groups that are asked for; None for all. Raises NoSuchSubject, InvalidValue."""
    asked = scope.given("group")
    if not asked:
        return None
    ids: list[str] = []
    for name in asked:
        if not name or len(name) > 1_024 or "\0" in name:
            raise InvalidValue("group is a displayName, externalId or id")
        found = [
            each.id
            for each in find_subjects(scope.reader.connection, scope.reader.tenant, name)
            if each.resource == "groups"
        ]
        if not found:
            raise NoSuchSubject(scope.reader.tenant, name)
        ids += found
    ids = list(dict.fromkeys(ids))
    names = scope.names(ids)
    scope.filters += [f"only the group {names.get(group_id, '')} ({group_id})" for group_id in ids]
    scope.recorded["group"] = ids
    return ids


def begin(scope: Scope) -> Rows:
    """Find the groups that are asked for."""
    return _rows(scope, groups_asked(scope))


def _rows(scope: Scope, groups: list[str] | None) -> Rows:
    direct = 0
    for page in _pages(scope, groups):
        direct += len(page)
        for (group_id, member_id, kind, _), row in zip(page, _told(scope, page, {}), strict=True):
            yield scope.fits(row)
            if kind == "Group":
                yield from map(scope.fits, _nested(scope, group_id, member_id))
    return _figures(scope, groups, direct)


def _pages(scope: Scope, groups: list[str] | None) -> Iterator[list[Any]]:
    group, member = _START, _START
    while page := scope.rows(_PAGE, after_group=group, after_member=member, groups=groups, count=PAGE):
        yield page
        group, member = page[-1][0], page[-1][1]


def _nested(scope: Scope, group_id: str, member_id: str) -> Iterator[Row]:
    """Users who are in a group because they are in a group within it."""
    for inner, way in scope.rows(_WITHIN, group=group_id, member=member_id):
        for page in _pages(scope, [inner]):
            users = [(group_id, user_id, kind, since) for _, user_id, kind, since in page if kind == "User"]
            yield from _told(scope, users, {user_id: way for _, user_id, _, _ in users})


def _told(scope: Scope, page: Sequence[Any], ways: dict[str, list[str]]) -> Iterator[Row]:
    """Rows for people. ways: by which groups each is in, for whom it is not directly."""
    doings = scope.doings([row[3] for row in page])
    groups = {row[0] for row in page} | {group_id for way in ways.values() for group_id in way}
    names = scope.names(list(groups))
    states = {
        member_id: (resource_of(document), active)
        for member_id, document, active in scope.rows(_MEMBERS, ids=[row[1] for row in page])
    }
    for group_id, member_id, kind, since in page:
        resource, active = states.get(member_id, ({}, None))
        doing = doings[since]
        way = [names.get(each, each) for each in ways.get(member_id, ())]
        yield (
            group_id, names.get(group_id, ""), member_id, name_of(resource), resource.get("displayName"), kind,
            None if kind == "Group" else active is not False, doing.at, doing.by, doing.request_id,
            _days(doing.at, scope.at), " > ".join(way), since, None, None, None, None,
        )  # fmt: skip


def _days(since: datetime | None, until: datetime) -> int | None:
    return None if since is None else (until - since).days


def _figures(scope: Scope, groups: list[str] | None, direct: int) -> list[Figure]:
    streams = groups and [f"groups/{group_id}" for group_id in groups]
    added, removed, ended = scope.row(_EVENTS, streams=streams)
    count, empty = scope.row(_GROUPS, groups=groups)
    return [
        Figure("Groups", count),
        Figure("Groups without members, which have no row", empty),
        Figure("Direct memberships", direct),
        Figure("Memberships through groups within groups", scope.matched - direct),
        Figure(
            "Direct memberships, by entries",
            f"{added} added - {removed} removed - {ended} ended with their group = {added - removed - ended}",
            added - removed - ended == direct,
        ),
    ]


GROUP_MEMBERSHIP = Report(
    "group-membership",
    1,
    "Group membership as of a moment, for an access review",
    "Who was in which group, since when and through whom; the reviewer decides in the last four columns.",
    (
        "group_id", "group", "member_id", "member", "displayName", "member_type", "active", "added_at", "added_by",
        "request_id", "days_in_group", "nested_via", "position", "decision", "reviewer", "reviewed_at", "comment",
    ),
    begin,
    parameters=(GROUP,),
)  # fmt: skip
