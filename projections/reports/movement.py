"""How the population moved in a period, month by month, and that it adds up."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from projections.reports.frame import Figure, Report, Row, Rows, Scope

# What moved users, between two positions: by entries, and by the states around them whether they were active.
_MOVED = """
select count(*) filter (where h.event_type = 'UserCreated' and now.active is distinct from false),
       count(*) filter (where h.event_type = 'Reactivated' or h.position = any(%(unassigned)s::bigint[])),
       count(*) filter (where h.event_type = 'Deactivated'),
       count(*) filter (where h.event_type = 'UserDeleted' and before.active is distinct from false),
       count(*) filter (where h.event_type = 'UserCreated' and now.active is false),
       count(*) filter (where h.event_type = 'UserDeleted' and before.active is false)
  from (select e.position, e.event_type, e.subject_id
          from entries e
         where e.tenant_id = %(tenant)s
           and e.position > %(begin)s
           and e.position <= %(end)s
           and (e.event_type in ('UserCreated', 'Reactivated', 'Deactivated', 'UserDeleted')
                or e.position = any(%(unassigned)s::bigint[]))
           and starts_with(e.stream, 'users/')) h
  left join resource_states now on now.tenant_id = %(tenant)s
                                 and now.id = h.subject_id
                                 and now.from_position = h.position
  left join lateral (select v.active
                       from resource_states v
                      where v.tenant_id = %(tenant)s
                        and v.id = h.subject_id
                        and v.to_position = h.position) before on true
"""

# Whose `active` was false and then taken away: that too lets them in again, though the entry is an AttributeChanged.
UNASSIGNED = """
select v.from_position
  from resource_states v
 where v.tenant_id = %(tenant)s
   and v.type = 'User'
   and v.active is null
   and v.from_position > %(first)s
   and v.from_position <= %(last)s
   and v.from_position > v.created_position
   and exists (select from resource_states b
                where b.tenant_id = v.tenant_id
                  and b.id = v.id
                  and b.to_position = v.from_position
                  and b.active is false)
"""

_STANDING = """
select count(*) filter (where active is distinct from false), count(*) filter (where active is false)
  from users_at(%(tenant)s, %(at)s)
 where resource_type = 'User'
"""


class Moved(Struct):
    """What moved; of who was active, unless it says otherwise."""

    created: int = 0
    reactivated: int = 0
    deactivated: int = 0
    deleted: int = 0
    created_disabled: int = 0
    deleted_disabled: int = 0

    def add(self, other: "Moved") -> None:
        """Count another stretch in."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def active(self) -> int:
        """By how much the active population grew."""
        return self.created + self.reactivated - self.deactivated - self.deleted

    @property
    def disabled(self) -> int:
        """By how much the disabled one grew."""
        return self.created_disabled + self.deactivated - self.reactivated - self.deleted_disabled


def begin(scope: Scope) -> Rows:
    """Nothing besides the period is asked for."""
    return _rows(scope)


def _rows(scope: Scope) -> Rows:
    opening, opening_disabled = scope.row(_STANDING, at=scope.first)
    unassigned = [row[0] for row in scope.rows(UNASSIGNED)]
    whole = Moved()
    for month, start, end in months(scope):
        before = opening + whole.active
        moved = Moved(*scope.row(_MOVED, begin=start, end=end, unassigned=unassigned))
        whole.add(moved)
        yield scope.fits(_line(month, start, end, before, opening_disabled + whole.disabled, moved))
    yield scope.fits(_line("whole period", scope.first, scope.last, opening, opening_disabled + whole.disabled, whole))
    return _figures(scope, opening, opening_disabled, whole)


def _line(month: str, start: int, end: int, opening: int, disabled: int, moved: Moved) -> Row:
    return (
        month, opening, moved.created, moved.reactivated, moved.deactivated, moved.deleted, opening + moved.active,
        moved.created_disabled, moved.deleted_disabled, disabled, start + 1, end,
    )  # fmt: skip


def months(scope: Scope) -> Iterator[tuple[str, int, int]]:
    """The calendar months (UTC) of the period with the positions they begin behind and end with."""
    start: datetime | None = scope.time_of(scope.first + 1)
    at = scope.first
    while start is not None and at < scope.last:
        month = f"{start:%Y-%m}"
        start = start.replace(
            year=start.year + start.month // 12, month=start.month % 12 + 1, day=1, hour=0, minute=0, second=0,
            microsecond=0,
        )  # fmt: skip
        end = min(scope.last, scope.reader.position_at(start, included=False) - 1)
        yield month, at, end
        at = end


def _figures(scope: Scope, opening: int, disabled: int, moved: Moved) -> list[Figure]:
    closing: Any
    closing, closing_disabled = scope.row(_STANDING, at=scope.last)
    expected, expected_disabled = opening + moved.active, disabled + moved.disabled
    equation = (
        f"{opening} + {moved.created} created + {moved.reactivated} reactivated - {moved.deactivated} deactivated "
        f"- {moved.deleted} deleted = {expected}"
    )
    equation_disabled = (
        f"{disabled} + {moved.created_disabled} created so + {moved.deactivated} deactivated "
        f"- {moved.reactivated} reactivated - {moved.deleted_disabled} deleted = {expected_disabled}"
    )
    return [
        Figure("Active accounts at the beginning, counted", opening),
        Figure("Active accounts, by what happened", equation, expected == closing),
        Figure("Active accounts at the end, counted", closing, expected == closing),
        Figure("Disabled accounts, by what happened", equation_disabled, expected_disabled == closing_disabled),
        Figure("Disabled accounts at the end, counted", closing_disabled, expected_disabled == closing_disabled),
        Figure("Who they are", "reports joiners, reactivations and leavers of the same period"),
    ]


MOVEMENT = Report(
    "movement",
    1,
    "Movement of the user population in a period",
    "How many accounts were created, reactivated, deactivated and deleted each month, and whether that adds up.",
    (
        "month", "opening", "created", "reactivated", "deactivated", "deleted", "closing", "created_disabled",
        "deleted_disabled", "closing_disabled", "first_position", "last_position",
    ),
    begin,
    of_period=True,
)  # fmt: skip
