"""One check that verifies everything a ledger promises about itself, by SQL, after every fault.

Each query returns what breaks its promise: nothing, in a ledger that is whole. `test_audit.py` breaks each.
"""

from collections.abc import Iterator

import psycopg
from msgspec import Struct

SHOWN = 5  # Offending rows in a message; one is enough to begin, all would fill the screen.

PROMISES = {
    "positions run from 0 without a gap": """
        select n, position from (
            select position, row_number() over (order by position) - 1 as n
              from entries where tenant_id = %(tenant)s) numbered
         where n <> position""",
    "recorded_at never decreases": """
        select position, recorded_at, before from (
            select position, recorded_at, lag(recorded_at) over (order by position) as before
              from entries where tenant_id = %(tenant)s) times
         where recorded_at < before""",
    "recorded_at is whole milliseconds": """
        select position, recorded_at from entries
         where tenant_id = %(tenant)s and date_trunc('milliseconds', recorded_at) <> recorded_at""",
    "versions of a stream run from 1 without a gap, in the order of positions": """
        select stream, n, stream_version, position from (
            select stream, stream_version, position,
                   row_number() over (partition by stream order by position) as n
              from entries where tenant_id = %(tenant)s) numbered
         where n <> stream_version""",
    "the entries of a request follow each other": """
        select request_id, count(*), min(position), max(position) from entries
         where tenant_id = %(tenant)s
         group by request_id having max(position) - min(position) + 1 <> count(*)""",
    "a leaf says what its entry says": """
        select position, convert_from(leaf, 'UTF8') from (
            select e.*, convert_from(e.leaf, 'UTF8')::jsonb as l, t.origin
              from entries e join tenants t using (tenant_id) where e.tenant_id = %(tenant)s) read
         where (l ->> 'seq')::bigint <> position or (l ->> 'sv')::integer <> stream_version
            or l ->> 'typ' <> event_type or l ->> 'log' <> origin
            or lower(l ->> 'sub') <> stream or (l ->> 'at')::timestamptz <> recorded_at""",
    "a users row has the version and position of its newest entry": """
        select u.id, u.version, u.position, newest.stream_version, newest.position
          from users u left join lateral (
            select e.stream_version, e.position from entries e
             where e.tenant_id = u.tenant_id and e.stream = 'users/' || u.id
             order by e.stream_version desc limit 1) newest on true
         where u.tenant_id = %(tenant)s
           and (u.version, u.position) is distinct from (newest.stream_version, newest.position)""",
    "a groups row has the version and position of its newest entry": """
        select g.id, g.version, g.position, newest.stream_version, newest.position
          from groups g left join lateral (
            select e.stream_version, e.position from entries e
             where e.tenant_id = g.tenant_id and e.stream = 'groups/' || g.id
             order by e.stream_version desc limit 1) newest on true
         where g.tenant_id = %(tenant)s
           and (g.version, g.position) is distinct from (newest.stream_version, newest.position)""",
    "a groups row has the version of its last change that was not a membership": """
        select g.id, g.attribute_version, newest.stream_version
          from groups g left join lateral (
            select e.stream_version from entries e
             where e.tenant_id = g.tenant_id and e.stream = 'groups/' || g.id
               and e.event_type not in ('MembershipAdded', 'MembershipRemoved')
             order by e.stream_version desc limit 1) newest on true
         where g.tenant_id = %(tenant)s and g.attribute_version is distinct from newest.stream_version""",
    "who was created and not deleted has a row, and nobody else": """
        with there as (
            select split_part(stream, '/', 2)::uuid as id, split_part(stream, '/', 1) as kind from entries
             where tenant_id = %(tenant)s and event_type in ('UserCreated', 'GroupCreated')
            except
            select split_part(stream, '/', 2)::uuid, split_part(stream, '/', 1) from entries
             where tenant_id = %(tenant)s and event_type in ('UserDeleted', 'GroupDeleted')),
        rows as (
            select id, 'users' as kind from users where tenant_id = %(tenant)s
            union all select id, 'groups' from groups where tenant_id = %(tenant)s)
        (select 'no row', * from there except select 'no row', id, kind from rows)
        union all (select 'no entry', * from rows except select 'no entry', id, kind from there)""",
    "a row's creation is its first entry": """
        select kind, id, created_position, created_at from (
            select 'users' as kind, tenant_id, id, created_position, created_at from users
            union all select 'groups', tenant_id, id, created_position, created_at from groups) r
         where tenant_id = %(tenant)s and not exists (
            select from entries e
             where e.tenant_id = r.tenant_id and e.position = r.created_position and e.stream_version = 1
               and e.stream = r.kind || '/' || r.id and e.recorded_at = r.created_at)""",
    "a row's time of change is that of its newest entry": """
        select kind, id, modified_at, position from (
            select 'users' as kind, tenant_id, id, modified_at, position from users
            union all select 'groups', tenant_id, id, modified_at, position from groups) r
         where tenant_id = %(tenant)s and not exists (
            select from entries e where e.tenant_id = r.tenant_id and e.position = r.position
               and e.recorded_at = r.modified_at)""",
    "active is what its last entry made of it": """
        select u.id, u.active, newest.event_type
          from users u join lateral (
            select e.event_type, e.stream_version from entries e
             where e.tenant_id = u.tenant_id and e.stream = 'users/' || u.id
               and e.event_type in ('Deactivated', 'Reactivated')
             order by e.stream_version desc limit 1) newest on true
         where u.tenant_id = %(tenant)s and u.active is distinct from (newest.event_type = 'Reactivated')
           and not exists (  -- Which may have unassigned it; what changed is sealed.
            select from entries e
             where e.tenant_id = u.tenant_id and e.stream = 'users/' || u.id
               and e.event_type = 'AttributeChanged' and e.stream_version > newest.stream_version)""",
    "every interval of a membership begins with its MembershipAdded, and each of these begins one": """
        with begun as (
            select split_part(stream, '/', 2)::uuid as group_id, subject_id as member_id, position
              from entries
             where tenant_id = %(tenant)s and event_type = 'MembershipAdded'),
        intervals as (
            select group_id, member_id, from_position from memberships where tenant_id = %(tenant)s)
        (select 'no interval', * from begun except select 'no interval', * from intervals)
        union all (select 'no entry', * from intervals except select 'no entry', * from begun)""",
    "every interval ends with its MembershipRemoved or with its group, and every removal ends one": """
        with ended as (
            select split_part(stream, '/', 2)::uuid as group_id, subject_id as member_id, position
              from entries
             where tenant_id = %(tenant)s and event_type = 'MembershipRemoved'
            union all
            select m.group_id, m.member_id, e.position from entries e join memberships m
                on m.tenant_id = e.tenant_id and e.stream = 'groups/' || m.group_id
                   and m.to_position = e.position
             where e.tenant_id = %(tenant)s and e.event_type = 'GroupDeleted'),
        intervals as (
            select group_id, member_id, to_position from memberships
             where tenant_id = %(tenant)s and to_position is not null)
        (select 'no interval', * from ended except select 'no interval', * from intervals)
        union all (select 'no entry', * from intervals except select 'no entry', * from ended)""",
    "intervals end after they began and do not overlap": """
        select group_id, member_id, from_position, to_position, following from (
            select group_id, member_id, from_position, to_position,
                   lead(from_position) over (partition by group_id, member_id order by from_position)
                       as following
              from memberships where tenant_id = %(tenant)s) intervals
         where to_position <= from_position or following < coalesce(to_position, following + 1)""",
    "an open membership is of a group that is there, and of a member that is there": """
        select m.group_id, m.member_id from memberships m
         where m.tenant_id = %(tenant)s and m.to_position is null
           and not (exists (select from groups g where g.tenant_id = m.tenant_id and g.id = m.group_id)
                    and (exists (select from users u where u.tenant_id = m.tenant_id and u.id = m.member_id)
                         or exists (select from groups g
                                     where g.tenant_id = m.tenant_id and g.id = m.member_id)))""",
    "member_count is the number of open memberships": """
        select g.id, g.member_count, open.count from groups g, lateral (
            select count(*) from memberships m
             where m.tenant_id = g.tenant_id and m.group_id = g.id and m.to_position is null) open
         where g.tenant_id = %(tenant)s and g.member_count <> open.count""",
    "a received request has a key and an entry": """
        select r.request_id from received_requests r
         where r.tenant_id = %(tenant)s
           and not (exists (select from request_keys k
                             where k.tenant_id = r.tenant_id and k.request_id = r.request_id)
                    and exists (  -- Operations of a bulk request count on from its id, in the last four digits.
                        select from entries e where e.tenant_id = r.tenant_id
                           and left(e.request_id::text, 32) = left(r.request_id::text, 32)))""",
    "whoever was created has a key of their own": """
        select e.subject_id from entries e
         where e.tenant_id = %(tenant)s and e.event_type = 'UserCreated'
           and not exists (select from subject_keys k
                            where k.tenant_id = e.tenant_id and k.subject_id = e.subject_id)""",
    "no projection has read further than the ledger goes": """
        select projection, position from tracking
         where tenant_id = %(tenant)s
           and position > (select count(*) from entries where tenant_id = %(tenant)s)""",
}


class Broken(AssertionError):
    """A ledger does not keep what it promises; the message names each promise and shows the first rows."""


class Counted(Struct, frozen=True):
    """What a whole ledger holds."""

    entries: int
    users: int
    groups: int
    open_memberships: int


def check_everything(database_url: str, tenant: str) -> Counted:
    """Check every promise of a tenant's ledger and directory; return what it holds.

    database_url: of a role that may read everything. tenant: its slug. Raises Broken.
    """
    with psycopg.connect(database_url) as connection:
        # One snapshot for all: what is committed in between belongs to all queries or to none.
        connection.execute("set transaction isolation level repeatable read, read only")
        row = connection.execute("select tenant_id from tenants where slug = %s", (tenant,)).fetchone()
        assert row, f"there is no tenant {tenant}"
        if found := list(broken(connection, row[0])):
            raise Broken(f"the ledger of {tenant} does not keep its promises:\n" + "\n".join(found))
        return _counted(connection, row[0])


def broken(connection: psycopg.Connection, tenant_id: int) -> Iterator[str]:
    """Yield a sentence for each promise that is broken, as this connection sees the ledger."""
    for promise, query in PROMISES.items():
        rows = connection.execute(query.encode(), {"tenant": tenant_id}).fetchmany(SHOWN)
        if rows:
            yield f"  {promise}: not so for " + "; ".join(str(row) for row in rows)


def _counted(connection: psycopg.Connection, tenant_id: int) -> Counted:
    row = connection.execute(
        """
        select (select count(*) from entries where tenant_id = %(tenant)s),
               (select count(*) from users where tenant_id = %(tenant)s),
               (select count(*) from groups where tenant_id = %(tenant)s),
               (select count(*) from memberships where tenant_id = %(tenant)s and to_position is null)
        """,
        {"tenant": tenant_id},
    ).fetchone()
    assert row
    return Counted(*row)
