"""The database goes away and comes back: 503 with Retry-After meanwhile, nothing twice, and no restart."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest
from msgspec import Struct

from bench.service import Service
from ledger.postmaster import find_postmaster
from tests.faults.checks import check_whole, durable_folder
from tests.faults.proxy import Proxy
from tests.faults.writers import Crowd
from tests.running import NO_TLS

CUTS = 8
ANSWER_S_MAX = 25.0  # Longer than this no client waits for a 503.
BACK_S_MAX = 20.0


class Site(Struct):
    """A service whose database is reached through a proxy. owner: the service that runs the database."""

    owner: Service
    outside: Service
    proxy: Proxy

    def crowd(self, slug: str) -> tuple[Crowd, str]:
        """Return writers on the proxied service in a new tenant, and their token."""
        token, _ = self.owner.new_tenant(slug)
        return Crowd(self.outside.base_url, slug, token, seed=len(slug)), token


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Two services on one database with durable settings: its owner, and one behind the proxy."""
    with durable_folder() as folder, Service(folder / "data") as owner:
        server = find_postmaster(owner.data / "postgres")
        assert server
        with Proxy(server.socket / f".s.PGSQL.{server.port}") as proxy:
            url = f"postgresql://scim_ledger_app@127.0.0.1:{proxy.port}/scim_ledger?sslmode=disable"
            options = ("--database-url", url, "--keys", str(owner.data / "keys"))
            with Service(Path(folder / "outside"), options=options) as outside:
                yield Site(owner, outside, proxy)


def terminate_writers(site: Site) -> None:
    """Have the database end every writer's connection, as an administrator or a failover does."""
    with psycopg.connect(site.owner.database_url(), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name like 'scim-ledger writer%' and state = 'active'"
        )


FAULTS: dict[str, Callable[[Site], None]] = {
    "connection-lost-after-commit": lambda site: site.proxy.cut_next_reply(),
    "connection-lost-in-the-call": lambda site: site.proxy.cut_next_request(),
    "writers-terminated": terminate_writers,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_connection_lost_in_the_middle_of_a_call_writes_nothing_twice(site: Site, fault: str) -> None:
    """Under load, again and again; the service looks up what became of the call, or answers 503."""
    crowd, token = site.crowd(fault)
    before = site.proxy.cuts
    with crowd:
        for _ in range(CUTS):
            crowd.wait_for_answers(30)
            FAULTS[fault](site)
        crowd.wait_for_answers(100)
    if fault != "writers-terminated":
        assert site.proxy.cuts - before == CUTS
    check_whole(site.owner, crowd, fault, token)


def test_a_bulk_request_whose_reply_was_lost_is_found_and_not_written_again(site: Site) -> None:
    """Its entries have a request id each; one of them found is all of them found."""
    slug = "bulk-lost"
    token, _ = site.owner.new_tenant(slug)
    assert call(site, "POST", "Users", slug, token).status_code == 201
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]}
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": f"{n}", "data": user | {"userName": f"lost {n}"}}
        for n in range(50)
    ]
    cuts = site.proxy.cuts
    site.proxy.cut_next_reply()
    answer = call(site, "POST", "Bulk", slug, token, {"Operations": operations})
    assert site.proxy.cuts == cuts + 1
    assert answer.status_code == 200, answer.text
    assert {each["status"] for each in answer.json()["Operations"]} == {"201"}
    assert call(site, "GET", "Users?count=0", slug, token).json()["totalResults"] == 51


def test_an_unreachable_database_is_answered_503_until_it_is_back(site: Site) -> None:
    """Reads and writes alike say when to come again; nothing has to be restarted."""
    crowd, token = site.crowd("unreachable")
    with crowd:
        crowd.wait_for_answers(50)
        site.proxy.refuse()
        try:
            assert_unavailable(site, "unreachable", token)
        finally:
            site.proxy.allow()
        assert_back(site, "unreachable", token)
        crowd.wait_for_answers(50, BACK_S_MAX)
    check_whole(site.owner, crowd, "unreachable", token)


def test_a_frozen_database_is_answered_503_until_it_goes_on(site: Site) -> None:
    """SIGSTOP: connections stand, nothing moves. A call on the way may be done once the database goes on."""
    crowd, token = site.crowd("frozen")
    with crowd:
        crowd.wait_for_answers(50)
        stopped = site.owner.postgres_pids()
        try:
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            assert_unavailable(site, "frozen", token)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        assert_back(site, "frozen", token)
        crowd.wait_for_answers(50, BACK_S_MAX)
    check_whole(site.owner, crowd, "frozen", token)


def call(site: Site, method: str, path: str, slug: str, token: str, body: object = None) -> httpx.Response:
    """Send one request to the proxied service; reads need no body, and writes have one that is right."""
    schema = "urn:ietf:params:scim:schemas:core:2.0:User"
    body = body or {"schemas": [schema], "userName": f"{time.monotonic_ns()}@faults.example"}
    return httpx.request(
        method,
        f"{site.outside.base_url}/scim/{slug}/v2/{path}",
        headers={"Authorization": f"Bearer {token}"},
        json=body if method == "POST" else None,
        timeout=ANSWER_S_MAX,
        verify=NO_TLS,
    )


def assert_unavailable(site: Site, slug: str, token: str) -> None:
    """Check that a read and a write are answered 503, with Retry-After and a SCIM body."""
    asked = (("GET", 'Users?filter=userName eq "nobody"'), ("POST", "Users"))
    with ThreadPoolExecutor() as pool:
        for answer in pool.map(lambda each: call(site, *each, slug, token), asked):
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.json()["status"] == "503"


def assert_back(site: Site, slug: str, token: str) -> None:
    """Check that the service answers as ever, by itself, soon after the database is back."""
    until = time.monotonic() + BACK_S_MAX
    while call(site, "POST", "Users", slug, token).status_code != 201:
        assert time.monotonic() < until, "the service did not come back by itself"
        time.sleep(0.1)
