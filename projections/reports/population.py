"""Who has an account, as of a moment."""

from typing import Any

from projections.directory import resource_of
from projections.reports.accounts import LAST_STATES
from projections.reports.frame import Figure, Parameter, Report, Row, Rows, Scope

PRESENT = ("active", "disabled", "erased")
_STATES = {"present": PRESENT, "any": (*PRESENT, "deleted"), **{each: (each,) for each in (*PRESENT, "deleted")}}

# One row a state that somebody had, one probe for the groups.
_PAGE = f"""
select u.created_position, u.id::text, u.active, u.document, u.from_position,
       case when u.to_position <= %(last)s then u.to_position end,
       (select count(*) from memberships_at(%(tenant)s, %(last)s) m where m.member_id = u.id)
  from ({LAST_STATES}) u
 order by u.created_position
"""  # noqa: S608  # All of it is text of ours.


def begin(scope: Scope) -> Rows:
    """Check which states are asked for."""
    asked = scope.one_of("state", tuple(_STATES), "present")
    if asked != "any":
        scope.filters.append(f"only accounts that are {' or '.join(_STATES[asked])}")
    return _rows(scope, _STATES[asked])


def _rows(scope: Scope, states: tuple[str, ...]) -> Rows:
    counts = dict.fromkeys((*PRESENT, "deleted"), 0)
    for page in scope.pages(_PAGE, -1):
        doings = scope.doings([position for row in page for position in (row[0], row[5] or row[4])])
        for created, user_id, active, document, changed, deleted, groups in page:
            resource = resource_of(document)
            state = _state(resource, active, deleted)
            counts[state] += 1
            scope.scanned += 1
            if state in states:
                scope.matched += 1
                changed = deleted or changed
                yield _row(user_id, resource, state, groups, created, changed, doings)
    return _figures(scope, counts)


def _state(resource: dict[str, Any], active: bool | None, deleted: int | None) -> str:
    if deleted is not None:
        return "deleted"
    if "userName" not in resource:
        return "erased"
    return "disabled" if active is False else "active"


def _row(
    user_id: str, resource: dict[str, Any], state: str, groups: int, created: int, changed: int, doings: dict[Any, Any]
) -> Row:
    first, last = doings[created], doings[changed]
    return (
        user_id, resource.get("userName"), resource.get("externalId"), resource.get("displayName"), state, groups,
        first.at, first.by, last.at, last.by, created, changed,
    )  # fmt: skip


def _figures(scope: Scope, counts: dict[str, int]) -> list[Figure]:
    # From the entries themselves, not from what the rows come from.
    created, deleted = (scope.counted(event, "users/") for event in ("UserCreated", "UserDeleted"))
    present = sum(counts[state] for state in PRESENT)
    return [
        *(Figure(f"Accounts that are {state}", count) for state, count in counts.items()),
        Figure("Accounts created, by entries", created, created == sum(counts.values())),
        Figure("Accounts deleted, by entries", deleted, deleted == counts["deleted"]),
        Figure("Created less deleted, by entries", created - deleted, created - deleted == present),
    ]


POPULATION = Report(
    "population",
    1,
    "User population as of a moment",
    "Which user accounts there were, in which state, and who made and last changed them.",
    (
        "id", "userName", "externalId", "displayName", "state", "groups", "created_at", "created_by", "changed_at",
        "changed_by", "created_position", "changed_position",
    ),
    begin,
    parameters=(Parameter("state", f"One of {', '.join(_STATES)}; present without it."),),
)  # fmt: skip
