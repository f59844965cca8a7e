-- Tenants' own schemas and resource types (design: "SCIM").

-- What is declared now; the entries of the stream `schemas` say how it came to be.
create table schema_declarations (
    tenant_id integer not null,
    kind      text collate "C" not null,             -- Schema, ResourceType
    name      text collate "C" not null,             -- the schema's URN, the resource type's name
    since     integer not null,                      -- version of the stream `schemas` that declared it first
    revision  integer not null,                      -- and that declared it last
    position  bigint not null,                       -- of that entry
    document  jsonb not null,                        -- as /Schemas and /ResourceTypes publish it, without meta
    primary key (tenant_id, kind, name)
);

-- How many declarations a tenant has made. It comes with each token that is looked up, so that every process
-- notices a new one without asking.
alter table tenants add schema_revision integer not null default 0;

-- `users` holds the resources of every type that has no members, each bound to its type. Only users have a userName
-- with an index of its own; what else is unique stands in `unique_values`.
alter table users add resource_type text collate "C" not null default 'User';
alter table users alter user_name_key drop not null;
drop index users_in_order;
create index users_in_order on users (tenant_id, created_position) where resource_type = 'User';
create index other_resources_in_order on users (tenant_id, resource_type, created_position)
    where resource_type <> 'User';

-- Values that only one resource of a type may have, as SHA-256 of type, path and value as it is compared.
create table unique_values (
    tenant_id   integer not null,
    key         bytea not null,
    resource_id uuid not null,
    primary key (tenant_id, key)
);

do $$
begin
    grant select, insert, update, delete on schema_declarations, unique_values to scim_ledger_app;
    grant select on schema_declarations, unique_values to scim_ledger_read;
exception
    when undefined_object or insufficient_privilege then
        raise warning 'privileges were not granted: the roles of scim-ledger are missing here';
end $$;
