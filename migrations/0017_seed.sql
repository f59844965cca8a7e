-- A new database knows nothing about its tables, and takes a tenant for a row or two: every index that begins with the
-- tenant looks as good as the key, and until the first ANALYZE each look-up by id reads all users or groups that there
-- are. So the planner is shown what tenants are like. (0010 did so for memberships, but building an index in 0014 found
-- its rows gone and wrote down a table of pages without rows.) Truncated, a table's size is looked at again; what its
-- columns are like stays known. Each row is another tenant's: of a few that had all rows, everybody else would be taken
-- for one that has none.
do $$
begin
    if not exists (select from memberships) then
        insert into memberships (tenant_id, group_id, member_id, member_type, from_position)
        select n, md5((n / 10)::text)::uuid, md5('member' || n)::uuid, 'User', n from generate_series(0, 999) n;
        analyze memberships;
        truncate memberships;
    end if;
    if not exists (select from users) then
        insert into users (tenant_id, id, version, position, created_position, created_at, modified_at, user_name_key,
                           external_id_key, active, document, search, search_terms)
        select n, md5(n::text)::uuid, 1, n, n, now(), now(), md5(n::text)::bytea, md5(n::text)::bytea, true, '', '{}', '{}'
          from generate_series(0, 999) n;
        analyze users;
        truncate users;
    end if;
    if not exists (select from groups) then
        insert into groups (tenant_id, id, version, attribute_version, member_count, position, created_position, created_at,
                            modified_at, name_key, unique_name_key, external_id_key, document, search, search_terms)
        select n, md5(n::text)::uuid, 1, 1, 0, n, n, now(), now(), md5(n::text)::bytea, md5(n::text)::bytea,
               md5(n::text)::bytea, '', '{}', '{}'
          from generate_series(0, 999) n;
        analyze groups;
        truncate groups;
    end if;
end $$;
