"""Who came back in a period: accounts that were active again, and new ones under the names of old ones."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from msgspec import Struct

from projections.reports.accounts import State, called, endings, groups_at, state_of, states_of
from projections.reports.frame import Figure, Report, Row, Rows, Scope
from projections.reports.movement import UNASSIGNED

_SOON = timedelta(hours=24)

# Whoever came back: by an entry that says so, by `active` taken away, or perhaps by a name that was another's before.
_PAGE = """
select e.position, e.event_type, e.subject_id::text
  from entries e
 where e.tenant_id = %(tenant)s
   and e.position > %(after)s
   and e.position <= %(last)s
   and starts_with(e.stream, 'users/')
   and (e.event_type in ('Reactivated', 'UserCreated') or e.position = any(%(unassigned)s::bigint[]))
 order by e.position
 limit %(count)s
"""

# Who had the names of new accounts before them, the latest of each name. The holders of a name are read once for all of
# its new accounts: one look back for each of them would be as many rows as there are pairs.
_EARLIER = """
  with own as (
select n.id, n.kind, n.key, n.from_position
  from unnest(%(ids)s::uuid[], %(positions)s::bigint[]) k(id, position)
 cross join lateral (select *
                       from names
                      where tenant_id = %(tenant)s
                        and id = k.id
                        and from_position = k.position
                        and resource = 'users'
                        and kind in ('userName', 'externalId')
                     offset 0) n
)
select o.from_position, o.kind, h.earlier::text, h.since
  from own o
  join (select k.kind, k.key, n.id, n.from_position,
               lag(n.id) over (partition by k.kind, k.key order by n.from_position) as earlier,
               lag(n.from_position) over (partition by k.kind, k.key order by n.from_position) as since
          from (select kind, key, max(from_position) as newest from own group by kind, key) k
         cross join lateral (select id, from_position
                               from names
                              where tenant_id = %(tenant)s
                                and key = k.key
                                and kind = k.kind
                                and resource = 'users'
                                and from_position <= k.newest
                             offset 0) n) h
    on h.kind = o.kind
   and h.key = o.key
   and h.id = o.id
   and h.from_position = o.from_position
 where h.earlier is not null
 order by o.from_position, h.since, o.kind desc
"""


class Return(Struct, frozen=True):
    """Somebody came back, by the entry at a position.

    earlier: who had a new account's name just before it; by several names, who was the last to take one. kinds: which
    names. others: (kind, id) of who had another of its names.
    """

    position: int
    event_type: str
    user_id: str
    earlier: str | None = None
    kinds: list[str] = []
    others: list[tuple[str, str]] = []


def begin(scope: Scope) -> Rows:
    """Nothing besides the period is asked for."""
    return _rows(scope)


def _rows(scope: Scope) -> Rows:
    unassigned = [row[0] for row in scope.rows(UNASSIGNED)]
    reactivated = 0
    for page in scope.pages(_PAGE, scope.first, unassigned=unassigned):
        returns = _returns(scope, page)
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


def _returns(scope: Scope, page: Sequence[Any]) -> list[Return]:
    """Who of a page came back: new accounts count when they have a name that another had before."""
    new = [(user_id, position) for position, event_type, user_id in page if event_type == "UserCreated"]
    rows = scope.rows(_EARLIER, ids=[user_id for user_id, _ in new], positions=[position for _, position in new])
    held: dict[int, list[tuple[str, str]]] = {}
    for position, kind, earlier, _ in rows:
        held.setdefault(position, []).append((kind, earlier))
    found = []
    for position, event_type, user_id in page:
        if event_type != "UserCreated":
            found.append(Return(position, event_type, user_id))
        elif before := held.get(position):
            earlier = before[-1][1]
            kinds = [kind for kind, each in before if each == earlier]
            others = [(kind, each) for kind, each in before if each != earlier]
            found.append(Return(position, event_type, user_id, earlier, kinds, others))
    return found


def _told(scope: Scope, returns: Sequence[Return]) -> list[Row]:
    states = states_of(scope, [each for one in returns for each in (one.user_id, one.earlier or one.user_id)])
    pairs = [(one, one.earlier or one.user_id) for one in returns]
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
    names = " and ".join(one.kinds)
    others = "".join(f"; same {kind} as {user_id}" for kind, user_id in one.others)
    if gap is None:
        return f"same {names} as an account that was still active{others}"
    return (f"R7: same {names} within 24 hours" if gap <= _SOON else f"same {names}, later than 24 hours") + others


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
