-- What the catch-up projections keep: the provisioning log, and every name anybody ever had (design: "Projections").
-- All of it can be dropped and made again from the entries. Attribute values stand here readable, as they do in the
-- directory: erasing a person makes the rows of their requests again, from entries that no longer open.

create table trail (
    tenant_id      integer not null,
    first_position bigint not null,                  -- of the request's entries
    last_position  bigint not null,
    request_id     uuid not null,
    recorded_at    timestamptz not null,
    received_at    timestamptz,                      -- by the service's clock
    action         text collate "C" not null,        -- create, update, disable, enable, delete, other
    status         text collate "C" not null,        -- success, failure, skipped
    resource_type  text collate "C" not null,        -- User, Group, Token, Tenant; '' when the path names none
    target_id      uuid,
    method         text not null,
    path           text not null,
    http_status    smallint,
    scim_type      text not null,
    detail         text not null,
    token_id       text not null,                    -- or operator: done on the command line
    token_label    text not null,
    profile        text not null,
    client_address text not null,
    user_agent     text not null,
    correlation    jsonb not null,                   -- headers as the client sent them
    operations     text[] not null,                  -- of a PATCH: op and path, no values
    quirks         text[] not null,
    ignored        text[] not null,
    state_version  integer not null,                 -- of the resource, as the decision saw it
    duration_us    bigint not null,                  -- from receipt to append
    entry_count    integer not null,
    repetitions    integer not null,                 -- identical refusals this row stands for besides
    events         jsonb not null,                   -- event type: how many entries
    modified       jsonb not null,                   -- [{position, attribute, before, after}]
    primary key (tenant_id, first_position)          -- not request_id: repetitions of a refusal come later
);
create index trail_by_request on trail (tenant_id, request_id);
create index trail_by_action on trail (tenant_id, action, first_position);
create index trail_of_trouble on trail (tenant_id, status, first_position) where status <> 'success';

-- Whom a request was about, so that one person's requests are read newest first from one index.
create table trail_subjects (
    tenant_id      integer not null,
    subject_id     uuid not null,
    first_position bigint not null,
    primary key (tenant_id, subject_id, first_position)
);

-- The trail's properties and steps as rows. Views: stored, they would be four fifths of the trail's rows and say
-- nothing that its columns do not.
create view trail_properties as
    select t.tenant_id, t.first_position, t.request_id, p.position, p.attribute, p.before, p.after
      from trail t, jsonb_to_recordset(t.modified) p(position bigint, attribute text, before jsonb, after jsonb);

create view trail_steps as
    select t.tenant_id, t.first_position, t.request_id, s.step, s.name, s.status, s.detail
      from trail t,
           lateral (values
               (1, 'received', 'success', jsonb_build_object('at', t.received_at, 'method', t.method, 'path', t.path,
                                                             'client_address', t.client_address,
                                                             'user_agent', t.user_agent)),
               (2, 'authenticated', 'success', jsonb_build_object('token_id', t.token_id, 'token_label', t.token_label,
                                                                  'profile', t.profile)),
               (3, 'read', 'success', jsonb_build_object('operations', t.operations, 'quirks', t.quirks,
                                                         'ignored', t.ignored)),
               (4, 'decided', t.status, jsonb_build_object('state_version', t.state_version, 'action', t.action,
                                                           'http_status', t.http_status, 'scim_type', t.scim_type,
                                                           'detail', t.detail)),
               (5, 'recorded', 'success', jsonb_build_object('events', t.events, 'first_position', t.first_position,
                                                             'last_position', t.last_position,
                                                             'at', t.recorded_at, 'duration_us', t.duration_us))
           ) s(step, name, status, detail);

create table names (
    tenant_id     integer not null,
    kind          text collate "C" not null,         -- userName, externalId, displayName
    key           bytea not null,                    -- SHA-256 of the name as it is compared
    resource      text collate "C" not null,         -- users, groups: the kind of its stream
    id            uuid not null,
    from_position bigint not null,
    to_position   bigint,                            -- null while the name is held
    primary key (tenant_id, key, kind, id, from_position)
);
create unique index names_held on names (tenant_id, id, kind) where to_position is null;

do $$
begin
    grant select, insert, update, delete on trail, trail_subjects, names to scim_ledger_app;
    grant select on trail_properties, trail_steps to scim_ledger_app;
    grant select on trail, trail_subjects, trail_properties, trail_steps, names to scim_ledger_read;
exception
    when undefined_object or insufficient_privilege then
        raise warning 'privileges were not granted: the roles of scim-ledger are missing here';
end $$;
