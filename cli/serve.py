"""`serve`: embedded Postgres, migrations, first tenant, projections, workers; and all of them gone at the end."""

import http.client
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from msgspec import Struct
from uvicorn.supervisors import Multiprocess

from api.worker import DESCRIPTION, configure_logging, describe
from cli.exits import Failed
from ledger.config import Config
from ledger.connections import connect
from ledger.entry import Tenant
from ledger.migrations import migrate
from ledger.postgres import EmbeddedServer
from ledger.reader import Reader
from ledger.tenants import authority_of, create_tenant, issue_token, list_tenants
from ledger.vault import Keys, Vault
from projections.runner import Runner

APP_ROLE = "scim_ledger_app"
DEFAULT_TENANT = "default"
_GRACEFUL_STOP_S = 20
_READY_S = 30.0

log = structlog.get_logger()


class FirstTokens(Struct, frozen=True):
    """What the first start made, shown once."""

    secret: str
    audit_secret: str


def serve(config: Config) -> None:
    """Run the service until SIGTERM or Ctrl-C. Raises Failed with one sentence when it cannot start."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # So that `finally` runs also before uvicorn's handler.
    configure_logging()
    listener = _listen(config)
    with listener, _database(config) as (owner_url, url):
        migrate(owner_url)
        keys, first = prepare(config, url)
        stop = threading.Event()
        projector = threading.Thread(target=_runner(url, keys).run_forever, args=(stop,), name="projections")
        projector.start()
        threading.Thread(target=_announce, args=(config, first), daemon=True).start()
        try:
            _run_workers(config, url, listener)
        finally:
            stop.set()
            projector.join()


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise Failed(
            f"cannot listen on {config.host} port {config.port}: {error.strerror}; "
            "another service may run there, choose one with --port"
        ) from None
    listener.set_inheritable(True)
    return listener


@contextmanager
def _database(config: Config) -> Iterator[tuple[str, str]]:
    """Yield (the owner's URL, the service's URL); starts and stops the embedded server unless a URL is given."""
    if config.database_url is not None:
        yield config.database_url, config.database_url
        return
    server = EmbeddedServer.start(config.data)
    try:
        server.watch(lambda told: log.warning("postgres", told=told))
        yield server.superuser_url, server.url(APP_ROLE)
    finally:
        server.stop()


def prepare(config: Config, url: str) -> tuple[Keys, FirstTokens | None]:
    """Open the keys and, on an empty ledger, make them with the first tenant and its tokens.

    Raises KeysMissing when the folder's keys are not this ledger's: nothing is written with others.
    """
    with connect(url, "scim-ledger start") as connection:
        tenants = list_tenants(connection)
        if tenants:
            keys = Keys.open(config.keys)
            Vault.load(connection, tenants[0].tenant_id, keys)
            return keys, None
        keys = Keys.make(config.keys)
        tenant = create_tenant(connection, DEFAULT_TENANT, authority=origin_authority(config), keys=keys)
        vault = Vault.load(connection, tenant.tenant_id, keys)
        _, secret = issue_token(connection, tenant, vault, label="first", scopes=["scim"])
        _, audit = issue_token(connection, tenant, vault, label="first audit", scopes=["audit", "admin"])
        return keys, FirstTokens(secret, audit)


def origin_authority(config: Config) -> str:
    """What a new tenant's origin begins with: the public URL's host, or a random name where there is none."""
    if config.public_url_given:
        return authority_of(config.public_url)
    return f"{os.urandom(8).hex()}.scim-ledger.invalid"


def _runner(url: str, keys: Keys) -> Runner:
    """The catch-up runner. In this process, which has nothing else to do, so that it slows no request."""

    def report(tenant: Tenant | None, failure: Exception) -> None:
        tenant_id = tenant.tenant_id if tenant else None
        log.warning("projections", tenant_id=tenant_id, error=type(failure).__name__)

    return Runner(
        lambda: connect(url, "scim-ledger projections"),
        lambda connection, tenant: Reader(connection, tenant, Vault.load(connection, tenant.tenant_id, keys)),
        report_failure=report,
    )


def _run_workers(config: Config, url: str, listener: socket.socket) -> None:
    """Run the workers until a signal; each is a process of its own, started again when it dies."""
    with tempfile.TemporaryDirectory(prefix="scim-ledger-metrics-") as shared:
        os.environ[DESCRIPTION] = describe(config, url)
        if config.workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
        settings = uvicorn.Config(
            "api.app:from_environment",
            factory=True,
            workers=config.workers,
            loop="uvloop",
            http="api.protocol:Protocol",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=2_048,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACEFUL_STOP_S,
        )
        Multiprocess(settings, sockets=[listener]).run()


def _announce(config: Config, first: FirstTokens | None) -> None:
    """Print where the service is, once it answers."""
    if not _answers(config):
        return
    base = f"{config.public_url}/scim/{DEFAULT_TENANT}/v2"
    lines = ["scim-ledger is ready.", "", f"  Tenant URL    {base}"]
    if first is not None:
        lines += [
            f"  Secret Token  {first.secret}",
            f"  Audit token   {first.audit_secret}",
            "",
            "Paste Tenant URL and Secret Token into Entra: Enterprise application, Provisioning, Admin credentials.",
            "Both tokens are shown this once and stored as hashes only. The keys that open this ledger's payloads",
            f"lie in {config.keys}: back that folder up, without it nobody can read the ledger again.",
        ]
    else:
        lines += [
            "",
            "Another Secret Token: ./scim-ledger token create --tenant default --label NAME --scope scim",
        ]
    print("\n".join(lines), flush=True)  # noqa: T201  # What this command is asked for.


def _answers(config: Config) -> bool:
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(host, config.port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    return False
