"""Runs as they are asked for, and how regularly clients come: who has fallen silent, and since when.

Reads that succeed leave no entry, so a cycle that finds nothing to change is no run; that the client was here is known
from the last use of its token all the same.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import psycopg
from msgspec import Struct

from ledger.entry import Tenant
from ledger.tenants import OPERATOR
from projections.runs import RUN_COLUMNS, Run

COUNT_MAX = 1_000
SILENCE_MIN = timedelta(hours=2)
_RUNS_LOOKED_AT = 50
_RUNS_OF_A_REGULAR = 4
_INTERVALS_MISSED = 3  # Entra comes every 40 minutes: two hours.


class NoSuchClient(Exception):
    """No client of the tenant has, or ever had, that id or label."""


class ClientSeen(Struct, frozen=True, omit_defaults=True):
    """A client that may act. last_seen: its last request, reads included; None before the first.

    usual_interval_s: between the beginnings of its latest runs, when it comes regularly.
    silent_since: its last request, when it has stayed away for longer than it ever should.
    """

    client_id: str
    client_label: str
    last_seen: datetime | None = None
    usual_interval_s: int | None = None
    silent_since: datetime | None = None


class RunTold(Run):
    """A run, and what follows from it.

    single_object: all of it was about one user or group, as on demand. memberships_ended: with the groups that it
    deleted; none of them has an entry. changed_by_others: how many users are active does not follow from the run, and
    other clients' runs changed users meanwhile.
    """

    memberships_ended: int = 0
    duration_s: float = 0.0
    single_object: bool = False
    changed_by_others: bool = False

    @property
    def follows(self) -> bool:
        """Whether the run by itself can have made that many users active: it may create and delete inactive ones."""
        least = self.users_reactivated - self.users_deactivated - self.users_deleted
        most = self.users_reactivated - self.users_deactivated + self.users_created
        return least <= self.active_after - self.active_before <= most


class RunList(Struct, frozen=True):
    """A page of runs, newest first. size: how many entries they have read; next_before: where the next page begins."""

    size: int
    runs: list[RunTold]
    next_before: int | None
    clients: list[ClientSeen]


def usual_interval(started: Sequence[datetime]) -> timedelta | None:
    """Return the usual time between the beginnings of runs, given in order; None for who does not come regularly.

    Regularly: four runs or more, and of the intervals between them three quarters a third to thrice the median.
    """
    intervals = [later - earlier for earlier, later in pairwise(started)]
    if len(started) < _RUNS_OF_A_REGULAR:
        return None
    usual = timedelta(seconds=median(interval.total_seconds() for interval in intervals))
    fitting = sum(usual / 3 <= interval <= 3 * usual for interval in intervals)
    return usual if fitting * 4 >= len(intervals) * 3 else None


def silent_since(usual: timedelta | None, last_seen: datetime | None, now: datetime) -> datetime | None:
    """Return since when a regular client is silent: for two hours and three of its intervals; None if it is not."""
    if usual is None or last_seen is None:
        return None
    return last_seen if now - last_seen > max(SILENCE_MIN, _INTERVALS_MISSED * usual) else None


def seen(
    client_id: str, label: str, last_used: datetime | None, runs: Sequence[tuple[datetime, datetime]], now: datetime
) -> ClientSeen:
    """Say of a client when it came, and whether it stays away. runs: (started, ended) of its latest, in order."""
    usual = usual_interval([started for started, _ in runs])
    last_seen = max((time for time in (last_used, runs[-1][1] if runs else None) if time is not None), default=None)
    seconds = None if usual is None else int(usual.total_seconds())
    return ClientSeen(client_id, label, last_seen, seconds, silent_since(usual, last_seen, now))


# Newest first: one index scan of the primary key; there are not many runs.
_RUNS = f"""
select {", ".join(RUN_COLUMNS)}
  from runs
 where tenant_id = %(tenant)s
   and first_position < %(before)s
   and (%(client)s::text is null or %(client)s in (client_id, client_label))
   and last_position >= %(since)s
   and first_position < %(until)s
 order by first_position desc
 limit %(count)s
"""  # noqa: S608  # Columns of ours.

# Runs that changed users while another one went on; asked only of those whose numbers do not follow.
_OTHERS = """
select exists (
       select
         from runs
        where tenant_id = %(tenant)s
          and client_id <> %(client)s
          and first_position < %(last)s
          and last_position > %(first)s
          and users_created + users_deactivated + users_reactivated + users_deleted > 0)
"""
# How many memberships ended with the groups that some runs deleted. The projection cannot count them: a replay writes
# runs without a directory, and a page would have to read a group's members.
ENDED_WITH_GROUPS = """
select r.first_position, count(*)
  from unnest(%(firsts)s::bigint[], %(lasts)s::bigint[],
              %(clients)s::text[]) r(first_position, last_position, client_id)
  join trail t on t.tenant_id = %(tenant)s
              and t.token_id = r.client_id
              and t.first_position between r.first_position and r.last_position
              and t.action = 'delete'
              and t.status = 'success'
              and t.resource_type = 'Group'
  join memberships m on m.tenant_id = t.tenant_id
                    and m.group_id = t.target_id
                    and m.to_position between t.first_position and t.first_position + t.entry_count - 1
 group by r.first_position
"""

# Whoever may send SCIM, as k, and the tokens it uses, as u: an OAuth client's are its access tokens.
SENDERS = """
       (select tenant_id, token_id as id, label, created_at
          from tokens
         where client_id is null and revoked_at is null and 'scim' = any(scopes)
           and (expires_at is null or expires_at > clock_timestamp())
         union all
        select tenant_id, client_id, label, created_at
          from clients
         where revoked_at is null and 'scim' = any(scopes)) k
"""
USED_BY_SENDER = "u.tenant_id = k.tenant_id and coalesce(u.client_id, u.token_id) = k.id"

_CLIENTS = f"""
select k.id::text, k.label, (select max(u.last_used_at) from tokens u where {USED_BY_SENDER}), clock_timestamp()
  from {SENDERS}
 where k.tenant_id = %(tenant)s
 order by k.created_at, k.id
 limit %(count)s
"""  # noqa: S608  # Texts of ours.

_LATEST = """
select c.client_id, r.started, r.ended
  from unnest(%(clients)s::text[]) c(client_id)
 cross join lateral (select started, ended, first_position
                       from runs
                      where tenant_id = %(tenant)s
                        and client_id = c.client_id
                      order by first_position desc
                      limit %(count)s) r
 order by r.first_position
"""


# Revoked ones too, and whoever left a run under a label that nobody has any more.
_KNOWN = """
select exists (select from tokens
                where tenant_id = %(tenant)s and client_id is null and %(client)s in (token_id::text, label))
    or exists (select from clients
                where tenant_id = %(tenant)s and %(client)s in (client_id::text, label))
    or exists (select from runs
                where tenant_id = %(tenant)s and %(client)s in (client_id, client_label))
"""


def read_runs(
    connection: psycopg.Connection[Any], tenant: Tenant, size: int, *, count: int = 50, before: int | None = None,
    client: str | None = None, since: int = 0, until: int | None = None,
) -> RunList:  # fmt: skip
    """Return up to `count` runs, newest first, and every client that may act.

    before: only runs that began before this position. client: id or label. since, until: positions; runs that have a
    request between them. Raises NoSuchClient.
    """
    count = max(0, min(count, COUNT_MAX))
    parameters = {
        "tenant": tenant.tenant_id,
        "before": size if before is None else before,
        "client": client,
        "since": since,
        "until": size if until is None else until,
        "count": count,
    }
    with psycopg.Cursor(connection) as cursor:
        runs = [_told(row) for row in cursor.execute(_RUNS.encode(), parameters)]
        if not runs and client not in (None, OPERATOR) and cursor.execute(_KNOWN, parameters).fetchone() != (True,):
            raise NoSuchClient(f"tenant {tenant.slug} has no client {client!r}, and never had")
        for run in runs:
            run.changed_by_others = not run.follows and _others(cursor, tenant, run)
        _count_ended(cursor, tenant, runs)
    next_before = runs[-1].first_position if runs and len(runs) == count else None
    return RunList(size, runs, next_before, clients_seen(connection, tenant))


def _count_ended(cursor: psycopg.Cursor[Any], tenant: Tenant, runs: Sequence[RunTold]) -> None:
    deleting = {run.first_position: run for run in runs if run.groups_deleted}
    parameters = {
        "tenant": tenant.tenant_id,
        "firsts": list(deleting),
        "lasts": [run.last_position for run in deleting.values()],
        "clients": [run.client_id for run in deleting.values()],
    }
    for first_position, ended in cursor.execute(ENDED_WITH_GROUPS.encode(), parameters) if deleting else ():
        deleting[first_position].memberships_ended = ended


def _told(row: Sequence[Any]) -> RunTold:
    run = RunTold(*row)
    run.duration_s = (run.ended - run.started).total_seconds()
    run.single_object = run.users_touched + run.groups_touched == 1
    return run


def _others(cursor: psycopg.Cursor[Any], tenant: Tenant, run: Run) -> bool:
    asked = {
        "tenant": tenant.tenant_id,
        "client": run.client_id,
        "first": run.first_position,
        "last": run.last_position,
    }
    found = cursor.execute(_OTHERS, asked).fetchone()
    return found is not None and bool(found[0])


def clients_seen(connection: psycopg.Connection[Any], tenant: Tenant) -> list[ClientSeen]:
    """Return every client that may send SCIM requests, in the order in which they were made."""
    parameters: dict[str, Any] = {"tenant": tenant.tenant_id, "count": COUNT_MAX}
    with psycopg.Cursor(connection) as cursor:
        clients = cursor.execute(_CLIENTS.encode(), parameters).fetchall()
        parameters |= {"clients": [client[0] for client in clients], "count": _RUNS_LOOKED_AT}
        runs: dict[str, list[tuple[datetime, datetime]]] = {}
        for client_id, started, ended in cursor.execute(_LATEST, parameters):
            runs.setdefault(client_id, []).append((started, ended))
    return [seen(client_id, label, used, runs.get(client_id, ()), now) for client_id, label, used, now in clients]
