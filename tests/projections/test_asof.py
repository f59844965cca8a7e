"""Answers as of a moment are those of the directory that the entries until then add up to."""

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from living import FULL_LIFE, LIFE, Living, Step, added_up
from peopling import BASE, Directory, Json

from domain.attributes import ResourceType
from domain.schemas import GROUP, USER
from ledger.reader import Reader
from ledger.vault import Keys, Vault
from projections.runner import catch_up
from tests.conftest import Database
from tests.ledger.desk import Connection, Desk, Offices

sys.path.append(str(Path(__file__).resolve().parent.parent / "domain"))
from drawing import FILTER

RANDOM = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ASKED = [
    *((USER, text) for text in (
        'userName eq "EVE"', 'externalId eq "a"', 'title eq "B"', 'emails.value sw "B"', "active eq false",
        'groups.display eq "b"', 'groups.type eq "indirect"', 'groups.display eq "é" or userName eq "bob"',
        "not (groups pr)", 'meta.version eq "W/\\"3\\""', 'department eq "a"',
    )),
    *((GROUP, text) for text in (
        'displayName eq "a"', "members pr", 'members.type eq "Group"', "not (members pr)",
        'meta.version eq "W/\\"4\\""',
    )),
]  # fmt: skip


def read_all(desk: Desk, auditor: Connection, keys: Keys) -> Reader:
    """The tenant's reader, its projections having read everything."""
    reader = Reader(auditor, desk.tenant, Vault.load(auditor, desk.tenant.tenant_id, keys))
    catch_up(reader)
    return reader


def shown_then(directory: Directory, kind: ResourceType, base: str) -> dict[str, Json]:
    """What SCIM showed of the resources of a type."""
    whole = json.dumps([shown for each, shown in directory.shown() if each is kind])
    return in_order(json.loads(whole.replace(BASE, base).replace("+00:00", "Z")))


def in_order(resources: list[Json]) -> dict[str, Json]:
    """Resources by id, in the order of the list; edges by their ids."""
    for resource in resources:
        for name in ("groups", "members"):
            if name in resource:
                resource[name].sort(key=lambda edge: edge["value"])
    return {resource["id"]: resource for resource in resources}


async def listed(desk: Desk, kind: ResourceType, at: int, asked: str | None = None) -> dict[str, Json]:
    """A list as of a position."""
    query = f"?count=200&asOf={at}" + ("" if asked is None else f"&filter={quote(asked)}")
    said = await desk.ask("GET", kind.endpoint + query)
    assert (said.status, said.headers["scim-ledger-position"]) == (200, str(at)), said
    assert said.body["totalResults"] == len(said.body["Resources"])
    return in_order(said.body["Resources"])


async def compared(desk: Desk, reader: Reader, at: int, *asked: tuple[ResourceType, str]) -> None:
    """Compare lists of users and groups, one resource of each, and some filters, with what the entries add up to."""
    directory = added_up(desk.tenant.tenant_id, reader.entries_after(0, at + 1))
    for kind in (USER, GROUP):
        expected = shown_then(directory, kind, desk.service.base(desk.tenant.slug))
        found = await listed(desk, kind, at)
        assert found == expected
        assert list(found) == list(expected)
        for resource_id in list(expected)[:1]:
            said = await desk.ask("GET", f"{kind.endpoint}/{resource_id}?asOf={at}")
            assert in_order([said.body]) == {resource_id: expected[resource_id]}
            assert said.headers["etag"] == expected[resource_id]["meta"]["version"]
    for kind, text in asked:
        assert list(await listed(desk, kind, at, text)) == directory.matching(text, (kind,)), text


async def test_answers_as_of_every_position_are_those_of_the_entries_until_then(
    offices: Offices, database: Database, auditor: Connection, keys: Keys
) -> None:
    """Documents, meta, memberships direct and through groups, both ways; filters on all of them; order."""
    desk = Desk.new(offices, database, keys, "audit")
    await Living(desk).take(FULL_LIFE)
    reader = read_all(desk, auditor, keys)
    for at in range(reader.size()):
        await compared(desk, reader, at, *ASKED)


@RANDOM
@given(st.data(), LIFE)
def test_answers_as_of_any_position_of_any_ledger_are_those_of_the_entries_until_then(
    loop: asyncio.Runner, offices: Offices, database: Database, auditor: Connection, keys: Keys, data: st.DataObject,
    life: list[Step],
) -> None:  # fmt: skip
    desk = Desk.new(offices, database, keys, "audit")

    async def compare() -> None:
        await Living(desk).take(life)
        reader = read_all(desk, auditor, keys)
        for at in data.draw(st.lists(st.integers(0, reader.size() - 1), min_size=1, max_size=3, unique=True)):
            await compared(desk, reader, at, (USER, data.draw(FILTER)), (USER, data.draw(FILTER)))

    loop.run(compare())
