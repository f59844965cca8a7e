"""Questions about people, put to the ledger itself: why, history, as of, log. Each says up to where it has read.

What somebody is or was called is found through the names projection, which an answer waits for; what happened is
read from the entries. A question reads the entries about one resource and its groups, never a group's members.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import groups, users
from domain.attributes import ResourceType
from domain.declarations import resource_types
from domain.errors import InvalidValue
from domain.groups import Group
from domain.resources import schemas_of
from domain.users import User
from ledger.declarations import present_declarations
from ledger.entry import Entry, Erased, Position, Version
from ledger.reader import ELSEWHERE, Reader
from ledger.recorder import Ledger
from projections.entra import EntraRow, entra_told
from projections.log import Log, read_log
from projections.rhythm import RunList, read_runs
from projections.runner import PROJECTIONS, Lagging, catch_up, wait_until
from projections.story import (
    Change,
    GroupHeld,
    GroupNames,
    NameHeld,
    RequestTold,
    change_for,
    first_position,
    in_order,
    in_requests,
    marked,
    names_held,
    requests_told,
    type_name,
)
from projections.subjects import Candidate, Match, NoSuchSubject, find_subjects, names_of

HISTORY_COUNT = 100
HISTORY_COUNT_MAX = 1_000
_PATIENCE_MS = 2_000
_LOOKED_BACK = 200  # Entries before a page, for whose value its first changes overwrote.

# Newest first, from one index; a client's repetitions are read as far as a page takes.
_ELSEWHERE = (
    f"tenant_id = %s and subject_id = %s and {ELSEWHERE} and stream <> %s and position < %s "
    "order by position desc limit %s"
)
# A group's deletion ends every membership with one entry, which is about none of the members. Of the memberships that
# ended last, whatever ended them: all ends are entries of the same history, so none that a page holds is farther back.
_ENDED_WITH_GROUPS = """
select e.position
  from (select to_position
          from memberships
         where tenant_id = %(tenant)s
           and member_id = %(id)s::uuid
           and to_position is not null
           and to_position < %(before)s
         order by to_position desc
         limit %(count)s) m
  join entries e on e.tenant_id = %(tenant)s and e.position = m.to_position
 where e.event_type = 'GroupDeleted'
"""
_HELD = """
select m.group_id::text, m.from_position, e.recorded_at
  from memberships m
  join entries e on e.tenant_id = m.tenant_id and e.position = m.from_position
 where m.tenant_id = %(tenant)s
   and m.member_id = %(id)s::uuid
   and m.from_position < %(size)s
   and (m.to_position is null or m.to_position >= %(size)s)
 order by m.from_position
 limit %(count)s
"""


class Told(Struct, frozen=True):
    """A page of one resource's entries in order, with the requests they came by, and every name it ever had.

    resource: the kind of its stream. next_before: where the page of older ones ends; None on the last.
    """

    id: str
    resource: str
    resource_type: str
    present: bool
    names: list[NameHeld]
    changes: list[Change]
    requests: dict[str, RequestTold]
    next_before: int | None


class History(Struct, frozen=True):
    """The history of everybody the name means or ever meant."""

    subject: str
    size: int
    histories: list[Told]


class Shown(Struct, frozen=True):
    """A resource as it was after the entry at a position.

    exists: whether it was there then. resource: as SCIM showed it, without meta; None while it was not there.
    groups: the direct memberships it had then. changed_at: of its last change until then.
    """

    id: str
    resource_type: str
    exists: bool
    version: int
    changed_at: datetime | None
    resource: dict[str, Any] | None
    groups: list[GroupHeld]


class AsOf(Struct, frozen=True):
    """Everybody the name means or ever meant, as of a position.

    position: of the last entry that counts; -1 before the first. at: the time asked for, when it was a time.
    """

    subject: str
    position: int
    at: datetime | None
    resources: list[Shown]


def history(reader: Reader, asked: str, *, count: int = HISTORY_COUNT, before: int | None = None) -> History:
    """Return the newest entries about a subject, before a position, in order of time. Raises NoSuchSubject.

    count: of each resource's, from 1 to HISTORY_COUNT_MAX.
    """
    size, candidates = candidates_for(reader, asked)
    count = min(max(count, 1), HISTORY_COUNT_MAX)
    until = size if before is None else min(size, before)
    told = [told_of(reader, candidate, count, until, size) for candidate in candidates]
    return History(asked, size, [replace(each, changes=in_order(each.changes)) for each in told])


def as_of(reader: Reader, asked: str, moment: datetime | int | None) -> AsOf:
    """Return a subject's state at a time (all entries recorded until then), after a position's entry, or now.

    Raises NoSuchSubject; InvalidValue for what has not come yet.
    """
    come = None if moment is None else come_by(reader, moment)
    size, candidates = candidates_for(reader, asked)
    until = size if come is None else come
    at = moment if isinstance(moment, datetime) else None
    types = resource_types(present_declarations(reader.connection, reader.tenant.tenant_id))
    shown = [_shown(reader, candidate, until, types.by_stream[candidate.resource]) for candidate in candidates]
    return AsOf(asked, until - 1, at, shown)


def come_by(reader: Reader, moment: datetime | int) -> int:
    """Return how many entries count as of a time, which are all recorded until then, or as of a position's entry.

    Raises InvalidValue for what has not come yet: whatever were answered could still turn out otherwise.
    """
    if isinstance(moment, datetime):
        if moment > datetime.now(UTC):
            raise InvalidValue("the time lies in the future")
        return reader.position_at(moment)
    newest = reader.size() - 1
    if moment > newest:
        raise InvalidValue(f"there is no position {moment} yet; the ledger ends at {newest}")
    return moment + 1


def log(
    reader: Reader, *, count: int, before: int | None, subject: str | None, action: str | None, status: str | None,
    run: int | None = None,
) -> Log:  # fmt: skip
    """Return a page of the provisioning log, newest first; of one run. Raises NoSuchSubject, NoSuchRun."""
    size = read_up_to(reader, "trail")
    read_up_to(reader, "runs")
    subjects = None if subject is None else [candidate.id for candidate in candidates_for(reader, subject)[1]]
    return read_log(
        reader.connection, reader.tenant, size, count=count, before=before, subjects=subjects, action=action,
        status=status, run=run,
    )  # fmt: skip


def runs(
    reader: Reader, *, count: int, before: int | None, client: str | None, since: datetime | int | None,
    until: datetime | int | None,
) -> RunList:  # fmt: skip
    """Return a page of runs, newest first, and how regularly each client comes.

    client: id or label. since, until: only runs with a request between these, both included. Raises NoSuchClient.
    """
    size = read_up_to(reader, "runs")
    read_up_to(reader, "trail")
    if isinstance(since, datetime):
        since = reader.position_at(since, included=False)
    if isinstance(until, datetime):
        until = reader.position_at(until) - 1
    return read_runs(
        reader.connection, reader.tenant, size, count=count, before=before, client=client, since=since or 0,
        until=None if until is None else until + 1,
    )  # fmt: skip


def entra(reader: Reader, asked: str, *, since: datetime | int | None, until: datetime | int | None) -> list[EntraRow]:
    """Return what Entra's log, as imported, says about a subject, oldest first. Raises NoSuchSubject, InvalidValue."""
    if isinstance(since, int) or isinstance(until, int):
        raise InvalidValue("since and until are times here: Entra's log knows no positions")
    _, candidates = candidates_for(reader, asked)
    return entra_told(reader.connection, reader.tenant, [candidate.id for candidate in candidates], since, until)


def present_user(reader: Reader, asked: str) -> str:
    """Return the id of the user who is meant, and who is there now. Raises NoSuchSubject."""
    _, candidates = candidates_for(reader, asked)
    user_ids = [each.id for each in candidates if each.present and each.resource == "users"]
    if not user_ids:
        raise NoSuchSubject(reader.tenant, asked)
    return user_ids[0]


def read_up_to(reader: Reader, projection: str, until: int | None = None) -> int:
    """Return the ledger's size, once a projection has read that far; carry it there when nobody else does.

    until: how many entries it has to have read, if not all of them.
    """
    size = reader.size()
    try:
        wanted = size if until is None else until
        wait_until(reader.connection, reader.tenant, projection, wanted, timeout_ms=_PATIENCE_MS)
    except Lagging:
        catch_up(reader, until=size, projections=[each for each in PROJECTIONS if each.name == projection])
    return size


def candidates_for(reader: Reader, asked: str) -> tuple[int, list[Candidate]]:
    """Return the ledger's size, and everybody that a name means or ever meant by then. Raises NoSuchSubject."""
    size = read_up_to(reader, "names")
    try:
        return size, find_subjects(reader.connection, reader.tenant, asked)
    except NoSuchSubject:
        # An id whose names are gone, as after an erasure, is still the subject of its entries.
        found = _by_entries(reader, asked)
        if found is None:
            raise
        return size, [found]


def _by_entries(reader: Reader, asked: str) -> Candidate | None:
    try:
        subject_id = str(UUID(asked.strip()))  # Not left to the database, whose log would quote what is none.
    except ValueError:
        return None
    entries = reader.about(subject_id)
    own = next((e for e in entries if e.stream.endswith(f"/{subject_id}") and _is_resources(e)), None)
    return None if own is None else Candidate(own.stream.partition("/")[0], subject_id, False, [Match("id")])


_NO_RESOURCES = ("requests/", "tokens/", "clients/", "imports/", "reports/")


def _is_resources(entry: Entry) -> bool:
    return not entry.stream.startswith(_NO_RESOURCES)


def told_of(reader: Reader, candidate: Candidate, count: int, before: int, size: int) -> Told:
    """Return the newest entries about one resource before a position, in order, told as of a size of the ledger."""
    entries = _newest(reader, candidate, count + _LOOKED_BACK, before)
    firsts = {first_position(entry) for entry in entries} - {entry.position for entry in entries}
    named = {p for _, _, *ends in _names_of(reader, [candidate.id]) for p in ends if p is not None and p < size}
    about = reader.at(firsts | named)
    told = requests_told(sorted([*entries, *about], key=_position))
    names = _group_names(reader, entries)
    changes = marked([change_for(candidate.id, entry, names) for entry in entries], told)
    page = changes[-count:]
    return Told(
        id=candidate.id,
        resource=candidate.resource,
        resource_type=type_name(candidate.resource, about),
        present=candidate.present,
        names=names_held(about, candidate.id),
        changes=page,
        requests=in_requests(page, told),
        next_before=page[0].position if len(changes) > len(page) else None,
    )


def _newest(reader: Reader, candidate: Candidate, count: int, before: int) -> list[Entry]:
    """The newest entries about a resource before a position, in order: of its stream, and of all others.

    What is about a group is its own, but not its members. With those that deleted a group it was in.
    """
    then = reader.version_at(candidate.stream, Position(before))
    own = Ledger.of(reader).events.get(candidate.stream, lte=then[0], desc=True, limit=count) if then else ()
    elsewhere = reader.selected(_ELSEWHERE, candidate.id, candidate.stream, before, count)
    about = {entry.position: entry for entry in (*own, *elsewhere)}
    deletions = reader.found(_ENDED_WITH_GROUPS, id=candidate.id, before=before, count=count)
    ended = reader.at({position for (position,) in deletions} - about.keys())  # A group may have been in itself.
    return sorted([*about.values(), *ended], key=_position)[-count:]


def _group_names(reader: Reader, entries: Iterable[Entry]) -> GroupNames:
    """The names, ever, of the groups whose streams the entries are of."""
    group_ids = {entry.stream[7:] for entry in entries if entry.stream.startswith("groups/")}
    return GroupNames(reader.at({since for _, kind, since, _ in _names_of(reader, group_ids) if kind == "displayName"}))


def _names_of(reader: Reader, ids: Iterable[str]) -> list[tuple[Any, ...]]:
    return names_of(reader.connection, reader.tenant, ids)


def _position(entry: Entry) -> int:
    return entry.position


def _shown(reader: Reader, candidate: Candidate, size: int, resource_type: ResourceType) -> Shown:
    then = reader.version_at(candidate.stream, Position(size))
    version, changed_at = then or (Version(0), None)
    state = _state(reader, candidate, version)
    return Shown(
        id=candidate.id,
        resource_type=resource_type.name,
        exists=state is not None,
        version=version,
        changed_at=changed_at,
        resource=None
        if state is None
        else {"schemas": schemas_of(state.resource, resource_type), "id": state.id, **state.resource},
        groups=[] if state is None else _groups_held(reader, candidate, size),
    )


def memberships_held(reader: Reader, member_id: str, size: int, *, count: int | None = None) -> list[tuple[Any, ...]]:
    """Return the direct memberships that somebody had at a size of the ledger: (group id, position, time) of each."""
    return reader.found(_HELD, id=member_id, size=size, count=count)


def _groups_held(reader: Reader, candidate: Candidate, size: int) -> list[GroupHeld]:
    rows = memberships_held(reader, candidate.id, size)
    named = {since for _, kind, since, _ in _names_of(reader, {row[0] for row in rows}) if kind == "displayName"}
    names = GroupNames(reader.at(named))
    return [GroupHeld(group_id, names.at(group_id, size - 1), *since) for group_id, *since in rows]


def _state(reader: Reader, candidate: Candidate, version: Version) -> User | Group | None:
    """The resource at a version of its stream."""
    of_groups = candidate.resource == "groups"
    evolve: Any = groups.evolve if of_groups else users.evolve

    def folded(state: Any, entries: Iterable[Any]) -> Any:
        for entry in entries:
            if isinstance(entry.event, Erased):  # Of an erased person it stays known that it was there, no more.
                empty = Group if of_groups else User
                state = None if entry.event_type.endswith("Deleted") else empty(candidate.id, {}, entry.version)
            else:
                state = evolve(state, entry.event)
        return state

    state: User | Group | None = Ledger.of(reader).state_at(candidate.stream, version, folded)
    return state
