-- Runs: one client's requests in bursts, our stand-in for a provisioning cycle; and what the identity provider itself
-- exported about its cycles. Runs can be dropped and made again from the entries; imported rows cannot.

create table runs (
    tenant_id           integer not null,
    first_position      bigint not null,             -- of its first request; names the run
    last_position       bigint not null,
    client_id           text collate "C" not null,   -- token or OAuth client; operator; '' where the record was erased
    client_label        text not null,
    started             timestamptz not null,
    ended               timestamptz not null,        -- so far, while less than the gap has passed
    requests            integer not null,            -- as the trail counts them
    repetitions         integer not null,            -- identical refusals besides
    entries             integer not null,
    counts              jsonb not null,              -- action: status: how many requests
    users_touched       integer not null,
    groups_touched      integer not null,
    users_created       integer not null,
    users_deactivated   integer not null,
    users_reactivated   integer not null,
    users_deleted       integer not null,
    groups_created      integer not null,
    groups_deleted      integer not null,
    memberships_added   integer not null,
    memberships_removed integer not null,
    active_before       integer not null,            -- users of the tenant, whoever else changed them meanwhile
    active_after        integer not null,
    client_addresses    text[] not null,             -- the first few, in their order
    user_agents         text[] not null,
    activity_id         text not null,               -- when all its requests carried the same
    primary key (tenant_id, first_position)
);
create index runs_of_client on runs (tenant_id, client_id, first_position);
create index runs_by_end on runs (tenant_id, last_position);

-- What the next page of entries has to know: whom each client's last run has touched, and who is not active.
create table run_subjects (
    tenant_id  integer not null,
    client_id  text collate "C" not null,
    subject_id uuid not null,
    primary key (tenant_id, client_id, subject_id)
);
create table inactive_users (
    tenant_id integer not null,
    user_id   uuid not null,
    primary key (tenant_id, user_id)
);

create index trail_by_client on trail (tenant_id, token_id, first_position);
create index names_of on names (tenant_id, id);

-- Rows of Entra's provisioning log as its export gave them. They hold names and addresses readable, as the trail does;
-- erasing a person deletes them.
create table entra_rows (
    tenant_id         integer not null,
    row_id            text collate "C" not null,     -- Entra's own
    at                timestamptz not null,          -- by Entra's clock
    action            text not null,                 -- create, update, disable, delete, stageddelete, other
    status            text not null,                 -- success, failure, skipped, warning
    cycle_id          text not null,
    change_id         text not null,
    job_id            text not null,
    initiated_by      text not null,
    initiator_type    text not null,                 -- system, user, application
    duration_ms       bigint not null,
    source_id         text collate "C" not null,     -- Entra's object id
    source_name       text not null,
    source_type       text not null,
    target_id         text collate "C" not null,     -- our id, if it was ours; '' before it was known
    target_type       text not null,
    service_principal text not null,
    error_code        text not null,
    error_reason      text not null,
    modified          jsonb not null,                -- [{name, before, after}]
    steps             jsonb not null,                -- [{name, type, status, description, details}]
    details           jsonb not null,                -- whatever else the export had
    import_id         uuid not null,                 -- of the first import that had the row
    first_position    bigint,                        -- of the request it is about, once that is found
    primary key (tenant_id, row_id)
);
create index entra_rows_in_order on entra_rows (tenant_id, at);
create index entra_rows_of_target on entra_rows (tenant_id, target_id, at) where target_id <> '';
create index entra_rows_of_source on entra_rows (tenant_id, source_id, at) where source_id <> '';
create index entra_rows_of_change on entra_rows (tenant_id, change_id);
create index entra_rows_of_request on entra_rows (tenant_id, first_position) where first_position is not null;

-- The names in rows that name no id of ours, as `names` keeps them.
create table entra_names (
    tenant_id integer not null,
    kind      text collate "C" not null,             -- userName, externalId, displayName
    key       bytea not null,
    row_id    text collate "C" not null,
    primary key (tenant_id, key, kind, row_id)
);
create index entra_names_of_row on entra_names (tenant_id, row_id);

do $$
begin
    grant select, insert, update, delete on runs, run_subjects, inactive_users, entra_rows, entra_names
        to scim_ledger_app;
    grant select on runs, run_subjects, inactive_users, entra_rows, entra_names to scim_ledger_read;
exception
    when undefined_object or insufficient_privilege then
        raise warning 'privileges were not granted: the roles of scim-ledger are missing here';
end $$;
