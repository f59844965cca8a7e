"""The tenant of a fuzz test from the inside: a token more, and when it is over one look at all that is promised."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from ledger.entry import Tenant
from ledger.reader import Reader
from ledger.tenants import find_tenant, issue_token
from ledger.vault import Keys, Vault
from projections.replay import replay
from tests.faults.audit import Counted, check_everything
from tests.running import Client, Service


@contextmanager
def opened(service: Service, client: Client) -> Iterator[tuple[psycopg.Connection[Any], Tenant, Vault]]:
    """The tenant's database, as a command on the service's machine reaches it."""
    with service.database() as server, psycopg.connect(server.superuser_url, autocommit=True) as connection:
        tenant = find_tenant(connection, client.slug)
        assert tenant
        yield connection, tenant, Vault.load(connection, tenant.tenant_id, Keys.open(service.data / "keys"))


def admin_token(service: Service, client: Client) -> str:
    """The secret of a token that may declare schemas."""
    with opened(service, client) as (connection, tenant, vault):
        return issue_token(connection, tenant, vault, label="admin", scopes=["admin"], profile="lenient")[1]


def check_whole(service: Service, client: Client) -> Counted:
    """Check that positions are gapless, that rows are what entries say, and that a replay equals what is live."""
    with service.database() as server:
        counted = check_everything(server.superuser_url, client.slug)
    with opened(service, client) as (connection, tenant, vault):
        replayed = replay(Reader(connection, tenant, vault))
    assert replayed.equal, replayed.differences[:3]
    return counted
