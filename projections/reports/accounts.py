"""Accounts over time: every state somebody's had, when it stopped being active, and how many groups it was in."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from projections.directory import resource_of
from projections.reports.frame import Scope, name_of

# Every state that somebody had, and when it ended if nothing followed it: that is the deletion.
_STATES = """
select v.id::text, v.from_position, v.modified_at, v.active is distinct from false, v.document,
       case when v.to_position <= %(last)s then v.to_position end,
       (select e.recorded_at
          from entries e
         where e.tenant_id = v.tenant_id
           and e.position = v.to_position
           and e.event_type = 'UserDeleted'
           and v.to_position <= %(last)s)
  from resource_states v
 where v.tenant_id = %(tenant)s
   and v.id = any(%(ids)s::uuid[])
   and v.from_position <= %(last)s
 order by v.id, v.from_position
"""

# Everybody who was ever created, each with the last state until the end: a page, in the order of creation, from the
# index for lists.
LAST_STATES = """
select distinct on (v.created_position)
       v.created_position, v.id, v.active, v.document, v.from_position, v.to_position
  from resource_states v
 where v.tenant_id = %(tenant)s
   and v.type = 'User'
   and v.created_position > %(after)s
   and v.created_position <= %(last)s
   and v.from_position <= %(last)s
 order by v.created_position, v.from_position desc
 limit %(count)s
"""

_GROUPS = """
select k.id::text, k.position, (select count(*) from memberships_at(%(tenant)s, k.position) m where m.member_id = k.id)
  from unnest(%(ids)s::uuid[], %(positions)s::bigint[]) k(id, position)
"""


class State(Struct, frozen=True):
    """What an account was from one entry on. deleted_at: set on the last one of a deleted account."""

    position: int
    at: datetime
    active: bool
    document: bytes
    ended_position: int | None
    deleted_at: datetime | None


class Ending(Struct, frozen=True):
    """When an account stopped being active. deleted: by being deleted."""

    position: int
    at: datetime
    deleted: bool


def endings(states: Sequence[State]) -> list[Ending]:
    """Every time that an account stopped being active, in order. states: all it had, in order."""
    found: list[Ending] = []
    was_active = False
    for state in states:
        if (was_active and not state.active) or (not found and not state.active):
            found.append(Ending(state.position, state.at, deleted=False))
        was_active = state.active
        if state.deleted_at is not None and was_active:
            assert state.ended_position is not None
            found.append(Ending(state.ended_position, state.deleted_at, deleted=True))
    return found


# What somebody was before an entry `e`, as `b`: one index probe.
BEFORE = """ cross join lateral (select v.active
                       from resource_versions v
                      where v.tenant_id = e.tenant_id
                        and v.id = e.subject_id
                        and v.from_position < e.position
                      order by v.from_position desc
                      limit 1) b"""


def is_active(states: Sequence[State]) -> bool:
    """Whether an account is active in the end."""
    return states[-1].active and states[-1].deleted_at is None


def was_ever_active(states: Sequence[State]) -> bool:
    """Whether an account was active at any time: else there was no access that could have ended."""
    return any(state.active for state in states)


def was_active(states: Sequence[State], at: datetime) -> bool:
    """Whether an account was active at a moment."""
    then = [state for state in states if state.at <= at]
    return bool(then) and then[-1].active and (then[-1].deleted_at is None or then[-1].deleted_at > at)


def ending_for(states: Sequence[State], terminated_at: datetime) -> Ending | None:
    """When the account stopped being active for a termination: the first time after it, or before it if it was off."""
    found = endings(states)
    if was_active(states, terminated_at):
        return next((ending for ending in found if ending.at > terminated_at), None)
    before = [ending for ending in found if ending.at <= terminated_at]
    return before[-1] if before else None


def back_after(states: Sequence[State], position: int) -> State | None:
    """The first state after an entry in which the account is active."""
    return next((state for state in states if state.position > position and state.active), None)


def state_of(states: Sequence[State]) -> str:
    """What the account is in the end."""
    if states[-1].deleted_at is not None:
        return "deleted"
    return "active" if states[-1].active else "disabled"


def called(states: Sequence[State]) -> str:
    """What the account was called last."""
    return name_of(resource_of(states[-1].document))


def states_of(scope: Scope, ids: Iterable[str]) -> dict[str, list[State]]:
    """Return every state of some accounts, until the end of the report's period."""
    found: dict[str, list[State]] = {}
    for user_id, *state in scope.rows(_STATES, ids=list(set(ids))):
        found.setdefault(user_id, []).append(State(*state))
    return found


def groups_at(scope: Scope, asked: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """In how many groups each was, directly, after the entry at a position."""
    wanted = list(set(asked))
    rows = scope.rows(_GROUPS, ids=[each for each, _ in wanted], positions=[position for _, position in wanted])
    return {(user_id, position): count for user_id, position, count in rows}
