"""The runner writes every entry once: beside others, after it died in the middle, and when its code has changed."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from ledger.connections import connect
from ledger.entry import Entry, Tenant, TenantId
from ledger.reader import Reader
from ledger.vault import Keys, Vault
from projections import runner
from projections.replay import replay
from projections.runner import PROJECTIONS, Lagging, Projection, Runner, catch_up, wait_until
from projections.trail import Trail
from tests.conftest import Database
from tests.ledger.desk import Connection, Desk, Offices, serving, user

REQUESTS = 120


async def lived(desk: Desk, count: int = REQUESTS) -> None:
    """Let some requests leave their entries."""
    await asyncio.gather(*(desk.made("/Users", user(f"u{number}")) for number in range(count)))


def reader_of(connection: Connection, tenant: Tenant, keys: Keys) -> Reader:
    """A tenant's reader."""
    return Reader(connection, tenant, Vault.load(connection, tenant.tenant_id, keys))


def check_equal(database: Database, tenant: Tenant, keys: Keys) -> None:
    """Check that the projections are what the entries add up to, and that they have read all of them."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        reader = reader_of(connection, tenant, keys)
        standing = {(each.name, each.revision, reader.size()) for each in PROJECTIONS}
        assert set(tracked(connection, tenant)) == standing
        assert replay(reader).differences == []


def tracked(connection: Connection, tenant: Tenant) -> list[tuple[str, int, int]]:
    """Where each projection stands."""
    return connection.execute(
        "select projection, revision, position from tracking where tenant_id = %s", (tenant.tenant_id,)
    ).fetchall()


def trail_rows(connection: Connection, tenant: Tenant) -> int:
    """How many rows the trail has."""
    row: Any = connection.execute("select count(*) from trail where tenant_id = %s", (tenant.tenant_id,)).fetchone()
    return int(row[0])


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of seven entries, so that a little ledger has many."""
    monkeypatch.setattr(runner, "PAGE_ENTRIES", 7)


async def test_runners_at_once_write_nothing_twice_and_leave_nothing_out(
    desk: Desk, database: Database, keys: Keys, small_pages: None
) -> None:
    """Three of them from the first entry to the last, page by page."""
    await lived(desk)
    start = threading.Barrier(3)

    def run() -> int:
        pages = 0

        def count(position: int) -> None:
            nonlocal pages
            pages += 1

        with psycopg.connect(database.app_url, autocommit=True) as connection:
            reader = reader_of(connection, desk.tenant, keys)
            start.wait(10)
            catch_up(reader, progress=count)
        return pages

    with ThreadPoolExecutor(3) as pool:
        pages = [each.result() for each in [pool.submit(run) for _ in range(3)]]
    assert sum(pages) >= REQUESTS // 7
    check_equal(database, desk.tenant, keys)


class Dying(Trail):
    """A trail whose runner dies after it has written and before it is committed."""

    def __init__(self, die: Callable[[psycopg.Cursor[Any]], object], after: int) -> None:
        self._die = die
        self._after = after

    def write(self, cursor: psycopg.Cursor[Any], tenant_id: TenantId, entries: Sequence[Entry]) -> None:
        """Write, and die when as many pages have been written before."""
        super().write(cursor, tenant_id, entries)
        self._after -= 1
        if self._after < 0:
            self._die(cursor)


def defect(cursor: psycopg.Cursor[Any]) -> None:
    raise ZeroDivisionError


def lose_connection(cursor: psycopg.Cursor[Any]) -> None:
    cursor.execute("select pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize(("death", "error"), [(defect, ZeroDivisionError), (lose_connection, psycopg.OperationalError)])
async def test_a_runner_that_dies_between_write_and_tracking_leaves_neither(
    death: Callable[[psycopg.Cursor[Any]], None], error: type[Exception],
    desk: Desk, database: Database, auditor: Connection, keys: Keys, small_pages: None,
) -> None:  # fmt: skip
    """The pages before are kept; the next runner goes on where they end."""
    await lived(desk, 30)
    with psycopg.connect(database.app_url, autocommit=True) as connection, pytest.raises(error):
        catch_up(reader_of(connection, desk.tenant, keys), projections=[Dying(death, after=2)])
    assert tracked(auditor, desk.tenant) == [("trail", Trail.revision, 14)]
    assert trail_rows(auditor, desk.tenant) == 14
    catch_up(reader_of(auditor, desk.tenant, keys))
    check_equal(database, desk.tenant, keys)


class Revised(Trail):
    """A trail of another revision."""

    revision = Trail.revision + 1


async def test_a_projection_of_another_revision_is_built_again_from_the_first_entry(
    desk: Desk, offices: Offices, database: Database, auditor: Connection, keys: Keys
) -> None:
    """Its old rows go, this tenant's alone; the other projections stay where they are."""
    neighbour = Desk.new(offices, database, keys)
    for each in (desk, neighbour):
        await lived(each, 10)
        catch_up(reader_of(auditor, each.tenant, keys))
        auditor.execute("update trail set detail = 'old' where tenant_id = %s", (each.tenant.tenant_id,))
    catch_up(reader_of(auditor, desk.tenant, keys), projections=[Revised(), *PROJECTIONS[1:]])
    standing = {(each.name, each.revision, 11) for each in (Revised(), *PROJECTIONS[1:])}
    assert set(tracked(auditor, desk.tenant)) == standing
    old = "select count(*) filter (where detail = 'old') from trail where tenant_id = %s"
    assert auditor.execute(old, (desk.tenant.tenant_id,)).fetchone() == (0,)
    assert auditor.execute(old, (neighbour.tenant.tenant_id,)).fetchone() == (11,)
    catch_up(reader_of(auditor, desk.tenant, keys))
    check_equal(database, desk.tenant, keys)


def follow(database: Database, keys: Keys, projections: Sequence[Projection] = PROJECTIONS, **options: Any) -> Runner:
    """A runner as `serve` has it."""
    return Runner(
        lambda: connect(database.app_url, "scim-ledger projections"),
        lambda connection, tenant: reader_of(connection, tenant, keys),
        projections=projections,
        **options,
    )


class Choosy(Trail):
    """A trail that has a defect with one tenant."""

    def __init__(self, tenant_id: TenantId) -> None:
        self._tenant_id = tenant_id

    def write(self, cursor: psycopg.Cursor[Any], tenant_id: TenantId, entries: Sequence[Entry]) -> None:
        """Write for everybody else."""
        if tenant_id == self._tenant_id:
            raise ZeroDivisionError
        super().write(cursor, tenant_id, entries)


async def test_a_tenant_that_cannot_be_carried_on_holds_nobody_else_up(
    fresh_database: Database, offices: Offices, keys: Keys
) -> None:
    """It is reported once and left alone for a while; the lag of everybody is told all the time."""
    desks = [Desk.new(offices, fresh_database, keys) for _ in range(3)]  # Each with its token's entry.
    failures: list[tuple[int | None, type[Exception]]] = []
    lags: list[int] = []
    carried = follow(
        fresh_database,
        keys,
        [Choosy(desks[0].tenant.tenant_id)],
        report_failure=lambda tenant, error: failures.append((tenant and tenant.tenant_id, type(error))),
        report_lag=lambda lag: lags.append(lag["trail"]),
    )
    with psycopg.connect(fresh_database.app_url, autocommit=True) as connection:
        for _ in range(2):
            assert carried.look(connection) < runner.PAGE_ENTRIES  # A few entries: the next look can wait.
        assert [trail_rows(connection, desk.tenant) for desk in desks] == [0, 1, 1]
    assert failures == [(desks[0].tenant.tenant_id, ZeroDivisionError)]
    assert lags == [3, 1]


async def test_the_trail_follows_within_a_second_also_after_its_connection_was_lost(
    fresh_database: Database, keys: Keys
) -> None:
    """The middle one of five writes; then its connection is ended, and it comes back by itself."""
    stop = threading.Event()
    failures: list[Exception] = []
    carried = follow(fresh_database, keys, report_failure=lambda tenant, error: failures.append(error))
    thread = threading.Thread(target=carried.run_forever, args=(stop,))
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        async with serving(fresh_database, keys) as service:
            desk = Desk.new((service, service), fresh_database, keys)
            thread.start()
            try:
                lags = [await lag_s(desk, connection, f"u{number}") for number in range(5)]
                assert sorted(lags)[2] < 1.0, lags
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where application_name = 'scim-ledger projections' and datname = current_database()"
                )
                await lag_s(desk, connection, "back")
            finally:
                stop.set()
                thread.join(10)
    assert not thread.is_alive() and len(failures) == 1
    check_equal(fresh_database, desk.tenant, keys)


async def test_what_is_new_in_indexes_is_moved_where_it_belongs(fresh_database: Database, keys: Keys) -> None:
    """By the runner, whom nobody waits for; else by an append under its tenant's lock."""
    stop = threading.Event()
    thread = threading.Thread(target=follow(fresh_database, keys).run_forever, args=(stop,))
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        async with serving(fresh_database, keys) as service:
            desk = Desk.new((service, service), fresh_database, keys)
            await lived(desk)
            assert pages_moved(connection) > 0
            await lived(Desk.new((service, service), fresh_database, keys))
            thread.start()
            try:
                catch_up_by = time.monotonic() + 20
                while runner.behind(connection)[0]:
                    assert time.monotonic() < catch_up_by
                    time.sleep(0.02)
            finally:
                stop.set()
                thread.join(10)
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        assert pages_moved(connection) == 0


def pages_moved(connection: Connection) -> int:
    """How many pages of new terms there were; there are none afterwards."""
    row: Any = connection.execute("select gin_clean_pending_list('users_by_term')").fetchone()
    return int(row[0])


async def lag_s(desk: Desk, connection: Connection, user_name: str) -> float:
    """Create a user, and return how long the projections took to have read of it."""
    await desk.made("/Users", user(user_name))
    written = time.monotonic()
    row: Any = connection.execute(
        "select count(*) from entries where tenant_id = %s", (desk.tenant.tenant_id,)
    ).fetchone()
    for projection in PROJECTIONS:
        wait_until(connection, desk.tenant, projection.name, row[0], timeout_ms=20_000)
    return time.monotonic() - written


async def test_an_answer_that_needs_more_than_was_read_says_so(desk: Desk, auditor: Connection) -> None:
    """Rather than to answer without it."""
    with pytest.raises(Lagging, match=f"trail of tenant {desk.tenant.slug} has not reached 1 in 30 ms"):
        wait_until(auditor, desk.tenant, "trail", 1, timeout_ms=30)
