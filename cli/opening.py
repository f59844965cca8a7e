"""What a service stands on: the database and its migrations, the keys, the first tenant, the projections."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from msgspec import Struct

from api.description import describe
from api.lines import configure_logging
from cli.connect import APP_ROLE
from cli.serve import DEFAULT_TENANT
from ledger.collector import spare_what_is_loaded
from ledger.config import Config
from ledger.connections import connect
from ledger.entry import Tenant
from ledger.health import excess_privileges
from ledger.migrations import migrate
from ledger.postgres import EmbeddedServer
from ledger.reader import Reader
from ledger.tenants import create_tenant, issue_token, list_tenants, only_maker, origin_authority
from ledger.vault import Keys, Vault
from projections.runner import Runner

log = structlog.get_logger()


class FirstTokens(Struct, frozen=True):
    """What the first start made, shown once."""

    secret: str
    audit_secret: str


class Opening(Struct, frozen=True):
    """What is open. description: for the workers. told: what the operator is to read, in lines."""

    description: bytes
    told: list[str]

    @classmethod
    @contextmanager
    def of(cls, config: Config) -> Iterator["Opening"]:
        """Open everything, and close it in the end.

        Raises ServerFailed, MigrationError, KeysMissing, DatabaseUnreachable with one sentence.
        """
        configure_logging()
        with _database(config) as (owner_url, url):
            warnings = list(migrate(owner_url).warnings)
            keys, first = prepare(config, url)
            with connect(url, "scim-ledger start") as connection:
                warnings += excess_privileges(connection)
            for warning in warnings:
                log.warning("start", told=warning)
            with _projections(url, keys):
                yield cls(describe(config, url), [*_tokens(config, first), *_notes(warnings)])

    @staticmethod
    def report(told: str) -> None:
        """Log what happened to a process of ours."""
        log.warning("serve", told=told)


@contextmanager
def _database(config: Config) -> Iterator[tuple[str, str]]:
    """Yield (the owner's URL, the service's URL); starts and stops the embedded server unless a URL is given."""
    if config.database_url is not None:
        yield config.database_url, config.database_url
        return
    server = EmbeddedServer.start(config.data, public_url=config.public_url)
    try:
        server.watch(lambda told: log.warning("postgres", told=told))
        yield server.superuser_url, server.url(APP_ROLE)
    finally:
        server.stop()


def prepare(config: Config, url: str) -> tuple[Keys, FirstTokens | None]:
    """Open the keys and, on an empty ledger, make them with the first tenant and its tokens, all or nothing.

    Raises KeysMissing when the folder's keys are not this ledger's: nothing is written with others.
    """
    with connect(url, "scim-ledger start") as connection, connection.transaction():
        only_maker(connection)  # Of several first starts on one database, one makes the tenant.
        tenants = list_tenants(connection)
        if tenants:
            keys = Keys.open(config.keys)
            Vault.load(connection, tenants[0].tenant_id, keys)
            return keys, None
        keys = Keys.make(config.keys)
        authority = origin_authority(connection, config.chosen_public_url)
        tenant = create_tenant(connection, DEFAULT_TENANT, authority=authority, keys=keys)
        vault = Vault.load(connection, tenant.tenant_id, keys)
        _, secret = issue_token(connection, tenant, vault, label="first", scopes=["scim"])
        _, audit = issue_token(connection, tenant, vault, label="first audit", scopes=["audit", "admin"])
        return keys, FirstTokens(secret, audit)


@contextmanager
def _projections(url: str, keys: Keys) -> Iterator[None]:
    """Keep the catch-up runner going. In this process, which has nothing else to do, so that it slows no request."""

    def report(tenant: Tenant | None, failure: Exception) -> None:
        tenant_id = tenant.tenant_id if tenant else None
        log.warning("projections", tenant_id=tenant_id, exc_info=failure)

    runner = Runner(
        lambda: connect(url, "scim-ledger projections"),
        lambda connection, tenant: Reader(connection, tenant, Vault.load(connection, tenant.tenant_id, keys)),
        report_failure=report,
    )
    spare_what_is_loaded()
    stop = threading.Event()
    thread = threading.Thread(target=runner.run_forever, args=(stop,), name="projections", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(15)  # At most a connection attempt; what it writes is whole or not at all.


def _notes(warnings: list[str]) -> list[str]:
    return [f"\nNote: {warning}" for warning in warnings]


def _tokens(config: Config, first: FirstTokens | None) -> list[str]:
    if first is None:
        return ["", "Another Secret Token: ./scim-ledger token create --tenant default --label NAME --scope scim"]
    return [
        f"  Secret Token  {first.secret}",
        f"  Audit token   {first.audit_secret}",
        "",
        "Paste Tenant URL and Secret Token into Entra: Enterprise application, Provisioning, Admin credentials.",
        "Both tokens are shown this once and stored as hashes only. The keys that open this ledger's payloads",
        f"lie in {config.keys}: back that folder up, without it nobody can read the ledger again.",
    ]
