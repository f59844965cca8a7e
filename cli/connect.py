"""How a verb reaches the ledger: a running service's database, or one started for the moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from cli.exits import Failed
from ledger.config import Config
from ledger.connections import Connection, connect
from ledger.entry import Tenant
from ledger.postgres import reach as reach_embedded
from ledger.tenants import find_tenant
from ledger.vault import Keys, Vault

APP_ROLE = "scim_ledger_app"


@contextmanager
def reach_url(config: Config) -> Iterator[str]:
    """Yield the database's URL for the service's role; the embedded server runs at least that long."""
    if config.database_url is not None:
        yield config.database_url
        return
    with reach_embedded(config.data) as server:
        yield server.url(APP_ROLE)


@contextmanager
def reach(config: Config) -> Iterator[tuple[Connection, Keys]]:
    """Yield a connection and the ledger's keys. Raises KeysMissing, ServerFailed, psycopg.OperationalError."""
    with (
        reach_url(config) as url,
        connect(url, "scim-ledger command") as connection,
    ):
        yield connection, Keys.open(config.keys)


@contextmanager
def open_tenant(config: Config, slug: str) -> Iterator[tuple[Connection, Tenant, Vault]]:
    """Yield a connection, a tenant and its key. Raises Failed when there is no such tenant."""
    with reach(config) as (connection, keys):
        tenant = find_tenant(connection, slug)
        if tenant is None:
            raise Failed(f"there is no tenant {slug}; ./scim-ledger tenant list shows all")
        yield connection, tenant, Vault.load(connection, tenant.tenant_id, keys)
