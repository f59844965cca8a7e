"""Tests of this folder may be coroutines: writers and the requests that use them live in one event loop."""

import asyncio
import inspect
from collections.abc import Iterator

import psycopg
import pytest

from ledger.vault import Keys
from tests.conftest import Database
from tests.ledger.desk import Connection, Deciding, Desk, Offices, serving


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    loop: asyncio.Runner = pyfuncitem._request.getfixturevalue("loop")
    loop.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}))
    return True


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.Runner]:
    """The event loop of all coroutines here."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def offices(loop: asyncio.Runner, database: Database, keys: Keys) -> Iterator[Offices]:
    """A service that answers and one that only decides, for every tenant on the throw-away server."""
    both = [serving(database, keys), serving(database, keys, Deciding)]
    first, second = [loop.run(each.__aenter__()) for each in both]
    yield first, second
    for each in both:
        loop.run(each.__aexit__(None, None, None))


@pytest.fixture
def desk(offices: Offices, database: Database, keys: Keys) -> Desk:
    """A new tenant's desk."""
    return Desk.new(offices, database, keys)


@pytest.fixture
def auditor(database: Database) -> Iterator[Connection]:
    """A connection that sees everything."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection
