"""Who acts: tokens and OAuth clients, since when they may, what they did in a period and from where."""

from ledger.tenants import OPERATOR
from projections.reports.frame import AN_OPERATOR, Figure, Report, Rows, Scope
from projections.trail import HAPPENED_AT, REQUESTS

_SEEN_MAX = 20
ERASED = "requests whose record was erased"

# Everybody who may act or did. What they did comes from the requests in the period; reads that succeed are none.
_ACTORS = f"""
  with did as (
select t.token_id, max(t.token_label) as label, min(t.first_position) as first, max(t.first_position) as last,
       min(t.at) as first_at, max(t.at) as last_at, sum(t.requests) as requests,
       sum(t.requests) filter (where t.status = 'failure') as refused,
       sum(t.requests) filter (where t.action = 'create') as creates,
       sum(t.requests) filter (where t.action = 'update') as updates,
       sum(t.requests) filter (where t.action = 'disable') as disables,
       sum(t.requests) filter (where t.action = 'enable') as enables,
       sum(t.requests) filter (where t.action = 'delete') as deletes,
       sum(t.requests) filter (where t.action = 'other') as others, sum(t.entry_count) as entries,
       array_agg(distinct t.client_address) filter (where t.client_address <> '') as addresses,
       array_agg(distinct t.user_agent) filter (where t.user_agent <> '') as agents
  from (select t.*,
               {REQUESTS} as requests,
               {HAPPENED_AT} as at
          from trail t
         where t.tenant_id = %(tenant)s
           and t.first_position > %(first)s
           and t.first_position <= %(last)s) t
 group by t.token_id
),  may as (
select token_id::text as id, 'token' as kind, label, scopes, profile, created_at, expires_at, revoked_at
  from tokens
 where tenant_id = %(tenant)s
   and client_id is null
   and created_at <= %(at)s
 union all
select client_id::text, 'OAuth client', label, scopes, profile, created_at, null, revoked_at
  from clients
 where tenant_id = %(tenant)s
   and created_at <= %(at)s
)
select coalesce(m.id, d.token_id), m.kind, coalesce(m.label, d.label), m.scopes, m.profile, m.created_at, m.expires_at,
       case when m.revoked_at <= %(at)s then m.revoked_at end, d.first_at, d.last_at, d.requests, d.refused, d.creates,
       d.updates, d.disables, d.enables, d.deletes, d.others, d.entries, d.addresses, d.agents, d.first, d.last
  from may m
  full join did d on d.token_id = m.id
 order by m.created_at, coalesce(m.id, d.token_id)
"""  # noqa: S608  # Columns of ours.


def begin(scope: Scope) -> Rows:
    """Nothing besides the period is asked for."""
    scope.filters.append("requests that left an entry, each once: reads that succeed leave none")
    return _rows(scope)


def _rows(scope: Scope) -> Rows:
    entries = 0
    for row in scope.rows(_ACTORS, at=scope.at):  # As many as there are tokens.
        actor, kind, label, *rest = row
        counts = [int(each or 0) for each in rest[7:16]]
        entries += counts[-1]
        if actor == OPERATOR:
            kind, label = "command line", AN_OPERATOR
        elif not actor:
            kind, label = "unknown", ERASED
        addresses, agents, *places = rest[16:]
        yield scope.fits((
            actor, kind or "unknown", label, rest[0] or [], rest[1], *rest[2:7], *counts,
            (addresses or [])[:_SEEN_MAX], len(addresses or []), (agents or [])[:_SEEN_MAX], *places,
        ))  # fmt: skip
    expected = scope.last - scope.first
    return [Figure("Entries that their requests left", f"{entries} of {expected}", entries == expected)]


ACTORS = Report(
    "actors",
    2,
    "Who acted in a period",
    "Which tokens and OAuth clients there were, what each may do and did, since when and from which addresses.",
    (
        "id", "kind", "label", "scopes", "profile", "created_at", "expires_at", "revoked_at", "first_request_at",
        "last_request_at", "requests", "refused", "creates", "updates", "disables", "enables", "deletes", "others",
        "entries", "addresses", "address_count", "user_agents", "first_position", "last_position",
    ),
    begin,
    of_period=True,
)  # fmt: skip
