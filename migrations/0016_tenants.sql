-- Most tenants are small, and then a few are not. From thousands of small ones ANALYZE learns that a tenant has a row or
-- two, so that every index that begins with the tenant looks as good as the key, and in the large one each look-up by
-- id reads everybody. The planner is to take every tenant for a tenth of the table.
do $$
declare
    v_table regclass;
begin
    for v_table in
        select k.oid::regclass
          from pg_class k
          join pg_attribute a on a.attrelid = k.oid and a.attname = 'tenant_id' and not a.attisdropped
         where k.relkind = 'r' and k.relnamespace = current_schema()::regnamespace
    loop
        execute format('alter table %s alter tenant_id set (n_distinct = 10)', v_table);
    end loop;
end $$;
