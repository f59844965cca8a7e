"""Replay says whether the tables are what the entries add up to, and puts right exactly what is not.

The comparison is proven by corrupting rows: every column of every table, rows that are missing, rows too many.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Composed, Identifier

from domain.declarations import declare as decide
from ledger.declarations import declare, operators_job
from ledger.entry import Tenant
from ledger.reader import Reader
from ledger.tenants import issue_token
from ledger.vault import Keys, Vault
from projections.folding import DIRECTORY
from projections.replay import LedgerMoved, Replayed, replay
from projections.runner import PROJECTIONS, catch_up
from projections.tables import Table
from tests.conftest import Database
from tests.ledger.desk import Connection, Desk, Offices, group, patch, user

TABLES = (*DIRECTORY, *(table for projection in PROJECTIONS for table in projection.tables))
PEOPLE = 15  # More than any table of the directory has columns, so that each is corrupted in a row of its own.

DEVICES = 3
DEVICE = "urn:contoso:scim:schemas:core:Device:1.0"
DECLARED: list[dict[str, Any]] = [
    *({"id": f"urn:contoso:scim:schemas:extension:E{n}:1.0", "attributes": [{"name": f"e{n}"}]} for n in range(4)),
    {
        "id": DEVICE,
        "attributes": [{"name": "serial", "uniqueness": "server"}, {"name": "active", "type": "boolean"}],
    },
    {"name": "Device", "endpoint": "/Devices", "schema": DEVICE},
]

OTHERWISE = {
    "integer": "coalesce({0} + 1, 1)",
    "smallint": "coalesce({0} + 1, 1)",
    "bigint": "coalesce({0} # 1, 1)",  # The largest number has no next one.
    "timestamp with time zone": "coalesce({0} + interval '1 millisecond', now())",
    "bytea": "coalesce({0} || '\\x00', '\\x00')",
    "boolean": "coalesce(not {0}, false)",
    "jsonb": """'{{"corrupted": 1}}'""",
    "bigint[]": "{0} || 1::bigint",
    "text[]": "{0} || 'x'::text",
    "text": "{0} || 'x'",
    "uuid": "'0b5c9b0e-7c4b-4f0e-9a51-3b7a4c1f6d01'",
}


async def lived(desk: Desk) -> None:
    """Fill every table: people and groups that are there, were renamed, were deleted; errors; no-ops."""
    people = await asyncio.gather(
        *(desk.made("/Users", user(f"u{n}", externalId=f"x{n}", active=n % 3 > 0)) for n in range(PEOPLE))
    )
    groups = await asyncio.gather(*(desk.made("/Groups", group(f"G{n}", person)) for n, person in enumerate(people)))
    await asyncio.gather(
        *(desk.ask("PATCH", f"/Groups/{each}", patch({"op": "remove", "path": "members"})) for each in groups[:3])
    )
    rename = patch({"op": "replace", "value": {"userName": "renamed", "externalId": "y"}})
    await desk.ask("PATCH", f"/Users/{people[0]}", rename)
    await desk.ask("PATCH", f"/Users/{people[0]}", rename)
    assert (await desk.ask("POST", "/Users", user("renamed"))).status == 409
    for number in range(DEVICES):
        await desk.made("/Devices", {"schemas": [DEVICE], "serial": f"s{number}", "active": True})
    for path in (
        f"/Devices/{await desk.made('/Devices', {'schemas': [DEVICE], 'serial': 'gone'})}",
        f"/Users/{await desk.made('/Users', user('gone'))}",
        f"/Groups/{await desk.made('/Groups', group('Gone'))}",
    ):
        await desk.ask("DELETE", path)


def reader_of(connection: Connection, tenant: Tenant, keys: Keys) -> Reader:
    """A tenant's reader."""
    return Reader(connection, tenant, Vault.load(connection, tenant.tenant_id, keys))


@contextmanager
def replaying(database: Database, tenant: Tenant, keys: Keys) -> Iterator[Reader]:
    """A reader on a connection fit for one replay, of the role that the service has."""
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        yield reader_of(connection, tenant, keys)


def replayed(database: Database, tenant: Tenant, keys: Keys, **options: Any) -> Replayed:
    """Replay once."""
    with replaying(database, tenant, keys) as reader:
        return replay(reader, **options)


def contents(connection: Connection, tenant: Tenant) -> dict[str, list[str]]:
    """Every row of the tenant, as text."""
    query = SQL("select t::text from {} t where tenant_id = %s order by 1")
    return {
        table.name: [row[0] for row in connection.execute(query.format(Identifier(table.name)), (tenant.tenant_id,))]
        for table in TABLES
    }


def name_keys(connection: Connection, table: Table, tenant: Tenant) -> list[tuple[Any, ...]]:
    """The keys of the tenant's rows."""
    query = SQL("select {} from {} where tenant_id = %s order by 1, 2").format(
        columns(table.key), Identifier(table.name)
    )
    return connection.execute(query, (tenant.tenant_id,)).fetchall()


def columns(names: tuple[str, ...]) -> Composed:
    """Some columns, for a statement."""
    return SQL(", ").join(map(Identifier, names))


async def whole(desk: Desk, auditor: Connection, keys: Keys) -> None:
    """A tenant with schemas of its own and a past, whose projections have read all of it."""
    vault = Vault.load(auditor, desk.tenant.tenant_id, keys)
    declare(auditor, desk.tenant, lambda present: decide(present, DECLARED), operators_job(desk.tenant, vault))
    await lived(desk)
    catch_up(reader_of(auditor, desk.tenant, keys))


async def test_what_was_written_is_what_the_entries_add_up_to(
    desk: Desk, database: Database, auditor: Connection, keys: Keys
) -> None:
    """Rows are counted by table, and progress runs to the size of the ledger."""
    await whole(desk, auditor, keys)
    told: list[tuple[int, int]] = []
    found = replayed(database, desk.tenant, keys, progress=lambda position, size: told.append((position, size)))
    assert found.equal and found.repaired == 0
    assert found.rows == {name: len(rows) for name, rows in contents(auditor, desk.tenant).items()}
    assert all(found.rows.values())
    assert told[-1] == (found.size, found.size)


async def test_every_corrupted_column_of_every_table_is_found_and_repaired(
    desk: Desk, offices: Offices, database: Database, auditor: Connection, keys: Keys
) -> None:
    """Each column in a row of its own: exactly these are reported, exactly these put right, nobody else's touched."""
    neighbour = Desk.new(offices, database, keys)
    for each in (desk, neighbour):
        await whole(each, auditor, keys)
    before = [contents(auditor, each.tenant) for each in (desk, neighbour)]
    wrong = {change for table in TABLES for change in corrupt(auditor, table, desk.tenant)}
    assert len(wrong) == sum(len(table.columns) - len(table.key) for table in TABLES)

    found = replayed(database, desk.tenant, keys)
    assert {
        (each.table, tuple(map(str, each.key.values())), column)
        for each in found.differences
        for column in each.columns
    } == wrong
    assert all(each.live and each.replayed for each in found.differences)
    assert replayed(database, desk.tenant, keys, repair=True).repaired == len({change[:2] for change in wrong})
    assert [contents(auditor, each.tenant) for each in (desk, neighbour)] == before
    assert replayed(database, desk.tenant, keys).equal


def corrupt(connection: Connection, table: Table, tenant: Tenant) -> Iterator[tuple[str, ...]]:
    """Change every column that is not of the key, each in another row while there are; yields (table, key, column)."""
    kinds = dict(
        connection.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = %s::regclass",
            (table.name,),
        ).fetchall()
    )
    names = [name for name in table.columns if name not in table.key]
    for name, key in zip(names, cycle(name_keys(connection, table, tenant)), strict=False):
        statement = SQL("update {} set {} = {} where ({}) = ({})").format(
            Identifier(table.name), Identifier(name), SQL(OTHERWISE[kinds[name]]).format(Identifier(name)),
            columns(table.key), SQL(", ").join([SQL("%s")] * len(key)),
        )  # fmt: skip
        assert connection.execute(statement, key).rowcount == 1
        yield table.name, tuple(map(as_json, key)), name


def as_json(value: Any) -> str:
    """A key's value as a difference shows it."""
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


async def test_missing_rows_and_rows_too_many_are_found_and_repaired(
    desk: Desk, database: Database, auditor: Connection, keys: Keys
) -> None:
    """In each table one of both, with the row that should be there or should not."""
    await whole(desk, auditor, keys)
    before = contents(auditor, desk.tenant)
    for table in TABLES:
        name, rest = Identifier(table.name), tuple(each for each in table.columns if each != table.key[1])
        first, second = name_keys(auditor, table, desk.tenant)[:2]
        values = SQL(", ").join([SQL("%s")] * len(first))
        auditor.execute(SQL("delete from {} where ({}) = ({})").format(name, columns(table.key), values), first)
        double = SQL("insert into {} ({}, {}) select {}, {} from {} where ({}) = ({})").format(
            name, Identifier(table.key[1]), columns(rest), SQL(another(second[1])), spoiled(table, rest), name,
            columns(table.key), values,
        )  # fmt: skip
        auditor.execute(double, second)
    found = replayed(database, desk.tenant, keys)
    by_table = {table.name: [each for each in found.differences if each.table == table.name] for table in TABLES}
    for differences in by_table.values():
        assert sorted((each.live is None, each.replayed is None) for each in differences) == [
            (False, True),
            (True, False),
        ]
        assert all(each.columns == [] for each in differences)
    assert replayed(database, desk.tenant, keys, repair=True).repaired == 2 * len(TABLES)
    assert contents(auditor, desk.tenant) == before


def another(value: Any) -> str:
    """SQL for a value that no row has."""
    if isinstance(value, bytes):
        return "'\\x00'"
    return "1000000" if isinstance(value, int) else "gen_random_uuid()"


def spoiled(table: Table, names: tuple[str, ...]) -> Composed:
    """A row's columns, but for what is unique besides the key."""
    unique = {"user_name_key": "'\\x00'::bytea", "unique_name_key": "'\\x00'::bytea", "id": "gen_random_uuid()"}
    return SQL(", ").join(SQL(unique[name]) if name in unique else Identifier(name) for name in names)


async def test_a_repair_gives_way_to_a_ledger_that_grew(
    desk: Desk, database: Database, auditor: Connection, keys: Keys
) -> None:
    """What was compared is no longer what is there: nothing is repaired, and the next attempt may."""
    await whole(desk, auditor, keys)
    auditor.execute("update users set version = version + 1 where tenant_id = %s", (desk.tenant.tenant_id,))
    before = contents(auditor, desk.tenant)
    vault = Vault.load(auditor, desk.tenant.tenant_id, keys)

    def grow(position: int, size: int) -> None:
        issue_token(auditor, desk.tenant, vault, label="meanwhile", scopes=["scim"])

    with pytest.raises(LedgerMoved):
        replayed(database, desk.tenant, keys, repair=True, progress=grow)
    assert contents(auditor, desk.tenant) == before
    assert replayed(database, desk.tenant, keys, repair=True).repaired == PEOPLE + DEVICES


async def test_a_projection_that_lags_is_compared_as_far_as_it_has_read(
    desk: Desk, database: Database, auditor: Connection, keys: Keys
) -> None:
    """Being late is no difference; what it has written is still looked at."""
    await whole(desk, auditor, keys)
    await lived_on(desk)
    assert replayed(database, desk.tenant, keys).equal
    auditor.execute(
        "update trail set detail = 'x' where tenant_id = %s and first_position = 1", (desk.tenant.tenant_id,)
    )
    (difference,) = replayed(database, desk.tenant, keys).differences
    assert (difference.table, difference.columns) == ("trail", ["detail"])


async def lived_on(desk: Desk) -> None:
    """Some more entries."""
    for number in range(DEVICES):
        await desk.made("/Users", user(f"later{number}"))


async def test_writes_go_on_while_a_replay_reads(
    desk: Desk, database: Database, auditor: Connection, keys: Keys
) -> None:
    """It compares the ledger as it was when it began."""
    await whole(desk, auditor, keys)
    done = asyncio.create_task(asyncio.to_thread(replayed, database, desk.tenant, keys))
    written = 0
    while not done.done():
        written += 1
        await desk.made("/Users", user(f"meanwhile{written}"))
    assert (await done).equal and written
