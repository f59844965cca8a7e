"""When many lost their access at once, in a period."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from projections.reports.accounts import BEFORE
from projections.reports.frame import Figure, Report, Row, Rows, Scope, known_as
from projections.rhythm import ENDED_WITH_GROUPS

USERS_MIN, SHARE_MIN, USERS_ALWAYS = 10, 0.05, 500

_PAGE = """
select r.first_position, r.last_position, r.client_id, r.client_label, r.started, r.ended, r.users_deactivated,
       r.users_deleted, r.memberships_removed, r.groups_deleted, r.active_before, r.client_addresses
  from runs r
 where r.tenant_id = %(tenant)s
   and r.first_position > %(after)s
   and r.first_position <= %(last)s
   and r.last_position > %(first)s
 order by r.first_position
 limit %(count)s
"""
# What a run did to users, as entries `e`.
_OF_RUN = """
 where e.tenant_id = %(tenant)s
   and e.position >= %(begin)s
   and e.position <= %(end)s
   and starts_with(e.stream, 'users/')
   and exists (select from trail t
                where t.tenant_id = e.tenant_id and t.request_id = e.request_id and t.token_id = %(client)s)
"""
# Who of a run's deactivated users was let in again until the end, by whatever entry, and when the last of them.
_RESOLVED = f"""
select count(*), max(b.recorded_at)
  from entries e
 cross join lateral (select r.recorded_at
                       from resource_versions r
                      where r.tenant_id = e.tenant_id
                        and r.id = e.subject_id
                        and r.document is not null
                        and r.from_position > e.position
                        and r.from_position <= %(last)s
                        and r.active is distinct from false
                      order by r.from_position
                      limit 1) b
{_OF_RUN}
   and e.event_type = 'Deactivated'
"""  # noqa: S608  # All of it is text of ours.
# Who of a run's deleted users was disabled already: nobody lost access by that.
_DELETED_DISABLED = f"""
select count(*)
  from entries e
{BEFORE}
{_OF_RUN}
   and e.event_type = 'UserDeleted'
   and b.active is false
"""  # noqa: S608  # All of it is text of ours.


class Looked(Struct, frozen=True):
    """A run that was looked at. deleted: who was disabled already included. active: users before it."""

    first: int
    last: int
    client_id: str
    label: str
    started: datetime
    ended: datetime
    deactivated: int
    deleted: int
    removed: int
    groups: int
    active: int
    addresses: list[str]


def begin(scope: Scope) -> Rows:
    """Nothing besides the period is asked for."""
    scope.filters.append(
        f"runs in which {USERS_MIN} or more, and {SHARE_MIN:.0%} of the active users, or {USERS_ALWAYS} at least, were "
        "deactivated or deleted while active; or as many memberships removed, or ended with their groups"
    )
    return _rows(scope)


def _rows(scope: Scope) -> Rows:
    ended = ended_before = 0
    for page in scope.pages(_PAGE, -1):
        runs = [Looked(*row) for row in page]
        with_groups = _ended_with_groups(scope, runs)
        for run in runs:
            scope.scanned += 1
            lost = with_groups.get(run.first, 0)
            if not _is_burst(run, run.deactivated + run.deleted, lost):
                continue
            disabled = scope.row(_DELETED_DISABLED, **_where(run))[0] if run.deleted else 0
            users = run.deactivated + run.deleted - disabled
            if not _is_burst(run, users, lost):
                continue
            scope.matched += 1
            ended, ended_before = ended + users, ended_before + disabled
            yield _line(scope, run, users, disabled, lost)
    return [
        Figure("Runs looked at", scope.scanned),
        Figure("Active users deactivated or deleted in them, each time", ended),
        Figure("Users deleted in them who were disabled already, not counted", ended_before),
    ]


def _ended_with_groups(scope: Scope, runs: Sequence[Looked]) -> dict[Any, int]:
    """How many memberships ended with the groups that the runs deleted, by the runs' first positions."""
    deleting = [(run.first, run.last, run.client_id) for run in runs if run.groups]
    firsts, lasts, clients = ([each[column] for each in deleting] for column in range(3))
    return dict(scope.rows(ENDED_WITH_GROUPS, firsts=firsts, lasts=lasts, clients=clients)) if deleting else {}


def _is_burst(run: Looked, users: int, lost: int) -> bool:
    return users >= _least(run.active) or run.removed + lost >= _least(run.active)


def _where(run: Looked) -> dict[str, Any]:
    return {"begin": run.first, "end": run.last, "client": run.client_id}


def _line(scope: Scope, run: Looked, users: int, disabled: int, lost: int) -> Row:
    """users: active ones who were deactivated or deleted. disabled: deleted ones who were not active.

    lost: memberships that ended with their groups.
    """
    back, back_at = scope.row(_RESOLVED, **_where(run))
    return (
        run.first, known_as(run.client_id, run.label), run.client_id, run.started, run.ended, run.deactivated,
        run.deleted - disabled, disabled, run.removed, lost, run.groups, run.active,
        round(100 * users / run.active, 1) if run.active else None, _cause(users >= _least(run.active), run.groups),
        back, back_at, run.addresses, run.last,
    )  # fmt: skip


def _least(active: int) -> int:
    """From how many on a run is a burst, among so many active users."""
    return min(USERS_ALWAYS, max(USERS_MIN, -int(-active * SHARE_MIN // 1)))


def _cause(users: bool, groups: int) -> str:
    if users:
        return "R5: scope, mapping or source import was changed, perhaps by mistake"
    return "R10: collateral of a change of groups" if groups else "memberships of many were taken back at once"


BURSTS = Report(
    "bursts",
    1,
    "Bursts of deprovisioning in a period",
    "When one client took access from many at once, what share of everybody that was, and who was let in again.",
    (
        "run", "client", "client_id", "started", "ended", "deactivated", "deleted", "deleted_disabled",
        "memberships_removed", "memberships_ended", "groups_deleted", "active_before", "share_percent",
        "suspected_cause", "reactivated_since", "last_reactivated_at", "addresses", "last_position",
    ),
    begin,
    of_period=True,
)  # fmt: skip
