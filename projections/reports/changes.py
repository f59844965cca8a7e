"""Everything that happened to one user, or to one resource of a type that the tenant declared."""

from collections.abc import Iterator
from typing import Any

import msgspec

from domain.errors import InvalidValue
from ledger.reader import ELSEWHERE
from ledger.tenants import OPERATOR
from projections.answers import Told, candidates_for, told_of
from projections.reports.frame import AN_OPERATOR, PAGE, Figure, Parameter, Report, Row, Rows, Scope
from projections.story import Change
from projections.subjects import Candidate, NoSuchSubject
from projections.words import RECEIVED

# Own, and of other streams: a group's, or a request's that changed nothing. Those have versions too, of their own. And
# what deleted a group that it was in, which is about the group.
_ABOUT = f"""
select position, true as own
  from entries
 where tenant_id = %(tenant)s
   and stream = %(stream)s
   and position <= %(last)s
 union all
select position, false
  from entries
 where tenant_id = %(tenant)s
   and subject_id = %(id)s::uuid
   and {ELSEWHERE}
   and stream <> %(stream)s
   and position <= %(last)s
 union all
select e.position, false
  from memberships m
  join entries e on e.tenant_id = m.tenant_id and e.position = m.to_position
 where m.tenant_id = %(tenant)s
   and m.member_id = %(id)s::uuid
   and m.to_position is not null
   and m.to_position <= %(last)s
   and e.event_type = 'GroupDeleted'
 order by position
"""  # noqa: S608  # A condition of ours.


class MeansGroup(NoSuchSubject):
    """The name means nothing but groups, present or past, and another report tells of those."""

    def __init__(self, asked: str) -> None:
        Exception.__init__(self, f"{asked!r} is or was a group: the report group-changes tells of groups")


def begin(scope: Scope) -> Rows:
    """Find who is meant. Raises InvalidValue, NoSuchSubject."""
    given = scope.given("subject")
    if not given or not given[0].strip() or len(given[0]) > 1_024 or "\0" in given[0]:
        raise InvalidValue("say whom you mean: subject is a userName, externalId or id")
    _, candidates = candidates_for(scope.reader, given[0])
    meant = [each for each in candidates if each.resource != "groups"]  # These have a report of their own.
    if not meant:
        raise MeansGroup(given[0])
    ids = [each.id for each in meant]
    scope.recorded["subject"] = ids[:1]  # By the id: the report's entry outlives an erasure.
    scope.filters.append(f"only what is about {', '.join(ids)}")
    return _rows(scope, meant)


def _rows(scope: Scope, meant: list[Candidate]) -> Rows:
    figures = []
    for candidate in meant:
        about = scope.rows(_ABOUT, stream=candidate.stream, id=candidate.id)
        own = {position for position, is_own in about if is_own}
        versions = []
        for told, change in _changes(scope, candidate, [position for position, _ in about]):
            scope.scanned += 1
            if change.position in own:
                versions.append(change.version)
            if change.position > scope.first:
                scope.matched += 1
                yield from _lines(told, change)
        agrees = versions == list(range(1, len(own) + 1))
        figures.append(Figure(f"Changes of {candidate.id} itself", len(versions), agrees))
    return figures


def _changes(scope: Scope, candidate: Candidate, positions: list[int]) -> Iterator[tuple[Told, Change]]:
    """What happened at the positions, which are in order; page by page, as a history is told."""
    for begin in range(0, len(positions), PAGE):
        page = positions[begin : begin + PAGE]
        told = told_of(scope.reader, candidate, len(page), page[-1] + 1, scope.last + 1)
        yield from ((told, change) for change in told.changes)


def _lines(told: Told, change: Change) -> Iterator[Row]:
    """A row a change; of a creation one for each attribute."""
    request = told.requests.get(change.request_id)
    by = "" if request is None else AN_OPERATOR if request.token_id == OPERATOR else request.token_label
    through: Row = (None,) * 6
    if request is not None:
        through = (
            request.token_id, request.client_address, request.method, request.path, request.status,
            request.activity_id or None,
        )  # fmt: skip
    changed: list[Any] = [(name, None, each) for name, each in change.resource.items()]
    received = change.attribute and change.before is None and change.after is None
    only = change.attribute, change.before, RECEIVED if received else change.after
    for attribute, before, after in changed or [only]:
        yield (
            change.position, change.at, told.id, change.event, attribute, _text(before), _text(after),
            change.group_name or change.group_id, change.explicit, change.erased, change.request_id, by, *through,
        )  # fmt: skip


def _text(value: Any) -> str | None:
    """A value as it is when it is a text, else as JSON."""
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


CHANGES = Report(
    "changes",
    1,
    "Change history of one user, or of one resource of a tenant's own type",
    "What happened to one user, old value and new, through which request, by whom; and which groups came and went. "
    "Of a resource of a tenant's own type likewise.",
    (
        "position", "at", "id", "event", "attribute", "before", "after", "group", "explicit", "erased", "request_id",
        "by", "token_id", "address", "method", "path", "status", "activity_id",
    ),
    begin,
    of_period=True,
    parameters=(Parameter("subject", "Of whom: a userName, externalId or id, held now or ever. Has to be given."),),
)  # fmt: skip
