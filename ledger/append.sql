-- The one function that writes. One call in autocommit is one batch: it takes the tenant's lock, checks what every
-- job was decided on, and either writes all entries and directory rows of the batch or, when jobs fail their
-- preconditions, writes nothing and names them; the leader sends the rest again (ledger/writer.py packs the arrays).
--
-- Order is the product. Without the lock two appends could take positions 7 and 8 and commit 8 first; a projection
-- at 8 would then never see 7. It locks one tenant, not the table, and does not change the row: an updated head row
-- slows eightfold while anybody holds a snapshot. Size and last time are those of the newest entry.
--
-- Arrays are columns of one table each, prefix_column; a null array means that the batch has none of them. Only
-- what a statement joins by or reads twice is unnested, the others are read by the row's number `n`: to unnest ten takes
-- six times as long. What is rare comes in one jsonb, because a function has at most 100 arguments.
-- `entry` columns count the batch's entries from 0: an entry's position is size + entry.

drop function if exists ledger_append;

create function ledger_append(
    p_tenant integer,
    p_now timestamptz,                   -- the service's clock
    -- preconditions: user at version
    user_job integer[], user_id uuid[], user_version integer[],
    -- group at attribute version, and at exact version where that is not null
    group_job integer[], group_id uuid[], group_attribute_version integer[], group_exact_version integer[],
    -- resource exists
    exists_job integer[], exists_id uuid[], exists_group boolean[],
    -- edge (group, member) open or closed
    edge_job integer[], edge_group uuid[], edge_member uuid[], edge_open boolean[],
    -- name free, or held by the holder itself
    name_job integer[], name_key bytea[], name_holder uuid[], name_group boolean[],
    -- the tenant wants group names unique, or not, as the group's row says
    setting_job integer[], setting_unique_names boolean[],
    -- no inactive user has this externalId
    left_job integer[], left_key bytea[],
    -- rare: "held", a member has exactly so many open memberships (with an open edge for each: exactly this set):
    -- {job, member, count}; "streams" have exactly so many entries (those that have no directory row):
    -- {job, stream, version}; "values", unique ones, are free or given up by the same job, and then held:
    -- {job, key, holder}; "released", the keys that are given up: {key}; "vacating", changed users and groups whose
    -- name another changed one takes: {id}
    rare jsonb,
    -- entries. version counts from `bump`'s base for entries of bumped groups, is absolute otherwise
    entry_stream text[], entry_version integer[], entry_bump integer[], entry_type text[], entry_subject uuid[],
    entry_request uuid[], entry_actor text[], entry_commitment bytea[], entry_payload bytea[], entry_key uuid[],
    -- groups whose version moves: by how much, by which entry last, and by how many members they grow
    bump_group uuid[], bump_count integer[], bump_entry integer[], bump_members integer[],
    -- directory rows. Changed users of whom only version, `active` and document are other than before stand last, and the
    -- arrays of the other columns end before them
    new_user_id uuid[], new_user_version integer[], new_user_entry integer[], new_user_last_entry integer[],
    new_user_name_key bytea[], new_user_external_id_key bytea[], new_user_active boolean[],
    new_user_document bytea[], new_user_search text[], new_user_terms text[], new_user_type text[],
    changed_user_id uuid[], changed_user_version integer[], changed_user_entry integer[],
    changed_user_name_key bytea[], changed_user_external_id_key bytea[], changed_user_active boolean[],
    changed_user_document bytea[], changed_user_search text[], changed_user_terms text[],
    gone_user_id uuid[],
    new_group_id uuid[], new_group_version integer[], new_group_entry integer[], new_group_last_entry integer[],
    new_group_member_count integer[], new_group_attribute_version integer[],
    new_group_name_key bytea[], new_group_unique_name_key bytea[], new_group_external_id_key bytea[],
    new_group_document bytea[], new_group_search text[], new_group_terms text[],
    changed_group_id uuid[], changed_group_bump integer[], changed_group_version integer[],
    changed_group_name_key bytea[], changed_group_unique_name_key bytea[], changed_group_external_id_key bytea[],
    changed_group_document bytea[], changed_group_search text[], changed_group_terms text[],
    gone_group_id uuid[], gone_group_entry integer[],
    opened_group uuid[], opened_member uuid[], opened_type text[], opened_entry integer[],
    opened_until integer[],              -- null while the edge stays open
    closed_group uuid[], closed_member uuid[], closed_entry integer[],
    -- keys and received requests
    key_subject uuid[], key_id uuid[], key_wrapped bytea[],
    received_request uuid[], received_wrapped bytea[], received_sealed bytea[], received_subjects text[],
    out size bigint,                     -- position of the batch's first entry
    out recorded timestamptz,             -- recorded_at of all of them
    out failed integer[],                -- jobs whose preconditions do not hold; then nothing was written
    out base integer[]                   -- versions of the bumped groups before the batch
) language plpgsql as $$
#variable_conflict use_column
declare
    v_origin text;
    v_clock timestamptz;
    v_last timestamptz;
    v_at text;
    v_failed integer[];
begin
    select t.origin into v_origin from tenants t where t.tenant_id = p_tenant for no key update;
    if not found then
        raise exception 'tenant % does not exist', p_tenant using errcode = 'no_data_found';
    end if;
    v_clock := date_trunc('milliseconds', clock_timestamp());
    select e.position + 1, e.recorded_at into size, v_last
      from entries e where e.tenant_id = p_tenant order by e.position desc limit 1;
    size := coalesce(size, 0);
    if abs(extract(epoch from v_clock - p_now)) > 60 or v_last > p_now + interval '60 seconds' then
        raise exception 'clocks disagree by more than 60 seconds: database %, service %, newest entry %',
            v_clock, p_now, v_last using errcode = 'SL001';
    end if;
    recorded := greatest(v_clock, v_last);

    -- Preconditions. Under the lock nothing they speak of can change before the commit.
    if user_job is not null then
        select array_agg(user_job[n]) into v_failed
          from unnest(user_id) with ordinality x(id, n)
         where user_version[n] is distinct from
               (select u.version from users u where u.tenant_id = p_tenant and u.id = x.id);
        failed := failed || v_failed;
    end if;
    if group_job is not null then
        select array_agg(group_job[n]) into v_failed
          from unnest(group_id) with ordinality x(id, n)
         where not coalesce((select g.attribute_version = group_attribute_version[n]
                                and g.version = coalesce(group_exact_version[n], g.version)
                               from groups g where g.tenant_id = p_tenant and g.id = x.id), false);
        failed := failed || v_failed;
    end if;
    if exists_job is not null then
        select array_agg(exists_job[n]) into v_failed
          from unnest(exists_id) with ordinality x(id, n)
         where case when exists_group[n]
                    then (select g.id from groups g where g.tenant_id = p_tenant and g.id = x.id)
                    else (select u.id from users u where u.tenant_id = p_tenant and u.id = x.id) end is null;
        failed := failed || v_failed;
    end if;
    if edge_job is not null then
        select array_agg(edge_job[n]) into v_failed
          from unnest(edge_member) with ordinality x(member, n)
         where edge_open[n] <> ((select m.from_position from memberships m
                                  where m.tenant_id = p_tenant and m.group_id = edge_group[n]
                                    and m.member_id = x.member and m.to_position is null) is not null);
        failed := failed || v_failed;
    end if;
    if name_job is not null then
        select array_agg(name_job[n]) into v_failed
          from unnest(name_key) with ordinality x(key, n)
         where case when name_group[n]
                    then (select g.id from groups g where g.tenant_id = p_tenant and g.unique_name_key = x.key)
                    else (select u.id from users u where u.tenant_id = p_tenant and u.user_name_key = x.key)
               end <> name_holder[n];
        failed := failed || v_failed;
    end if;
    if setting_job is not null then
        select array_agg(setting_job[n]) into v_failed
          from tenants t, unnest(setting_unique_names) with ordinality x(unique_names, n)
         where t.tenant_id = p_tenant
           and x.unique_names <> coalesce((t.settings ->> 'group_names_unique')::boolean, true);
        failed := failed || v_failed;
    end if;
    if left_job is not null then
        -- The type as an expression: as a condition it would let a small table's plan read the index for lists.
        select array_agg(left_job[n]) into v_failed
          from unnest(left_key) with ordinality x(key, n)
         where exists (select from users u
                        where u.tenant_id = p_tenant and u.external_id_key = x.key and u.active = false
                          and u.resource_type || '' = 'User');
        failed := failed || v_failed;
    end if;
    if rare is not null then
        select array_agg(x.job) into v_failed
          from jsonb_to_recordset(rare -> 'held') x(job integer, member uuid, count integer)
         where x.count <> (select count(*) from memberships m
                            where m.tenant_id = p_tenant and m.member_id = x.member and m.to_position is null);
        failed := failed || v_failed;
        select array_agg(x.job) into v_failed
          from jsonb_to_recordset(rare -> 'values') x(job integer, key text)
          join unique_values v on v.tenant_id = p_tenant and v.key = decode(x.key, 'hex')
         where not exists (select from jsonb_to_recordset(rare -> 'released') r(key text) where r.key = x.key);
        failed := failed || v_failed;
        select array_agg(x.job) into v_failed
          from jsonb_to_recordset(rare -> 'streams') x(job integer, stream text, version integer)
         where x.version <> coalesce((select e.stream_version from entries e
                                       where e.tenant_id = p_tenant and e.stream = x.stream
                                       order by e.stream_version desc limit 1), 0);
        failed := failed || v_failed;
    end if;
    if failed is not null then
        return;
    end if;

    if bump_group is not null then
        select array_agg(coalesce(g.version, 0) order by x.n) into base
          from unnest(bump_group) with ordinality x(id, n)
          left join groups g on g.tenant_id = p_tenant and g.id = x.id;
    end if;

    -- The leaf is built here because position, time and version exist only under the lock.
    v_at := to_char(recorded at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
    insert into entries (tenant_id, position, stream, stream_version, event_type, subject_id, request_id,
                         recorded_at, leaf, payload, key_id)
    select p_tenant, size + n - 1, x.stream, v.version, x.type, entry_subject[n], entry_request[n], recorded,
           convert_to('{"act":"' || entry_actor[n] || '","at":"' || v_at || '","log":"' || v_origin || '","pc":"'
                      || encode(entry_commitment[n], 'base64') || '","seq":' || size + n - 1 || ',"sub":"'
                      || upper(left(x.stream, 1)) || substr(x.stream, 2) || '","sv":' || v.version || ',"typ":"'
                      || x.type || '","v":1}', 'UTF8'),
           entry_payload[n], entry_key[n]
      from unnest(entry_stream, entry_type) with ordinality x(stream, type, n),
           lateral (select entry_version[n] + coalesce(base[entry_bump[n]], 0) as version) v;

    -- Keys and requests first: what follows may fail on nothing but a defect.
    if key_subject is not null then
        insert into subject_keys (tenant_id, subject_id, key_id, wrapped)
        select p_tenant, x.subject, key_id[n], key_wrapped[n] from unnest(key_subject) with ordinality x(subject, n);
    end if;
    if received_request is not null then
        insert into request_keys (tenant_id, request_id, wrapped, subjects)
        select p_tenant, x.request, received_wrapped[n], received_subjects[n]::uuid[]
          from unnest(received_request) with ordinality x(request, n);
        insert into received_requests (tenant_id, request_id, sealed)
        select p_tenant, x.request, received_sealed[n] from unnest(received_request) with ordinality x(request, n);
    end if;

    -- The directory. Who leaves goes first, so that a name given up in a batch's earlier job is free; and who leaves a
    -- group goes before the group, so that each membership ends with the entry that ended it.
    if gone_user_id is not null then
        delete from users u using unnest(gone_user_id) x(id) where u.tenant_id = p_tenant and u.id = x.id;
    end if;
    if closed_group is not null then
        update memberships m set to_position = size + closed_entry[n]
          from unnest(closed_group, closed_member) with ordinality x(grp, member, n)
         where m.tenant_id = p_tenant and m.group_id = x.grp and m.member_id = x.member
           and m.to_position is null;
    end if;
    if gone_group_id is not null then
        update memberships m set to_position = size + gone_group_entry[n]
          from unnest(gone_group_id) with ordinality x(id, n)
         where m.tenant_id = p_tenant and m.group_id = x.id and m.to_position is null;
        delete from groups g using unnest(gone_group_id) x(id) where g.tenant_id = p_tenant and g.id = x.id;
    end if;
    if rare is not null then
        delete from unique_values v using jsonb_to_recordset(rare -> 'released') x(key text)
         where v.tenant_id = p_tenant and v.key = decode(x.key, 'hex');
        insert into unique_values (tenant_id, key, resource_id)
        select p_tenant, decode(x.key, 'hex'), x.holder
          from jsonb_to_recordset(rare -> 'values') x(key text, holder uuid);
    end if;
    if jsonb_array_length(rare -> 'vacating') > 0 then
        update users u set user_name_key = sha256(uuid_send(u.id))
          from jsonb_to_recordset(rare -> 'vacating') x(id uuid) where u.tenant_id = p_tenant and u.id = x.id;
        update groups g set unique_name_key = null
          from jsonb_to_recordset(rare -> 'vacating') x(id uuid) where g.tenant_id = p_tenant and g.id = x.id;
    end if;
    if cardinality(changed_user_id) > coalesce(cardinality(changed_user_search), 0) then
        -- Of whom nothing has changed that filters and names go by: they stand last, and have no more columns than these.
        update users u
           set version = changed_user_version[n], position = size + changed_user_entry[n], modified_at = recorded,
               active = changed_user_active[n], document = changed_user_document[n]
          from unnest(changed_user_id) with ordinality x(id, n)
         where u.tenant_id = p_tenant and u.id = x.id and changed_user_search[n] is null;
    end if;
    if changed_user_search is not null then
        update users u
           set version = changed_user_version[n], position = size + changed_user_entry[n], modified_at = recorded,
               active = changed_user_active[n], document = changed_user_document[n],
               user_name_key = changed_user_name_key[n], external_id_key = changed_user_external_id_key[n],
               search = changed_user_search[n]::jsonb, search_terms = changed_user_terms[n]::bigint[]
          from unnest(changed_user_id) with ordinality x(id, n)
         where u.tenant_id = p_tenant and u.id = x.id and changed_user_search[n] is not null;
    end if;
    if new_user_id is not null then
        insert into users (tenant_id, id, version, position, created_position, created_at, modified_at,
                           user_name_key, external_id_key, active, document, search, search_terms, resource_type)
        select p_tenant, x.id, new_user_version[n], size + new_user_last_entry[n], size + new_user_entry[n], recorded,
               recorded, new_user_name_key[n], new_user_external_id_key[n], new_user_active[n], new_user_document[n],
               new_user_search[n]::jsonb, new_user_terms[n]::bigint[], new_user_type[n]
          from unnest(new_user_id) with ordinality x(id, n);
    end if;
    if bump_group is not null then
        update groups g
           set version = g.version + bump_count[n], position = size + bump_entry[n], modified_at = recorded,
               member_count = g.member_count + bump_members[n]
          from unnest(bump_group) with ordinality x(id, n)
         where g.tenant_id = p_tenant and g.id = x.id;
    end if;
    if changed_group_id is not null then
        update groups g
           set attribute_version = base[changed_group_bump[n]] + changed_group_version[n],
               name_key = changed_group_name_key[n], unique_name_key = changed_group_unique_name_key[n],
               external_id_key = changed_group_external_id_key[n], document = changed_group_document[n],
               search = changed_group_search[n]::jsonb, search_terms = changed_group_terms[n]::bigint[]
          from unnest(changed_group_id) with ordinality x(id, n)
         where g.tenant_id = p_tenant and g.id = x.id;
    end if;
    if new_group_id is not null then
        insert into groups (tenant_id, id, version, attribute_version, member_count, position, created_position,
                            created_at, modified_at, name_key, unique_name_key, external_id_key, document, search,
                            search_terms)
        select p_tenant, x.id, new_group_version[n], new_group_attribute_version[n], new_group_member_count[n],
               size + new_group_last_entry[n], size + new_group_entry[n], recorded, recorded, new_group_name_key[n],
               new_group_unique_name_key[n], new_group_external_id_key[n], new_group_document[n],
               new_group_search[n]::jsonb, new_group_terms[n]::bigint[]
          from unnest(new_group_id) with ordinality x(id, n);
    end if;
    if opened_group is not null then
        insert into memberships (tenant_id, group_id, member_id, member_type, from_position, to_position)
        select p_tenant, opened_group[n], x.member, opened_type[n], size + opened_entry[n], size + opened_until[n]
          from unnest(opened_member) with ordinality x(member, n);
    end if;
end $$;
