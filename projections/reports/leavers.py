"""Who left in a period, and, beside Personnel's file, how long their accounts outlived their employment."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from domain.errors import InvalidValue
from projections.reports.accounts import (
    BEFORE,
    LAST_STATES,
    Ending,
    State,
    back_after,
    called,
    ending_for,
    endings,
    groups_at,
    is_active,
    state_of,
    states_of,
    was_ever_active,
)
from projections.reports.formats import time_text
from projections.reports.frame import Doing, Figure, Parameter, Report, Row, Rows, Scope
from projections.reports.named_lines import account_keys, read_once
from projections.reports.personnel import Termination, terminations

_AT_ONCE = 500
HOURS = 24

ON_TIME, LATE, STILL_ACTIVE = "", "disabled late", "still active"
ACTIVE_AGAIN = "active again"
NEVER_ACTIVE = "the account was never active"
NO_ACCOUNT = "no account by these names"
MADE_AFTERWARDS = "the account was made after the termination"
REPEATED = "the file has it already"
NOT_IN_FILE = "not in the file"
OUTSIDE = "in the file, with a termination outside the period"
OF_ANOTHER = "in the file, with a termination of another account by these names"

_LISTED = (
    "accounts that stopped being active within the period and are not active at its end, those made within it included"
)

_NOT_LISTED = "an account that was never active did not leave: it is no row of its own, and counted apart"

# One index probe a name: `offset` keeps any planner from reading all names for a batch's sake.
_BY_NAME = """
select distinct k.number, n.id::text
  from unnest(%(numbers)s::integer[], %(kinds)s::text[], %(keys)s::bytea[]) k(number, kind, key)
 cross join lateral (select id
                       from names
                      where tenant_id = %(tenant)s
                        and key = k.key
                        and kind = k.kind
                        and resource = 'users'
                        and from_position <= %(last)s
                     offset 0) n
"""

# Who is not active at the end, in the order of creation, with the entry since which that is so; whether never before.
_ENDED = f"""
select s.created_position, s.id::text,
       coalesce((select min(w.from_position)
                   from resource_versions w
                  where w.tenant_id = %(tenant)s
                    and w.id = s.id
                    and w.document is not null
                    and w.active is false
                    and w.from_position > a.last_active
                    and w.from_position <= %(last)s),
                case when s.to_position <= %(last)s then s.to_position end),
       a.last_active < 0
  from ({LAST_STATES}) s
 cross join lateral (select coalesce(max(w.from_position), -1) as last_active
                       from resource_versions w
                      where w.tenant_id = %(tenant)s
                        and w.id = s.id
                        and w.document is not null
                        and w.active is distinct from false
                        and w.from_position <= %(last)s) a
 order by s.created_position
"""  # noqa: S608  # All of it is text of ours.

# As `movement` counts them: who was created disabled, and of these who was active since; who was deleted while
# disabled, and of these who was never active.
_CREATED_DISABLED = """
select count(*),
       count(*) filter (where exists (select from resource_versions w
                                       where w.tenant_id = v.tenant_id
                                         and w.id = v.id
                                         and w.document is not null
                                         and w.active is distinct from false
                                         and w.from_position <= %(last)s))
  from resource_versions v
 where v.tenant_id = %(tenant)s
   and v.type = 'User'
   and v.version = 1
   and v.from_position > %(first)s
   and v.from_position <= %(last)s
   and v.active is false
"""
_DELETED_DISABLED = f"""
select count(*),
       count(*) filter (where not exists (select from resource_versions w
                                           where w.tenant_id = e.tenant_id
                                             and w.id = e.subject_id
                                             and w.document is not null
                                             and w.active is distinct from false))
  from entries e
{BEFORE}
 where e.tenant_id = %(tenant)s
   and e.position > %(first)s
   and e.position <= %(last)s
   and e.event_type = 'UserDeleted'
   and starts_with(e.stream, 'users/')
   and b.active is false
"""  # noqa: S608  # All of it is text of ours.

_TABLE = "id uuid, at timestamptz, primary key (id, at)"
_MATCHED = """
insert into matched_accounts (id, at)
select * from unnest(%(ids)s::uuid[], %(times)s::timestamptz[])
    on conflict do nothing
returning id::text, at
"""
_KNOWN = "select distinct id::text from matched_accounts where id = any(%(ids)s::uuid[])"

# Whom any line names, whenever the employment ended.
_NAMED_TABLE = "id uuid, at timestamptz, termination text, primary key (id, at)"
_NAME = """
insert into named_accounts (id, at, termination)
select * from unnest(%(ids)s::uuid[], %(times)s::timestamptz[], %(terminations)s::text[])
    on conflict do nothing
"""
# Of several terminations the one that is nearest to when the account ended.
_NAMED = """
select k.id::text, n.termination
  from unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) k(id, ended_at)
 cross join lateral (select termination
                       from named_accounts
                      where id = k.id
                      order by abs(extract(epoch from at - k.ended_at)), at
                      limit 1) n
"""


def begin(scope: Scope) -> Rows:
    """Beside Personnel's file read all of it once."""
    hours = scope.number("hours", HOURS)
    file = scope.asked.file
    if file is None:
        if scope.given("hours"):
            raise InvalidValue("hours is about Personnel's file: lay one beside the ledger")
        scope.filters += [_LISTED, _NOT_LISTED]
        return _without_file(scope)
    lines, sha256 = read_once(file, terminations, "Personnel's file")
    scope.recorded |= {"hr_file_sha256": [sha256], "hours": [str(hours)]}
    scope.filters += [
        f"Personnel's file: {lines} lines, SHA-256 {sha256}",
        "its terminations within the period; those outside it only tell who is in the file; dates without a time "
        "count as that day's end, in UTC",
        f"an account is disabled in time within {hours} hours of the termination",
        _NOT_LISTED,
    ]
    return _with_file(scope, timedelta(hours=hours), lines)


# Without a file.


def _without_file(scope: Scope) -> Rows:
    deleted = 0
    ended = Ended(scope)
    for ids in ended.pages():
        told = _about(scope, ids)
        details = Details(scope, told)
        for each in told:
            scope.matched += 1
            deleted += each.ending is not None and each.ending.deleted
            yield _line(each, details, None, "")
    return [
        Figure("Accounts that ended by being disabled", scope.matched - deleted),
        Figure("Accounts that ended by being deleted while active", deleted),
        *_never_active(scope, ended.never_active),
    ]


class Ended:
    """Whose account ended within the period for good. never_active: how many were made in it and never active."""

    def __init__(self, scope: Scope) -> None:
        self.count = self.never_active = 0
        self._scope = scope

    def pages(self) -> Iterator[list[str]]:
        """Their ids, page by page."""
        for page in self._scope.pages(_ENDED, -1):
            self._scope.scanned += len(page)
            within = [row for row in page if row[2] is not None and row[2] > self._scope.first]
            ids = [user_id for _, user_id, _, never_active in within if not never_active]
            self.never_active += len(within) - len(ids)
            self.count += len(ids)
            if ids:
                yield ids


def _never_active(scope: Scope, never: int) -> list[Figure]:
    """How those who were never active fit with what `movement` counts. never: made in the period, as the pages say."""
    created, since = scope.row(_CREATED_DISABLED)
    deleted, never_deleted = scope.row(_DELETED_DISABLED)
    equation = f"{never} never active, no leavers + {since} active since = {never + since}"
    gone = f"{never_deleted} never active + {deleted - never_deleted} disabled before = {deleted}"
    return [
        Figure("Accounts created disabled", equation, never + since == created),
        Figure("Accounts deleted while disabled", gone),
    ]


# With one.


def _with_file(scope: Scope, allowed: timedelta, lines: int) -> Rows:
    counts: Counter[str] = Counter()
    read = due = 0
    ended = Ended(scope)
    # The file may be about half a million.
    with scope.table("matched_accounts", _TABLE), scope.table("named_accounts", _NAMED_TABLE):
        source = terminations(_file(scope))
        while batch := list(islice(source, _AT_ONCE)):
            named = _named(scope, batch)
            within = [(each, ids) for each, ids in named if _within(scope, each.at)]
            read, due = read + len(batch), due + len(within)
            for row, exception in _compared(scope, within, allowed):
                counts[exception] += 1
                yield row
        scope.scanned += read
        for ids in ended.pages():
            for row, exception in _missed(scope, ids):
                counts[exception] += 1
                yield row
        scope.matched = counts.total()
    return [
        Figure("Lines of the file", read, read == lines),
        Figure("Terminations within the period", due),
        Figure("Terminations outside the period, not compared", read - due),
        *(Figure(f"Accounts {says}", counts[exception]) for exception, says in _SAID.items()),
        Figure("Accounts that ended in the period for good", ended.count),
        *_never_active(scope, ended.never_active),
    ]


_SAID = {
    ON_TIME: "disabled in time", LATE: "disabled late", STILL_ACTIVE: "still active",
    ACTIVE_AGAIN: "disabled and active again", NEVER_ACTIVE: "in the file and never active",
    MADE_AFTERWARDS: "made after the termination", REPEATED: "repeated in the file",
    NO_ACCOUNT: "looked for and not found", OUTSIDE: "ended and in the file with a termination outside the period",
    OF_ANOTHER: "ended and in the file with a termination of another account", NOT_IN_FILE: "ended and not in the file",
}  # fmt: skip


def _file(scope: Scope) -> Any:
    assert scope.asked.file is not None
    return scope.asked.file


def _within(scope: Scope, at: datetime) -> bool:
    return (scope.since is None or at > scope.since) and at <= scope.at


class Told(Struct, frozen=True):
    """An account and when it ended."""

    user_id: str
    states: list[State]
    ending: Ending | None


def _compared(
    scope: Scope, named: Sequence[tuple[Termination, list[str]]], allowed: timedelta
) -> Iterator[tuple[Row, str]]:
    """A row for each account of each termination, with what is wrong."""
    states = states_of(scope, [user_id for _, ids in named for user_id in ids])
    meant = [(each, _meant(ids, states, each.at)) for each, ids in named]
    pairs = [(user_id, each.at) for each, ids in meant for user_id in ids]
    told = {(user_id, at): _ended_for(user_id, states[user_id], at) for user_id, at in pairs}
    details, new = Details(scope, told.values()), _new(scope, pairs)
    for each, ids in meant:
        if not ids:
            yield _line(None, details, each, NO_ACCOUNT), NO_ACCOUNT
        for user_id in ids:
            pair = (user_id, each.at)
            exception = _exception(told[pair], each.at, allowed) if pair in new else REPEATED
            new.discard(pair)
            yield _line(told[pair], details, each, exception, allowed), exception


def _ended_for(user_id: str, states: list[State], at: datetime) -> Told:
    return Told(user_id, states, ending_for(states, at) if was_ever_active(states) else None)


def _missed(scope: Scope, ids: Sequence[str]) -> Iterator[tuple[Row, str]]:
    """A row for each account that ended though no termination within the period is about it, with what the file has."""
    known = {row[0] for row in scope.rows(_KNOWN, ids=ids)}
    told = _about(scope, [user_id for user_id in ids if user_id not in known])
    details, named = Details(scope, told), _nearest(scope, told)
    for each in told:
        termination = named.get(each.user_id)
        if termination is None:
            yield _line(each, details, None, NOT_IN_FILE), NOT_IN_FILE
        elif _within(scope, termination.at):
            yield _line(each, details, termination, OF_ANOTHER), OF_ANOTHER
        else:
            says = f"{OUTSIDE}: {time_text(termination.at)}"
            yield _line(each, details, termination, says), OUTSIDE


def _nearest(scope: Scope, told: Sequence[Told]) -> dict[str, Termination]:
    """Which termination the file has for each of these, however far from the period."""
    times = [each.ending.at if each.ending else None for each in told]
    rows = scope.rows(_NAMED, ids=[each.user_id for each in told], times=times)
    return {user_id: msgspec.json.decode(text, type=Termination) for user_id, text in rows}


def _named(scope: Scope, batch: Sequence[Termination]) -> list[tuple[Termination, list[str]]]:
    """The terminations, each with the accounts whose names it has; and remember that the file names them."""
    accounts = _accounts(scope, batch)
    named = [(each, accounts[number]) for number, each in enumerate(batch)]
    pairs = [(user_id, each) for each, ids in named for user_id in ids]
    scope.run(
        _NAME, ids=[user_id for user_id, _ in pairs], times=[each.at for _, each in pairs],
        terminations=[msgspec.json.encode(each).decode() for _, each in pairs],
    )  # fmt: skip
    return named


def _accounts(scope: Scope, batch: Sequence[Termination]) -> dict[int, list[str]]:
    """Whose names these are or ever were, by the termination's number in the batch."""
    wanted = [(number, kind, key) for number, each in enumerate(batch) for kind, key in account_keys(each.names)]
    found: dict[int, list[str]] = {number: [] for number in range(len(batch))}
    numbers, kinds, keys = zip(*wanted, strict=True) if wanted else ((), (), ())
    for number, user_id in scope.rows(_BY_NAME, numbers=list(numbers), kinds=list(kinds), keys=list(keys)):
        found[number].append(user_id)
    return found


def _meant(ids: Sequence[str], states: Mapping[str, list[State]], at: datetime) -> list[str]:
    """Which of somebody's accounts a termination is about: those that were there, else the latest before, else all."""
    known = sorted((user_id for user_id in ids if user_id in states), key=lambda user_id: states[user_id][0].position)
    before = [user_id for user_id in known if states[user_id][0].at <= at]
    there = [user_id for user_id in before if (gone := states[user_id][-1].deleted_at) is None or gone > at]
    return there or before[-1:] or known


def _new(scope: Scope, pairs: Sequence[tuple[str, datetime]]) -> set[tuple[str, datetime]]:
    """Which of these the file had not before."""
    once = list(dict.fromkeys(pairs))
    rows = scope.rows(_MATCHED, ids=[user_id for user_id, _ in once], times=[at for _, at in once])
    return {(user_id, at) for user_id, at in rows}


def _exception(told: Told, at: datetime, allowed: timedelta) -> str:
    if told.states[0].at > at:
        return MADE_AFTERWARDS
    if not was_ever_active(told.states):
        return NEVER_ACTIVE
    if told.ending is None:
        return STILL_ACTIVE
    if is_active(told.states):
        return ACTIVE_AGAIN
    return LATE if told.ending.at - at > allowed else ON_TIME


# Rows.


def _about(scope: Scope, ids: Sequence[str]) -> list[Told]:
    states = states_of(scope, ids)
    return [Told(user_id, states[user_id], endings(states[user_id])[-1]) for user_id in ids]


class Details:
    """By whom accounts were ended, and in how many groups they were then and are in the end."""

    def __init__(self, scope: Scope, told: Iterable[Told]) -> None:
        ended = [(each.user_id, each.ending.position) for each in told if each.ending is not None]
        self._last = scope.last
        self._doings = scope.doings([position for _, position in ended])
        # Until the request: who is deleted leaves the groups with it.
        until = [(user_id, self._doings[position].first_position - 1) for user_id, position in ended]
        self._groups = groups_at(scope, [*until, *((user_id, scope.last) for user_id, _ in ended)])

    def cells(self, told: Told) -> Row:
        """What a row says of an account."""
        ending, states = told.ending, told.states
        if ending is None:
            return (told.user_id, called(states), *[None] * 7, state_of(states), None)
        doing = self._doings[ending.position]
        back = back_after(states, ending.position)
        return (
            told.user_id, called(states), ending.at, _channel(ending, doing), doing.by, doing.request_id,
            self._groups[told.user_id, doing.first_position - 1], self._groups[told.user_id, self._last],
            back.at if back else None, state_of(states), ending.position,
        )  # fmt: skip


def _channel(ending: Ending, doing: Doing) -> str:
    return f"{'deleted' if ending.deleted else 'disabled'} by {doing.method or doing.by or 'an erased request'}"


_NO_CELLS: Row = ("", "", *[None] * 9)


def _line(
    told: Told | None, details: Details, termination: Termination | None, exception: str,
    allowed: timedelta | None = None,
) -> Row:  # fmt: skip
    of_file: Row = (None, None, None, None)
    measured: Row = (None, None)
    if termination is not None:
        of_file = (termination.line, termination.employee_id, termination.names, termination.at)
        if told is not None and allowed is not None and _could_end(told, termination.at):
            measured = _measured(told.ending, termination.at, allowed)
    return (*of_file, *(_NO_CELLS if told is None else details.cells(told)), *measured, exception)


def _could_end(told: Told, at: datetime) -> bool:
    return told.states[0].at <= at and was_ever_active(told.states)


def _measured(ending: Ending | None, at: datetime, allowed: timedelta) -> Row:
    if ending is None:
        return None, False
    return round((ending.at - at).total_seconds() / 3_600, 2), ending.at - at <= allowed


LEAVERS = Report(
    "leavers",
    1,
    "Leavers of a period, and how long their accounts outlived their employment",
    "Whose account ended; beside Personnel's file, whether within the time allowed, and who is missing on either side.",
    (
        "line", "employee_id", "names_in_file", "terminated_at", "id", "userName", "ended_at", "channel", "ended_by",
        "request_id", "groups_then", "groups_now", "reactivated_at", "state", "position", "hours", "in_time",
        "exception",
    ),
    begin,
    of_period=True,
    parameters=(Parameter("hours", f"How long an account may stay active after a termination; {HOURS} without it."),),
    takes_file=True,
)  # fmt: skip
