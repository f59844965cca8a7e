"""What happened to groups in a period; to privileged ones, when these are named."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from domain.events import AttributeChanged, GroupCreated, MembershipRemoved
from ledger.entry import Entry, Erased
from projections.reports.frame import PAGE, Figure, Report, Row, Rows, Scope
from projections.reports.group_membership import GROUP, groups_asked
from projections.words import RECEIVED, value

_CHANGES = {
    "GroupCreated": "created",
    "AttributeChanged": "changed",
    "MembershipAdded": "member added",
    "MembershipRemoved": "member removed",
    "GroupDeleted": "deleted",
}
_COUNTED = """
select count(*)
  from entries
 where tenant_id = %(tenant)s
   and position > %(first)s
   and position <= %(last)s
   and starts_with(stream, 'groups/')
   and (%(streams)s::text[] is null or stream = any(%(streams)s::text[]))
"""
_LOST = """
select m.group_id::text, count(*)
  from memberships m
 where m.tenant_id = %(tenant)s
   and m.group_id = any(%(groups)s::uuid[])
   and m.to_position = any(%(positions)s::bigint[])
 group by m.group_id
"""


def begin(scope: Scope) -> Rows:
    """Find the groups that are asked for."""
    groups = groups_asked(scope)
    return _rows(scope, groups and [f"groups/{group_id}" for group_id in groups])


def _rows(scope: Scope, streams: list[str] | None) -> Rows:
    counts: Counter[str] = Counter()
    for page in _pages(scope, streams):
        for entry, row in zip(page, _told(scope, page), strict=True):
            counts[entry.event_type] += 1
            yield scope.fits(row)
    (counted,) = scope.row(_COUNTED, streams=streams)
    return [
        *(Figure(f"Groups and memberships: {says}", counts[event]) for event, says in _CHANGES.items()),
        Figure("Entries about these groups, counted", counted, counted == scope.matched),
    ]


def _pages(scope: Scope, streams: list[str] | None) -> Iterator[list[Entry]]:
    after = scope.first
    while page := scope.reader.of_groups(after, scope.last, PAGE, streams=streams):
        yield page
        after = page[-1].position


def _told(scope: Scope, page: Sequence[Entry]) -> Iterator[Row]:
    doings = scope.doings([entry.position for entry in page])
    names = scope.names([each for entry in page for each in (entry.stream[7:], entry.subject_id)])
    deleted = [entry for entry in page if entry.event_type == "GroupDeleted"]
    lost = dict(
        scope.rows(_LOST, groups=[each.subject_id for each in deleted], positions=[each.position for each in deleted])
    )
    for entry in page:
        group_id, doing = entry.stream[7:], doings[entry.position]
        of_member = entry.event_type in ("MembershipAdded", "MembershipRemoved")
        member: Row = (entry.subject_id, names.get(entry.subject_id, "")) if of_member else (None, None)
        yield (
            entry.position, doing.at, group_id, names.get(group_id, ""), _CHANGES[entry.event_type], *_values(entry),
            *member, lost.get(group_id, 0) if entry.event_type == "GroupDeleted" else None, _explicit(entry), doing.by,
            doing.token_id, doing.address, doing.request_id, doing.method, doing.path, doing.entries,
        )  # fmt: skip


def _values(entry: Entry) -> tuple[Any, ...]:
    """Attribute, old value and new."""
    match entry.event:
        case AttributeChanged(attribute, None, None):
            return attribute, None, RECEIVED
        case AttributeChanged(attribute, before, after):
            return attribute, value(before), value(after)
        case GroupCreated(resource=resource):
            return None, None, value(resource)
        case _:
            return None, None, None


def _explicit(entry: Entry) -> bool | None:
    """Whether the request named what was removed; None where that is no question, or was erased."""
    if isinstance(entry.event, Erased):
        return None
    return entry.event.explicit if isinstance(entry.event, MembershipRemoved) else None


GROUP_CHANGES = Report(
    "group-changes",
    1,
    "Changes of groups in a period",
    "Who was put into which group or taken out, which groups came, went and were renamed, by whom; name privileged "
    "groups to see theirs alone.",
    (
        "position", "at", "group_id", "group", "change", "attribute", "before", "after", "member_id", "member",
        "members_lost", "explicit", "by", "token_id", "address", "request_id", "method", "path", "entries_of_request",
    ),
    begin,
    of_period=True,
    parameters=(GROUP,),
)  # fmt: skip
