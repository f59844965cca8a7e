"""`demo` and `bench`: the verbs that bring their own traffic."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cyclopts import App

from cli.flags import Data, DatabaseUrl, Flag, KeysFolder, PublicUrl

_TENANTS_MAX = 1_000


def add_plays(app: App) -> None:
    """Give the application demo and bench."""
    from bench.command import bench

    app.command(demo)
    app.command(bench)


def demo(
    *,
    data: Data = None,
    database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
    port: Flag = None,
    public_url: PublicUrl = None,
) -> int:
    """Play an Entra tenant against the service and ask why somebody was deprovisioned; in a tenant of its own.

    Uses the service that runs on the data folder, or starts one for the moment. What it did stays there.

    Exit status: 0 played, 1 failed, 2 usage.

    Args:
        data: Folder of the service.
        port: Port of the running service (8080).
    """
    from cli.connect import reach
    from cli.demo import run
    from ledger.config import read_config
    from ledger.tenants import create_tenant, find_tenant, issue_token, origin_authority
    from ledger.vault import Vault

    config = read_config(data=data, database_url=database_url, keys=keys, port=port, public_url=public_url)
    with _running(config.data, config.public_url, database_url) as base_url:
        with reach(config) as (connection, keyring):
            names = ("demo", *(f"demo-{number}" for number in range(2, _TENANTS_MAX)))
            slug = next(name for name in names if find_tenant(connection, name) is None)
            authority = origin_authority(connection, config.chosen_public_url)
            tenant = create_tenant(connection, slug, authority=authority, keys=keyring)
            vault = Vault.load(connection, tenant.tenant_id, keyring)
            _, token = issue_token(connection, tenant, vault, label="Entra (demo)", scopes=["scim"])
            _, audit = issue_token(connection, tenant, vault, label="auditor (demo)", scopes=["audit"])
        return run(base_url, token, audit, tenant=slug, options=f"--data {data}" if data else "")


@contextmanager
def _running(data: Path, base_url: str, database_url: str | None) -> Iterator[str]:
    """Yield the base URL of a service on the data folder: the one that runs, or one for the moment."""
    import httpx

    from bench.service import Service
    from ledger.data_folder import is_served_from

    try:
        answers = httpx.get(f"{base_url}/healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        answers = False
    if answers and (database_url is not None or is_served_from(data)):
        yield base_url
        return
    options = ("--database-url", database_url) if database_url else ()
    with Service(data, options=options) as service:
        yield service.base_url
