-- OAuth 2.0 clients, their secrets, and the access tokens they are given; tokens that are bound to a user.

create table clients (
    tenant_id  integer not null,
    client_id  uuid not null,
    label      text not null,
    scopes     text[] not null,
    profile    text not null,
    created_at timestamptz not null,
    revoked_at timestamptz,
    primary key (tenant_id, client_id)
);

create table client_secrets (
    tenant_id    integer not null,
    secret_id    uuid not null,
    client_id    uuid not null,
    secret_hash  bytea not null,                     -- SHA-256; the secret has 256 bits of its own
    created_at   timestamptz not null,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,                        -- for an access token; its row's lock orders grant and revocation
    primary key (tenant_id, secret_id)
);
create unique index client_secrets_by_secret on client_secrets (tenant_id, secret_hash);
create index client_secrets_of_client on client_secrets (tenant_id, client_id);

alter table tokens
    add column user_id   uuid,                       -- whose /Me it is
    add column client_id uuid,                       -- of an access token: who acts
    add column secret_id uuid;                       -- of an access token: what it was given for
create index tokens_of_client on tokens (tenant_id, client_id) where client_id is not null;

do $$
begin
    grant select, insert, update on clients, client_secrets to scim_ledger_app;
exception
    when undefined_object or insufficient_privilege then
        raise warning 'privileges were not granted: the roles of scim-ledger are missing here';
end $$;
