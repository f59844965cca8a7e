"""What fits together and what does not: requests without a row of Entra's log, and rows without a request.

Only times that some import covers are compared. The reason given is the likeliest one, from what both sides say.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct

from domain.events import ProvisioningLogImported
from ledger.reader import Reader
from projections.answers import read_up_to
from projections.entra import ROW_COLUMNS, EntraRow, row_of
from projections.trail import HAPPENED_AT, REQUESTS

COUNT_MAX = 1_000

THEIRS = {
    "skipped there": "Entra sent nothing: it skipped the object",
    "staged there": "Entra sent nothing: too many deletions, an administrator has to allow them",
    "before our first entry": "it happened before this ledger began",
    "another tenant's": "its target is no resource of this tenant",
    "failed there": "Entra reports a failure, and no request of that moment is here: it may never have been sent",
    "no request": "no request about it within ten seconds",
}
OURS = {
    "on the command line": "an operator made it",
    "another client's": "the client has no row in the log at all: it is another application",
    "unchanged here": "the request changed nothing",
    "refused here": "the request was refused",
    "not in the log": "the client has rows in the log, but not about this",
}


class Range(Struct, frozen=True):
    """A time that imports cover, both ends included, by Entra's clock."""

    from_at: datetime
    to_at: datetime


class OurRequest(Struct, frozen=True):
    """A request without a row; or the repetitions of a refusal. at: when it happened, of repetitions the last."""

    first_position: int
    recorded_at: datetime
    at: datetime
    action: str
    status: str
    resource_type: str
    target_id: str | None
    request_id: str
    token_id: str
    token_label: str
    reason: str


class TheirRow(Struct, frozen=True):
    """A row without a request."""

    row: EntraRow
    reason: str


class Unmatched(Struct, frozen=True):
    """Both sides compared, in the times that imports cover.

    rows, requests: how many there are, repetitions of a refusal one by one. joined: how many rows belong to one; to
    repetitions only one does. theirs, ours: of the others, how many by reason. their_rows, our_requests: their newest.
    """

    size: int
    covered: list[Range]
    rows: int
    requests: int
    joined: int
    theirs: dict[str, int]
    ours: dict[str, int]
    their_rows: list[TheirRow]
    our_requests: list[OurRequest]


def covered(imports: Iterable[ProvisioningLogImported]) -> list[Range]:
    """Return the times that imports cover, in order, those that overlap as one."""
    ranges: list[Range] = []
    for start, end in sorted(
        (datetime.fromisoformat(each.from_at), datetime.fromisoformat(each.to_at))
        for each in imports
        if each.from_at is not None and each.to_at is not None
    ):
        if ranges and start <= ranges[-1].to_at:
            ranges[-1] = Range(ranges[-1].from_at, max(end, ranges[-1].to_at))
        else:
            ranges.append(Range(start, end))
    return ranges


_THEIR_REASON = """
       case when r.status = 'skipped' then 'skipped there'
            when r.action = 'stageddelete' then 'staged there'
            when r.at < %(begun)s then 'before our first entry'
            when r.target_id <> '' and not exists (select from entries e
                                                    where e.tenant_id = r.tenant_id and e.stream_version = 1
                                                      and e.stream in ('users/' || r.target_id,
                                                                       'groups/' || r.target_id))
            then 'another tenant''s'
            when r.status = 'failure' then 'failed there'
            else 'no request' end
"""

_THEIRS = f"""
select count(*), count(r.first_position), {_THEIR_REASON} as reason
  from entra_rows r
 where r.tenant_id = %(tenant)s
 group by r.first_position is null, reason
"""  # noqa: S608  # Texts of ours.

_THEIR_ROWS = f"""
select {ROW_COLUMNS}, {_THEIR_REASON}
  from entra_rows r
 where r.tenant_id = %(tenant)s
   and r.first_position is null
 order by r.at desc, r.row_id
 limit %(count)s
"""  # noqa: S608

_IN_RANGE = """
  from trail t
  left join entra_rows r on r.tenant_id = t.tenant_id and r.first_position = t.first_position
 where t.tenant_id = %(tenant)s
   and t.resource_type in ('User', 'Group')
   and exists (select
                 from unnest(%(firsts)s::bigint[], %(lasts)s::bigint[]) x(first, last)
                where t.first_position >= x.first and t.first_position < x.last)
   and t.first_position >= %(first)s
   and t.first_position < %(last)s
"""

_OUR_REASON = """
       case when t.token_id = 'operator' then 'on the command line'
            when t.token_id <> all(%(clients)s) then 'another client''s'
            when t.status = 'skipped' then 'unchanged here'
            when t.status = 'failure' then 'refused here'
            else 'not in the log' end
"""

_CLIENTS = """
select distinct t.token_id
  from entra_rows r
  join trail t on t.tenant_id = r.tenant_id and t.first_position = r.first_position
 where r.tenant_id = %(tenant)s
   and r.first_position is not null
"""

_OURS = f"""
select sum({REQUESTS})::bigint, count(r.row_id), {_OUR_REASON} as reason{_IN_RANGE}
 group by r.row_id is null, reason
"""

_OUR_REQUESTS = f"""
select t.first_position, t.recorded_at,
       {HAPPENED_AT},
       t.action, t.status, t.resource_type, t.target_id::text, t.request_id::text, t.token_id, t.token_label,
       {_OUR_REASON}{_IN_RANGE}
   and r.row_id is null
 order by t.first_position desc
 limit %(count)s
"""


def unmatched(reader: Reader, *, count: int = 50) -> Unmatched:
    """Compare both sides; count: how many of each to show."""
    size = read_up_to(reader, "trail")
    ranges = covered(_imports(reader))
    bounds = [(int(reader.position_at(each.from_at)), int(reader.position_at(each.to_at))) for each in ranges]
    first = reader.entries_after(0, 1)
    parameters: dict[str, Any] = {
        "tenant": reader.tenant.tenant_id,
        "count": max(0, min(count, COUNT_MAX)),
        "begun": first[0].recorded_at if first else datetime.max,
        "firsts": [first for first, _ in bounds],
        "lasts": [last for _, last in bounds],
        "first": min((first for first, _ in bounds), default=0),
        "last": max((last for _, last in bounds), default=0),
    }
    with psycopg.Cursor(reader.connection) as cursor:
        parameters["clients"] = [row[0] for row in cursor.execute(_CLIENTS, parameters)]
        theirs = cursor.execute(_THEIRS.encode(), parameters).fetchall()
        ours = cursor.execute(_OURS.encode(), parameters).fetchall()
        their_rows = cursor.execute(_THEIR_ROWS.encode(), parameters).fetchall()
        our_requests = cursor.execute(_OUR_REQUESTS.encode(), parameters).fetchall()
    return Unmatched(
        size=size,
        covered=ranges,
        rows=sum(rows for rows, _, _ in theirs),
        requests=sum(requests for requests, _, _ in ours),
        joined=sum(together for _, together, _ in theirs),
        theirs=_by_reason(theirs, THEIRS),
        ours=_by_reason(ours, OURS),
        their_rows=[TheirRow(row_of(row[:-1]), row[-1]) for row in their_rows],
        our_requests=[OurRequest(*row) for row in our_requests],
    )


def _imports(reader: Reader) -> list[ProvisioningLogImported]:
    """Every import's entry: their streams stand side by side in the index of streams."""
    entries = reader.in_streams("imports/")
    return [entry.event for entry in entries if isinstance(entry.event, ProvisioningLogImported)]


def _by_reason(counted: Sequence[tuple[int, int, str]], reasons: Iterable[str]) -> dict[str, int]:
    found = {reason: count for count, together, reason in counted if not together}
    return {reason: found[reason] for reason in reasons if reason in found}
