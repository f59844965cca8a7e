"""Taking in an export of Entra's provisioning log: all of it with its ledger entry, or nothing.

The files are staged in temporary tables, joined by change id, and merged by row id: a row that is there stays. Then
every row that can be about a request is compared with the requests of that time. Repeating an import, or the order of
several, makes no difference to what is stored.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import SEEK_END
from itertools import islice
from typing import Any, BinaryIO

import psycopg
from msgspec import Struct

from domain.errors import ScimError
from domain.events import ProvisioningLogImported
from domain.ids import is_id
from ledger.entry import Cause
from ledger.randomness import random_id
from ledger.reader import Reader
from ledger.single import append
from ledger.tenants import job_of
from projections.answers import read_up_to
from projections.entra import EntraProperty, EntraRow, Recorded, Sent, joined
from projections.entra_files import Piece, PropertyPart, StepPart, read_export
from projections.files import BadFile, digest
from projections.names import key_of
from projections.tables import NULL, Table, byte_string, copy_lines, json, text
from projections.trail import HAPPENED_AT

_LINES_AT_ONCE = 500
_SUBJECTS_AT_ONCE = 1_000
# Rows so near to imported ones are joined again, for they may have taken a request that is another's; as many more
# are looked at, so that those are not judged without their own neighbours.
_NEIGHBOURS = timedelta(minutes=30)

_ROW_FIELDS = tuple(name for name in EntraRow.__struct_fields__ if name not in ("import_id", "first_position"))
_STAGED_ROWS = Table("staged_rows", (), (*_ROW_FIELDS, "number"))
_STAGED_PARTS = Table("staged_parts", (), ("change_id", "kind", "number", "part"))
_STAGED_NAMES = Table("staged_names", (), ("row_id", "change_id", "kind", "key"))
_NAMING = {name.lower(): name for name in ("userName", "externalId", "displayName")}


class Imported(Struct, frozen=True):
    """What an import came to.

    sha256: of each file. rows: in the files, each id once. rows_new: not known before. rows_erased: left out, for
    they are about people who were erased. rows_joined: of all the rows in the files, those whose request was found.
    position: of the import's entry.
    """

    import_id: str
    sha256: list[str]
    rows: int
    rows_new: int
    rows_erased: int
    rows_joined: int
    from_at: datetime | None
    to_at: datetime | None
    position: int


def import_export(
    reader: Reader, files: Sequence[tuple[str, BinaryIO]], cause: Callable[[], Cause], *,
    progress: Callable[[int], None] = lambda read: None,
) -> Imported:  # fmt: skip
    """Take in the files of one export.

    files: what to call each when it is wrong, and its content, which can be read twice. cause: gives that of the
    entry when it is written.
    progress: told how many bytes of all files have been read.
    Raises BadFile; then nothing has changed.
    """
    for projection in ("trail", "names"):
        read_up_to(reader, projection)
    connection, tenant = reader.connection, reader.tenant
    import_id = random_id()
    with connection.transaction(), psycopg.Cursor(connection) as cursor:
        cursor.execute(_ONE_AT_A_TIME, (tenant.tenant_id,))
        _make_stage(cursor)
        digests = _stage(cursor, files, progress)
        parameters = {"tenant": tenant.tenant_id, "import_id": import_id}
        erased = cursor.execute(_LEAVE_OUT_ERASED, parameters).rowcount
        count, from_at, to_at = _row(cursor, _STAGED, parameters)
        (new,) = _row(cursor, _MERGE, parameters)
        cursor.execute(_MERGE_NAMES, parameters)
        if count:
            _join(reader, cursor, from_at, to_at)
        (together,) = _row(cursor, _JOINED, parameters)
        event = ProvisioningLogImported(import_id, digests, count, new, _rfc3339(from_at), _rfc3339(to_at))
        job = job_of(tenant, reader.vault, cause(), f"imports/{import_id}", 1, import_id, event)
        appended = append(connection, job)  # Last: from here on everybody else waits for the commit.
    return Imported(import_id, digests, count, new, erased, together, from_at, to_at, appended.position)


def _row(cursor: psycopg.Cursor[Any], query: str, parameters: dict[str, Any]) -> Any:
    return cursor.execute(query.encode(), parameters).fetchone()


def _rfc3339(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat()


_ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtext('scim-ledger imports'), %s)"


# Staging.


def _make_stage(cursor: psycopg.Cursor[Any]) -> None:
    cursor.execute(
        "create temporary table staged_rows on commit drop as "
        "select *, 0::bigint as number from entra_rows with no data"
    )
    cursor.execute(
        "create temporary table staged_parts (change_id text, kind text, number bigint, part jsonb) on commit drop"
    )
    cursor.execute(
        "create temporary table staged_names (row_id text, change_id text, kind text, key bytea) on commit drop"
    )


def _stage(
    cursor: psycopg.Cursor[Any], files: Sequence[tuple[str, BinaryIO]], progress: Callable[[int], None]
) -> list[str]:  # fmt: skip
    """Copy what the files hold into the stage; returns their digests. Raises BadFile."""
    digests, done, rows = [], 0, 0
    for name, file in files:
        digests.append(digest(file))
        size = file.seek(0, SEEK_END)
        file.seek(0)
        try:
            for number, pieces in _batches(read_export(file)):
                rows += _copy(cursor, pieces, number)
                progress(done + min(file.tell(), size))
        except BadFile as error:
            raise BadFile(f"{name}: {error}") from None
        done += size
    if not rows and cursor.execute("select from staged_parts limit 1").fetchone() is not None:
        raise BadFile("steps and modified properties need the file ProvisioningLogs beside them")
    cursor.execute("analyze staged_rows, staged_parts, staged_names")
    return digests


def _batches(pieces: Iterator[Piece]) -> Iterator[tuple[int, list[Piece]]]:
    number = 0
    while batch := list(islice(pieces, _LINES_AT_ONCE)):
        yield number, batch
        number += len(batch)


def _copy(cursor: psycopg.Cursor[Any], pieces: Sequence[Piece], first: int) -> int:
    """Write some pieces to the stage; returns how many of them are rows."""
    rows, parts, names = [], [], []
    for number, piece in enumerate(pieces, first):
        match piece:
            case EntraRow():
                rows.append("\t".join([*(_field(getattr(piece, name)) for name in _ROW_FIELDS), str(number)]))
                names += [_name_line(piece.row_id, piece.change_id, *named) for named in _names(piece.modified)]
            case StepPart(change_id, part):
                parts.append(f"{text(change_id)}\tstep\t{number}\t{json(part)}")
            case PropertyPart(change_id, part):
                parts.append(f"{text(change_id)}\tproperty\t{number}\t{json(part)}")
                names += [_name_line(None, change_id, *named) for named in _names([part])]
    copy_lines(cursor, _STAGED_ROWS, rows)
    copy_lines(cursor, _STAGED_PARTS, parts)
    copy_lines(cursor, _STAGED_NAMES, names)
    return len(rows)


def _field(value: Any) -> str:
    match value:
        case str():
            return text(value)
        case datetime():
            return value.isoformat()
        case int():
            return str(value)
        case _:
            return json(value)


def _names(properties: Iterable[EntraProperty]) -> Iterator[tuple[str, bytes]]:
    """What the object is to be called, as the ledger looks names up."""
    for each in properties:
        kind = _NAMING.get(each.name.lower())
        if kind is not None and each.after:
            try:
                yield kind, key_of(kind, each.after)
            except ScimError:
                continue  # Nothing that could not be a userName ever was one.


def _name_line(row_id: str | None, change_id: str, kind: str, key: bytes) -> str:
    return f"{NULL if row_id is None else text(row_id)}\t{text(change_id)}\t{kind}\t{byte_string(key)}"


# Merging.

# Whose key was destroyed: the rows would bring back what was erased.
_LEAVE_OUT_ERASED = """
with gone as (
    select distinct s.source_id, s.target_id
      from staged_rows s
      join entries e on e.tenant_id = %(tenant)s and e.stream = 'users/' || s.target_id and e.stream_version = 1
     where not exists (select from subject_keys k where k.tenant_id = e.tenant_id and k.subject_id = e.subject_id)
)
delete from staged_rows s
 using gone g
 where s.target_id = g.target_id
    or (s.source_id <> '' and s.source_id = g.source_id)
"""

_MERGE = """
with merged as (
insert into entra_rows as r (
       tenant_id, row_id, at, action, status, cycle_id, change_id, job_id, initiated_by, initiator_type, duration_ms,
       source_id, source_name, source_type, target_id, target_type, service_principal, error_code, error_reason,
       modified, steps, details, import_id)
select distinct on (s.row_id)
       %(tenant)s, s.row_id, s.at, s.action, s.status, s.cycle_id, s.change_id, s.job_id, s.initiated_by,
       s.initiator_type, s.duration_ms, s.source_id, s.source_name, s.source_type, s.target_id, s.target_type,
       s.service_principal, s.error_code, s.error_reason, coalesce(m.parts, s.modified), coalesce(p.parts, s.steps),
       s.details, %(import_id)s
  from staged_rows s
  left join (select change_id, jsonb_agg(part order by number) as parts
               from staged_parts where kind = 'property' group by change_id) m on m.change_id = s.change_id
  left join (select change_id, jsonb_agg(part order by number) as parts
               from staged_parts where kind = 'step' group by change_id) p on p.change_id = s.change_id
 order by s.row_id, jsonb_array_length(s.steps) desc, s.number
    on conflict (tenant_id, row_id) do update
   set modified = case when r.modified = '[]' then excluded.modified else r.modified end,
       steps = case when r.steps = '[]' then excluded.steps else r.steps end
 where (r.modified = '[]' and excluded.modified <> '[]') or (r.steps = '[]' and excluded.steps <> '[]')
returning xmax = 0 as new
)
select count(*) filter (where new) from merged
"""

_MERGE_NAMES = """
insert into entra_names (tenant_id, kind, key, row_id)
select %(tenant)s, n.kind, n.key, n.row_id
  from (select s.target_id, s.source_type, s.row_id, n.kind, n.key
          from staged_rows s
          join staged_names n on n.row_id = s.row_id
         union all
        select s.target_id, s.source_type, s.row_id, n.kind, n.key
          from staged_rows s
          join staged_names n on n.row_id is null and n.change_id = s.change_id) n
 where n.target_id = ''
   and (n.kind <> 'displayName' or lower(n.source_type) = 'group')
    on conflict do nothing
"""

_STAGED = "select count(distinct row_id), min(at), max(at) from staged_rows"

_JOINED = """
select count(*)
  from entra_rows r
 where r.tenant_id = %(tenant)s
   and r.first_position is not null
   and r.row_id in (select row_id from staged_rows)
"""


# Joining.

_CONCERNED = """
select distinct target_id from staged_rows where target_id <> '' and status <> 'skipped'
 union
select n.id::text
  from staged_rows s
  join entra_names e on e.tenant_id = %(tenant)s and e.row_id = s.row_id
  join names n on n.tenant_id = e.tenant_id and n.key = e.key and n.kind = e.kind
 where s.target_id = '' and s.status <> 'skipped'
"""

_SENT = """
select r.row_id, r.at, r.duration_ms, r.action, r.status, r.first_position, m.subject_id
  from (select row_id, target_id as subject_id
          from entra_rows
         where tenant_id = %(tenant)s and target_id = any(%(subjects)s)
         union
        select e.row_id, n.id::text
          from names n
          join entra_names e on e.tenant_id = n.tenant_id and e.key = n.key and e.kind = n.kind
         where n.tenant_id = %(tenant)s and n.id = any(%(subjects)s::uuid[])) m
  join entra_rows r on r.tenant_id = %(tenant)s and r.row_id = m.row_id
 where r.at between %(since)s and %(until)s
   and r.status <> 'skipped'
"""

_RECORDED = f"""
select t.first_position,
       {HAPPENED_AT},
       t.action, t.status, t.target_id::text
  from trail_subjects s
  join trail t on t.tenant_id = s.tenant_id and t.first_position = s.first_position
 where s.tenant_id = %(tenant)s
   and s.subject_id = any(%(subjects)s::uuid[])
   and t.target_id = s.subject_id
   and s.first_position between %(first)s and %(last)s
"""  # noqa: S608  # Columns of ours.

_FAILED_CREATIONS = """
select r.row_id, r.at, r.duration_ms, r.action, r.status, r.first_position, ''
  from entra_rows r
 where r.tenant_id = %(tenant)s
   and r.at between %(since)s and %(until)s
   and r.action = 'create'
   and r.status = 'failure'
   and not exists (select from trail t
                    where t.tenant_id = r.tenant_id and t.first_position = r.first_position and t.target_id is not null)
"""

_REFUSED_CREATIONS = f"""
select first_position,
       {HAPPENED_AT},
       action, status, null
  from trail t
 where tenant_id = %(tenant)s
   and status = 'failure'
   and action = 'create'
   and target_id is null
   and first_position between %(first)s and %(last)s
"""  # noqa: S608  # Columns of ours.

_SET = """
update entra_rows r
   set first_position = x.first_position
  from unnest(%(rows)s::text[], %(positions)s::bigint[]) x(row_id, first_position)
 where r.tenant_id = %(tenant)s
   and r.row_id = x.row_id
   and r.first_position is distinct from x.first_position
"""


def _join(reader: Reader, cursor: psycopg.Cursor[Any], from_at: datetime, to_at: datetime) -> None:
    """Find the requests of the imported rows, and of their neighbours in time about the same people."""
    since, until = from_at - 2 * _NEIGHBOURS, to_at + 2 * _NEIGHBOURS
    parameters: dict[str, Any] = {
        "tenant": reader.tenant.tenant_id,
        "since": since,
        "until": until,
        "settle_since": from_at - _NEIGHBOURS,
        "settle_until": to_at + _NEIGHBOURS,
        "first": reader.position_at(since - timedelta(minutes=1)),
        "last": reader.position_at(until + timedelta(minutes=1)),
    }
    concerned = sorted(row[0] for row in cursor.execute(_CONCERNED, parameters).fetchall() if is_id(row[0]))
    for start in range(0, len(concerned), _SUBJECTS_AT_ONCE):
        some = parameters | {"subjects": concerned[start : start + _SUBJECTS_AT_ONCE]}
        records = [Recorded(*row) for row in cursor.execute(_RECORDED, some)]
        _settle(cursor, some, cursor.execute(_SENT, some).fetchall(), records)
    refused = [Recorded(*row) for row in cursor.execute(_REFUSED_CREATIONS, parameters)]
    _settle(cursor, parameters, cursor.execute(_FAILED_CREATIONS, parameters).fetchall(), refused)


def _settle(
    cursor: psycopg.Cursor[Any], parameters: dict[str, Any], stored: Sequence[Any], records: Sequence[Recorded]
) -> None:  # fmt: skip
    """Join some rows and records, and note what came of it."""
    subjects: dict[str, set[str]] = {}
    for row in stored:
        subjects.setdefault(row[0], set()).add(row[6])
    rows = {row[0]: row for row in stored}
    sent = [
        Sent(row_id, at, duration_ms, action, status, frozenset(subjects[row_id]))
        for row_id, at, duration_ms, action, status, _, _ in rows.values()
    ]
    found = joined(sent, records)
    settled = [row.row_id for row in sent if parameters["settle_since"] <= row.at <= parameters["settle_until"]]
    changed = {row_id: found.get(row_id) for row_id in settled if found.get(row_id) != rows[row_id][5]}
    cursor.execute(_SET, parameters | {"rows": list(changed), "positions": list(changed.values())})
