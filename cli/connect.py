"""How a verb reaches the ledger: a running service's database, or one started for the moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from cli.exits import Failed
from ledger.config import Config
from ledger.connections import Connection, connect
from ledger.entry import Tenant
from ledger.migrations import refuse_unless_current
from ledger.postgres import reach as reach_embedded
from ledger.postgres import served_as
from ledger.tenants import find_tenant, has_tenants
from ledger.vault import Keys, Vault

APP_ROLE = "scim_ledger_app"


def known_public_url(config: Config) -> str:
    """Return what clients are told: what was given, else what the data folder was served under last."""
    return config.chosen_public_url or served_as(config.data) or config.public_url


@contextmanager
def reach_owner_url(config: Config) -> Iterator[str]:
    """Yield the database's URL for whoever migrates."""
    if config.database_url is not None:
        yield config.database_url
        return
    with reach_embedded(config.data) as server:
        yield server.superuser_url


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
    """Yield a connection and the ledger's keys. Raises Failed, KeysMissing, ServerFailed, DatabaseUnreachable."""
    with (
        reach_url(config) as url,
        connect(url, "scim-ledger command") as connection,
    ):
        if not has_tenants(connection):
            raise Failed("there is no ledger in this database yet: ./scim-ledger serve makes it on its first start")
        refuse_unless_current(connection)
        yield connection, Keys.open(config.keys)


@contextmanager
def open_tenant(config: Config, slug: str) -> Iterator[tuple[Connection, Tenant, Vault]]:
    """Yield a connection, a tenant and its key. Raises Failed when there is no such tenant."""
    with reach(config) as (connection, keys):
        tenant = find_tenant(connection, slug)
        if tenant is None:
            raise Failed(f"there is no tenant {slug}; ./scim-ledger tenant list shows all")
        yield connection, tenant, Vault.load(connection, tenant.tenant_id, keys)
