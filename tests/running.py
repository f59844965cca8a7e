"""The service as its clients see it: a process of its own, reached over HTTP only."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from ledger.entry import Tenant
from ledger.postgres import EmbeddedServer, reach
from ledger.tenants import create_tenant, find_tenant, issue_token
from ledger.vault import Keys, Vault

ROOT = Path(__file__).resolve().parent.parent
START_S = 30.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # Nobody asks by https: loading authorities would be 40 ms a client.


class Client:
    """An identity provider and an auditor of one tenant.

    scim: at the tenant's SCIM base, with a token of scope `scim`. api: at /api/<slug>, with scope `audit`.
    """

    def __init__(self, base_url: str, slug: str, token: str, audit_token: str) -> None:
        """token, audit_token: the secrets."""
        self.slug, self.token, self.audit_token = slug, token, audit_token
        self.scim = httpx.Client(
            base_url=f"{base_url}/scim/{slug}/v2",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"},
            timeout=30,
            verify=NO_TLS,
        )
        self.api = httpx.Client(
            base_url=f"{base_url}/api/{slug}",
            headers={"Authorization": f"Bearer {audit_token}"},
            timeout=30,
            verify=NO_TLS,
        )


class Service:
    """A running `serve`. base_url: "http://127.0.0.1:PORT". data: its data folder. log: what it printed."""

    def __init__(self, data: Path, port: int) -> None:
        """Use `start`."""
        self.data = data
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"
        self.log = data.parent / f"serve-{port}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, data: Path, *flags: str) -> "Service":
        """Start over a data folder, new or old, on a free port, and wait until it answers."""
        service = cls(data, free_port())
        service.run(*flags)
        return service

    def run(self, *flags: str) -> None:
        """Start the process (again), on the same port, and wait until it answers."""
        command = [sys.executable, "-m", "cli", "serve", "--port", str(self.port), "--data", str(self.data)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *flags],
                cwd=ROOT,
                env={**os.environ, "SCIM_LEDGER_TEST_POSTGRES": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"serve did not start: {self.log.read_text()}")
            time.sleep(0.03)

    def stop(self) -> int:
        """End it as an operator would, and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """End it as the machine would: nothing is told, its database server stays behind."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def new_tenant(self, profile: str = "lenient") -> Client:
        """Make a tenant with a token of each scope that clients need, in the service's own database."""
        with self.database() as server, psycopg.connect(server.superuser_url, autocommit=True) as connection:
            keys, slug = Keys.open(self.data / "keys"), f"t-{uuid4().hex[:12]}"
            tenant = create_tenant(connection, slug, authority="scim.example.com", keys=keys)
            assert find_tenant(connection, slug) == tenant
            vault = Vault.load(connection, tenant.tenant_id, keys)
            _, token = issue_token(connection, tenant, vault, label="tests", scopes=["scim"], profile=profile)
            _, audit = issue_token(connection, tenant, vault, label="audit", scopes=["audit"], profile=profile)
        return Client(self.base_url, slug, token, audit)

    @contextmanager
    def opened(self, slug: str) -> Iterator[tuple[psycopg.Connection[Any], Tenant, Vault]]:
        """A tenant as a command on the service's machine reaches it: its database, as superuser, and its key."""
        with (
            self.database() as server,
            psycopg.connect(server.superuser_url, autocommit=True, options="-c timezone=UTC") as connection,
        ):
            tenant = find_tenant(connection, slug)
            assert tenant is not None
            yield connection, tenant, Vault.load(connection, tenant.tenant_id, Keys.open(self.data / "keys"))

    def database(self) -> AbstractContextManager[EmbeddedServer]:
        """Reach the service's own Postgres, as verbs do."""
        return reach(self.data)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/healthz", timeout=1, verify=NO_TLS).status_code == 200
        except httpx.TransportError:
            return False


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
