"""Provisioning that was refused in a period: what, how often, since when, and whether it went through later."""

from projections.reports.frame import Figure, Report, Rows, Scope, known_as
from projections.trail import HAPPENED_AT, REQUESTS

STILL_FAILING, LATER, UNKNOWN = "yes", "no", "unknown: the request named nobody who was there"

_TABLE = (
    "rank bigint primary key, token_id text, label text, method text, path text, target_id uuid, http_status smallint, "
    "scim_type text, detail text, requests bigint, entries bigint, first_position bigint, last_position bigint, "
    "first_at timestamptz, last_at timestamptz, last_of_its_own bigint"
)
# What is refused again and again in the same words is one row. Repetitions of a minute are one entry with their count.
_FILL = f"""
insert into refusals_in_period
select row_number() over (order by min(first_position)), token_id, max(token_label), method, path, target_id,
       http_status, scim_type, detail, sum({REQUESTS}), count(*), min(first_position), max(first_position),
       min({HAPPENED_AT}),
       max({HAPPENED_AT}),
       coalesce(max(first_position) filter (where repetitions = 0), %(first)s)
  from trail t
 where tenant_id = %(tenant)s
   and status = 'failure'
   and first_position > %(first)s
   and first_position <= %(last)s
 group by token_id, method, path, target_id, http_status, scim_type, detail
"""  # noqa: S608  # Columns of ours.
# Repetitions may be recorded behind the success that ended them: what is later is judged by time.
_PAGE = """
select r.rank, r.token_id, r.label, r.method, r.path, r.target_id::text, r.http_status, r.scim_type, r.detail,
       r.requests, r.entries, r.first_at, r.last_at, r.first_position, r.last_position,
       (select t.first_position
          from trail_subjects s
          join trail t on t.tenant_id = s.tenant_id and t.first_position = s.first_position
         where s.tenant_id = %(tenant)s
           and s.subject_id = r.target_id
           and s.first_position > r.last_of_its_own
           and s.first_position <= %(last)s
           and t.target_id = r.target_id
           and t.status <> 'failure'
           and t.recorded_at >= r.last_at
         order by s.first_position
         limit 1)
  from refusals_in_period r
 where r.rank > %(after)s
 order by r.rank
 limit %(count)s
"""


def begin(scope: Scope) -> Rows:
    """Nothing besides the period is asked for."""
    scope.filters.append("requests that were refused; the same one in the same words is one row")
    return _rows(scope)


def _rows(scope: Scope) -> Rows:
    requests = entries = failing = 0
    with scope.table("refusals_in_period", _TABLE):
        scope.run(_FILL)
        for page in scope.pages(_PAGE, 0):
            doings = scope.doings([row[15] for row in page])
            names = scope.names([row[5] for row in page if row[5] is not None])
            for row in page:
                token_id, label, method, path, target_id, status, scim_type, detail, count, recorded = row[1:11]
                first_at, last_at, first, last, later = row[11:16]
                requests, entries = requests + count, entries + recorded
                standing = UNKNOWN if target_id is None else STILL_FAILING if later is None else LATER
                failing += standing == STILL_FAILING
                yield scope.fits((
                    first_at, last_at, known_as(token_id, label), token_id, method, path, target_id,
                    names.get(target_id, ""), status, scim_type, detail, count, recorded, doings[later].at, standing,
                    first, last, later,
                ))  # fmt: skip
    counted = scope.counted("RequestRefused")
    return [
        Figure("Refused requests", requests),
        Figure("Entries about them: repetitions within a minute have one together", entries, entries == counted),
        Figure("Still failing at the end of the period", failing),
    ]


FAILURES = Report(
    "failures",
    2,
    "Failed and refused provisioning in a period",
    "Which requests were refused, how often, since when, why, and whether the same account was changed later.",
    (
        "first_at", "last_at", "client", "token_id", "method", "path", "target_id", "target", "status", "scimType",
        "detail", "requests", "entries", "later_success_at", "still_failing", "first_position", "last_position",
        "later_position",
    ),
    begin,
    of_period=True,
)  # fmt: skip
