"""Accounts that nobody seems to own, and accounts that seem to be the same person's, as of a moment."""

from collections import Counter
from datetime import timedelta
from typing import Any

from ledger.reader import ELSEWHERE, PEOPLE
from projections.directory import resource_of
from projections.reports.frame import Figure, Parameter, Report, Rows, Scope

DAYS = 90
NO_EXTERNAL_ID, NO_GROUP, UNTOUCHED = "no externalId", "in no group", "not touched for long"
SAME_EXTERNAL_ID, SAME_MAIL = "same externalId as another account", "same mail as another account"
_FINDINGS = (NO_EXTERNAL_ID, NO_GROUP, UNTOUCHED, SAME_EXTERNAL_ID, SAME_MAIL)

_FILL = """
insert into shared_mails (id, others)
  with mails as (
select distinct u.id, mail ->> 'value' as mail
  from users_at(%(tenant)s, %(last)s) u
 cross join lateral jsonb_array_elements(u.search -> 'emails') mail
 where u.resource_type = 'User'
   and jsonb_typeof(u.search -> 'emails') = 'array'
),  shared as (
select id, mail, count(*) over (partition by mail) as holders from mails where mail <> ''
)
select s.id, array_agg(distinct o.id)
  from shared s
  join shared o on o.mail = s.mail and o.id <> s.id
 where s.holders > 1
   and o.holders > 1
 group by s.id
"""

_PAGE = f"""
select u.created_position, u.id::text, u.document, u.active is distinct from false,
       exists (select from memberships_at(%(tenant)s, %(last)s) m where m.member_id = u.id),
       greatest((select e.position
                   from entries e
                  where e.tenant_id = u.tenant_id and e.stream = '{PEOPLE}' || u.id::text and e.position <= %(last)s
                  order by e.stream_version desc
                  limit 1),
                (select e.position
                   from entries e
                  where e.tenant_id = u.tenant_id and e.subject_id = u.id and {ELSEWHERE}
                    and e.position <= %(last)s
                  order by e.position desc
                  limit 1)),
       (select array_agg(o.id::text order by o.from_position)
          from names own
          join names o on o.tenant_id = own.tenant_id and o.key = own.key and o.kind = own.kind
                      and o.resource = own.resource and o.id <> own.id and o.from_position <= %(last)s
                      and (o.to_position is null or o.to_position > %(last)s)
         where own.tenant_id = u.tenant_id
           and own.id = u.id
           and own.kind = 'externalId'
           and own.from_position <= %(last)s
           and (own.to_position is null or own.to_position > %(last)s)),
       (select s.others::text[] from shared_mails s where s.id = u.id)
  from users_at(%(tenant)s, %(last)s) u
 where u.resource_type = 'User'
   and u.created_position > %(after)s
 order by u.created_position
 limit %(count)s
"""  # noqa: S608  # Conditions of ours.
_OF_THE_GONE = """
select count(*)
  from memberships_at(%(tenant)s, %(last)s) m
 where not exists (select from resource_states v
                    where v.tenant_id = m.tenant_id
                      and v.id = m.member_id
                      and v.from_position <= %(last)s
                      and v.to_position > %(last)s)
"""


def begin(scope: Scope) -> Rows:
    """Check after how long an account counts as untouched."""
    days = scope.number("days", DAYS)
    scope.filters += [
        f"active accounts that have no externalId, are in no group, or were in no request for {days} days",
        "active and disabled accounts that share an externalId or a mail with another one",
        "not covered: accounts that nobody signs in to, because the application does not tell this ledger",
    ]
    return _rows(scope, timedelta(days=days))


def _rows(scope: Scope, untouched: timedelta) -> Rows:
    counts: Counter[str] = Counter()
    with scope.table("shared_mails", "id uuid primary key, others uuid[]"):
        scope.run(_FILL)
        for page in scope.pages(_PAGE, -1):
            scope.scanned += len(page)
            doings = scope.doings([position for row in page for position in (row[0], row[5])])
            for created, user_id, document, active, in_group, touched, same_id, same_mail in page:
                resource, last = resource_of(document), doings[touched]
                late = last.at is not None and scope.at - last.at > untouched
                found = _findings(resource, active, in_group, late, same_id, same_mail)
                scope.matched += bool(found)
                for finding, others in found:
                    counts[finding] += 1
                    yield (
                        finding, user_id, resource.get("userName"), resource.get("externalId"),
                        resource.get("displayName"), active, doings[created].at, doings[created].by, last.at, last.by,
                        others, created, touched, None, None, None,
                    )  # fmt: skip
    (gone,) = scope.row(_OF_THE_GONE)
    return [
        *(Figure(f"Accounts: {finding}", counts[finding]) for finding in _FINDINGS),
        Figure("Memberships of members who are gone", gone, gone == 0),
    ]


def _findings(
    resource: dict[str, Any], active: bool, in_group: bool, late: bool, same_id: list[str] | None,
    same_mail: list[str] | None,
) -> list[tuple[str, list[str]]]:  # fmt: skip
    """What is worth a look about an account, each with the other accounts it is about."""
    nobody: list[str] = []
    found = [(NO_EXTERNAL_ID, nobody)] if active and not resource.get("externalId") else []
    found += [(NO_GROUP, nobody)] if active and not in_group else []
    found += [(UNTOUCHED, nobody)] if active and late else []
    found += [(SAME_EXTERNAL_ID, same_id)] if same_id else []
    found += [(SAME_MAIL, same_mail)] if same_mail else []
    return found


ORPHANS = Report(
    "orphans",
    1,
    "Orphan and duplicate candidates as of a moment",
    "Which accounts nobody seems to own, and which seem to be the same person's; a row a finding.",
    (
        "finding", "id", "userName", "externalId", "displayName", "active", "created_at", "created_by",
        "last_request_at", "last_request_by", "other_accounts", "created_position", "last_position", "decision",
        "reviewer", "comment",
    ),
    begin,
    parameters=(Parameter("days", f"After how many days without a request about it; {DAYS} without it."),),
)  # fmt: skip
