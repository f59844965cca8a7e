"""A batch of jobs as the arguments of one `ledger_append` call, and its answer as one result a job."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Int4

from ledger.arrays import booleans, byteas, integers, literal, texts, uuids
from ledger.jobs import Job, UserRow


def rare(rows: Sequence[tuple[str, dict[str, Any]]]) -> Jsonb:
    """Pack what few batches have: (name, row)."""
    named: dict[str, list[dict[str, Any]]] = {"held": [], "streams": [], "values": [], "released": [], "vacating": []}
    for name, row in rows:
        named[name].append(row)
    return Jsonb(named)


# The function's arguments after tenant and clock, in its order, with how each is packed.
_COLUMNS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("user_job", integers), ("user_id", uuids), ("user_version", integers),
    ("group_job", integers), ("group_id", uuids), ("group_attribute_version", integers),
    ("group_exact_version", integers),
    ("exists_job", integers), ("exists_id", uuids), ("exists_group", booleans),
    ("edge_job", integers), ("edge_group", uuids), ("edge_member", uuids), ("edge_open", booleans),
    ("name_job", integers), ("name_key", byteas), ("name_holder", uuids), ("name_group", booleans),
    ("setting_job", integers), ("setting_unique_names", booleans),
    ("left_job", integers), ("left_key", byteas),
    ("rare", rare),
    ("entry_stream", texts), ("entry_version", integers), ("entry_bump", integers), ("entry_type", texts),
    ("entry_subject", uuids), ("entry_request", uuids), ("entry_actor", texts), ("entry_commitment", byteas),
    ("entry_payload", byteas), ("entry_key", uuids),
    ("bump_group", uuids), ("bump_count", integers), ("bump_entry", integers), ("bump_members", integers),
    ("new_user_id", uuids), ("new_user_version", integers), ("new_user_entry", integers),
    ("new_user_last_entry", integers), ("new_user_name_key", byteas), ("new_user_external_id_key", byteas),
    ("new_user_active", booleans), ("new_user_document", byteas), ("new_user_search", texts),
    ("new_user_terms", texts), ("new_user_type", texts),
    ("changed_user_id", uuids), ("changed_user_version", integers), ("changed_user_entry", integers),
    ("changed_user_name_key", byteas), ("changed_user_external_id_key", byteas),
    ("changed_user_active", booleans), ("changed_user_document", byteas), ("changed_user_search", texts),
    ("changed_user_terms", texts),
    ("gone_user_id", uuids),
    ("new_group_id", uuids), ("new_group_version", integers), ("new_group_entry", integers),
    ("new_group_last_entry", integers), ("new_group_member_count", integers),
    ("new_group_attribute_version", integers),
    ("new_group_name_key", byteas), ("new_group_unique_name_key", byteas),
    ("new_group_external_id_key", byteas), ("new_group_document", byteas), ("new_group_search", texts),
    ("new_group_terms", texts),
    ("changed_group_id", uuids), ("changed_group_bump", integers), ("changed_group_version", integers),
    ("changed_group_name_key", byteas), ("changed_group_unique_name_key", byteas),
    ("changed_group_external_id_key", byteas), ("changed_group_document", byteas),
    ("changed_group_search", texts), ("changed_group_terms", texts),
    ("gone_group_id", uuids), ("gone_group_entry", integers),
    ("opened_group", uuids), ("opened_member", uuids), ("opened_type", texts), ("opened_entry", integers),
    ("opened_until", integers),
    ("closed_group", uuids), ("closed_member", uuids), ("closed_entry", integers),
    ("key_subject", uuids), ("key_id", uuids), ("key_wrapped", byteas),
    ("received_request", uuids), ("received_wrapped", byteas), ("received_sealed", byteas),
    ("received_subjects", texts),
)  # fmt: skip

# In Postgres' own placeholders: psycopg does not remember how it read a statement as long as this.
_PLACEHOLDERS = ", ".join(f"${number}" for number in range(1, len(_COLUMNS) + 3))
CALL = f"select size, recorded, failed, base from ledger_append({_PLACEHOLDERS})"  # noqa: S608


class Appended(Struct, frozen=True):
    """What became of a job: where and when its entries stand, and the versions its groups had before it.

    position: of its first entry. group_base: by group id, the version that the job's own entries count from.
    """

    position: int
    recorded_at: datetime
    group_base: dict[str, int]


class Batch:
    """Jobs packed together. `bases[i]` says how many versions earlier jobs of the batch add to each group."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.columns: dict[str, list[Any]] = {}
        self.first_entry: list[int] = []
        self.group_turn: list[dict[str, int]] = []
        self._groups: dict[str, int] = {}  # Group id → its place among the bumped groups, from 1.
        self._bumps: list[int] = []
        self._last_entry: list[int] = []
        self._growth: list[int] = []
        self._toggled: list[tuple[Any, ...]] = []
        self._count = 0
        for number, job in enumerate(jobs):
            self._preconditions(number, job)
            self._entries(job)
            self._rows(job)
        for row in self._toggled:  # Last, so that the columns they have not are shorter.
            self._row(_TOGGLED_USER, row)
        if self._groups:
            self._add("bump_group", *self._groups)
            self._add("bump_count", *self._bumps)
            self._add("bump_entry", *self._last_entry)
            self._add("bump_members", *self._growth)

    def arguments(self, now: datetime) -> list[Any]:
        """Return the call's arguments; columns that the batch does not have are null."""
        columns = self.columns
        packed: list[Any] = [Int4(self.jobs[0].tenant_id), now]
        for name, pack in _COLUMNS:
            values = columns.get(name)
            packed.append(None if values is None else pack(values))
        return packed

    def result(self, number: int, size: int, recorded_at: datetime, base: list[int] | None) -> Appended:
        """Return one job's part of the call's answer."""
        turns = self.group_turn[number]
        bases = {group: turn + base[self._groups[group] - 1] for group, turn in turns.items()} if base else {}
        return Appended(size + self.first_entry[number], recorded_at, bases)

    def _add(self, name: str, *values: Any) -> None:
        self.columns.setdefault(name, []).extend(values)

    def _row(self, names: tuple[str, ...], values: tuple[Any, ...]) -> None:
        columns = self.columns
        for name, value in zip(names, values, strict=True):
            column = columns.get(name)
            if column is None:
                columns[name] = [value]
            else:
                column.append(value)

    def _preconditions(self, number: int, job: Job) -> None:
        for user_id, version in job.users_at:
            self._row(("user_job", "user_id", "user_version"), (number, user_id, version))
        for group in job.groups_at:
            self._row(_GROUP_AT, (number, *group))
        for resource in job.existing:
            self._row(("exists_job", "exists_id", "exists_group"), (number, *resource))
        for edge in job.edges:
            self._row(("edge_job", "edge_group", "edge_member", "edge_open"), (number, *edge))
        for member_id, count in job.held:
            self._add("rare", ("held", {"job": number, "member": member_id, "count": count}))
        for name in job.names:
            self._row(("name_job", "name_key", "name_holder", "name_group"), (number, *name))
        for new, _, _ in job.new_groups:
            self._row(_SETTING, (number, new.unique_name_key is not None))
        for changed, _ in job.changed_groups:
            self._row(_SETTING, (number, changed.unique_name_key is not None))
        for key in job.left:
            self._row(("left_job", "left_key"), (number, key))
        for stream, version in job.streams_at:
            self._add("rare", ("streams", {"job": number, "stream": stream, "version": version}))
        for key, holder in job.values:
            self._add("rare", ("values", {"job": number, "key": key.hex(), "holder": holder}))
        for key in job.released:
            self._add("rare", ("released", {"key": key.hex()}))

    def _entries(self, job: Job) -> None:
        """Lay down the job's entries; those of bumped groups count on from the batch's earlier jobs."""
        first = self._count
        self.first_entry.append(first)
        turns: dict[str, int] = {}
        for index, entry in enumerate(job.entries):
            place, version = 0, entry.version
            if entry.bumps:
                group_id = entry.stream.partition("/")[2]
                place = self._place(group_id)
                turn = turns.setdefault(group_id, self._bumps[place - 1])
                version += turn
                self._bumps[place - 1] = version
                self._last_entry[place - 1] = first + index
            self._row(
                _ENTRY,
                (
                    entry.stream, version, place, entry.event_type, entry.subject_id,
                    entry.request_id or job.request_id, job.actor, entry.commitment, entry.payload, entry.key_id,
                ),
            )  # fmt: skip
        self.group_turn.append(turns)
        self._count = first + len(job.entries)

    def _place(self, group_id: str) -> int:
        place = self._groups.get(group_id)
        if place is None:
            place = self._groups[group_id] = len(self._groups) + 1
            self._bumps.append(0)
            self._last_entry.append(0)
            self._growth.append(0)
        return place

    def _rows(self, job: Job) -> None:
        first, turns = self.first_entry[-1], self.group_turn[-1]
        for row, created, last in job.new_users:
            columns = (row.id, row.version, first + created, first + last, *_user_columns(row), row.resource_type)
            self._row(_NEW_USER, columns)
        for row, entry in job.changed_users:
            if row.search is None:
                self._toggled.append((row.id, row.version, first + entry, row.active, row.document))
            else:
                self._row(_CHANGED_USER, (row.id, row.version, first + entry, *_user_columns(row)))
        for group, created, last in job.new_groups:
            self._row(
                _NEW_GROUP,
                (
                    group.id, group.version, first + created, first + last, group.member_count,
                    group.attribute_version, group.name_key, group.unique_name_key, group.external_id_key,
                    group.document, group.search, group.terms,
                ),
            )  # fmt: skip
        for group, version in job.changed_groups:
            self._row(
                _CHANGED_GROUP,
                (
                    group.id, self._groups[group.id], turns[group.id] + version, group.name_key,
                    group.unique_name_key, group.external_id_key, group.document, group.search, group.terms,
                ),
            )  # fmt: skip
        if job.gone_users:
            self._add("gone_user_id", *job.gone_users)
        for resource_id in job.vacating:
            self._add("rare", ("vacating", {"id": resource_id}))
        for group_id, entry in job.gone_groups:
            self._row(("gone_group_id", "gone_group_entry"), (group_id, first + entry))
        for edge in job.opened:
            until = None if edge.until is None else first + edge.until
            if edge.group_id in turns and until is None:
                self._growth[self._groups[edge.group_id] - 1] += 1
            self._row(_OPENED, (edge.group_id, edge.member_id, edge.member_type, first + edge.entry, until))
        for edge in job.closed:
            self._growth[self._groups[edge.group_id] - 1] -= 1
            self._row(_CLOSED, (edge.group_id, edge.member_id, first + edge.entry))
        for key in job.subject_keys:
            self._row(("key_subject", "key_id", "key_wrapped"), (key.subject_id, key.key_id, key.wrapped))
        for received in job.received:
            subjects = literal(received.subjects)
            self._row(_RECEIVED, (received.request_id, received.wrapped, received.sealed, subjects))


def _user_columns(row: UserRow) -> tuple[Any, ...]:
    return (row.name_key, row.external_id_key, row.active, row.document, row.search, row.terms)


def _named(*prefixes: str) -> tuple[str, ...]:
    """The columns whose names begin so and go on, in the function's order."""
    return tuple(name for name, _ in _COLUMNS if name.startswith(prefixes))


_GROUP_AT = ("group_job", "group_id", "group_attribute_version", "group_exact_version")
_SETTING = _named("setting_")
_ENTRY = _named("entry_")
_NEW_USER = _named("new_user_")
_CHANGED_USER = _named("changed_user_")
_TOGGLED_USER = (*_CHANGED_USER[:3], "changed_user_active", "changed_user_document")
_NEW_GROUP = _named("new_group_")
_CHANGED_GROUP = _named("changed_group_")
_OPENED = _named("opened_")
_CLOSED = _named("closed_")
_RECEIVED = _named("received_")
