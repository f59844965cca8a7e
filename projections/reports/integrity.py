"""What can be said of the ledger itself, as of a moment: each statement checked while the report is made."""

from collections.abc import Iterator

from projections.reports.frame import Figure, Report, Row, Rows, Scope

_POSITIONS = """
select count(*), min(position), max(position)
  from entries
 where tenant_id = %(tenant)s
   and position <= %(last)s
"""
_TIMES = """
select count(*)
  from (select recorded_at < lag(recorded_at) over (order by position) as earlier
          from entries
         where tenant_id = %(tenant)s
           and position <= %(last)s) t
 where earlier
"""
_STREAMS = """
select count(*), count(*) filter (where versions <> newest)
  from (select count(*) as versions, max(stream_version) as newest
          from entries
         where tenant_id = %(tenant)s
           and position <= %(last)s
         group by stream) s
"""
# The end of a leaf's bytes repeats what the entry's columns say; `ledger/leaf.py` has its form.
_LEAVES = """
select count(*)
  from (select convert_from(leaf, 'UTF8') as leaf,
               '"log":"' || %(origin)s || '"' as log,
               '"seq":' || position || ',"sub":"' || upper(left(stream, 1)) || substr(stream, 2) || '","sv":'
               || stream_version || ',"typ":"' || event_type || '","v":1}' as ending
          from entries
         where tenant_id = %(tenant)s
           and position <= %(last)s) l
 where right(leaf, length(ending)) <> ending
    or position(log in leaf) = 0
"""
_KEYS = """
select count(*), count(distinct e.subject_id)
  from entries e
 where e.tenant_id = %(tenant)s
   and e.position <= %(last)s
   and e.key_id <> all(select k.key_id from tenant_keys k where k.tenant_id = %(tenant)s)
   and not exists (select from subject_keys k
                    where k.tenant_id = e.tenant_id and k.subject_id = e.subject_id and k.key_id = e.key_id)
"""
_VIEWS = """
select projection, position
  from tracking
 where tenant_id = %(tenant)s
 order by projection
"""
_TRIGGERS = """
select count(*) filter (where tgenabled = 'A'), count(*)
  from pg_trigger
 where tgrelid in ('entries'::regclass, 'received_requests'::regclass)
   and tgname in ('entries_stay', 'entries_stay_whole', 'received_requests_stay', 'received_requests_stay_whole')
"""
_MAY = """
select current_user, has_table_privilege('entries', 'update') or has_table_privilege('entries', 'delete')
       or has_table_privilege('entries', 'truncate')
"""
_EVENTS = """
select event_type, count(*)
  from entries
 where tenant_id = %(tenant)s
   and position <= %(last)s
   and event_type in ('SettingChanged', 'ProvisioningLogImported', 'ReportMade', 'TokenIssued', 'TokenRevoked')
 group by event_type
"""
OK, NOT_OK, NOT_COVERED = "holds", "DOES NOT HOLD", "not covered"


def begin(scope: Scope) -> Rows:
    """Nothing besides the moment is asked for."""
    return _rows(scope)


def _rows(scope: Scope) -> Rows:
    broken = uncovered = 0
    for statement, result, detail in _statements(scope):
        broken += result == NOT_OK
        uncovered += result == NOT_COVERED
        yield scope.fits((statement, result, detail))
    return [
        Figure("Statements that do not hold", broken, broken == 0),
        Figure("Statements that this version does not cover", uncovered),
    ]


def _statements(scope: Scope) -> Iterator[Row]:
    yield from _order(scope)
    yield from _content(scope)
    yield from _protection(scope)
    counts = dict(scope.rows(_EVENTS))
    for event, says in _COUNTED.items():
        yield says, "counted", str(counts.get(event, 0))
    for statement, detail in _NOT_YET.items():
        yield statement, NOT_COVERED, detail


def _order(scope: Scope) -> Iterator[Row]:
    count, lowest, highest = scope.row(_POSITIONS)
    whole = count == scope.last + 1 and (not count or (lowest, highest) == (0, scope.last))
    yield "Positions run from 0 without gaps", _held(whole), f"{count} entries, positions {lowest} to {highest}"
    (earlier,) = scope.row(_TIMES)
    yield "Times of recording never decrease", _held(not earlier), f"{earlier} entries are earlier than the one before"
    streams, torn = scope.row(_STREAMS)
    yield "Versions of every stream run from 1 without gaps", _held(not torn), f"{torn} of {streams} streams do not"


def _content(scope: Scope) -> Iterator[Row]:
    (other,) = scope.row(_LEAVES, origin=scope.reader.tenant.origin)
    yield "Every leaf says what its entry says", _held(not other), f"{other} leaves say something else"
    entries, people = scope.row(_KEYS)
    yield "Entries whose key was destroyed (erased people)", "counted", f"{entries} entries about {people} people"
    views = scope.rows(_VIEWS)
    behind = [name for name, position in views if position <= scope.last]
    named = ", ".join(f"{name} {position}" for name, position in views)
    yield "Every view has read the entries that count", _held(not behind), f"entries read: {named}"


def _protection(scope: Scope) -> Iterator[Row]:
    enabled, triggers = scope.row(_TRIGGERS)
    detail = f"{enabled} of 4 triggers against UPDATE, DELETE and TRUNCATE are always on"
    yield "The database refuses to change entries", _held(enabled == triggers == 4), detail
    role, may = scope.row(_MAY)
    detail = f"made as the role {role}, which {'may' if may else 'may not'} update, delete or truncate entries"
    yield "Who made this report cannot change entries", _held(not may), detail


def _held(holds: bool) -> str:
    return OK if holds else NOT_OK


_COUNTED = {
    "TokenIssued": "Tokens issued",
    "TokenRevoked": "Tokens revoked",
    "SettingChanged": "Settings changed",
    "ProvisioningLogImported": "Provisioning logs imported",
    "ReportMade": "Reports made",
}
_NOT_YET = {
    "Signed checkpoints over these entries": "none yet: they come with a later version, and will name the tree's size "
    "and root; each entry has carried its leaf from the beginning",
    "Witnesses and time stamps": "none yet: they rest on checkpoints",
    "Restores from backup and clock anomalies": "this version records neither",
}


INTEGRITY = Report(
    "integrity",
    1,
    "Integrity statement as of a moment",
    "Whether the ledger is whole and in order, what protects it, and what this version cannot show yet.",
    ("statement", "result", "detail"),
    begin,
)
