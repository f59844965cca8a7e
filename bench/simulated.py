"""The ledger of a simulated company in the service under measurement: three years, some twenty entries a person."""

import time
from collections.abc import Callable

import psycopg
from msgspec import Struct

from bench.simulator.simulation import simulate
from ledger.reader import Reader
from ledger.tenants import create_tenant, find_tenant
from ledger.vault import Keys, Vault
from projections.replay import replay

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


class Differs(Exception):
    """A replay found rows that are not what the entries add up to: the service under measurement is broken."""


def replayed(database_url: str, keys: Keys, progress: Callable[[int, int], None]) -> tuple[int, float]:
    """Replay the company's ledger and compare every row; return its entries, and how many seconds it took."""
    with psycopg.connect(database_url, autocommit=True, options="-c timezone=UTC") as connection:
        tenant = find_tenant(connection, SLUG)
        assert tenant is not None, "filled first"
        reader = Reader(connection, tenant, Vault.load(connection, tenant.tenant_id, keys))
        began = time.perf_counter()
        done = replay(reader, progress=progress)
        if not done.equal:
            raise Differs(f"the replay differs from the live rows of {done.differences[0].table}")
        return done.size, time.perf_counter() - began
