"""Runs: a client's requests with no long pause between them. Our stand-in for a cycle, which no request names.

A run is named by the position of its first request, which is no other's. It ends when the client's next request comes
later than GAP; the last run of a client may still grow. Times are those of recording, which never decrease, so that
requests which took long, restarts of the runner and the size of its pages give the same runs; repetitions of a refusal,
which are recorded later, count at the time of the last of them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, get_origin, get_type_hints

from msgspec import Struct, field
from msgspec.structs import astuple
from psycopg import Cursor

from ledger.arrays import literal
from ledger.entry import Entry, TenantId
from projections.requests import cause_of, happened_at, repetitions, requests
from projections.story import activity_id
from projections.tables import Table, copy_lines, json, text, texts
from projections.trail import outcome, target
from projections.turns import CREATED, CREATED_INACTIVE, DEACTIVATED, DELETED, REACTIVATED, turn

GAP = timedelta(minutes=5)
_SEEN_MAX = 20  # Addresses and user agents that a run remembers.


class Visit(Struct, frozen=True):
    """One request, as far as runs are concerned; or the repetitions of a refusal, as many as it says.

    users, groups: whom it was about. events: about them, by type, how many. turns: of users' `active`, in order:
    (user, turn).
    """

    first_position: int
    last_position: int
    at: datetime
    client_id: str
    client_label: str
    client_address: str
    user_agent: str
    activity_id: str
    action: str
    status: str
    repetitions: int
    users: set[str]
    groups: set[str]
    events: dict[str, int]
    turns: list[tuple[str, str]]


class Run(Struct):
    """A client's requests with no long pause between them; grows while it is folded.

    client_id: token or OAuth client, `operator`; empty for requests whose record was erased.
    requests: how many were sent, each once; not reads that succeeded, which leave no entry. repetitions: how many of
    these are recorded by their number alone, as repetitions of a refusal. counts: action → status → requests.
    users_touched, groups_touched: whom the requests were about; a group that leaves another counts as a user, for its
    entry does not say what it is.
    active_before, active_after: active users of the tenant, whoever else changed them meanwhile.
    activity_id: when every request carried the same.
    """

    first_position: int
    last_position: int
    client_id: str
    client_label: str
    started: datetime
    ended: datetime
    requests: int = 0
    repetitions: int = 0
    entries: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    users_touched: int = 0
    groups_touched: int = 0
    users_created: int = 0
    users_deactivated: int = 0
    users_reactivated: int = 0
    users_deleted: int = 0
    groups_created: int = 0
    groups_deleted: int = 0
    memberships_added: int = 0
    memberships_removed: int = 0
    active_before: int = 0
    active_after: int = 0
    client_addresses: list[str] = field(default_factory=list)
    user_agents: list[str] = field(default_factory=list)
    activity_id: str = ""


_COUNTED_AS = {
    "GroupCreated": "groups_created",
    "GroupDeleted": "groups_deleted",
    "MembershipAdded": "memberships_added",
    "MembershipRemoved": "memberships_removed",
}
_TURNED_AS = {
    CREATED: "users_created",
    CREATED_INACTIVE: "users_created",
    DEACTIVATED: "users_deactivated",
    REACTIVATED: "users_reactivated",
    DELETED: "users_deleted",
}


def visits(entries: Iterable[Entry]) -> Iterator[Visit]:
    """Return one visit for each request, in order. entries: whole requests, in position order."""
    for request in requests(entries):
        first, cause = request[0], cause_of(request)
        decisive, action, status = outcome(request, cause.method)
        users, groups, events, turns = _met(request)
        if not users and not groups:  # It changed nothing of theirs, but may have meant somebody.
            resource_type, target_id = target(decisive, cause.path)
            if target_id is not None and resource_type in ("User", "Group"):
                (users if resource_type == "User" else groups).add(target_id)
        yield Visit(
            first.position, request[-1].position, happened_at(first), cause.token_id, cause.token_label,
            cause.client_address, cause.user_agent, activity_id(cause.correlation) if cause.correlation else "",
            action, status, repetitions(first), users - groups, groups, events, turns,
        )  # fmt: skip


def _met(request: Sequence[Entry]) -> tuple[set[str], set[str], dict[str, int], list[tuple[str, str]]]:
    """The users and the groups that a request's entries are about, with their events and turns.

    What is about neither does not count: a device, too, can be deactivated.
    """
    users, groups = set[str](), set[str]()
    events, turns = dict[str, int](), list[tuple[str, str]]()
    for entry in request:
        kind, _, resource_id = entry.stream.partition("/")
        if kind == "users":
            users.add(resource_id)
            if turned := turn(entry):
                turns.append((resource_id, turned))
        elif kind == "groups":
            groups.add(resource_id)
            if entry.subject_id != resource_id and getattr(entry.event, "member_type", "User") == "User":
                users.add(entry.subject_id)
        else:
            continue
        events[entry.event_type] = events.get(entry.event_type, 0) + 1
    return users, groups, events, turns


class Standing:
    """Where runs stand before a page of entries, and after it was folded in.

    runs: the last one of each client. touched: whom that one was about already. inactive: users who are not active.
    active: how many are. What is not asked about on the page may be missing.
    """

    def __init__(self, runs: dict[str, Run], touched: dict[str, set[str]], inactive: set[str], active: int) -> None:
        self.runs = runs
        self.touched = touched
        self.inactive = inactive
        self.active = active

    def fold(self, visited: Iterable[Visit]) -> dict[int, Run]:
        """Fold requests in, in order; returns the runs that they began or made grow, by their first positions."""
        changed: dict[int, Run] = {}
        for visit in visited:
            run = self.runs.get(visit.client_id)
            if run is None or visit.at - run.ended > GAP:
                run = Run(
                    visit.first_position, visit.last_position, visit.client_id, visit.client_label, visit.at, visit.at,
                    active_before=self.active, activity_id=visit.activity_id,
                )  # fmt: skip
                self.runs[visit.client_id] = run
                self.touched[visit.client_id] = set()
            changed[run.first_position] = run
            self._population(visit)
            self._grow(run, visit)
        return changed

    def _population(self, visit: Visit) -> None:
        for user_id, turned in visit.turns:
            was_active = user_id not in self.inactive and turned not in (CREATED, CREATED_INACTIVE)
            self.active += (turned in (CREATED, REACTIVATED)) - was_active
            if turned in (CREATED_INACTIVE, DEACTIVATED):
                self.inactive.add(user_id)
            else:
                self.inactive.discard(user_id)

    def _grow(self, run: Run, visit: Visit) -> None:
        run.last_position, run.active_after = visit.last_position, self.active
        run.ended = max(run.ended, visit.at)  # Repetitions may come from before the latest request.
        run.client_label = visit.client_label or run.client_label
        requests = visit.repetitions or 1  # Their entry is no request besides.
        run.requests += requests
        run.repetitions += visit.repetitions
        run.entries += visit.last_position - visit.first_position + 1
        by_status = run.counts.setdefault(visit.action, {})
        by_status[visit.status] = by_status.get(visit.status, 0) + requests
        counted = [(_TURNED_AS[turned], 1) for _, turned in visit.turns]
        counted += [(_COUNTED_AS[each], count) for each, count in visit.events.items() if each in _COUNTED_AS]
        for name, count in counted:
            setattr(run, name, getattr(run, name) + count)
        touched = self.touched[visit.client_id]
        run.users_touched += len(visit.users - touched)
        run.groups_touched += len(visit.groups - touched)
        touched |= visit.users | visit.groups
        _see(run.client_addresses, visit.client_address)
        _see(run.user_agents, visit.user_agent)
        if run.activity_id != visit.activity_id:
            run.activity_id = ""


def _see(seen: list[str], value: str) -> None:
    if value and value not in seen and len(seen) < _SEEN_MAX:
        seen.append(value)


RUN_COLUMNS = Run.__struct_fields__
RUNS = Table("runs", ("tenant_id", "first_position"), ("tenant_id", *RUN_COLUMNS), searched=True)
_SUBJECT = ("tenant_id", "client_id", "subject_id")
RUN_SUBJECTS = Table("run_subjects", _SUBJECT, _SUBJECT, searched=True)
INACTIVE_USERS = Table("inactive_users", ("tenant_id", "user_id"), ("tenant_id", "user_id"), searched=True)

_LAST_RUNS = f"""
select {", ".join(f"r.{name}" for name in RUN_COLUMNS)}
  from unnest(%(clients)s::text[]) c(client_id)
 cross join lateral (select *
                       from runs
                      where tenant_id = %(tenant)s
                        and client_id = c.client_id
                      order by first_position desc
                      limit 1) r
"""  # noqa: S608  # Columns of ours.
# One index probe each: a limit keeps any planner from reading all that a long run has touched.
_TOUCHED = """
select t.subject_id::text
  from unnest(%(subjects)s::uuid[]) t(subject_id)
 cross join lateral (select
                       from run_subjects s
                      where s.tenant_id = %(tenant)s
                        and s.client_id = %(client)s
                        and s.subject_id = t.subject_id
                      limit 1) s
"""
_INACTIVE = """
select user_id::text
  from inactive_users
 where tenant_id = %(tenant)s
   and user_id = any(%(users)s::uuid[])
"""
_ACTIVE = """
select active_after
  from runs
 where tenant_id = %(tenant)s
 order by last_position desc
 limit 1
"""
_DELETE_RUNS = "delete from runs where tenant_id = %s and first_position = any(%s::bigint[])"
_DELETE_SUBJECTS = "delete from run_subjects where tenant_id = %s and client_id = %s"
_DELETE_INACTIVE = "delete from inactive_users where tenant_id = %s and user_id = any(%s::uuid[])"


class Runs:
    """The catch-up projection behind `runs`."""

    name = "runs"
    revision = 4
    tables = (RUNS, RUN_SUBJECTS, INACTIVE_USERS)

    def write(self, cursor: Cursor[Any], tenant_id: TenantId, entries: Sequence[Entry]) -> None:
        """Let the runs grow by some whole requests."""
        visited = list(visits(entries))
        turns = [each for visit in visited for each in visit.turns]
        # Nothing that was kept before can be about whom the page creates.
        new = {user_id for user_id, turned in turns if turned in (CREATED, CREATED_INACTIVE)}
        older = literal({user_id for user_id, _ in turns} - new)
        standing = _standing(cursor, tenant_id, visited, new, older)
        was_last = {client_id: run.first_position for client_id, run in standing.runs.items()}
        known = {client_id: frozenset(touched) for client_id, touched in standing.touched.items()}
        changed = standing.fold(visited)
        cursor.execute(_DELETE_RUNS, (tenant_id, [first for first in was_last.values() if first in changed]))
        copy_lines(cursor, RUNS, [_line(tenant_id, run) for run in changed.values()])
        for client_id, run in standing.runs.items():
            if was_last.get(client_id) != run.first_position:
                cursor.execute(_DELETE_SUBJECTS, (tenant_id, client_id))
                known[client_id] = frozenset()
        lines = [
            f"{tenant_id}\t{text(client_id)}\t{subject_id}"
            for client_id, touched in standing.touched.items()
            for subject_id in sorted(touched - known[client_id])  # Neighbours in the index are written together.
        ]
        copy_lines(cursor, RUN_SUBJECTS, lines)
        cursor.execute(_DELETE_INACTIVE, (tenant_id, older))
        copy_lines(cursor, INACTIVE_USERS, [f"{tenant_id}\t{user_id}" for user_id in sorted(standing.inactive)])


def _standing(
    cursor: Cursor[Any], tenant_id: TenantId, visited: Sequence[Visit], new: set[str], older: str
) -> Standing:
    """What the page's requests go on from. new: whom the page creates. older: whose being active it turns besides."""
    met: dict[str, set[str]] = {}
    for visit in visited:
        met.setdefault(visit.client_id, set()).update(visit.users, visit.groups)
    parameters: dict[str, Any] = {
        "tenant": tenant_id,
        "clients": list(met),
        "users": older,
    }
    found = [Run(*row) for row in cursor.execute(_LAST_RUNS, parameters)]
    touched: dict[str, set[str]] = {}
    for run in found:
        asked = {"tenant": tenant_id, "client": run.client_id, "subjects": literal(met[run.client_id] - new)}
        touched[run.client_id] = {subject_id for (subject_id,) in cursor.execute(_TOUCHED, asked)}
    inactive = {row[0] for row in cursor.execute(_INACTIVE, parameters)}
    latest = cursor.execute(_ACTIVE, parameters).fetchone()
    return Standing({run.client_id: run for run in found}, touched, inactive, latest[0] if latest else 0)


_ENCODE: dict[Any, Callable[[Any], str]] = {
    int: str,
    str: text,
    datetime: datetime.isoformat,
    dict: json,
    list: texts,
}
_ENCODERS = [_ENCODE[get_origin(kind) or kind] for kind in get_type_hints(Run).values()]


def _line(tenant_id: TenantId, run: Run) -> str:
    """A row in the order of RUNS.columns."""
    fields = [encode(value) for encode, value in zip(_ENCODERS, astuple(run), strict=True)]
    return "\t".join([str(tenant_id), *fields])
