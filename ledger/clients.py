"""OAuth 2.0 clients of a tenant: registered, given secrets, given access tokens for an hour (RFC 6749 §4.4).

Registering, issuing and revoking are entries; an access token is none. Each request made with one names its client.
"""

import hmac
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec import Struct

from domain.events import ClientRegistered, ClientRevoked, ClientSecretIssued, ClientSecretRevoked, Event
from domain.ids import is_id
from ledger.connections import Connection
from ledger.entry import Tenant
from ledger.randomness import random_id
from ledger.single import append
from ledger.tenants import (
    SECRET_PREFIX,
    SLUG,
    TenantRefused,
    check_grant,
    expiry_text,
    new_secret,
    operator_job,
    stream_version,
    the_only,
)
from ledger.vault import Vault

CLIENT_SECRET_PREFIX = "slc_"  # noqa: S105  # 43 URL-safe characters follow.


class Client(Struct, frozen=True):
    """An OAuth client as listed. Times are UTC. last_used_at: when it was last given an access token."""

    client_id: str
    label: str
    scopes: list[str]
    profile: str
    created_at: datetime
    revoked_at: datetime | None
    secrets_live: int
    last_used_at: datetime | None


class ClientSecret(Struct, frozen=True):
    """A client's secret as listed: never the secret itself. Times are UTC."""

    secret_id: str
    client_id: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class Presented(Struct, frozen=True):
    """Whose secret was presented to the token endpoint, and what its access tokens may have."""

    tenant_id: int
    client_id: str
    secret_id: str
    scopes: list[str]


class Granted(Struct, frozen=True):
    """An access token. secret: its one showing. lifetime_s: seconds."""

    secret: str
    lifetime_s: int


def register_client(
    connection: Connection, tenant: Tenant, vault: Vault, *, label: str, scopes: Sequence[str],
    profile: str = "lenient",
) -> str:  # fmt: skip
    """Register a client, which has no secret yet; returns its id. Raises TenantRefused."""
    check_grant("client", label, scopes, profile)
    client_id = random_id()
    event = ClientRegistered(client_id, label, list(scopes), profile)
    with connection.transaction():
        appended = append(connection, operator_job(tenant, vault, f"clients/{client_id}", 1, client_id, event))
        connection.execute(
            "insert into clients (tenant_id, client_id, label, scopes, profile, created_at) "
            "values (%s, %s, %s, %s, %s, %s)",
            (tenant.tenant_id, client_id, label, list(scopes), profile, appended.recorded_at),
        )
    return client_id


def list_clients(connection: Connection, tenant: Tenant) -> list[Client]:
    """Return the tenant's clients, oldest first."""
    rows = connection.execute(
        "select c.client_id::text, c.label, c.scopes, c.profile, c.created_at, c.revoked_at, "
        "count(s.secret_id) filter (where s.revoked_at is null "
        "and (s.expires_at is null or s.expires_at > clock_timestamp())), max(s.last_used_at) "
        "from clients c left join client_secrets s on s.tenant_id = c.tenant_id and s.client_id = c.client_id "
        "where c.tenant_id = %s group by c.tenant_id, c.client_id order by c.created_at, c.client_id",
        (tenant.tenant_id,),
    )
    return [Client(*row) for row in rows]


def find_client(connection: Connection, tenant: Tenant, client: str) -> Client:
    """Return a live client by id or label. Raises TenantRefused when there is none, or several."""
    live = [c for c in list_clients(connection, tenant) if client in (c.client_id, c.label) and not c.revoked_at]
    return the_only(live, f"tenant {tenant.slug}", "live client", client)


def find_client_ever(connection: Connection, tenant: Tenant, client: str) -> Client:
    """Return a client by id or label, a revoked one where none is live. Raises TenantRefused for none, or several."""
    ever = [each for each in list_clients(connection, tenant) if client in (each.client_id, each.label)]
    live = [each for each in ever if not each.revoked_at]
    return the_only(live or ever, f"tenant {tenant.slug}", "live client" if live else "client", client)


def revoke_client(connection: Connection, tenant: Tenant, vault: Vault, client: str) -> Client:
    """Revoke a client with its secrets and access tokens, by id or label. Raises TenantRefused."""
    revoked = find_client(connection, tenant, client)
    with connection.transaction():
        at = _append(connection, tenant, vault, revoked.client_id, ClientRevoked())
        connection.execute(
            "update clients set revoked_at = %s where tenant_id = %s and client_id = %s",
            (at, tenant.tenant_id, revoked.client_id),
        )
        for secret in list_secrets(connection, tenant, revoked.client_id):
            _end_secret(connection, tenant, secret.secret_id, at)
    return msgspec.structs.replace(revoked, revoked_at=at, secrets_live=0)


def issue_secret(
    connection: Connection, tenant: Tenant, vault: Vault, client: str, *, expires_at: datetime | None = None
) -> tuple[str, str]:
    """Issue one more secret to a client; returns (secret id, secret): this is its one showing.

    Raises TenantRefused when there is no such live client, or several.
    """
    client_id = find_client(connection, tenant, client).client_id
    secret_id, (secret, secret_hash) = random_id(), new_secret(CLIENT_SECRET_PREFIX)
    event = ClientSecretIssued(secret_id, expiry_text(expires_at))
    with connection.transaction():
        at = _append(connection, tenant, vault, client_id, event)
        connection.execute(
            "insert into client_secrets (tenant_id, secret_id, client_id, secret_hash, created_at, expires_at) "
            "values (%s, %s, %s, %s, %s, %s)",
            (tenant.tenant_id, secret_id, client_id, secret_hash, at, expires_at),
        )
    return secret_id, secret


def list_secrets(connection: Connection, tenant: Tenant, client_id: str) -> list[ClientSecret]:
    """Return a client's secrets, oldest first."""
    rows = connection.execute(
        "select secret_id::text, client_id::text, created_at, expires_at, revoked_at, last_used_at "
        "from client_secrets where tenant_id = %s and client_id = %s order by created_at, secret_id",
        (tenant.tenant_id, client_id),
    )
    return [ClientSecret(*row) for row in rows]


def revoke_secret(
    connection: Connection, tenant: Tenant, vault: Vault, client: str, secret_id: str
) -> ClientSecret:  # fmt: skip
    """Revoke one of a client's secrets, and the access tokens that were given for it. Raises TenantRefused."""
    client_id = find_client(connection, tenant, client).client_id
    with connection.transaction():
        _hold(connection, tenant, client_id)
        secrets = list_secrets(connection, tenant, client_id)
        live = [secret for secret in secrets if secret.secret_id == secret_id and not secret.revoked_at]
        revoked = the_only(live, f"client {client}", "live secret", secret_id)
        at = _append(connection, tenant, vault, client_id, ClientSecretRevoked(secret_id))
        _end_secret(connection, tenant, secret_id, at)
    return msgspec.structs.replace(revoked, revoked_at=at)


def _append(connection: Connection, tenant: Tenant, vault: Vault, client_id: str, event: Event) -> datetime:
    """Append to a live client's stream, in the caller's transaction."""
    _hold(connection, tenant, client_id)
    stream = f"clients/{client_id}"
    version = stream_version(connection, tenant, stream) + 1
    return append(connection, operator_job(tenant, vault, stream, version, client_id, event)).recorded_at


def _hold(connection: Connection, tenant: Tenant, client_id: str) -> None:
    """Let two operators take turns at a client, until the end of the transaction. Raises TenantRefused."""
    live = connection.execute(
        "select from clients where tenant_id = %s and client_id = %s and revoked_at is null for update",
        (tenant.tenant_id, client_id),
    ).fetchone()
    if live is None:
        raise TenantRefused(f"tenant {tenant.slug} has no live client {client_id}")


def _end_secret(connection: Connection, tenant: Tenant, secret_id: str, at: datetime) -> None:
    # The secret first: a grant under way holds its row, and its access token is then there to be ended.
    for table in ("client_secrets", "tokens"):
        connection.execute(
            f"update {table} set revoked_at = %s "  # noqa: S608  # Our own text.
            "where tenant_id = %s and secret_id = %s and revoked_at is null",
            (at, tenant.tenant_id, secret_id),
        )


def identify_client(connection: Connection, slug: str, client_id: str, secret: str) -> Presented | None:
    """Return whose secret this is; None whatever is wrong: tenant, client, secret, or its time.

    It is found by its hash alone, so that all of these take the same look-up.
    """
    if not SLUG.fullmatch(slug) or not is_id(client_id):
        return None  # Names that cannot be are nobody's, and no matter for the database.
    row = connection.execute(
        "select t.tenant_id, c.client_id::text, s.secret_id::text, c.scopes from tenants t "
        "join client_secrets s on s.tenant_id = t.tenant_id and s.secret_hash = %s "
        "join clients c on c.tenant_id = t.tenant_id and c.client_id = s.client_id "
        "where t.slug = %s and c.revoked_at is null and s.revoked_at is null "
        "and (s.expires_at is null or s.expires_at > clock_timestamp())",
        (sha256(secret.encode()).digest(), slug),
    ).fetchone()
    if row is None or not hmac.compare_digest(row[1], client_id):
        return None
    return Presented(*row)


# One statement and one commit. The secret's row is taken first, so that a revocation comes before the grant, which
# then finds nothing, or after it, and finds the access token. What expired goes here: no client leaves more than an
# hour's tokens behind, and nobody has to sweep. Nor do two grants of one client wait for each other's sweeping.
_GRANT = """
with presented as (
    update client_secrets s
       set last_used_at = clock_timestamp()
     where s.tenant_id = %(tenant_id)s
       and s.secret_id = %(secret_id)s
       and s.revoked_at is null
       and (s.expires_at is null or s.expires_at > clock_timestamp())
 returning s.tenant_id, s.client_id, s.secret_id, s.expires_at
), swept as (
    delete from tokens
     where (tenant_id, token_id) in (select t.tenant_id, t.token_id
                                       from presented p
                                       join tokens t on t.tenant_id = p.tenant_id
                                                    and t.client_id = p.client_id
                                      where t.expires_at < clock_timestamp()
                                        for update of t skip locked)
)
insert into tokens (tenant_id, token_id, secret_hash, label, scopes, profile, created_at, expires_at,
                    client_id, secret_id)
select p.tenant_id, %(token_id)s, %(secret_hash)s, c.label, %(scopes)s, c.profile, now.at,
       least(now.at + make_interval(secs => %(lifetime_s)s), p.expires_at), c.client_id, p.secret_id
  from presented p
  join clients c on c.tenant_id = p.tenant_id
                and c.client_id = p.client_id
 cross join (select clock_timestamp() as at) now
returning floor(extract(epoch from expires_at - created_at))::integer
"""


def grant(
    connection: Connection, presented: Presented, scopes: Sequence[str], *, lifetime_s: int
) -> Granted | None:  # fmt: skip
    """Give an access token of some of the client's scopes; None when its secret was revoked meanwhile.

    lifetime_s: in seconds; it does not outlive the secret.
    """
    assert set(scopes) <= set(presented.scopes)
    secret, secret_hash = new_secret(SECRET_PREFIX)
    row = connection.execute(
        _GRANT,
        {
            "tenant_id": presented.tenant_id,
            "secret_id": presented.secret_id,
            "token_id": random_id(),
            "secret_hash": secret_hash,
            "scopes": list(scopes),
            "lifetime_s": lifetime_s,
        },
    ).fetchone()
    return None if row is None else Granted(secret, row[0])
