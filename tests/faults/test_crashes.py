"""kill -9 under load: what was answered is there exactly once, what was not is there wholly or not at all."""

import os
import random
import sys
import time
from collections.abc import Iterator

import pytest

from bench.service import Service
from tests.faults.checks import check_whole, durable_folder
from tests.faults.writers import Crowd

ANSWERS_BETWEEN = 150  # Certain answers after each crash before the next: the service really was back.


@pytest.fixture
def durable_service() -> Iterator[Service]:
    """A service with durable settings on a disk, as a customer runs it."""
    with durable_folder() as folder, Service(folder / "data") as service:
        yield service


@pytest.mark.parametrize("moments", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_nothing_answered_is_lost_when_service_and_database_are_killed(durable_service: Service, moments: int) -> None:
    """kill -9 of the service and of Postgres in turn, at random moments, with 16 clients writing."""
    seed = int(os.environ.get("SCIM_LEDGER_TEST_SEED", random.randrange(1 << 32)))
    sys.stdout.write(f"SCIM_LEDGER_TEST_SEED={seed}\n")
    service, chance = durable_service, random.Random(seed)
    token, _ = service.new_tenant("crashes")
    with Crowd(service.base_url, "crashes", token, seed=seed) as crowd:
        for moment in range(moments):
            crowd.wait_for_answers(ANSWERS_BETWEEN)
            time.sleep(chance.random() * 0.5)
            if moment % 2:
                service.kill_postgres()
            else:
                service.kill()
                service.start()
        crowd.wait_for_answers(ANSWERS_BETWEEN)
    check_whole(service, crowd, "crashes", token)
    assert any(not attempt.certain for attempt in crowd.attempts), "no call was ever on the way in a crash"
