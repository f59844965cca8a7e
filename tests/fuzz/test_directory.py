"""A model of a directory against the service, also with clients beside each other (issue: nothing lost, ever)."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.crowding import DirectoryMachine
from tests.running import Service


@pytest.mark.parametrize(
    ("stories", "steps"), [(4, 25), pytest.param(150, 60, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)])]
)
def test_the_service_is_what_the_model_says(service: Service, seed: int, stories: int, steps: int) -> None:
    """After each request everything is compared, and in the end histories, the past and a replay."""

    @seeded(seed)
    class Machine(DirectoryMachine):
        pass

    Machine.service = service
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=stories,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # Shrinking a story costs minutes of service; its seed repeats it.
            suppress_health_check=list(HealthCheck),
        ),
    )
