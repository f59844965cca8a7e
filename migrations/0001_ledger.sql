-- The ledger, the directory it carries, and who may touch what (design: "The ledger").
-- The tenant comes first in every key, nothing is unique across tenants but a tenant's own name and origin, and
-- there is no sequence: a sequence leaves gaps and commits out of order, and a reader then loses entries for good.

create table tenants (
    tenant_id  integer primary key,
    slug       text collate "C" not null unique,
    origin     text collate "C" not null unique,     -- <authority>/t/<opaque id>; first line of every checkpoint
    settings   jsonb not null default '{}',
    created_at timestamptz not null default date_trunc('milliseconds', clock_timestamp())
);

-- A tenant's own key, wrapped by the master key, which lies outside the database.
create table tenant_keys (
    tenant_id integer not null,
    key_id    uuid not null,
    wrapped   bytea not null,
    primary key (tenant_id, key_id)
);

create table entries (
    tenant_id      integer not null,
    position       bigint not null,                  -- from 0, gapless, given under the tenant's row lock
    stream         text collate "C" not null,
    stream_version integer not null,
    event_type     text collate "C" not null,
    subject_id     uuid not null,                    -- who or what it is about; for memberships the member
    request_id     uuid not null,
    recorded_at    timestamptz not null,             -- whole milliseconds, never decreasing within a tenant
    leaf           bytea not null,                   -- the exact bytes the Merkle tree hashes
    payload        bytea not null,                   -- sealed: salt, event, cause
    key_id         uuid not null,                    -- of the subject or of the tenant
    primary key (tenant_id, position),
    unique (tenant_id, stream, stream_version)
);
create index entries_by_subject on entries (tenant_id, subject_id, position);

-- The directory: what SCIM serves. `document` is the resource as it is sent, without id, meta and derived
-- attributes; `search` is its normalised copy, folded by the application (one Unicode version, no collations).
-- `active`, versions and times stay out of indexed columns, so that flipping them rewrites no index.
create table users (
    tenant_id        integer not null,
    id               uuid not null,
    version          integer not null,
    position         bigint not null,                -- of the entry that changed it last
    created_position bigint not null,                -- order of lists
    created_at       timestamptz not null,
    modified_at      timestamptz not null,
    user_name_key    bytea not null,                 -- SHA-256 of the prepared userName
    external_id_key  bytea,                          -- SHA-256 of externalId
    active           boolean,
    document         bytea not null,
    search           jsonb not null,
    search_terms     bigint[] not null,
    primary key (tenant_id, id)
) with (fillfactor = 80);
create unique index users_by_user_name on users (tenant_id, user_name_key);
create index users_by_external_id on users (tenant_id, external_id_key) where external_id_key is not null;
create index users_in_order on users (tenant_id, created_position);
create index users_by_term on users using gin (search_terms);

create table groups (
    tenant_id         integer not null,
    id                uuid not null,
    version           integer not null,              -- of every change, memberships too
    attribute_version integer not null,              -- of the last change that was not a membership
    member_count      integer not null,              -- open memberships
    position          bigint not null,
    created_position  bigint not null,
    created_at        timestamptz not null,
    modified_at       timestamptz not null,
    name_key          bytea not null,                -- SHA-256 of the folded displayName
    unique_name_key   bytea,                         -- the same while the tenant wants names unique
    external_id_key   bytea,
    document          bytea not null,
    search            jsonb not null,
    search_terms      bigint[] not null,
    primary key (tenant_id, id)
) with (fillfactor = 70);
create unique index groups_by_unique_name on groups (tenant_id, unique_name_key) where unique_name_key is not null;
create index groups_by_name on groups (tenant_id, name_key);
create index groups_by_external_id on groups (tenant_id, external_id_key) where external_id_key is not null;
create index groups_in_order on groups (tenant_id, created_position);
create index groups_by_term on groups using gin (search_terms);

-- Memberships are intervals of positions: open while to_position is null, and kept when they end.
create table memberships (
    tenant_id     integer not null,
    group_id      uuid not null,
    member_id     uuid not null,
    member_type   text collate "C" not null,         -- User or Group
    from_position bigint not null,
    to_position   bigint,
    primary key (tenant_id, group_id, member_id, from_position)
);
create unique index memberships_open on memberships (tenant_id, group_id, member_id) where to_position is null;
create index memberships_of_member on memberships (tenant_id, member_id) where to_position is null;

-- Keys that can be destroyed: one a person, one a received request. Wrapped by the tenant's key.
create table subject_keys (
    tenant_id  integer not null,
    subject_id uuid not null,
    key_id     uuid not null,
    wrapped    bytea not null,
    primary key (tenant_id, subject_id)
);

create table request_keys (
    tenant_id  integer not null,
    request_id uuid not null,
    wrapped    bytea not null,
    subjects   uuid[] not null,                      -- everybody the request names: erasing any destroys the key
    primary key (tenant_id, request_id)
);
create index request_keys_by_subject on request_keys using gin (subjects);

create table received_requests (
    tenant_id  integer not null,
    request_id uuid not null,
    sealed     bytea not null,                       -- salt and body, passwords struck out before sealing
    primary key (tenant_id, request_id)
);

create table tokens (
    tenant_id    integer not null,
    token_id     uuid not null,
    secret_hash  bytea not null,                     -- SHA-256; the secret has 256 bits of its own
    label        text not null,
    scopes       text[] not null,
    profile      text not null,
    created_at   timestamptz not null,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    primary key (tenant_id, token_id)
);
create unique index tokens_by_secret on tokens (tenant_id, secret_hash);

-- How far each catch-up projection has read: the position of the next entry it wants.
create table tracking (
    tenant_id  integer not null,
    projection text collate "C" not null,
    revision   integer not null,                     -- of the projection's code; another one means rebuild
    position   bigint not null,
    primary key (tenant_id, projection)
);

-- Nobody changes the past. Triggers stop mistakes, also of the owner; privileges stop the service; the tree tells
-- of whoever gets past both. ALWAYS: a plain trigger is skipped under session_replication_role = replica.
create function refuse_change_of_the_past() returns trigger language plpgsql as $$
begin
    raise exception '% of %: entries are never changed or removed', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;

create trigger entries_stay before update or delete on entries
    for each row execute function refuse_change_of_the_past();
create trigger entries_stay_whole before truncate on entries
    for each statement execute function refuse_change_of_the_past();
create trigger received_requests_stay before update or delete on received_requests
    for each row execute function refuse_change_of_the_past();
create trigger received_requests_stay_whole before truncate on received_requests
    for each statement execute function refuse_change_of_the_past();
alter table entries enable always trigger entries_stay;
alter table entries enable always trigger entries_stay_whole;
alter table received_requests enable always trigger received_requests_stay;
alter table received_requests enable always trigger received_requests_stay_whole;

-- Three roles. Where the migrating role may not create roles, the service runs as the owner and says so.
do $$
declare
    r text;
begin
    foreach r in array array['scim_ledger_owner nologin', 'scim_ledger_app login', 'scim_ledger_read nologin'] loop
        begin
            execute 'create role ' || r;
        exception
            when duplicate_object or unique_violation then null;
        end;
    end loop;
exception
    when insufficient_privilege then
        raise warning 'roles were not created: this role may not; the service will run as the owner';
end $$;

do $$
begin
    grant usage on schema public to scim_ledger_app, scim_ledger_read;
    grant select, insert on entries, received_requests to scim_ledger_app;
    grant select, insert, update, delete on users, groups, memberships, subject_keys, request_keys, tokens, tracking
        to scim_ledger_app;
    grant select, insert, update on tenants, tenant_keys to scim_ledger_app;
    grant select on tenants, entries, users, groups, memberships, tracking to scim_ledger_read;
exception
    when undefined_object or insufficient_privilege then
        raise warning 'privileges were not granted: the roles of scim-ledger are missing here';
end $$;
