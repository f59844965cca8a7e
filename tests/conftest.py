"""Fixtures that everybody uses: a throw-away Postgres, a migrated database, a tenant, a running service.

The server is one for the whole run, not durable, in shared memory where there is some. A test gets a tenant
of its own, which costs nothing; only tests that destroy things ask for a database of their own.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from msgspec import Struct
from psycopg import sql

from bench.simulator.personnel import write_personnel_csv
from bench.simulator.simulation import Simulated, simulate
from ledger.account import account_for
from ledger.entry import Tenant
from ledger.migrations import migrate
from ledger.postgres import DATABASE, SUPERUSER, EmbeddedServer
from ledger.postmaster import find_postmaster
from ledger.tenants import create_tenant
from ledger.vault import Keys, Vault
from tests.running import Service

SHARED_MEMORY = Path("/dev/shm")
PREFIX = "scim-ledger-test-"
TEMPLATE = "migrated"
LARGE_PEOPLE = int(os.environ.get("SCIM_LEDGER_TEST_PEOPLE", "50000"))


class Database(Struct, frozen=True):
    """One database on the throw-away server, by the URLs of those who use it.

    app_url: the role that `serve` uses; owner_url: the one that migrates; superuser_url: for tampering.
    """

    name: str
    app_url: str
    owner_url: str
    superuser_url: str


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --slow."""
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers; pyproject.toml names the others."""
    config.addinivalue_line("markers", "slow: takes minutes, or installs; runs only with --slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip slow tests unless asked for, and mark what uses a Postgres."""
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))
        if {"server", "service", "data_folder"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.database)


def pytest_report_header() -> str:
    """Say which Postgres the tests run on."""
    from ledger.binaries import find_binaries

    return f"postgres: {find_binaries(os.environ).version}"


def throw_away_folder() -> Path:
    """Make a folder for a throw-away server: in memory where possible, reachable for the server's account."""
    where = SHARED_MEMORY if SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK) else Path("/tmp")
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where))


def drop_folder(folder: Path) -> None:
    """Stop whatever server lives in a throw-away folder, at once, and remove the folder."""
    for cluster in folder.glob("**/postgres"):
        if (found := find_postmaster(cluster)) is not None:
            os.kill(found.pid, signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Remove what test runs left behind that were killed; the pid of the run is in the folder's name."""
    for where in (SHARED_MEMORY, Path("/tmp")):
        for folder in where.glob(f"{PREFIX}*"):
            pid = folder.name.removeprefix(PREFIX).partition("-")[0]
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                drop_folder(folder)
            except (ValueError, PermissionError):
                continue


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A throw-away Postgres for the whole run."""
    _sweep()
    folder = throw_away_folder()
    started = EmbeddedServer.start(folder, {**os.environ, "SCIM_LEDGER_TEST_POSTGRES": "1"})
    yield started
    started.stop()
    drop_folder(folder)


@pytest.fixture(scope="session")
def postgres(server: EmbeddedServer) -> Database:
    """The throw-away server's first database, migrated; `.superuser_url` reaches the whole server."""
    found = _database(server, DATABASE)
    migrate(found.owner_url)
    with psycopg.connect(server.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        _clone(connection, DATABASE, TEMPLATE)
    return found


@pytest.fixture(scope="session")
def database(postgres: Database) -> Database:
    """A migrated database for the whole run; tests keep apart by using tenants of their own."""
    return postgres


_names = (f"clone_{number}" for number in count())


@pytest.fixture
def fresh_database(server: EmbeddedServer, postgres: Database) -> Iterator[Database]:
    """A migrated database of one test's own, to be destroyed at will."""
    name = next(_names)
    with psycopg.connect(server.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        _clone(connection, TEMPLATE, name)
        yield _database(server, name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def empty_database(server: EmbeddedServer) -> Iterator[Database]:
    """A database in which nothing was ever done."""
    name = next(_names)
    with psycopg.connect(server.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        _clone(connection, "template0", name)
        yield _database(server, name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """An empty place for a server of a test's own; it is gone afterwards."""
    folder = throw_away_folder()
    if (account := account_for(folder)).switched:
        folder.chmod(0o755)  # The test's own folders are inside, each 0700.
        assert account.may("-x", folder)
    yield folder / "data"
    drop_folder(folder)


def _clone(connection: psycopg.Connection, template: str, name: str) -> None:
    # Copying files takes 7 ms where the write-ahead log takes 24: nothing here outlives the run.
    connection.execute(
        sql.SQL("create database {} template {} strategy file_copy").format(
            sql.Identifier(name), sql.Identifier(template)
        )
    )


def _database(server: EmbeddedServer, name: str) -> Database:
    return Database(
        name=name,
        app_url=server.url("scim_ledger_app", name),
        owner_url=server.url(SUPERUSER, name),
        superuser_url=server.url(SUPERUSER, name),
    )


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The key folder of every tenant on the throw-away server."""
    return Keys.make(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def tenant(postgres: Database, keys: Keys) -> Tenant:
    """A new tenant in the session's database."""
    with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
        return create_tenant(connection, f"t-{uuid4().hex[:12]}", authority="scim.example.com", keys=keys)


@pytest.fixture(scope="session")
def simulated(postgres: Database, keys: Keys) -> Simulated:
    """Three years of a company of 1,000 people in some 20,000 entries, and what is true of it. Nobody writes to it."""
    return _simulated(postgres, keys, "simulated", 1_000)


@pytest.fixture(scope="session")
def large(postgres: Database, keys: Keys) -> Simulated:
    """The same of 50,000 people, in a million entries: for slow tests."""
    made = _simulated(postgres, keys, "large", LARGE_PEOPLE)
    with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
        connection.execute("vacuum analyze")  # As the server does by itself within minutes.
    return made


def _simulated(postgres: Database, keys: Keys, slug: str, people: int) -> Simulated:
    with psycopg.connect(postgres.owner_url, autocommit=True, options="-c timezone=UTC") as connection:
        tenant = create_tenant(connection, slug, authority="scim.example.com", keys=keys)
        return simulate(connection, tenant, Vault.load(connection, tenant.tenant_id, keys), people=people)


@contextmanager
def throw_away_service() -> Iterator[Service]:
    """The real service, as a process of its own with its own embedded Postgres."""
    folder = throw_away_folder()
    folder.chmod(0o755)
    started = Service.start(folder / "data")
    yield started
    started.stop()
    drop_folder(folder)


@pytest.fixture(scope="session")
def personnel(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of terminations that the simulated company's Personnel exports."""
    path = tmp_path_factory.mktemp("personnel") / "terminations.csv"
    write_personnel_csv(simulated.personnel.rows, path)
    return path


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """A service for the whole run; a test makes a tenant of its own."""
    with throw_away_service() as started:
        yield started
