"""Who was given an account in a period."""

from projections.directory import resource_of
from projections.reports.frame import Figure, Report, Rows, Scope
from projections.words import value

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


def begin(scope: Scope) -> Rows:
    """Nothing besides the period is asked for."""
    return _rows(scope)


def _rows(scope: Scope) -> Rows:
    disabled = without_group = 0
    for page in scope.pages(_PAGE, scope.first):
        doings = scope.doings([position for row in page for position in (row[0], row[5])])
        names = scope.names([row[4] for row in page if row[4] is not None])
        for created, user_id, document, active, group_id, joined, groups in page:
            disabled += active is False
            without_group += group_id is None
            resource, by, first = resource_of(document), doings[created], doings[joined]
            hours = (first.at - by.at).total_seconds() / 3_600 if first.at and by.at else None
            yield scope.fits((
                user_id, resource.get("userName"), resource.get("externalId"), resource.get("displayName"), by.at,
                by.by, by.token_id, by.address, by.request_id, active is False, names.get(group_id, group_id), first.at,
                None if hours is None else round(hours, 2), groups, value(resource), None, created,
            ))  # fmt: skip
    created = scope.counted("UserCreated", "users/")
    return [
        Figure("Accounts created, by entries", created, created == scope.matched),
        Figure("Created disabled", disabled),
        Figure("Never in a group until the end of the period", without_group),
    ]


JOINERS = Report(
    "joiners",
    1,
    "Joiners of a period",
    "Who was given an account, through which client, with which attributes, and when the first group came.",
    (
        "id", "userName", "externalId", "displayName", "created_at", "created_by", "token_id", "address", "request_id",
        "created_disabled", "first_group", "first_group_at", "hours_to_first_group", "groups_at_end", "attributes",
        "approval_reference", "position",
    ),
    begin,
    of_period=True,
)  # fmt: skip
