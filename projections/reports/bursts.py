"""When many lost their access at once, in a period."""

from collections.abc import Sequence
from typing import Any

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
# Who of a run's deactivated users was let in again until the end, by whatever entry, and when the last of them.
_RESOLVED = """
select count(*), max(b.recorded_at)
  from entries e
 cross join lateral (select r.modified_at as recorded_at
                       from resource_states r
                      where r.tenant_id = e.tenant_id
                        and r.id = e.subject_id
                        and r.from_position > e.position
                        and r.from_position <= %(last)s
                        and r.active is distinct from false
                      order by r.from_position
                      limit 1) b
 where e.tenant_id = %(tenant)s
   and e.position >= %(begin)s
   and e.position <= %(end)s
   and e.event_type = 'Deactivated'
   and starts_with(e.stream, 'users/')
   and exists (select from trail t
                where t.tenant_id = e.tenant_id and t.request_id = e.request_id and t.token_id = %(client)s)
"""


def begin(scope: Scope) -> Rows:
    """Nothing besides the period is asked for."""
    scope.filters.append(
        f"runs in which {USERS_MIN} or more, and {SHARE_MIN:.0%} of the active users, or {USERS_ALWAYS} at least, were "
        "deactivated or deleted; or as many memberships removed, or ended with their groups"
    )
    return _rows(scope)


def _rows(scope: Scope) -> Rows:
    ended = 0
    for page in scope.pages(_PAGE, -1):
        with_groups = _ended_with_groups(scope, page)
        for row in page:
            scope.scanned += 1
            first, last, client_id, label, started, until, deactivated, deleted, removed, groups, active, addresses = (
                row
            )
            users, least, lost = deactivated + deleted, _least(active), with_groups.get(first, 0)
            if users < least and removed + lost < least:
                continue
            scope.matched += 1
            ended += users
            back, back_at = scope.row(_RESOLVED, begin=first, end=last, client=client_id)
            yield (
                first, known_as(client_id, label), client_id, started, until,
                deactivated, deleted, removed, lost, groups, active, round(100 * users / active, 1) if active else None,
                _cause(users >= least, groups), back, back_at, addresses, last,
            )  # fmt: skip
    return [
        Figure("Runs looked at", scope.scanned),
        Figure("Users deactivated or deleted in them, each time", ended),
    ]


def _ended_with_groups(scope: Scope, page: Sequence[Row]) -> dict[Any, int]:
    """How many memberships ended with the groups that a page's runs deleted, by the runs' first positions."""
    deleting = [(first, last, client_id) for first, last, client_id, *_, groups, _, _ in page if groups]
    firsts, lasts, clients = ([each[column] for each in deleting] for column in range(3))
    return dict(scope.rows(ENDED_WITH_GROUPS, firsts=firsts, lasts=lasts, clients=clients)) if deleting else {}


def _least(active: int) -> int:
    """From how many on a run is a burst, among so many active users."""
    return min(USERS_ALWAYS, max(USERS_MIN, -int(-active * SHARE_MIN // 1)))


def _cause(users: bool, groups: Any) -> str:
    if users:
        return "R5: scope, mapping or source import was changed, perhaps by mistake"
    return "R10: collateral of a change of groups" if groups else "memberships of many were taken back at once"


BURSTS = Report(
    "bursts",
    1,
    "Bursts of deprovisioning in a period",
    "When one client took access from many at once, what share of everybody that was, and who was let in again.",
    (
        "run", "client", "client_id", "started", "ended", "deactivated", "deleted", "memberships_removed",
        "memberships_ended", "groups_deleted", "active_before", "share_percent", "suspected_cause", "reactivated_since",
        "last_reactivated_at", "addresses", "last_position",
    ),
    begin,
    of_period=True,
)  # fmt: skip
