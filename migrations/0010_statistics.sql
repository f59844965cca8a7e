-- What the planner knows, and what finding it out costs.

-- Point reads want to know how many rows a key has, nothing more. The contents of documents and payloads, which no
-- condition is on, were most of what ANALYZE read and sorted: on a growing ledger it took a core now and then.
do $$
declare
    v_column record;
begin
    for v_column in
        select a.attrelid::regclass as name, a.attname as attribute,
               a.atttypid in ('bytea'::regtype, 'jsonb'::regtype, 'text[]'::regtype)
               and not exists (select from pg_index i where i.indrelid = a.attrelid and a.attnum = any (i.indkey))
               as content
          from pg_attribute a
          join pg_class k on k.oid = a.attrelid and k.relkind = 'r' and k.relnamespace = current_schema()::regnamespace
         where a.attnum > 0 and not a.attisdropped
           and k.relname in ('entries', 'users', 'groups', 'memberships', 'subject_keys', 'request_keys',
                             'received_requests', 'trail', 'trail_subjects', 'names', 'runs', 'run_subjects')
    loop
        execute format('alter table %s alter %I set statistics %s', v_column.name, v_column.attribute,
                       case when v_column.content then 0 else 30 end);
    end loop;
end $$;

-- A planner without statistics takes `to_position is null` for rare, and every index on open memberships for as good
-- as the other: until the first ANALYZE of a new database each group was searched in all of them. So it is shown some.
do $$
begin
    if not exists (select from memberships) then
        insert into memberships (tenant_id, group_id, member_id, member_type, from_position)
        select 0, md5((n / 10)::text)::uuid, md5('member' || n)::uuid, 'User', n from generate_series(0, 999) n;
        analyze memberships;
        delete from memberships where tenant_id = 0;
    end if;
end $$;
