"""The ledger of a simulated company in the service under measurement: three years, some twenty entries a person."""

from collections.abc import Callable

import psycopg
from msgspec import Struct

from bench.simulator.simulation import simulate
from ledger.tenants import create_tenant
from ledger.vault import Keys, Vault

SLUG = "simulated"


class Company(Struct, frozen=True):
    """What was filled in. ids: of the users who are there in the end. entries: of the ledger."""

    ids: list[str]
    entries: int


def fill(database_url: str, keys: Keys, people: int, progress: Callable[[str, int, int], None]) -> Company:
    """Make the tenant `simulated` and play its story into it. database_url: of the database's owner."""
    with psycopg.connect(database_url, autocommit=True, options="-c timezone=UTC") as connection:
        tenant = create_tenant(connection, SLUG, authority="bench.example.com", keys=keys)
        vault = Vault.load(connection, tenant.tenant_id, keys)
        done = simulate(connection, tenant, vault, people=people, progress=progress)
        connection.execute("vacuum analyze")  # As the server does by itself within minutes.
        query = "select id::text from users where tenant_id = %s order by created_position"
        ids = [user_id for (user_id,) in connection.execute(query, (tenant.tenant_id,))]
    return Company(ids, done.size)
