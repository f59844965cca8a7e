"""What the fuzz tests share: a service, and the seed of everything they choose."""

import os
import random
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import throw_away_service
from tests.running import Service


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """A service of these tests' own: wrong secrets are counted by address, and others' would be refused for ours."""
    with throw_away_service() as started:
        yield started


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The same in every run, another one in each with --slow, or what SCIM_LEDGER_TEST_SEED says; printed."""
    chosen = random.randrange(1 << 32) if request.config.getoption("--slow") else 0
    chosen = int(os.environ.get("SCIM_LEDGER_TEST_SEED", chosen))
    sys.stdout.write(f"SCIM_LEDGER_TEST_SEED={chosen}\n")
    return chosen
