"""Clients against the database, as the role that `serve` uses: a grant and a revocation at the same moment."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from ledger.clients import (
    Presented,
    grant,
    identify_client,
    issue_secret,
    list_clients,
    list_secrets,
    register_client,
    revoke_client,
    revoke_secret,
)
from ledger.connections import Connection, connect
from ledger.entry import Tenant
from ledger.tenants import TenantRefused, list_tokens
from ledger.vault import Keys, Vault
from tests.conftest import Database

HOUR_S = 3_600


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """One operator's, or one worker's."""
    with connect(database.app_url, "clients") as opened:
        yield opened


@pytest.fixture
def other(database: Database) -> Iterator[Connection]:
    """Another one's."""
    with connect(database.app_url, "other clients") as opened:
        yield opened


@pytest.fixture
def vault(connection: Connection, tenant: Tenant, keys: Keys) -> Vault:
    """The tenant's keys."""
    return Vault.load(connection, tenant.tenant_id, keys)


@pytest.fixture
def presented(connection: Connection, tenant: Tenant, vault: Vault) -> Presented:
    """A client that has just shown its secret."""
    client_id = register_client(connection, tenant, vault, label="Entra", scopes=["scim"])
    _, secret = issue_secret(connection, tenant, vault, client_id)
    found = identify_client(connection, tenant.slug, client_id, secret)
    assert found is not None
    return found


def waits(connection: Connection, other: Connection) -> None:
    """Return once another connection waits for a lock that this one has."""
    deadline = time.monotonic() + 10
    query = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
    while connection.execute(query, (other.info.backend_pid,)).fetchone() != (True,):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def access_tokens(connection: Connection, presented: Presented) -> list[bool]:
    """For each access token of the client whether it is revoked."""
    rows = connection.execute(
        "select revoked_at is not null from tokens where tenant_id = %s and client_id = %s",
        (presented.tenant_id, presented.client_id),
    )
    return [revoked for (revoked,) in rows]


def test_a_grant_after_the_revocation_gives_nothing(
    connection: Connection, other: Connection, tenant: Tenant, vault: Vault, presented: Presented
) -> None:
    """The secret was good when it was shown; it is revoked before the token is written."""
    with ThreadPoolExecutor() as threads:
        with connection.transaction():
            revoke_secret(connection, tenant, vault, presented.client_id, presented.secret_id)
            granting = threads.submit(grant, other, presented, ["scim"], lifetime_s=HOUR_S)
            waits(connection, other)
        assert granting.result(10) is None
    assert access_tokens(connection, presented) == []


def test_two_operators_revoke_a_secret_once(
    connection: Connection, other: Connection, tenant: Tenant, vault: Vault, presented: Presented
) -> None:
    """The second one waits for the first, and is told that there is nothing left to revoke."""
    asked = (tenant, vault, presented.client_id, presented.secret_id)
    with ThreadPoolExecutor() as threads:
        with connection.transaction():
            revoke_secret(connection, *asked)
            second = threads.submit(revoke_secret, other, *asked)
            waits(connection, other)
        with pytest.raises(TenantRefused, match="no live secret"):
            second.result(10)
    revoked = "select from entries where tenant_id = %s and event_type = 'ClientSecretRevoked'"
    assert connection.execute(revoked, (tenant.tenant_id,)).rowcount == 1


@pytest.mark.parametrize("whole_client", [False, True], ids=["secret", "client"])
def test_a_revocation_after_the_grant_ends_its_token(
    connection: Connection, other: Connection, tenant: Tenant, vault: Vault, presented: Presented, whole_client: bool
) -> None:
    """The revocation waits for the grant under way and finds what it gave."""
    with ThreadPoolExecutor() as threads:
        with other.transaction():
            assert grant(other, presented, ["scim"], lifetime_s=HOUR_S) is not None
            if whole_client:
                revoking = threads.submit(revoke_client, connection, tenant, vault, presented.client_id)
            else:
                revoking = threads.submit(
                    revoke_secret, connection, tenant, vault, presented.client_id, presented.secret_id
                )
            waits(other, connection)
        revoking.result(10)
    assert access_tokens(connection, presented) == [True]


def test_clients_and_secrets_are_listed_without_what_is_secret(
    connection: Connection, tenant: Tenant, vault: Vault, presented: Presented
) -> None:
    """Access tokens are not among the tenant's tokens: nobody rotates them."""
    grant(connection, presented, ["scim"], lifetime_s=HOUR_S)
    (client,) = list_clients(connection, tenant)
    (secret,) = list_secrets(connection, tenant, client.client_id)
    assert (client.label, client.scopes, client.secrets_live) == ("Entra", ["scim"], 1)
    assert secret.last_used_at is not None and client.last_used_at == secret.last_used_at
    assert list_tokens(connection, tenant) == []


def test_what_is_not_there_cannot_be_revoked(
    connection: Connection, tenant: Tenant, vault: Vault, presented: Presented
) -> None:
    """Nor twice; nor can a revoked client be given a secret."""
    with pytest.raises(TenantRefused, match="no live secret"):
        revoke_secret(connection, tenant, vault, "Entra", presented.client_id)
    register_client(connection, tenant, vault, label="Entra", scopes=["scim"])
    with pytest.raises(TenantRefused, match="2 live clients, name one by its id"):
        revoke_client(connection, tenant, vault, "Entra")
    revoke_client(connection, tenant, vault, presented.client_id)
    for again in (revoke_client, issue_secret):
        with pytest.raises(TenantRefused, match="no live client"):
            again(connection, tenant, vault, presented.client_id)
    (row,) = connection.execute(
        "select count(*)::int from entries where tenant_id = %s and stream = %s",
        (tenant.tenant_id, f"clients/{presented.client_id}"),
    ).fetchall()
    assert row == (3,)


def test_the_service_may_not_remove_clients(connection: Connection, presented: Presented) -> None:
    """They are revoked, and stay."""
    for table in ("clients", "client_secrets"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"delete from {table}".encode())
