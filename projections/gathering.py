"""The evidence for *why*, read with queries that are bounded and come from an index each; test_why_plans.py looks.

None reads all requests about somebody: Entra repeats some every cycle for years. What is opened are the entries that
made somebody what they are, and the newest.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from ledger.entry import Entry
from ledger.reader import ELSEWHERE, Reader
from projections.answers import memberships_held
from projections.entra import EntraRow, entra_told
from projections.evidence import (
    BURST_MIN,
    BURST_WINDOW,
    OPERATOR,
    Burst,
    ClientUse,
    Evidence,
    Kin,
    Refusal,
    RunSeen,
    Turns,
    turns_of,
)
from projections.names import MAIL, NAMING, NAMING_OTHERS, key_of, name_id
from projections.requests import NO_CAUSE, happened_at, repetitions
from projections.story import (
    GroupHeld,
    GroupNames,
    NameHeld,
    change,
    change_for,
    first_position,
    names_held,
    requests_told,
    type_name,
)
from projections.subjects import Candidate, names_of
from projections.trail import HAPPENED_AT, target
from projections.wanted import names_in, sets_active

ENTRA_WINDOW = timedelta(hours=1)
BURST_MAX = 1_000  # On either side, where nobody asks who they all are.
_TURNS = ("UserCreated", "Deactivated", "Reactivated", "UserDeleted", "ResourceCreated", "ResourceDeleted")
_ENDS = ("Deactivated", "UserDeleted", "ResourceDeleted")

_KIN = """
select o.id::text, o.kind
  from names n
  join names o on o.tenant_id = n.tenant_id
              and o.key = n.key
              and o.kind = n.kind
 where n.tenant_id = %(tenant)s
   and n.id = %(id)s::uuid
   and n.kind <> 'displayName'
   and o.id <> n.id
   and o.resource = 'users'
   and o.from_position < %(size)s
 limit 50
"""

_KIN_TURNS = """
select stream, event_type, position, recorded_at
  from entries
 where tenant_id = %(tenant)s
   and stream = any(%(streams)s)
   and (stream_version = 1 or event_type = any(%(ends)s))
   and position < %(size)s
 order by position
 limit 500
"""

_ENDED = """
select m.group_id::text, m.from_position, f.recorded_at, m.to_position, t.recorded_at, t.event_type,
       t.request_id::text
  from memberships m
  join entries f on f.tenant_id = m.tenant_id and f.position = m.from_position
  join entries t on t.tenant_id = m.tenant_id and t.position = m.to_position
 where m.tenant_id = %(tenant)s
   and m.member_id = %(id)s::uuid
   and m.to_position is not null
   and m.to_position < %(size)s
 order by m.to_position desc
 limit %(count)s
"""

_REFUSAL = f"""
select t.first_position, t.request_id::text,
       {HAPPENED_AT},
       t.token_id, t.token_label, t.client_address, t.user_agent,
       t.method, t.path, t.operations, coalesce(t.http_status, 0), t.scim_type, t.detail, t.repetitions
  from trail t
 where t.tenant_id = %(tenant)s
   and t.status = 'failure'
   and t.first_position < %(size)s
"""  # noqa: S608  # Columns of ours.

_NEWEST_FIRST = " order by t.first_position desc limit %(count)s"
# Of a request whose record was erased nobody can say what it was for.
_REFUSED = (
    f"{_REFUSAL} and t.target_id = %(id)s::uuid "
    f"and (t.resource_type in ('', %(type)s) or %(type)s = '' and t.resource_type not in ('User', 'Group')) "
    f"{_NEWEST_FIRST}"
)
_REFUSED_BY_NAME = (
    f"{_REFUSAL} and t.request_id in (select k.request_id from request_keys k where k.tenant_id = %(tenant)s "  # noqa: S608  # Conditions of ours.
    f"and k.subjects && %(names)s::uuid[] and k.subjects <> '{{}}') {_NEWEST_FIRST}"
)

# Nearest to the decisive request first, so that a limit cuts what is farthest.
_LEFT_BEFORE = """
select recorded_at, first_position, target_id::text
  from trail
 where tenant_id = %(tenant)s
   and token_id = %(token)s
   and action in ('disable', 'delete') and status = 'success' and resource_type = 'User'
   and recorded_at between %(since)s and %(until)s
   and first_position < %(size)s
 order by recorded_at desc
 limit %(count)s
"""
_LEFT_AFTER = _LEFT_BEFORE.replace("order by recorded_at desc", "order by recorded_at").replace(
    "between %(since)s and %(until)s", "> %(since)s and recorded_at <= %(until)s"
)

# The run that a position lies in, or the one before.
_POPULATION = """
select active_before
  from runs
 where tenant_id = %(tenant)s
   and client_id = %(token)s
   and first_position <= %(position)s
 order by first_position desc
 limit 1
"""

_RUNS_UNTIL = """
select first_position, last_position, started, ended, users_touched = 1 and groups_touched = 0,
       client_addresses, user_agents
  from runs
 where tenant_id = %(tenant)s
   and client_id = %(token)s
   and first_position <= %(position)s
 order by first_position desc
 limit %(count)s
"""

_FIRST_RUN = """
select started
  from runs
 where tenant_id = %(tenant)s
   and client_id = %(token)s
 order by first_position
 limit 1
"""

_BEGAN = "select recorded_at from entries where tenant_id = %(tenant)s and position = 0"


def gather(reader: Reader, candidate: Candidate, size: int, asked_at: datetime, burst_max: int = BURST_MAX) -> Evidence:
    """Read the evidence about one resource. names, trail and runs must have read up to `size`.

    burst_max: how many of a mass change to look at, before the resource's own part in it and after.
    """
    return _Gathering(reader, candidate, size, burst_max).evidence(asked_at)


def refused_by_name(reader: Reader, asked: str, size: int) -> list[Refusal]:
    """Return the newest refused requests that wanted to give somebody this name, newest first."""
    kinds = {kind for kinds in NAMING.values() for kind in kinds}
    return _by_name(reader, [(kind, asked) for kind in sorted(kinds)], size)


class _Gathering:
    """One resource's evidence in the making."""

    def __init__(self, reader: Reader, candidate: Candidate, size: int, burst_max: int) -> None:
        self.reader, self.candidate, self.size, self.burst_max = reader, candidate, size, burst_max
        self.id = candidate.id
        self.seen: dict[int, Entry] = {}  # By position: everything that was opened.

    def evidence(self, asked_at: datetime) -> Evidence:
        own = self._own()
        self._firsts()
        turns = turns_of(own, requests_told(self._entries()))
        self._in_requests(turns)
        held, ended = self._memberships()
        last, silent_put = self._last(own, ended), self._silent_put(own)
        self._firsts()
        names = names_held(own, self.id)
        refusals = self._refusals(names)
        group_names = GroupNames(self._entries())
        told = requests_told(self._entries())
        return Evidence(
            id=self.id,
            resource=self.candidate.resource,
            resource_type=type_name(self.candidate.resource, own),
            tenant=self.reader.tenant.slug,
            size=self.size,
            asked_at=asked_at,
            turns=turns_of(own, told),
            own=[change(entry, group_names) for entry in self._entries() if self._is_about(entry)],
            names=names,
            held=held[:_LISTED],
            held_count=len(held),
            ended=ended,
            requests=told,
            refusals=refusals,
            refusals_capped=len(refusals) >= _REFUSALS_MAX,
            holder=self._holder(refusals),
            last=None if last is None else change_for(self.id, last, group_names),
            silent_put=None if silent_put is None else change(silent_put, group_names),
            burst=self._burst(turns),
            use=self._use(turns),
            kin=self._kin(),
            entra=self._entra(turns),
        )

    # The ledger's entries.

    def _entries(self) -> list[Entry]:
        return [self.seen[position] for position in sorted(self.seen)]

    def _open(self, entries: Iterable[Entry]) -> list[Entry]:
        found = [entry for entry in entries if entry.position < self.size]
        self.seen.update((entry.position, entry) for entry in found)
        return found

    def _is_about(self, entry: Entry) -> bool:
        return entry.subject_id == self.id or entry.stream == self.candidate.stream

    def _own(self) -> list[Entry]:
        """What made the resource what it is: its first entry, every turn and name, and its newest changes."""
        stream, reader = self.candidate.stream, self.reader
        self._open(reader.selected("tenant_id = %s and stream = %s and stream_version = 1", stream))
        if self.candidate.resource == "groups":  # Its stream holds its members.
            self._open(reader.selected(_NEWEST_ELSEWHERE, self.id, _NEWEST))
            self._open(reader.selected(_NEWEST_OF, stream, 1))
        else:
            self._open(reader.selected(_TURNS_OF, stream, list(_TURNS), _NEWEST))
            self._open(reader.selected(_NEWEST_OF, stream, _NEWEST))
            self._open_what_unassigned_active()
        named = {p for _, _, since, until in self._names_of([self.id]) for p in (since, until) if p is not None}
        self._open(reader.at(named - self.seen.keys()))
        return [
            entry
            for entry in self._entries()
            if entry.stream == stream and not entry.event_type.startswith("Membership")
        ]

    def _open_what_unassigned_active(self) -> None:
        """Taking `active` away ends a disable, and its entry looks like any other change."""
        turns = [entry for entry in self._entries() if entry.event_type in ("Deactivated", "Reactivated")]
        if not turns or turns[-1].event_type == "Reactivated":
            return
        if self.reader.found(_NOT_INACTIVE, id=self.id):
            changes = (self.candidate.stream, turns[-1].position, self.size, _CHANGES_MAX)
            self._open(self.reader.selected(_CHANGES_SINCE, *changes))

    def _firsts(self) -> None:
        """Open the first entry of every request that is told of: it has the full cause."""
        firsts = {first_position(entry) for entry in self.seen.values()} - self.seen.keys()
        if firsts:
            self._open(self.reader.at(firsts))

    def _in_requests(self, turns: Turns) -> None:
        """Open what else the deciding requests did about the resource."""
        for step in (turns.disabled, turns.deleted, turns.enabled):
            entry = self.seen.get(step.position) if step is not None else None
            cause = (entry.cause if entry is not None else None) or NO_CAUSE
            if entry is not None and cause.count > 1:
                first = first_position(entry)
                self._open(self.reader.about(self.id, since=first, until=first + cause.count))

    def _last(self, own: Sequence[Entry], ended: Sequence[GroupHeld]) -> Entry | None:
        latest = self.reader.selected(_NEWEST_ELSEWHERE_BELOW, self.id, self.size, _LATEST_MAX)
        meant = [entry for entry in latest if self._is_meant(entry)]
        repeated = bool(meant) and repetitions(meant[0]) > 0  # What came after them may be recorded before.
        newest = self._open(meant if repeated else meant[:1])
        lost = [self.seen[each.to_position] for each in ended[-1:] if each.to_position is not None]
        return max((*newest, *own[-1:], *lost), key=lambda entry: (happened_at(entry), entry.position), default=None)

    def _is_meant(self, entry: Entry) -> bool:
        """Whether a request that left only this entry was for the resource, not for one of another type with its id."""
        if not entry.stream.startswith("requests/"):
            return True
        resource_type, _ = target(entry, (entry.cause or NO_CAUSE).path)
        own = _TYPES.get(self.candidate.resource, "")
        return resource_type in ("", own) or (not own and resource_type not in _TYPES.values())

    def _silent_put(self, own: Sequence[Entry]) -> Entry | None:
        """The newest PUT among a user's newest changes, when its body named no `active`."""
        for entry in reversed(own if self.candidate.resource != "groups" else ()):
            if entry.cause is not None and entry.cause.method == "PUT":
                if entry.cause.bulk is not None:
                    return None
                body = self.reader.received(entry.request_id)
                return None if body is None or sets_active(body) else entry
        return None

    # The directory's intervals.

    def _memberships(self) -> tuple[list[GroupHeld], list[GroupHeld]]:
        held = memberships_held(self.reader, self.id, self.size, count=_HELD_MAX)
        ended = self.reader.found(_ENDED, id=self.id, size=self.size, count=_ENDED_MAX)[::-1]
        self._open(self.reader.at({row[3] for row in ended} - self.seen.keys()))
        group_ids = sorted({row[0] for row in (*held[:_LISTED], *ended)})
        if group_ids:
            named = {since for _, kind, since, _ in self._names_of(group_ids) if kind == "displayName"}
            self._open(self.reader.at(named - self.seen.keys()))
        names = GroupNames(self._entries())
        return [self._held(row, names) for row in held], [self._ended(row, names) for row in ended]

    def _held(self, row: Sequence[Any], names: GroupNames) -> GroupHeld:
        group_id, from_position, from_at = row
        return GroupHeld(group_id, names.at(group_id, self.size), from_position, from_at)

    def _ended(self, row: Sequence[Any], names: GroupNames) -> GroupHeld:
        group_id, from_position, from_at, to_position, to_at, event_type, request_id = row
        opened = self.seen.get(to_position)
        # Of an erased one nobody can say that it was not named.
        explicit = event_type == "MembershipRemoved" and getattr(opened and opened.event, "explicit", True)
        return GroupHeld(
            group_id, names.at(group_id, to_position), from_position, from_at, to_position, to_at, event_type,
            explicit, request_id,
        )  # fmt: skip

    # The catch-up projections.

    def _names_of(self, ids: list[str]) -> list[tuple[Any, ...]]:
        return names_of(self.reader.connection, self.reader.tenant, ids)

    def _refusals(self, names: Sequence[NameHeld]) -> list[Refusal]:
        parameters = {
            "id": self.id,
            "size": self.size,
            "count": _REFUSALS_MAX,
            "type": _TYPES.get(self.candidate.resource, ""),
        }
        aimed = _newest_first([_refusal(row) for row in self.reader.found(_REFUSED, **parameters)])
        latest = [(name.kind, name.value) for name in names if name.kind in self._naming()][-_NAMES_MAX:]
        known = {each.position for each in aimed}
        named = [each for each in _by_name(self.reader, latest, self.size) if each.position not in known]
        return _newest_first([*self._attempts(aimed), *named])[:_REFUSALS_MAX]

    def _attempts(self, aimed: Sequence[Refusal]) -> list[Refusal]:
        """Mark those that were to end the access, or to give it back. What could not be read has no operations."""
        opened: dict[tuple[str, str], bool] = {}
        for each in aimed:
            kind = each.method, each.detail
            unread = each.method in ("PATCH", "PUT") and not each.operations
            if unread and kind not in opened and len(opened) < _OPENED_MAX:
                opened[kind] = sets_active(self.reader.received(each.request_id) or b"")
        return [
            replace(
                each,
                attempt=each.method == "DELETE"
                or any(operation.lower().endswith(" active") for operation in each.operations)
                or opened.get((each.method, each.detail), False),
            )
            for each in aimed
        ]

    def _naming(self) -> tuple[str, ...]:
        return NAMING.get(self.candidate.resource, NAMING_OTHERS)

    def _holder(self, refusals: Sequence[Refusal]) -> tuple[str, str] | None:
        """Who has the name that the newest uniqueness refusal about the resource was to give it: (name, id)."""
        newest = next((each for each in refusals if each.scim_type == "uniqueness" and not each.named), None)
        body = self.reader.received(newest.request_id) if newest is not None else None
        for kind, name in names_in(body) if body else ():
            parameters = {"kind": kind, "key": key_of(kind, name), "id": self.id}
            for (holder,) in self.reader.found(_HOLDER, **parameters):
                return name, holder
        return None

    def _kin(self) -> list[Kin]:
        if self.candidate.resource != "users":
            return []
        kinds: dict[str, list[str]] = {}
        for kin_id, kind in self.reader.found(_KIN, id=self.id, size=self.size):
            if kind not in kinds.setdefault(kin_id, []):
                kinds[kin_id].append(kind)
        if not kinds:
            return []
        streams = [f"users/{kin_id}" for kin_id in kinds]
        turns = self.reader.found(_KIN_TURNS, streams=streams, ends=list(_ENDS), size=self.size)
        return [kin for kin_id in kinds if (kin := _kin(kin_id, kinds[kin_id], turns)) is not None]

    def _burst(self, turns: Turns) -> Burst | None:
        """Whom else the decisive request's client took access from within the hour."""
        step = turns.decisive
        if step is None or step.request is None or self.candidate.resource != "users":
            return None
        around = {"token": step.request.token_id, "size": self.size, "count": self.burst_max + 1}
        before = {"since": step.at - BURST_WINDOW, "until": step.at}
        after = {"since": step.at, "until": step.at + BURST_WINDOW}
        earlier = self.reader.found(_LEFT_BEFORE, **around, **before)
        later = self.reader.found(_LEFT_AFTER, **around, **after)
        burst = densest(earlier[::-1] + later, step.at)
        if burst is None or burst.count < BURST_MIN:
            return burst
        asked = {"token": step.request.token_id, "position": burst.positions[0]}
        population = next((active for (active,) in self.reader.found(_POPULATION, **asked)), 0)
        return replace(burst, population=population, capped=max(len(earlier), len(later)) > self.burst_max)

    def _use(self, turns: Turns) -> ClientUse | None:
        step = turns.decisive
        if step is None or step.request is None or step.request.token_id in ("", OPERATOR):
            return None
        asked = {"token": step.request.token_id, "position": step.position, "count": _RUNS_MAX}
        runs = [RunSeen(*row) for row in self.reader.found(_RUNS_UNTIL, **asked)]
        if not runs:
            return None
        ((first_at,),) = self.reader.found(_FIRST_RUN, **asked)
        ((began,),) = self.reader.found(_BEGAN)
        return ClientUse(first_at, began, runs)

    def _entra(self, turns: Turns) -> list[EntraRow]:
        """What Entra's own log, where it was imported, says around the turns; of an active one the latest."""
        steps = [step for step in (turns.disabled, turns.enabled, turns.deleted) if step is not None]
        since = min((step.at for step in steps), default=None)
        until = max((step.at for step in steps), default=None)
        return entra_told(
            self.reader.connection,
            self.reader.tenant,
            [self.id],
            None if since is None else since - ENTRA_WINDOW,
            None if until is None else until + ENTRA_WINDOW,
            count=_ENTRA_MAX,
        )


def densest(left: Sequence[tuple[datetime, int, str | None]], at: datetime) -> Burst | None:
    """Return the fullest window of an hour that holds a time: how many users one client took access from in it.

    left: (time, position, user id) in order of time, at most an hour away from `at` on either side.
    """
    best, most, begin = None, 0, 0
    within: Counter[str | None] = Counter()
    for end, (until, _, user_id) in enumerate(left):
        within[user_id] += 1
        while until - left[begin][0] > BURST_WINDOW:
            gone = left[begin][2]
            within[gone] -= 1
            if not within[gone]:
                del within[gone]
            begin += 1
        if left[begin][0] <= at <= until and len(within) > most:
            best, most = (begin, end), len(within)
    if best is None:
        return None
    first, last = left[best[0]], left[best[1]]
    user_ids = list(dict.fromkeys(row[2] for row in left[best[0] : best[1] + 1] if row[2] is not None))
    return Burst(len(user_ids), first[0], last[0], (first[1], last[1]), user_ids=user_ids)


_TYPES = {"users": "User", "groups": "Group"}  # As the trail calls what requests are for.
_LATEST_MAX = 5
_LISTED = 200  # Memberships that are told one by one.
_HELD_MAX = 2_000
_ENDED_MAX = 100
_NEWEST = 100
_REFUSALS_MAX = 200
_NAMES_MAX = 10
_OPENED_MAX = 5  # Bodies of refused requests.
_RUNS_MAX = 150
_ENTRA_MAX = 10

_TURNS_OF = "tenant_id = %s and stream = %s and event_type = any(%s) order by stream_version desc limit %s"
_NEWEST_OF = "tenant_id = %s and stream = %s order by stream_version desc limit %s"
_ELSEWHERE = f"tenant_id = %s and subject_id = %s and {ELSEWHERE}"  # What is about a group is all there.
_NEWEST_ELSEWHERE = f"{_ELSEWHERE} order by position desc limit %s"
_NEWEST_ELSEWHERE_BELOW = f"{_ELSEWHERE} and position < %s order by position desc limit %s"
_CHANGES_MAX = 1_000
_CHANGES_SINCE = (
    "tenant_id = %s and stream = %s and event_type = 'AttributeChanged' and position > %s and position < %s "
    "order by stream_version limit %s"
)
_NOT_INACTIVE = "select from users where tenant_id = %(tenant)s and id = %(id)s::uuid and active is distinct from false"
_HOLDER = """
select id::text
  from names
 where tenant_id = %(tenant)s
   and kind = %(kind)s
   and key = %(key)s
   and to_position is null
   and id <> %(id)s::uuid
 limit 1
"""


def _by_name(reader: Reader, names: Iterable[tuple[str, str]], size: int) -> list[Refusal]:
    ids = [found for kind, name in names if (found := _name_id(reader, kind, name))]
    if not ids:
        return []
    rows = reader.found(_REFUSED_BY_NAME, names=ids, size=size, count=_REFUSALS_MAX)
    return _newest_first([_refusal(row, named=True) for row in rows])


def _name_id(reader: Reader, kind: str, name: str) -> str | None:
    try:
        return name_id(reader.tenant.origin, kind, key_of(kind, name))
    except UnicodeEncodeError:
        return None


def _refusal(row: Sequence[Any], *, named: bool = False) -> Refusal:
    return Refusal(*(*row, named))


def _newest_first(refusals: Iterable[Refusal]) -> list[Refusal]:
    return sorted(refusals, key=lambda each: (each.at, each.position), reverse=True)


def _kin(kin_id: str, kinds: list[str], turns: Iterable[tuple[Any, ...]]) -> Kin | None:
    own = [row for row in turns if row[0] == f"users/{kin_id}"]
    if not own:
        return None
    ended = [(event, position, at) for _, event, position, at in own if event in _ENDS]
    return Kin(kin_id, sorted(kinds, key=_STRENGTH.index), own[0][2], own[0][3], ended)


_STRENGTH = ["externalId", "userName", MAIL]
