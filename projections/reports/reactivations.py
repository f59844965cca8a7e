"""Who came back in a period: accounts that were active again, and new ones under the names of old ones."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from msgspec import Struct

from projections.reports.accounts import State, called, endings, groups_at, state_of, states_of
from projections.reports.frame import Figure, Report, Row, Rows, Scope
from projections.reports.movement import UNASSIGNED

_SOON = timedelta(hours=24)

# Whoever came back: by an entry that says so, by `active` taken away, or by a name that was another's before.
_PAGE = """
select e.position, e.event_type, e.subject_id::text, o.earlier, o.kinds
  from entries e
  left join lateral (select array_agg(distinct n.id::text) as earlier, array_agg(distinct n.kind) as kinds
                       from names own
                       join names n on n.tenant_id = own.tenant_id
                                   and n.key = own.key
                                   and n.kind = own.kind
                                   and n.resource = 'users'
                                   and n.kind in ('userName', 'externalId')
                                   and n.id <> own.id
                                   and n.from_position < own.from_position
                      where own.tenant_id = e.tenant_id
                        and own.id = e.subject_id
                        and own.from_position = e.position
                        and e.event_type = 'UserCreated') o on true
 where e.tenant_id = %(tenant)s
   and e.position > %(after)s
   and e.position <= %(last)s
   and starts_with(e.stream, 'users/')
   and (e.event_type in ('Reactivated', 'UserCreated') or e.position = any(%(unassigned)s::bigint[]))
   and (e.event_type <> 'UserCreated' or o.earlier is not null)
 order by e.position
 limit %(count)s
"""


class Return(Struct, frozen=True):
    """Somebody came back, by the entry at a position.

    earlier: the accounts whose names a new one has; kinds: which.
    """

    position: int
    event_type: str
    user_id: str
    earlier: list[str] | None
    kinds: list[str] | None


def begin(scope: Scope) -> Rows:
    """Nothing besides the period is asked for."""
    return _rows(scope)


def _rows(scope: Scope) -> Rows:
    unassigned = [row[0] for row in scope.rows(UNASSIGNED)]
    reactivated = recreated = 0
    for page in scope.pages(_PAGE, scope.first, unassigned=unassigned):
        returns = [Return(*row) for row in page]
        reactivated += sum(each.earlier is None for each in returns)
        for row in _told(scope, returns):
            yield scope.fits(row)
    recreated = scope.matched - reactivated
    counted = scope.counted("Reactivated", "users/")
    by_entries = counted + len(unassigned)
    return [
        Figure("Accounts reactivated, each time", reactivated, reactivated == by_entries),
        Figure("New accounts under an earlier account's name", recreated),
    ]


def _told(scope: Scope, returns: Sequence[Return]) -> list[Row]:
    states = states_of(scope, [each for one in returns for each in (one.user_id, *(one.earlier or ()))])
    pairs = [(one, old) for one in returns for old in one.earlier or (one.user_id,)]
    gone = {(one.position, old): _gone(states[old], one.position) for one, old in pairs}
    ends = [end.position for end in gone.values() if end is not None]
    doings = scope.doings([*ends, *(one.position for one in returns)])
    asked = [(one.user_id, at) for one in returns for at in (one.position, scope.last)]
    asked += [(old, doings[end.position].first_position - 1) for (_, old), end in gone.items() if end is not None]
    groups = groups_at(scope, asked)
    rows: list[Row] = []
    for one, old in pairs:
        end, back = gone[one.position, old], doings[one.position]
        ended = doings[end.position] if end is not None else None
        gap = back.at - end.at if end is not None and back.at is not None else None
        rows.append((
            "reactivated" if one.earlier is None else "re-created", one.user_id, called(states[one.user_id]),
            end.at if end else None, ended.by if ended else "", back.at, back.by, back.token_id, back.address,
            None if gap is None else round(gap.total_seconds() / 3_600, 2),
            groups[old, ended.first_position - 1] if ended else None, groups[one.user_id, one.position],
            groups[one.user_id, scope.last], None if one.earlier is None else old, _rule(one, gap),
            state_of(states[one.user_id]), back.request_id, end.position if end else None, one.position,
        ))  # fmt: skip
    return rows


def _gone(states: Sequence[State], before: int) -> Any:
    """When the account stopped being active last, before an entry; None while it was active then."""
    found = [ending for ending in endings(states) if ending.position < before]
    active = [state.position for state in states if state.active and state.position < before]
    if not found or (active and active[-1] > found[-1].position):
        return None
    return found[-1]


def _rule(one: Return, gap: timedelta | None) -> str:
    if one.earlier is None:
        return ""
    names = " and ".join(one.kinds or ())
    if gap is None:
        return f"same {names} as an account that was still active"
    return f"R7: same {names} within 24 hours" if gap <= _SOON else f"same {names}, later than 24 hours"


REACTIVATIONS = Report(
    "reactivations",
    1,
    "Reactivations and re-created identities in a period",
    "Whose account was let in again, and which new accounts took an earlier one's name; with groups before and after.",
    (
        "what", "id", "userName", "ended_at", "ended_by", "back_at", "back_by", "token_id", "address", "gap_hours",
        "groups_before", "groups_after", "groups_at_end", "earlier_id", "rule", "state", "request_id", "ended_position",
        "position",
    ),
    begin,
    of_period=True,
)  # fmt: skip
