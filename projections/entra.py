"""What the identity provider says: rows of Entra's provisioning log, as imported, and which request each is about.

A row says what no SCIM request can: in which cycle, by whose hand, and why somebody was skipped. What is kept was
exported by somebody and not recorded by us; the entry of the import holds the files' SHA-256.
Source: facts on the Entra client, §5 (Graph's provisioningObjectSummary).
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
from msgspec import Struct, convert

from ledger.entry import Tenant

TOLD_MAX = 1_000


class EntraProperty(Struct, frozen=True, omit_defaults=True):
    """A modified property as Entra tells it: all values are texts."""

    name: str
    before: str | None = None
    after: str | None = None


class EntraStep(Struct, frozen=True, omit_defaults=True):
    """A step as Entra tells it. type: import, scoping, matching, processing, referenceResolution, export."""

    name: str
    type: str = ""
    status: str = ""
    description: str = ""
    details: dict[str, Any] = {}


class EntraRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One row of Entra's provisioning log. Texts are empty where the export had none.

    at: by Entra's clock. action: create, update, disable, delete, stageddelete, other.
    status: success, failure, skipped, warning. initiator_type: system (a cycle), user (on demand), application.
    source_id: of the object in Entra. target_id: of the resource here. details: whatever else the export had.
    import_id: of the first import that had the row. first_position: of the request here, once that is found.
    """

    row_id: str
    at: datetime
    action: str
    status: str
    cycle_id: str = ""
    change_id: str = ""
    job_id: str = ""
    initiated_by: str = ""
    initiator_type: str = ""
    duration_ms: int = 0
    source_id: str = ""
    source_name: str = ""
    source_type: str = ""
    target_id: str = ""
    target_type: str = ""
    service_principal: str = ""
    error_code: str = ""
    error_reason: str = ""
    modified: list[EntraProperty] = []
    steps: list[EntraStep] = []
    details: dict[str, Any] = {}
    import_id: str = ""
    first_position: int | None = None

    @property
    def skip_reason(self) -> str:
        """Why nothing was sent, such as NotEffectivelyEntitled; empty when it was."""
        return next((str(step.details["SkipReason"]) for step in self.steps if "SkipReason" in step.details), "")

    @property
    def scoping(self) -> dict[str, str]:
        """What Entra decided about its scope, such as `Assigned to the application: False`; empty when untold."""
        return {name: str(told) for step in self.steps if step.type == "scoping" for name, told in step.details.items()}


class Recorded(Struct, frozen=True):
    """A request as far as a row can be about it, at the time when it happened.

    subject_id: the user or group it was sent to or made; or None. Repetitions of a refusal are one, the last of them.
    """

    first_position: int
    at: datetime
    action: str
    status: str
    subject_id: str | None


class Sent(Struct, frozen=True):
    """A row as far as a request can be meant by it. subject_ids: the target, or whoever had its names."""

    row_id: str
    at: datetime
    duration_ms: int
    action: str
    status: str
    subject_ids: frozenset[str]


TOLERANCE = timedelta(seconds=10)  # Between two clocks, and between the end of a change there and its record here.

# What a request may be recorded as here, by what Entra calls it, the likeliest first. A refused PATCH is an update
# here whatever it was to do, and one that changed nothing is `other`.
_RECORDED_AS = {
    "create": ("create", "enable", "update", "other"),
    "update": ("update", "enable", "other"),
    "disable": ("disable", "update", "other"),
    "delete": ("delete", "other"),
    "other": ("other",),
}


def joined(rows: Iterable[Sent], records: Iterable[Recorded]) -> dict[str, int]:
    """Find the request each row is about: row id → the request's first position.

    Same subject, equal action before a compatible one, then the nearest in time; what several rows and requests of
    one subject and action share keeps its order. A failed creation names nobody here: it is the refused one of that
    moment, when there is one of each and no more. The same whatever order rows and records come in.
    """
    sent = sorted((row for row in rows if row.status != "skipped"), key=lambda row: (row.at, row.row_id))
    by_subject: dict[str, list[Recorded]] = {}
    nobodys: list[Recorded] = []
    for record in sorted(records, key=_in_time):  # By position, repetitions of a refusal would stand too late.
        if record.subject_id is not None:
            by_subject.setdefault(record.subject_id, []).append(record)
        elif record.action == "create" and record.status == "failure":
            nobodys.append(record)
    pairs = _Pairs()
    for subject_id, of_subject in by_subject.items():
        of_rows = [row for row in sent if subject_id in row.subject_ids]
        for likelihood in range(max(map(len, _RECORDED_AS.values()))):
            pairs.match(of_rows, of_subject, likelihood)
    failed = [row for row in sent if row.action == "create" and row.status == "failure" and row.row_id not in pairs.of]
    return pairs.in_order() | _unmistakable(failed, nobodys)


class _Pairs:
    """Rows and records that belong together, each at most once."""

    def __init__(self) -> None:
        self.of: dict[str, tuple[Sent, Recorded]] = {}
        self._taken: set[int] = set()

    def match(self, rows: Iterable[Sent], records: Sequence[Recorded], likelihood: int) -> None:
        """Give rows without a record the nearest that is free and as likely as that."""
        for row in rows:
            actions = _RECORDED_AS.get(row.action, ())
            if row.row_id in self.of or likelihood >= len(actions):
                continue
            near = [
                record
                for record in _within_tolerance(row, records)
                if record.action == actions[likelihood]
                and record.first_position not in self._taken
                and _agree(row, record)
            ]
            if near:
                nearest = min(near, key=lambda record: (abs(record.at - row.at), record.first_position))
                self.of[row.row_id] = (row, nearest)
                self._taken.add(nearest.first_position)

    def in_order(self) -> dict[str, int]:
        """The pairs; of one subject and one pair of actions, the earlier row with the earlier record."""
        alike: dict[tuple[str | None, str, str], list[tuple[Sent, Recorded]]] = {}
        for row, record in self.of.values():
            alike.setdefault((record.subject_id, row.action, record.action), []).append((row, record))
        found: dict[str, int] = {}
        for pairs in alike.values():
            rows = sorted((row for row, _ in pairs), key=lambda row: (row.at, row.row_id))
            records = sorted((record for _, record in pairs), key=_in_time)
            found |= {row.row_id: record.first_position for row, record in zip(rows, records, strict=True)}
        return found


def _agree(row: Sent, record: Recorded) -> bool:
    """Whether action and result do not contradict: a creation that failed is not somebody's update that did not."""
    if row.action == record.action or row.status == record.status:
        return True
    return row.status == "success" and record.status == "skipped"


def _within_tolerance(row: Sent, records: Sequence[Recorded]) -> Sequence[Recorded]:
    """The records, in order of time, that a row can be about."""
    reach = TOLERANCE + timedelta(milliseconds=row.duration_ms)
    start = bisect_left(records, row.at - reach, key=_at)
    return records[start : bisect_right(records, row.at + reach, start, key=_at)]


def _in_time(record: Recorded) -> tuple[datetime, int]:
    return record.at, record.first_position


def _at(record: Recorded) -> datetime:
    return record.at


def _unmistakable(rows: Iterable[Sent], records: Sequence[Recorded]) -> dict[str, int]:
    """Rows with one record within reach, which is in the reach of no other row."""
    reach = {row.row_id: [record.first_position for record in _within_tolerance(row, records)] for row in rows}
    claims = Counter(position for positions in reach.values() for position in positions)
    return {
        row_id: positions[0] for row_id, positions in reach.items() if len(positions) == 1 and claims[positions[0]] == 1
    }


COLUMNS = EntraRow.__struct_fields__
ROW_COLUMNS = ", ".join(f"r.{name}::text" if name == "import_id" else f"r.{name}" for name in COLUMNS)

# Rows that name one of the ids; rows without any id that hold a name of theirs, while it was theirs or before; and
# every other row about the same object in Entra. Each is one index's answer.
_MEANT = """
with own as (
    select row_id, source_id
      from entra_rows
     where tenant_id = %(tenant)s
       and target_id = any(%(ids)s::text[])
     union
    select r.row_id, r.source_id
      from names n
      join entra_names e on e.tenant_id = n.tenant_id and e.key = n.key and e.kind = n.kind
      join entra_rows r on r.tenant_id = e.tenant_id and r.row_id = e.row_id
      left join entries x on x.tenant_id = n.tenant_id and x.position = n.to_position
     where n.tenant_id = %(tenant)s
       and n.id = any(%(ids)s::uuid[])
       and r.at <= coalesce(x.recorded_at, r.at) + interval '1 minute'
), meant as (
    select row_id from own
     union
    select r.row_id
      from entra_rows r
     where r.tenant_id = %(tenant)s
       and r.source_id in (select source_id from own where source_id <> '')
       and r.target_id = ''
       and r.source_id <> ''
)
"""

_TOLD = f"""{_MEANT}
select {ROW_COLUMNS}
  from meant m
  join entra_rows r on r.tenant_id = %(tenant)s and r.row_id = m.row_id
 where (%(since)s::timestamptz is null or r.at >= %(since)s)
   and (%(until)s::timestamptz is null or r.at <= %(until)s)
 order by r.at desc, r.row_id
 limit %(count)s
"""  # noqa: S608  # Columns of ours.

_FORGET = f"""{_MEANT}, nameless as (
    delete from entra_names n
     using meant m
     where n.tenant_id = %(tenant)s
       and n.row_id = m.row_id
)
delete from entra_rows r
 using meant m
 where r.tenant_id = %(tenant)s
   and r.row_id = m.row_id
"""  # noqa: S608


def entra_told(
    connection: psycopg.Connection[Any], tenant: Tenant, subject_ids: Sequence[str], since: datetime | None,
    until: datetime | None, *, count: int = TOLD_MAX,
) -> list[EntraRow]:  # fmt: skip
    """Return what Entra's log says about users or groups in a time, oldest first; of too many rows the newest.

    subject_ids: ids we issued. since, until: by Entra's clock, both included; None for no bound.
    """
    parameters = {
        "tenant": tenant.tenant_id,
        "ids": list(subject_ids),
        "since": since,
        "until": until,
        "count": max(0, min(count, TOLD_MAX)),
    }
    with psycopg.Cursor(connection) as cursor:
        rows = cursor.execute(_TOLD.encode(), parameters).fetchall()
    return [row_of(row) for row in reversed(rows)]


def forget_told(connection: psycopg.Connection[Any], tenant: Tenant, subject_ids: Sequence[str]) -> int:
    """Delete all that `entra_told` would tell of people who are erased; returns how many rows.

    Before their names go from `names`: rows without an id of ours are found by them.
    """
    with psycopg.Cursor(connection) as cursor:
        return cursor.execute(_FORGET.encode(), {"tenant": tenant.tenant_id, "ids": list(subject_ids)}).rowcount


_TOLD_OF = f"""
select {ROW_COLUMNS}
  from entra_rows r
 where r.tenant_id = %(tenant)s
   and r.row_id in (select e.row_id
                      from entra_names e
                     where e.tenant_id = %(tenant)s
                       and (e.kind, e.key) in (select * from unnest(%(kinds)s::text[], %(keys)s::bytea[])))
 order by r.at desc, r.row_id
 limit %(count)s
"""  # noqa: S608  # Columns of ours.


def entra_told_of(
    connection: psycopg.Connection[Any], tenant: Tenant, keys: Mapping[str, bytes], *, count: int = TOLD_MAX
) -> list[EntraRow]:
    """Return what Entra's log says of a name that nobody here has, oldest first; of too many rows the newest.

    keys: of the name, by kind, as `names` keeps them.
    """
    parameters = {
        "tenant": tenant.tenant_id,
        "kinds": list(keys),
        "keys": list(keys.values()),
        "count": max(0, min(count, TOLD_MAX)),
    }
    with psycopg.Cursor(connection) as cursor:
        rows = cursor.execute(_TOLD_OF.encode(), parameters).fetchall()
    return [row_of(row) for row in reversed(rows)]


def row_of(stored: Sequence[Any]) -> EntraRow:
    """Return a row as it is stored, in the order of COLUMNS."""
    return convert(dict(zip(COLUMNS, stored, strict=True)), EntraRow)
