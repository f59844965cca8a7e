"""The jobs of one request's operations made one: every entry in order, one final row a resource, preconditions.

A resource may be made, changed, changed again and deleted by operations of one request. The ledger has an entry for
each; the directory gets what is left in the end, and each membership the interval in which it was open.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ledger.draft import Draft
from ledger.jobs import Job, Membership, NewEntry


class _Written(Struct):
    """What becomes of one resource: its final row, and the entries that made it and changed it last.

    made: None when it was there before. changed: of a group, the version of its last change that was no membership.
    """

    row: Any = None
    made: int | None = None
    last: int = 0
    changed: int = 0
    gone: int | None = None


def merged(draft: Draft, request_id: str, order: Iterable[int]) -> Job:
    """Return everything a draft has taken as one job. order: of the jobs taken, as their entries shall stand."""
    merging = _Merging(Job(draft.tenant_id, request_id, draft.jobs[0].actor), draft)
    for number in order:
        merging.add(draft.jobs[number])
    return merging.finish()


class _Merging:
    """Jobs of one request on their way to be one."""

    def __init__(self, job: Job, draft: Draft) -> None:
        self._job = job
        self._draft = draft
        self._users: dict[str, _Written] = {}
        self._groups: dict[str, _Written] = {}
        self._versions: Counter[str] = Counter()  # Of a group: absolute for a new one, else how many it adds.
        self._open: dict[str, dict[str, Membership]] = {}  # Group → member: opened here, and not closed again.
        self._claims = _Claims(draft)

    def add(self, job: Job) -> None:
        """Append a job's entries and what they make of the directory."""
        first = len(self._job.entries)
        streams = {entry.stream[7:] for entry in job.entries if entry.stream.startswith("groups/")}
        before = {group_id: self._versions[group_id] for group_id in streams}
        self._claims.add(job, before)
        self._job.subject_keys += job.subject_keys
        self._job.received += job.received
        self._add_users(job, first)
        for group, made, last in job.new_groups:
            self._groups[group.id] = _Written(group, first + made, first + last, changed=1)
        for group, version in job.changed_groups:
            written = self._groups.setdefault(group.id, _Written())
            written.row, written.changed = group, before[group.id] + version
        for index, entry in enumerate(job.entries, first):
            entry = replace(entry, request_id=job.request_id)
            if entry.stream.startswith("groups/"):
                entry = self._counted(entry, before)
                self._groups.setdefault(entry.stream[7:], _Written()).last = index
            self._job.entries.append(entry)
        self._add_edges(job, first)
        for group_id, gone in job.gone_groups:
            self._groups[group_id].gone = first + gone
            for edge in self._open.pop(group_id, {}).values():
                edge.until = first + gone

    def _add_users(self, job: Job, first: int) -> None:
        for user, made, last in job.new_users:
            self._users[user.id] = _Written(user, first + made, first + last)
        for user, last in job.changed_users:
            written = self._users.setdefault(user.id, _Written())
            written.row, written.last = user, first + last
        for user_id in job.gone_users:
            self._users.setdefault(user_id, _Written()).gone = first

    def _counted(self, entry: NewEntry, before: dict[str, int]) -> NewEntry:
        """Count a group's entry on from those of earlier jobs; those of a new group have their final version."""
        group_id = entry.stream[7:]
        version = entry.version + (before[group_id] if entry.bumps else 0)
        self._versions[group_id] = version
        is_new = self._groups[group_id].made is not None if group_id in self._groups else False
        return replace(entry, version=version, bumps=entry.bumps and not is_new)

    def _add_edges(self, job: Job, first: int) -> None:
        for edge in job.opened:
            opened = Membership(edge.group_id, edge.member_id, edge.member_type, first + edge.entry)
            self._open.setdefault(edge.group_id, {})[edge.member_id] = opened
            self._job.opened.append(opened)
        for edge in job.closed:
            mine = self._open.get(edge.group_id, {}).pop(edge.member_id, None)
            if mine is not None:
                mine.until = first + edge.entry
            else:
                self._job.closed.append(replace(edge, entry=first + edge.entry))

    def finish(self) -> Job:
        """Return the one job: final rows, and the preconditions that are left."""
        self._finish_users()
        self._finish_groups()
        written = (*self._users.items(), *self._groups.items())
        self._claims.settle(self._job, {resource_id for resource_id, each in written if each.made is not None})
        self._job.values, self._job.released = self._draft.values()
        changed = {user.id for user, _ in self._job.changed_users}
        changed |= {group.id for group, _ in self._job.changed_groups}
        self._job.vacating = [holder for holder in self._former_holders() if holder in changed]
        return self._job

    def _finish_users(self) -> None:
        for user_id, user in self._users.items():
            if user.gone is not None:
                if user.made is None:
                    self._job.gone_users.append(user_id)
            elif user.made is not None:
                self._job.new_users.append((user.row, user.made, user.last))
            else:
                self._job.changed_users.append((user.row, user.last))

    def _finish_groups(self) -> None:
        for group_id, group in self._groups.items():
            if group.gone is not None:
                if group.made is None:
                    self._job.gone_groups.append((group_id, group.gone))
            elif group.made is not None:
                row = replace(
                    group.row, version=self._versions[group_id], attribute_version=group.changed,
                    member_count=self._draft.member_count(group_id),
                )  # fmt: skip
                self._job.new_groups.append((row, group.made, group.last))
            elif group.row is not None:
                self._job.changed_groups.append((group.row, group.changed))

    def _former_holders(self) -> set[str]:
        """Whoever had the name before that a changed resource has now."""
        holders = [
            (self._draft.named_outside(user.name_key, is_group=False), user.id)
            for user, _ in self._job.changed_users
            if user.name_key is not None
        ]
        holders += [
            (self._draft.named_outside(group.unique_name_key, is_group=True), group.id)
            for group, _ in self._job.changed_groups
            if group.unique_name_key is not None
        ]
        return {holder for holder, heir in holders if holder is not None and holder != heir}


class _Claims:
    """What the jobs' decisions rested on, as far as it was there before the request.

    Of several preconditions on one thing the first was decided on what was outside; those on what the request makes
    itself fall away. A name may be somebody's who gives it up in the request: then it has to be still that one's.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._users: dict[str, int] = {}
        self._groups: dict[str, tuple[int, int | None]] = {}
        self._existing: dict[tuple[str, bool], None] = {}
        self._edges: dict[tuple[str, str], bool] = {}
        self._held: dict[str, int] = {}
        self._names: dict[tuple[bytes, bool], str] = {}
        self._left: dict[bytes, None] = {}

    def add(self, job: Job, before: dict[str, int]) -> None:
        """Take a job's preconditions. before: how many versions earlier jobs add to the groups it changes."""
        for user_id, version in job.users_at:
            self._users.setdefault(user_id, version)
        for group_id, attribute_version, exact in job.groups_at:
            first, known = self._groups.get(group_id, (attribute_version, None))
            self._groups[group_id] = (first, known if exact is None else exact - before[group_id])
        self._existing.update(dict.fromkeys(job.existing))
        for group_id, member_id, is_open in job.edges:
            self._edges.setdefault((group_id, member_id), is_open)
        for member_id, _ in job.held:
            outside = self._draft.held_outside(member_id)
            self._held[member_id] = len(outside)
            for group_id in outside:  # Also those that end without a precondition, with their group.
                self._edges.setdefault((group_id, member_id), True)
        self._left.update((key, None) for key in job.left if not self._draft.left_outside(key))
        for key, holder, is_group in job.names:
            self._names.setdefault((key, is_group), self._draft.named_outside(key, is_group=is_group) or holder)

    def settle(self, job: Job, made: set[str]) -> None:
        """Give the one job its preconditions. made: ids of what the request makes."""
        job.users_at = [(user_id, version) for user_id, version in self._users.items() if user_id not in made]
        job.groups_at = [(group_id, *at) for group_id, at in self._groups.items() if group_id not in made]
        job.existing = [each for each in self._existing if each[0] not in made]
        job.edges = [(*edge, is_open) for edge, is_open in self._edges.items() if not made.intersection(edge)]
        job.held = [each for each in self._held.items() if each[0] not in made]
        job.left = list(self._left)
        job.names = [(key, holder, is_group) for (key, is_group), holder in self._names.items()]
