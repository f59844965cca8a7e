"""Rate limits: none unless the tenant wants one, never below what identity providers are promised, 429 beyond it."""

import asyncio
from contextlib import suppress

import httpx
import pytest
from flood import flood
from issuing import limit_requests
from speaking import ERROR, Speaker

import api.rates
from api.rates import PATIENCE_S, Bucket, Buckets, TokenRates
from domain.errors import TooManyRequests
from ledger.entry import TOKEN_RATE_MIN, Settings, Tenant, TenantId


class Clock:
    """A clock that goes when it is told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that buckets look at."""
    clock = Clock()
    monkeypatch.setattr(api.rates, "monotonic", clock)
    return clock


def admitted(bucket: Bucket, count: int) -> int:
    """How many of so many requests at one moment are admitted, and need not wait."""
    good = 0
    for _ in range(count):
        with suppress(TooManyRequests):
            good += bucket.take() == 0
    return good


def refusals_counted(speaker: Speaker) -> float:
    """How many requests /metrics says were answered 429."""
    page = httpx.get(f"{speaker.service.base_url}/metrics", timeout=20).text
    lines = [line for line in page.splitlines() if line.startswith("scim_ledger_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'status="429"' in line)


def test_an_empty_bucket_takes_its_burst_and_then_its_rate(clock: Clock) -> None:
    bucket = Bucket(25, 25)
    assert admitted(bucket, 100) == 25
    clock.now += 0.2
    assert admitted(bucket, 100) == 5
    clock.now += 3_600
    assert admitted(bucket, 100) == 25


def test_a_full_bucket_asks_for_patience_before_it_refuses(clock: Clock) -> None:
    """Entra counts 429s against us: who waits for answers is slowed down, who floods is refused."""
    bucket = Bucket(25, 25, PATIENCE_S)
    assert [bucket.take() for _ in range(25)] == [0.0] * 25
    waits = [bucket.take() for _ in range(25)]
    assert waits == sorted(waits) and 0 < waits[0] <= 0.04 and waits[-1] <= PATIENCE_S
    with pytest.raises(TooManyRequests) as refusal:
        bucket.take()
    assert refusal.value.headers == {"Retry-After": "1"}
    clock.now += 1
    assert bucket.take() <= PATIENCE_S


def test_what_is_given_back_was_not_taken(clock: Clock) -> None:
    bucket = Bucket(1, 1)
    for _ in range(3):
        assert admitted(bucket, 2) == 1
        bucket.give_back()


def test_buckets_are_remembered_and_in_the_end_forgotten(clock: Clock) -> None:
    """Somebody who makes up names fills no memory."""
    buckets = Buckets()
    assert admitted(buckets.of("a", 1, 1), 2) == 1
    assert admitted(buckets.of("a", 1, 1), 2) == 0
    for name in range(10_000):
        buckets.of(name, 1, 1)
    assert admitted(buckets.of("a", 1, 1), 2) == 1


@pytest.mark.parametrize(
    ("limit", "workers", "ours"), [(100, 1, 100), (100, 2, 50), (100, 8, 25), (25, 4, 25), (101, 2, 51)]
)
def test_workers_share_a_limit_but_for_the_promised_rate(clock: Clock, limit: int, workers: int, ours: int) -> None:
    """All connections of a client may have come to one worker, and 25 a second are promised."""
    tenant = Tenant(TenantId(1), "acme", "x/t/1", Settings(token_requests_per_second=limit))
    rates = TokenRates(workers)
    bucket = rates.of(tenant, "token")
    assert bucket is not None
    assert admitted(bucket, 2 * limit) == ours
    assert rates.of(tenant, "token") is bucket, "a bucket outlives the look-up"
    assert rates.of(tenant, "another") is not bucket


def test_without_a_limit_there_is_no_bucket() -> None:
    """Nothing is counted, nothing is paid."""
    assert TokenRates(1).of(Tenant(TenantId(1), "acme", "x/t/1"), "token") is None


def test_a_limit_is_none_or_at_least_what_is_promised() -> None:
    for limit in (0, TOKEN_RATE_MIN, 1_000):
        assert Settings(token_requests_per_second=limit).token_requests_per_second == limit
    for limit in (1, TOKEN_RATE_MIN - 1):
        with pytest.raises(ValueError, match="at least 25"):
            Settings(token_requests_per_second=limit)


def test_a_turn_is_waited_for() -> None:
    """By the real clock: 2 at once, the third a hundredth of a second later."""
    bucket = Bucket(100, 2, PATIENCE_S)

    async def three() -> float:
        started = asyncio.get_running_loop().time()
        for _ in range(3):
            await bucket.turn()
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(three()) >= 0.009


def test_a_flood_is_answered_429_counted_and_not_recorded(service: object) -> None:
    """AU-13: Retry-After, a SCIM body; no entry, since nothing was decided; other tokens go on."""
    speaker = Speaker(service)
    limit_requests(speaker, 25)
    before = refusals_counted(speaker)
    answers = flood(speaker, [("GET", "/Users?count=0", None)] * 150, connections=80)
    refusals = [body for status, body in answers if status == 429]
    assert {status for status, _ in answers} == {200, 429}
    assert len(answers) - len(refusals) >= 50, "what is promised, and what waits a second for its turn"
    assert all(body["schemas"] == [ERROR] and body["status"] == "429" for body in refusals)
    assert refusals_counted(speaker) - before >= len(refusals)
    assert [each for each in speaker.log()["records"] if each["http_status"] == 429] == []


def test_a_client_that_waits_for_its_answers_is_never_refused(service: object) -> None:
    """Forty requests one after the other, faster than the limit: slower, and all served."""
    speaker = Speaker(service)
    limit_requests(speaker, 25)
    answers = flood(speaker, [("GET", "/Users?count=0", None)] * 40, connections=1)
    assert {status for status, _ in answers} == {200}
