"""Tests of this folder may be coroutines, and may speak to a desk: as those of the ledger. Some ask *why*."""

from collections.abc import Iterator

import psycopg
import pytest

from ledger.entry import Tenant
from ledger.vault import Keys
from tests.conftest import Database
from tests.ledger.conftest import auditor, desk, loop, offices, pytest_pyfunc_call
from tests.projections.whying import Ask

__all__ = ["auditor", "desk", "loop", "offices", "pytest_pyfunc_call"]


@pytest.fixture
def ask(postgres: Database, tenant: Tenant, keys: Keys) -> Iterator[Ask]:
    """A new tenant's ledger to write a telling into, and to ask."""
    with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
        yield Ask(connection, tenant, keys)
