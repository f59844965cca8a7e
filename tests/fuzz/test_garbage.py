"""Nothing that anybody sends makes a 500, loses a connection, or leaves the ledger other than whole."""

import asyncio
import time

import httpx
import pytest

from tests.fuzz.garbage import Garbage
from tests.fuzz.talking import Verdict, connected
from tests.fuzz.whole import check_whole
from tests.running import Client, Service

CONNECTIONS = 12


async def send_garbage(service: Service, client: Client, seed: int, requests: int, verdict: Verdict) -> None:
    """Send so many requests over a few connections; each of them draws from a seed of its own."""

    async def talk(number: int) -> None:
        garbage = Garbage(client, f"{seed}.{number}")
        async with connected(service.base_url) as ask:
            for sent in range(requests // CONNECTIONS):
                request = garbage.broken() if sent % 50 == 49 else garbage.request()
                answer = await ask(request)
                verdict.judge(request, answer)
                garbage.learn(answer)

    await asyncio.gather(*(talk(number) for number in range(CONNECTIONS)))


@pytest.mark.parametrize("profile", ["lenient", "strict"])
@pytest.mark.parametrize(
    "requests", [1_500, pytest.param(50_000, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)])]
)
def test_no_request_makes_a_500(service: Service, seed: int, profile: str, requests: int) -> None:
    """3,000 of them in every run, 100,000 with --slow; afterwards the service is well and the ledger whole."""
    client, verdict, began = service.new_tenant(profile), Verdict(), time.perf_counter()
    asyncio.run(send_garbage(service, client, seed, requests, verdict))
    rate = sum(verdict.statuses.values()) / (time.perf_counter() - began)
    print(f"{rate:,.0f} requests a second, answers by status: {sorted(verdict.statuses.items())}")  # noqa: T201
    assert not verdict.wrong, "\n\n".join(verdict.wrong)
    # A generator whose requests all fail at the door would test the door only.
    assert min(verdict.statuses[status] for status in (200, 201, 400, 404)) > requests / 100
    assert httpx.get(f"{service.base_url}/readyz").status_code == 200
    assert check_whole(service, client).entries > requests / 4
