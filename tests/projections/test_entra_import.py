"""Entra's own log beside the ledger: taken in whole or not at all, joined to requests, the same in whatever order."""

import io
import time
from asyncio import sleep
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from exporting import CYCLE, Json, array, identifier, lines, record, three_files

from ledger.entry import Cause
from ledger.randomness import random_id
from ledger.reader import Reader
from ledger.vault import Keys, Vault
from projections import answers
from projections.entra import EntraRow, entra_told, forget_told
from projections.entra_import import Imported, import_export
from projections.entra_report import Unmatched
from projections.entra_report import unmatched as compare
from projections.files import BadFile
from projections.runner import catch_up
from tests.conftest import Database
from tests.ledger.desk import Connection, Desk, Offices, check_whole, group, patch, user


class Story:
    """One tenant with a little past, and what Entra's log says about the same time."""

    def __init__(self, desk: Desk, connection: Connection, keys: Keys) -> None:
        self.desk = desk
        self.connection = connection
        self.reader = Reader(connection, desk.tenant, Vault.load(connection, desk.tenant.tenant_id, keys))

    async def lived(self) -> None:
        """Ada comes, changes, and is disabled; Bob is refused; a request changes nothing."""
        self.ada = await self.desk.made("/Users", user("ada@contoso.example", externalId="ada"))
        await self.desk.ask("PATCH", f"/Users/{self.ada}", patch({"op": "replace", "path": "title", "value": "Head"}))
        assert (await self.desk.ask("POST", "/Users", user("ADA@contoso.example"))).status == 409
        self.sales = await self.desk.made("/Groups", group("Sales", self.ada))
        disable = patch({"op": "Replace", "path": "active", "value": "False"})
        await self.desk.ask("PATCH", f"/Users/{self.ada}", disable)
        await self.desk.ask("PATCH", f"/Users/{self.ada}", disable)
        self.records = {each.first_position: each for each in self.log()}
        self.now = max(each.recorded_at for each in self.records.values())

    def log(self) -> Sequence[Any]:
        """The provisioning log, oldest first."""
        catch_up(self.reader)
        found = answers.log(self.reader, count=100, before=None, subject=None, action=None, status=None)
        return found.records[::-1]

    def told(self) -> list[Json]:
        """Entra's rows: whole seconds, by a clock two seconds late. The creation came without an id."""
        at = self.now.replace(microsecond=0) + timedelta(seconds=2)
        early = at - timedelta(days=20)
        named = {"userName": (None, "ada@contoso.example"), "externalId": (None, "ada")}
        return [
            record("create", "", at=early, who="Ada", status="failure", error="Timeout", properties=named),
            record("create", "", at=at, who="Ada", properties=named),
            record("update", self.ada, at=at, who="Ada", properties={"title": (None, "Head")}),
            record("create", "", at=at, who="Bob", status="failure", error="EntryConflict"),
            record("create", self.sales, at=at, who="Sales", kind="Group"),
            record("disable", self.ada, at=at, who="Ada", properties={"active": ("True", "False")}),
            record("other", "", at=at, who="Cy", status="skipped", skip="NotEffectivelyEntitled"),
            record("update", str(uuid4()), at=at, who="Elsewhere", row="elsewhere"),
        ]  # fmt: skip

    def take_in(self, *files: io.BytesIO) -> Imported:
        catch_up(self.reader)
        return import_export(self.reader, [(f"file {n}", file) for n, file in enumerate(files, 1)], cause)

    def stored(self) -> dict[str, list[str]]:
        """Everything an import leaves, but for which import it was."""
        queries = {
            "rows": "select (to_jsonb(r) - 'import_id')::text from entra_rows r where tenant_id = %s order by 1",
            "names": "select n::text from entra_names n where tenant_id = %s order by 1",
        }
        tenant = (self.desk.tenant.tenant_id,)
        return {name: [row[0] for row in self.connection.execute(query, tenant)] for name, query in queries.items()}

    def forget(self) -> None:
        """As if nothing had been imported."""
        for table in ("entra_rows", "entra_names"):
            self.connection.execute(f"delete from {table} where tenant_id = %s", (self.desk.tenant.tenant_id,))


def cause() -> Cause:
    return Cause(random_id(), token_id="operator")


@pytest.fixture
def story(desk: Desk, auditor: Connection, keys: Keys) -> Story:
    """A story yet to be lived."""
    return Story(desk, auditor, keys)


def told_of(story: Story, since: datetime | None = None, until: datetime | None = None) -> list[EntraRow]:
    return entra_told(story.connection, story.desk.tenant, [story.ada], since, until)


async def test_cycle_and_change_are_facts_in_the_log_once_imported(story: Story) -> None:
    """Also for what failed, what changed nothing, and a creation that Entra exported without an id."""
    await story.lived()
    records = story.told()
    told = story.take_in(array(records))
    assert (told.rows, told.rows_new, told.rows_joined) == (8, 8, 5)
    changes = [None if each.entra is None else each.entra.change_id for each in story.log()]
    expected = [None, *(records[n]["changeId"] for n in (1, 2, 3, 4, 5)), None, None]
    assert changes == expected
    first = next(each.entra for each in story.log() if each.entra)
    assert (first.cycle_id, first.initiated_by, first.initiator_type) == (
        CYCLE, "Azure AD Provisioning Service", "system",
    )  # fmt: skip


async def test_a_subject_is_told_all_rows_about_it_also_those_without_its_id(story: Story) -> None:
    """By our id, by names it had or was to get, and by what is the same object in Entra; within a time."""
    await story.lived()
    records = story.told()
    story.take_in(lines(records))
    ada = told_of(story)
    assert {row.row_id for row in ada} == {records[n]["id"] for n in (0, 1, 2, 5)}
    assert [row.at for row in ada] == sorted(row.at for row in ada)
    assert ada[0].error_code == "Timeout"
    assert [row.at for row in told_of(story, until=story.now - timedelta(days=1))] == [ada[0].at]
    assert len(told_of(story, since=story.now - timedelta(days=1))) == 3
    assert answers.entra(story.reader, "ada", since=None, until=None) == ada
    assert entra_told(story.connection, story.desk.tenant, [str(uuid4())], None, None) == []


async def test_a_skipped_person_is_found_by_the_object_in_entra(story: Story) -> None:
    await story.lived()
    skipped = record("other", "", who="Ada", status="skipped", skip="NotEffectivelyEntitled", row="skipped")
    story.take_in(array([*story.told(), skipped]))
    (row,) = [row for row in told_of(story) if row.status == "skipped"]
    assert (row.skip_reason, row.first_position) == ("NotEffectivelyEntitled", None)


async def test_the_order_of_imports_does_not_matter_and_repeating_them_changes_nothing(story: Story) -> None:
    await story.lived()
    records = story.told()
    parts = [records[:3], records[3:6], records[6:]]
    outcomes = []
    for order in permutations(parts):
        story.forget()
        for part in order:
            story.take_in(array(part))
        outcomes.append(story.stored())
    story.forget()
    story.take_in(array(records))
    outcomes.append(story.stored())
    again = story.take_in(array(records[::-1]), lines(records[2:4]))
    outcomes.append(story.stored())
    assert (again.rows, again.rows_new, again.rows_joined) == (8, 0, 5)
    assert all(outcome == outcomes[0] for outcome in outcomes)


async def test_three_csv_files_in_any_order_come_to_what_the_json_does(story: Story) -> None:
    await story.lived()
    records = story.told()
    story.take_in(array(records))
    kept = [{**row, "details": {}, "import_id": ""} for row in rows(story)]
    for order in permutations(range(3)):
        story.forget()
        files = three_files(records)
        told = story.take_in(*(files[index] for index in order))
        assert (told.rows, told.rows_new, told.rows_joined) == (8, 8, 5)
        assert [{**row, "details": {}, "import_id": ""} for row in rows(story)] == kept
    story.forget()
    story.take_in(three_files(records)[0])
    assert not any(row["steps"] for row in rows(story))
    story.take_in(*three_files(records))
    assert [{**row, "details": {}, "import_id": ""} for row in rows(story)] == kept, "steps that came later"


def unmatched(story: Story, *, count: int = 50) -> Unmatched:
    catch_up(story.reader)
    return compare(story.reader, count=count)


def rows(story: Story) -> list[Json]:
    query = "select to_jsonb(r) from entra_rows r where tenant_id = %s order by row_id"
    return [row[0] for row in story.connection.execute(query, (story.desk.tenant.tenant_id,))]


async def test_an_import_is_an_entry_and_the_ledger_stays_whole(
    story: Story, database: Database, keys: Keys
) -> None:  # fmt: skip
    """With the digest of each file, in their order."""
    await story.lived()
    files = three_files(story.told())
    told = story.take_in(*files)
    (entry,) = story.reader.at([told.position])
    event: Any = entry.event
    assert (entry.event_type, entry.stream) == ("ProvisioningLogImported", f"imports/{told.import_id}")
    assert (event.sha256, event.rows, event.rows_new) == (told.sha256, 8, 8)
    assert len(set(event.sha256)) == 3
    assert datetime.fromisoformat(event.to_at) == told.to_at
    assert (story.log()[-1].resource_type, story.log()[-1].action) == ("Import", "other")
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        check_whole(connection, story.desk.tenant, keys)


async def test_a_file_that_is_wrong_leaves_nothing(story: Story) -> None:
    """Also when it is the second of two, in its last row."""
    await story.lived()
    size = story.reader.size()
    broken = array([*story.told()[2:], {"id": "x"}])
    with pytest.raises(BadFile, match="file 2: row 7 has no time"):
        story.take_in(array(story.told()[:2]), broken)
    with pytest.raises(BadFile, match="need the file ProvisioningLogs beside them"):
        story.take_in(*three_files(story.told())[1:])
    assert story.stored() == {"rows": [], "names": []}
    assert story.reader.size() == size


async def test_what_fits_nowhere_is_told_with_the_likely_reason(story: Story) -> None:
    await story.lived()
    await story.desk.ask("PATCH", f"/Groups/{story.sales}", patch({"op": "remove", "path": "members"}))
    assert unmatched(story).covered == []
    at = story.log()[-1].recorded_at + timedelta(seconds=11)
    late = [
        record("update", story.sales, at=at, who="Sales", kind="Group", row="late"),
        record("update", story.ada, at=at, who="Ada", status="failure", error="InternalServerError", row="failed"),
        record("stageddelete", story.ada, at=at, who="Ada", row="staged"),
    ]
    told = story.take_in(array([*story.told(), *late]))
    found = unmatched(story)
    assert [(each.from_at, each.to_at) for each in found.covered] == [(told.from_at, told.to_at)]
    assert found.theirs == {
        "skipped there": 1, "staged there": 1, "before our first entry": 1, "another tenant's": 1, "failed there": 1,
        "no request": 1,
    }  # fmt: skip
    assert found.ours == {"unchanged here": 1, "not in the log": 1}
    assert (found.rows, found.joined, found.requests) == (11, 5, 7)
    assert len(found.their_rows) == 6
    assert [each.reason for each in found.our_requests] == ["not in the log", "unchanged here"]
    assert len(unmatched(story, count=1).our_requests) == 1


async def test_repetitions_here_are_compared_one_by_one_and_by_when_they_happened(story: Story) -> None:
    """Two renamings of somebody are refused besides a first one, and none of the three is in the log."""
    await story.lived()
    dee = await story.desk.made("/Users", user("dee"))
    taken = patch({"op": "replace", "path": "userName", "value": "ada@contoso.example"})
    for _ in range(3):
        assert (await story.desk.ask("PATCH", f"/Users/{dee}", taken)).status == 409
    await sleep(0.3)
    await story.desk.refusals.sweep(everything=True)
    late = record("update", story.sales, at=story.now + timedelta(seconds=30), who="Sales", kind="Group", row="late")
    story.take_in(array([*story.told(), late]))
    found = unmatched(story)
    assert found.ours["refused here"] == 3 and found.requests == found.joined + sum(found.ours.values())
    repeated, first = [each for each in found.our_requests if each.reason == "refused here"]
    assert first.at == first.recorded_at <= repeated.at < repeated.recorded_at


async def test_other_tenants_see_nothing_of_it(
    story: Story, offices: Offices, database: Database, keys: Keys
) -> None:  # fmt: skip
    await story.lived()
    story.take_in(array(story.told()))
    neighbour = Story(Desk.new(offices, database, keys), story.connection, keys)
    await neighbour.lived()
    assert entra_told(neighbour.connection, neighbour.desk.tenant, [neighbour.ada, story.ada], None, None) == []
    assert all(each.entra is None for each in neighbour.log())
    assert unmatched(neighbour).rows == 0


async def test_a_person_who_is_erased_takes_the_rows_along(story: Story) -> None:
    """Those without an id of ours too, and nobody else's."""
    await story.lived()
    story.take_in(array(story.told()))
    assert forget_told(story.connection, story.desk.tenant, [story.ada]) == 4
    assert told_of(story) == []
    assert {row["source_name"] for row in rows(story)} == {"Bob", "Sales", "Cy", "Elsewhere"}
    assert story.stored()["names"] == []


async def test_rows_about_an_erased_person_do_not_come_back(story: Story) -> None:
    """Their key is gone; what is known to be the same object in Entra is left out with them."""
    await story.lived()
    tenant = story.desk.tenant.tenant_id
    story.connection.execute("delete from subject_keys where tenant_id = %s and subject_id = %s", (tenant, story.ada))
    reader = Reader(story.connection, story.desk.tenant, story.reader.vault)
    told = import_export(reader, [("file", array(story.told()))], cause)
    assert (told.rows, told.rows_erased) == (4, 4)
    assert not any("Ada" in row["source_name"] for row in rows(story))


@pytest.mark.parametrize("count", [1_200, pytest.param(50_000, marks=pytest.mark.slow)])
async def test_a_month_of_skips_is_read_row_by_row(story: Story, count: int) -> None:
    """Mostly skips, as such logs are. About six seconds of this process for 50,000 rows, a hundred megabytes."""
    await story.lived()
    records = [
        record(
            "other", identifier("user", n % 500), at=story.now - timedelta(seconds=n * 50), who=f"Person {n % 500}",
            status="skipped", skip="RedundantExport", row=n,
        )
        for n in range(count)
    ]  # fmt: skip
    file = array([*records, *story.told()])
    catch_up(story.reader)
    read: list[int] = []
    started = time.process_time()
    told = import_export(story.reader, [("file", file)], cause, progress=read.append)
    assert time.process_time() - started < 30
    assert (told.rows, told.rows_joined) == (count + 8, 5)
    assert len(read) > 1 and read == sorted(read) and read[-1] == len(file.getvalue())
    assert len(told_of(story)) == 4
    assert unmatched(story).theirs["skipped there"] == count + 1
