-- Past states: every state of every resource with the positions between which it held (design: "As of"), and the
-- tables as they were, `users_at`, `groups_at` and `memberships_at`, which a filter is asked of as it is of the tables
-- themselves.

-- One row a state: the resource's attributes, without memberships, which are intervals of their own. A state holds until
-- the next row of its resource; of what was deleted, the last has no document. Written by the catch-up runner. Without
-- keys and `search_terms`: names are found through `names`, which has their intervals, all else is read (DECISIONS.md).
create table resource_versions (
    tenant_id     integer not null,
    type          text collate "C" not null,         -- of the resource: User, Group
    id            uuid not null,
    from_position bigint not null,                   -- of the entry that made it so
    version       integer not null,                  -- of the stream, at from_position
    recorded_at   timestamptz not null,              -- of that entry
    active        boolean,
    document      bytea,
    search        jsonb,
    primary key (tenant_id, id, from_position)
);
-- No condition is on what a state holds: ANALYZE need not read it.
alter table resource_versions alter document set statistics 0, alter search set statistics 0;
-- Who ever came, in the order of lists.
create index resource_versions_in_order on resource_versions (tenant_id, type, from_position) where version = 1;

-- The same as intervals, for whoever asks about more than one moment. While a state holds, `to_position` is the largest
-- number there is.
create view resource_states as
    select c.tenant_id, c.type, c.id, v.from_position,
           coalesce((select min(n.from_position)
                       from resource_versions n
                      where n.tenant_id = v.tenant_id
                        and n.id = v.id
                        and n.from_position > v.from_position), 9223372036854775807) as to_position,
           v.version, c.from_position as created_position, c.recorded_at as created_at, v.recorded_at as modified_at,
           v.active, v.document, v.search
      from resource_versions c
      join resource_versions v on v.tenant_id = c.tenant_id and v.id = c.id
     where c.version = 1
       and v.document is not null;

-- The version that a stream had at a position, which is not before that of the version `known`. By halves, since
-- positions grow along a stream: a group with a hundred thousand memberships costs seventeen looks, not a row each.
create function stream_version_at(tenant integer, stream_asked text, known integer, at bigint) returns integer
language plpgsql stable as $$
declare
    low integer := known;
    high integer;
    middle integer;
begin
    select max(e.stream_version) into high from entries e where e.tenant_id = tenant and e.stream = stream_asked;
    while low < high loop
        middle := (low + high + 1) / 2;
        if (select e.position
              from entries e
             where e.tenant_id = tenant and e.stream = stream_asked and e.stream_version = middle) <= at then
            low := middle;
        else
            high := middle - 1;
        end if;
    end loop;
    return low;
end $$;

-- When a stream came to that version.
create function stream_modified_at(tenant integer, stream_asked text, known integer, at bigint) returns timestamptz
language sql stable as $$
    select e.recorded_at
      from entries e
     where e.tenant_id = tenant
       and e.stream = stream_asked
       and e.stream_version = (select stream_version_at(tenant, stream_asked, known, at))
$$;

-- The tables as they were after the entry at a position. Postgres puts these functions' texts into the statements
-- that name them, so conditions reach the indexes, and columns that nobody asks for are not computed. They return rows
-- of types of their own because only those keep a column's collation: another one sorts otherwise and uses no index.
create type state_then as (
    tenant_id integer, type text collate "C", id uuid, version integer, created_position bigint,
    created_at timestamptz, modified_at timestamptz, active boolean, document bytea, search jsonb
);
create type user_then as (
    tenant_id integer, id uuid, version integer, created_position bigint, created_at timestamptz,
    modified_at timestamptz, active boolean, document bytea, search jsonb, user_name_sorted text collate "C",
    resource_type text collate "C"
);
create type group_then as (
    tenant_id integer, id uuid, version integer, created_position bigint, created_at timestamptz,
    modified_at timestamptz, document bytea, search jsonb
);
create type membership_then as (
    tenant_id integer, group_id uuid, member_id uuid, member_type text collate "C", from_position bigint,
    to_position bigint
);

-- Everybody who was there: of each who had come by then the newest state, unless that is a deletion.
create function states_at(tenant integer, at bigint) returns setof state_then language sql stable as $$
    select c.tenant_id, c.type, c.id, v.version, c.from_position, c.recorded_at, v.recorded_at, v.active, v.document,
           v.search
      from resource_versions c
     cross join lateral (select s.version, s.recorded_at, s.active, s.document, s.search
                           from resource_versions s
                          where s.tenant_id = c.tenant_id
                            and s.id = c.id
                            and s.from_position <= at
                          order by s.from_position desc
                          limit 1) v
     where c.tenant_id = tenant
       and c.version = 1
       and c.from_position <= at
       and v.document is not null
$$;

create function users_at(tenant integer, at bigint) returns setof user_then language sql stable as $$
    select s.tenant_id, s.id, s.version, s.created_position, s.created_at, s.modified_at, s.active, s.document,
           s.search, left(s.search ->> 'userName', 200) collate "C", s.type
      from states_at(tenant, at) s
     where s.type <> 'Group'
$$;

-- A group's version and time count its memberships, as they do in the table.
create function groups_at(tenant integer, at bigint) returns setof group_then language sql stable as $$
    select s.tenant_id, s.id, stream_version_at(s.tenant_id, 'groups/' || s.id, s.version, at), s.created_position,
           s.created_at, stream_modified_at(s.tenant_id, 'groups/' || s.id, s.version, at), s.document, s.search
      from states_at(tenant, at) s
     where s.type = 'Group'
$$;

-- As memberships were, those that were open then are open here.
create function memberships_at(tenant integer, at bigint) returns setof membership_then language sql stable as $$
    select m.tenant_id, m.group_id, m.member_id, m.member_type, m.from_position, null::bigint
      from memberships m
     where m.tenant_id = tenant
       and m.from_position <= at
       and (m.to_position is null or m.to_position > at)
$$;

do $$
begin
    grant select, insert, update, delete on resource_versions to scim_ledger_app;
    grant select on resource_states to scim_ledger_app;
    grant select on resource_versions, resource_states to scim_ledger_read;
exception
    when undefined_object or insufficient_privilege then
        raise warning 'privileges were not granted: the roles of scim-ledger are missing here';
end $$;
