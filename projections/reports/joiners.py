"""Who was given an account in a period; beside a file of approvals, by which of them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from itertools import islice
from typing import Any

from msgspec import Struct

from projections.directory import resource_of
from projections.reports.approvals import approvals
from projections.reports.frame import Figure, Report, Rows, Scope
from projections.reports.named_lines import account_keys, read_once
from projections.words import value

_AT_ONCE = 500
IN_TIME, TOO_LATE, NOT_APPROVED = "", "approved after the account was made", "no approval in the file"

# In the order of creation. The first group is looked for on both indexes of memberships, open and ended.
_PAGE = """
select v.created_position, v.id::text, v.document, v.active, g.group_id::text, g.from_position,
       (select count(*) from memberships_at(%(tenant)s, %(last)s) m where m.member_id = v.id)
  from resource_states v
  left join lateral (select m.group_id, m.from_position
                       from (select group_id, from_position
                               from memberships
                              where tenant_id = %(tenant)s and member_id = v.id and to_position is null
                              union all
                             select group_id, from_position
                               from memberships
                              where tenant_id = %(tenant)s and member_id = v.id and to_position is not null) m
                      where m.from_position <= %(last)s
                      order by m.from_position
                      limit 1) g on true
 where v.tenant_id = %(tenant)s
   and v.type = 'User'
   and v.created_position > %(after)s
   and v.created_position <= %(last)s
   and v.from_position = v.created_position
 order by v.created_position
 limit %(count)s
"""


# A row for each name that a line has; which lines were found wait in a table of their own.
_GIVEN = "number integer, kind text, key bytea, reference text, at timestamptz"
_GIVE = """
insert into given_approvals
select * from unnest(%(numbers)s::integer[], %(kinds)s::text[], %(keys)s::bytea[], %(references)s::text[],
                     %(times)s::timestamptz[])
"""
_FOUND = """
select distinct k.id::text, a.number, a.reference, a.at
  from unnest(%(ids)s::uuid[]) k(id)
 cross join lateral (select kind, key
                       from names
                      where tenant_id = %(tenant)s
                        and id = k.id
                        and from_position <= %(last)s
                     offset 0) n
 cross join lateral (select number, reference, at
                       from given_approvals
                      where key = n.key
                        and kind = n.kind
                     offset 0) a
 order by a.at nulls last, a.number
"""
_USE = "insert into used_approvals select * from unnest(%(numbers)s::integer[]) on conflict do nothing"


class Approved(Struct, frozen=True):
    """What a file of approvals says about an account. at: the earliest time, None where it says none."""

    references: list[str]
    at: datetime | None


def begin(scope: Scope) -> Rows:
    """Beside a file of approvals read all of it once."""
    file = scope.asked.file
    if file is None:
        return _rows(scope, None)
    lines, sha256 = read_once(file, approvals, "the file of approvals")
    scope.recorded |= {"approvals_sha256": [sha256]}
    scope.filters += [
        f"file of approvals: {lines} lines, SHA-256 {sha256}",
        "an account is approved by every line that has a name it ever had; dates without a time count as that day's "
        "beginning, in UTC",
    ]
    return _rows(scope, lines)


def _rows(scope: Scope, lines: int | None) -> Rows:
    """lines: of the file of approvals; None without one."""
    disabled = without_group = 0
    exceptions: Counter[str] = Counter()
    used = 0
    with nullcontext() if lines is None else _beside(scope):
        for page in scope.pages(_PAGE, scope.first):
            doings = scope.doings([position for row in page for position in (row[0], row[5])])
            names = scope.names([row[4] for row in page if row[4] is not None])
            approved = {} if lines is None else _approved(scope, [row[1] for row in page])
            for created, user_id, document, active, group_id, joined, groups in page:
                disabled += active is False
                without_group += group_id is None
                resource, by, first = resource_of(document), doings[created], doings[joined]
                hours = (first.at - by.at).total_seconds() / 3_600 if first.at and by.at else None
                told = _told(approved.get(user_id), by.at) if lines is not None else _UNTOLD
                exceptions[told[-1] or ""] += 1
                yield scope.fits((
                    user_id, resource.get("userName"), resource.get("externalId"), resource.get("displayName"), by.at,
                    by.by, by.token_id, by.address, by.request_id, active is False, names.get(group_id, group_id),
                    first.at, None if hours is None else round(hours, 2), groups, value(resource), *told, created,
                ))  # fmt: skip
        if lines is not None:
            used = scope.row("select count(*) from used_approvals")[0]
    created = scope.counted("UserCreated", "users/")
    return [
        Figure("Accounts created, by entries", created, created == scope.matched),
        Figure("Created disabled", disabled),
        Figure("Never in a group until the end of the period", without_group),
        *([] if lines is None else _figures(exceptions, lines, used)),
    ]


def _figures(exceptions: Counter[str], lines: int, used: int) -> list[Figure]:
    says = {
        IN_TIME: "approved in time, as far as the file has times", TOO_LATE: "approved afterwards",
        NOT_APPROVED: "not approved",
    }  # fmt: skip
    return [
        *(Figure(f"Accounts {words}", exceptions[exception]) for exception, words in says.items()),
        Figure("Approvals of accounts made in the period", used),
        Figure("Other approvals in the file", lines - used),
    ]


@contextmanager
def _beside(scope: Scope) -> Iterator[None]:
    """Lay the file into a table: it may be about half a million."""
    with scope.table("given_approvals", _GIVEN), scope.table("used_approvals", "number integer primary key"):
        _take_in(scope)
        yield


def _take_in(scope: Scope) -> None:
    assert scope.asked.file is not None
    source = enumerate(approvals(scope.asked.file))
    while batch := list(islice(source, _AT_ONCE)):
        rows = [
            (number, kind, key, each.reference, each.at)
            for number, each in batch
            for kind, key in account_keys(each.names)
        ]
        columns = dict(zip(("numbers", "kinds", "keys", "references", "times"), zip(*rows, strict=True), strict=True))
        scope.run(_GIVE, **{name: list(column) for name, column in columns.items()})
    scope.run("create index on given_approvals (key)")
    scope.run("analyze given_approvals")


def _approved(scope: Scope, ids: list[str]) -> dict[str, Approved]:
    found: dict[str, list[Any]] = {}
    rows = scope.rows(_FOUND, ids=ids)
    for user_id, *line in rows:
        found.setdefault(user_id, []).append(line)
    scope.run(_USE, numbers=[number for _, number, _, _ in rows])
    return {
        user_id: Approved([reference for _, reference, _ in lines if reference], lines[0][2])
        for user_id, lines in found.items()
    }


_UNTOLD = (None, None, None)


def _told(approved: Approved | None, made_at: datetime | None) -> tuple[str | None, datetime | None, str]:
    if approved is None:
        return None, None, NOT_APPROVED
    late = approved.at is not None and made_at is not None and approved.at > made_at
    return "; ".join(dict.fromkeys(approved.references)), approved.at, TOO_LATE if late else IN_TIME


JOINERS = Report(
    "joiners",
    1,
    "Joiners of a period",
    "Who was given an account, through which client and approval, with which attributes, when the first group came.",
    (
        "id", "userName", "externalId", "displayName", "created_at", "created_by", "token_id", "address", "request_id",
        "created_disabled", "first_group", "first_group_at", "hours_to_first_group", "groups_at_end", "attributes",
        "approval_reference", "approved_at", "exception", "position",
    ),
    begin,
    of_period=True,
    takes_file=True,
)  # fmt: skip
