"""The simulated ledger is a ledger like any other, and what is said to be true of it is what it tells."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from bench.simulator import story
from bench.simulator.careers import SERVICE_LEVEL
from bench.simulator.clients import CYCLE
from bench.simulator.company import END, MISTAKE, START, Company
from bench.simulator.fates import FATES, LEAVERS, STATE_AT_END
from bench.simulator.simulation import Simulated, simulate
from bench.simulator.truth import Situation
from bench.simulator.writing import TenantNotEmpty
from ledger.entry import Entry, Tenant
from ledger.reader import Reader
from ledger.tenants import create_tenant, issue_token
from ledger.vault import Keys, Vault
from projections.answers import as_of, history
from projections.asking import why
from projections.replay import replay
from tests.conftest import Database
from tests.faults.audit import check_everything
from tests.running import Client, Service

SMALL = 100


@pytest.fixture(scope="module")
def reader(postgres: Database, keys: Keys, simulated: Simulated) -> Iterator[Reader]:
    """The simulated ledger, for reading."""
    with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
        yield Reader(connection, simulated.tenant, Vault.load(connection, simulated.tenant.tenant_id, keys))


def simulate_small(database_url: str, keys: Keys, **how: Any) -> tuple[Simulated, list[Entry]]:
    """Simulate a small company in a tenant of its own; return it with its entries."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        slug = f"t-{uuid4().hex[:12]}"
        tenant = create_tenant(connection, slug, authority="scim.example.com", keys=keys)
        vault = Vault.load(connection, tenant.tenant_id, keys)
        done = simulate(connection, tenant, vault, people=SMALL, **how)
        return done, Reader(connection, tenant, vault).entries_after(0, done.size)


def as_told(entry: Entry, simulated: Simulated) -> Any:
    """What of an entry is the story's: not the tenant, its name in paths and its own id, nor random commitments."""
    told = msgspec.to_builtins(entry)
    del told["tenant_id"]
    if entry.stream == "tenant":
        del told["subject_id"]
    told["cause"].pop("received", None)
    told["cause"]["path"] = told["cause"].get("path", "").replace(simulated.tenant.slug, "")
    return told


def test_one_seed_tells_one_story(postgres: Database, keys: Keys) -> None:
    """The same entries with the same ids, times and causes; another seed tells another story."""
    first, second = (simulate_small(postgres.owner_url, keys, seed=7) for _ in range(2))
    assert [as_told(entry, first[0]) for entry in first[1]] == [as_told(entry, second[0]) for entry in second[1]]
    assert msgspec.to_builtins(first[0].truth.situations) == msgspec.to_builtins(second[0].truth.situations)
    another = [happening.at for happening in story.happenings(Company(8, SMALL))]
    assert another != [happening.at for happening in story.happenings(Company(7, SMALL))]


def test_the_story_is_told_in_the_order_of_time() -> None:
    times = [happening.at for happening in story.happenings(Company(2026, SMALL))]
    assert times == sorted(times)
    assert times[0] == START and times[-1] < END


def test_replay_finds_everything_equal(reader: Reader, postgres: Database, simulated: Simulated, keys: Keys) -> None:
    with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
        vault = Vault.load(connection, simulated.tenant.tenant_id, keys)
        replayed = replay(Reader(connection, simulated.tenant, vault))
    assert replayed.equal, replayed.differences[:3]
    assert replayed.size == simulated.size == reader.size()
    for table in ("users", "groups", "memberships", "trail", "trail_subjects", "names"):
        assert replayed.rows[table]


def test_it_keeps_every_promise_of_a_ledger(simulated: Simulated, postgres: Database) -> None:
    """Positions, times, versions, leaves, rows: the one check that every fault is followed by."""
    counted = check_everything(postgres.owner_url, simulated.tenant.slug)
    last = simulated.truth.counts[-1]
    assert counted.entries == simulated.size == last.size
    assert (counted.users, counted.groups) == (last.active + last.inactive, last.groups)
    assert counted.open_memberships == last.memberships


def test_it_is_some_20_000_entries_over_three_years(reader: Reader, simulated: Simulated) -> None:
    assert 19_000 <= simulated.size <= 23_000
    first, last = reader.at([0, simulated.size - 1])
    assert first.recorded_at == START
    assert END - timedelta(days=7) < last.recorded_at < END
    days = Counter(entry.recorded_at.weekday() for entry in changes(reader, simulated))
    assert days[5] + days[6] < 0.05 * days.total()


def changes(reader: Reader, simulated: Simulated) -> list[Entry]:
    """Entries of changed attributes: what people cause."""
    return [entry for entry in every_entry(reader, simulated) if entry.event_type == "AttributeChanged"]


def every_entry(reader: Reader, simulated: Simulated) -> list[Entry]:
    """All of them."""
    return reader.entries_after(0, simulated.size)


def test_counts_of_every_month_are_what_the_entries_say(reader: Reader, simulated: Simulated) -> None:
    counts = simulated.truth.counts
    assert len(counts) == 36
    rows = reader.connection.execute(
        "select event_type, position from entries where tenant_id = %s", (simulated.tenant.tenant_id,)
    ).fetchall()
    for month in counts[::7] + counts[-1:]:
        assert Counter(event_type for event_type, position in rows if position < month.size) == month.events


def test_every_fate_is_planted_at_least_twice(simulated: Simulated) -> None:
    kinds = Counter(situation.kind for situation in simulated.truth.situations.values())
    assert all(kinds[fate] >= 2 for fate in FATES)
    assert all(kinds[kind] == 1 for kind in ("mass_mistake", "list_shortened", "group_deleted", "new_address"))
    assert kinds["orphan"] >= 3


def test_everybody_ends_as_told(reader: Reader, simulated: Simulated) -> None:
    """The last record of every person with a fate, by the directory."""
    assert not ends_otherwise(reader, simulated)
    assert not any(situation.who in simulated.truth.ids for situation in simulated.truth.of_kind("not_provisioned"))


def ends_otherwise(reader: Reader, simulated: Simulated) -> list[tuple[str, str]]:
    """Fate and id of everybody who is not what the fate makes of them."""
    rows = reader.connection.execute(
        "select id::text, active from users where tenant_id = %s", (simulated.tenant.tenant_id,)
    ).fetchall()
    states = {user_id: "active" if active else "inactive" for user_id, active in rows}
    return [
        (situation.kind, user_id)
        for fate, state in STATE_AT_END.items()
        for situation in simulated.truth.of_kind(fate)
        for user_id in simulated.truth.ids[situation.who][-1:]
        if states.get(user_id, "deleted") != state
    ]


@pytest.mark.parametrize("kind", sorted(FATES))
def test_history_tells_what_was_planted(reader: Reader, simulated: Simulated, kind: str) -> None:
    """Each step of a situation is a request of its history, with the events that the story says it left."""
    for situation in simulated.truth.of_kind(kind)[:2]:
        told = {request_id: request for each in histories(reader, situation) for request_id, request in each.items()}
        for step in situation.steps:
            assert told[step.request_id].status == step.status
            assert told[step.request_id].first_position == step.position
        events = {entry.position: entry.event_type for entry in reader.at(positions(situation))}
        assert events == {at: step.events[at - step.position] for step in situation.steps for at in spans(step)}


def histories(reader: Reader, situation: Situation) -> Iterator[dict[str, Any]]:
    """The requests of the history of everybody whom a situation is about; a refused POST has nobody."""
    for subject_id in situation.subject_ids:
        if subject_id:
            yield from (each.requests for each in history(reader, subject_id, count=1_000).histories)
    for step in situation.steps:
        if not step.subject_id:
            (entry,) = reader.at([step.position])
            assert entry.cause is not None
            yield {entry.request_id: Refused(entry.cause.status, entry.position)}


class Refused(msgspec.Struct, frozen=True):
    """A refused request that is about nobody."""

    status: int
    first_position: int


def positions(situation: Situation) -> list[int]:
    """Of every entry that a situation left."""
    return [at for step in situation.steps for at in spans(step)]


def spans(step: Any) -> range:
    """The positions of one step."""
    return range(step.position, step.position + len(step.events))


def test_leavers_are_told_by_why(reader: Reader, simulated: Simulated) -> None:
    verdicts = {
        "unassigned": "deactivated",
        "disabled_by_put": "deactivated",
        "on_demand": "deactivated",
        "directory_delete": "deactivated, then deleted",
        "deleted_at_once": "deleted",
        "terminated_active": "active",
    }
    for kind, verdict in verdicts.items():
        situation = simulated.truth.of_kind(kind)[0]
        user_id = simulated.truth.ids[situation.who][-1]
        (explained,) = why(reader, user_id).explanations
        # The mistake of the year before is no part of the verdict of who is active: "reactivated" is true as well.
        assert explained.verdict in (verdict, "reactivated" if verdict == "active" else verdict), kind
        if explained.disabled is not None and situation.all("disable"):
            assert explained.disabled.position == situation.all("disable")[-1].position_of("Deactivated")


def test_latencies_are_within_the_service_level_unless_planted(simulated: Simulated) -> None:
    for situation in simulated.truth.leavers():
        gone = [step.at for step in situation.steps if {"Deactivated", "UserDeleted"} & set(step.events)]
        assert situation.terminated_at is not None
        if situation.kind == "terminated_active":
            assert not gone
        else:
            assert (gone[0] - situation.terminated_at > SERVICE_LEVEL) == (situation.kind == "disabled_late")


def test_a_hard_delete_comes_30_days_after_the_disable(simulated: Simulated) -> None:
    for situation in simulated.truth.of_kind("directory_delete"):
        after = situation.first("delete").at - situation.first("disable").at
        assert timedelta(days=29) < after < timedelta(days=31)


def test_the_assigning_group_goes_within_15_minutes_before_the_disable(simulated: Simulated) -> None:
    for situation in simulated.truth.of_kind("lost_group_before"):
        quitting, disabling = situation.first("quit"), situation.first("disable")
        assert quitting.events == ("MembershipRemoved",)
        assert timedelta() < disabling.at - quitting.at < timedelta(minutes=15)


def test_what_a_put_omits_is_cleared_and_active_is_not(reader: Reader, simulated: Simulated) -> None:
    for situation in simulated.truth.of_kind("put_without_active"):
        step = situation.first("put")
        assert "Deactivated" not in step.events and "AttributeChanged" in step.events
    for situation in simulated.truth.of_kind("disabled_by_put"):
        step = situation.first("put")
        assert "Deactivated" in step.events and "AttributeChanged" in step.events
        (shown,) = as_of(reader, step.subject_id, step.position - 1).resources
        assert shown.resource is not None and shown.resource["active"] is True and "title" in shown.resource


def test_groups_do_not_come_back_with_the_rehired(reader: Reader, simulated: Simulated) -> None:
    for situation in simulated.truth.of_kind("rehired")[:3]:
        disabled, enabled = situation.first("disable"), situation.first("enable")
        assert enabled.at - disabled.at > timedelta(days=55)
        (before,) = as_of(reader, enabled.subject_id, disabled.position - 1).resources
        (after,) = as_of(reader, enabled.subject_id, enabled.position).resources
        assert len(before.groups) >= 3 and not after.groups


@pytest.mark.parametrize(
    ("kind", "kept"), [("recreated_external_id", "externalId"), ("recreated_user_name", "userName")]
)
def test_a_new_id_has_an_old_name_within_a_day(reader: Reader, simulated: Simulated, kind: str, kept: str) -> None:
    for situation in simulated.truth.of_kind(kind)[:2]:
        old, new = simulated.truth.ids[situation.who]
        deleted, created = situation.first("delete"), situation.first("hire")
        assert (deleted.subject_id, created.subject_id) == (old, new)
        assert created.at - situation.first("disable").at < timedelta(hours=24)
        (before,) = as_of(reader, old, deleted.position - 1).resources
        (after,) = as_of(reader, new, created.position).resources
        assert before.resource is not None and after.resource is not None
        same = {name for name in ("userName", "externalId") if before.resource[name] == after.resource[name]}
        assert same == {kept}


def test_flapping_is_three_times_in_a_week(simulated: Simulated) -> None:
    for situation in simulated.truth.of_kind("flapping"):
        assert [step.act for step in situation.steps] == ["disable", "enable"] * 3
        assert situation.steps[-1].at - situation.steps[0].at < timedelta(days=7)


def test_the_mistake_disables_many_within_an_hour_and_is_repaired_the_next_day(simulated: Simulated) -> None:
    (mistake,) = simulated.truth.of_kind("mass_mistake")
    out, back = mistake.all("disable"), mistake.all("enable")
    before = [month for month in simulated.truth.counts if month.at < MISTAKE][-1]
    assert len(out) >= max(10, 0.05 * before.active)
    assert out[-1].at - out[0].at < timedelta(hours=1)
    assert {step.subject_id for step in back} <= {step.subject_id for step in out}
    assert len(back) > 0.95 * len(out)
    assert timedelta(hours=12) < back[0].at - out[0].at < timedelta(hours=30)


def test_entra_is_silent_for_two_days_and_catches_up_in_one_burst(reader: Reader, simulated: Simulated) -> None:
    assert simulated.truth.outage is not None
    silent, again = simulated.truth.outage
    sent = [
        entry.recorded_at
        for entry in every_entry(reader, simulated)
        if entry.cause is not None and entry.cause.token_label.startswith("Entra")
    ]
    assert not [at for at in sent if silent <= at < again]
    assert len([at for at in sent if again <= at < again + CYCLE]) >= 5


def test_a_taken_name_is_refused_for_weeks_until_it_is_free(simulated: Simulated) -> None:
    for situation in simulated.truth.of_kind("name_taken"):
        tries = situation.all("change")
        assert [step.status for step in tries] == [409] * (len(tries) - 1) + [200]
        assert len(tries) > 5 and tries[-1].at - tries[0].at > timedelta(days=14)
        assert tries[-1].at > situation.first("delete", "Help desk").at
    for situation in simulated.truth.of_kind("not_provisioned"):
        assert {step.status for step in situation.all("hire")} == {409}


def test_other_situations_left_what_they_are_called_after(reader: Reader, simulated: Simulated) -> None:
    truth = simulated.truth
    for situation in truth.of_kind("refused_before"):
        assert [step.status for step in situation.steps] in ([400, 400, 200], [400, 400, 400, 200])
    for situation in truth.of_kind("overwritten"):
        assert [step.by for step in situation.steps] == ["Help desk", "Entra"]
    for situation in truth.of_kind("stuck"):
        assert situation.repeats > 50 and situation.first("stuck").events == ("RequestUnchanged",)
    for situation in truth.of_kind("groupless"):
        assert not reader.about(*truth.ids[situation.who], kind="groups/")
    (shortened,), (gone,) = truth.of_kind("list_shortened"), truth.of_kind("group_deleted")
    assert set(shortened.steps[0].events) == {"MembershipRemoved"} and gone.steps[0].events == ("GroupDeleted",)
    (moved,) = truth.of_kind("new_address")
    for entry in reader.at([step.position for step in moved.steps]):
        assert entry.cause is not None and entry.cause.client_address == truth.new_address


def test_duplicates_share_a_mail_and_orphans_have_neither_external_id_nor_groups(
    reader: Reader, simulated: Simulated
) -> None:
    for situation in simulated.truth.of_kind("duplicate"):
        created = situation.first("create")
        own, other = (
            as_of(reader, subject_id, created.position).resources[0].resource
            for subject_id in (simulated.truth.ids[situation.who][0], created.subject_id)
        )
        assert own is not None and other is not None
        assert own["emails"][0]["value"] == other["emails"][0]["value"]
    for situation in simulated.truth.of_kind("orphan"):
        (shown,) = as_of(reader, situation.steps[0].subject_id, None).resources
        assert shown.resource is not None and shown.resource["active"] and "externalId" not in shown.resource
        assert not shown.groups


def test_two_tokens_live_while_one_replaces_the_other(reader: Reader, simulated: Simulated) -> None:
    tokens = {token.label: token for token in simulated.truth.tokens}
    assert {"Entra 2023", "Entra 2024", "Entra 2025", "Help desk", "Migration"} == set(tokens)
    used: dict[str, list[datetime]] = {}
    for entry in every_entry(reader, simulated):
        if entry.cause is not None and entry.cause.token_label:
            used.setdefault(entry.cause.token_label, []).append(entry.recorded_at)
    for label, times in used.items():
        assert tokens[label].issued_at < times[0]
        assert tokens[label].revoked_at is None or times[-1] < tokens[label].revoked_at


def test_planted_requests_are_kept_as_received(reader: Reader, simulated: Simulated) -> None:
    (moved,) = simulated.truth.of_kind("new_address")
    body = reader.received(moved.first("disable").request_id)
    assert body is not None and msgspec.json.decode(body)["Operations"] == [
        {"op": "replace", "path": "active", "value": False}
    ]


def test_only_an_empty_tenant_is_filled(postgres: Database, keys: Keys, tenant: Tenant) -> None:
    with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
        vault = Vault.load(connection, tenant.tenant_id, keys)
        issue_token(connection, tenant, vault, label="Entra", scopes=["scim"])
        with pytest.raises(TenantNotEmpty, match="has entries already"):
            simulate(connection, tenant, vault, people=SMALL)
        assert Reader(connection, tenant, vault).size() == 1


def test_the_service_goes_on_where_the_simulation_ended(service: Service) -> None:
    """Position, version, groups: what comes next counts on, and the whole story is still told."""
    with service.database() as server:
        url, keys = server.superuser_url, Keys.open(service.data / "keys")
        simulated, entries = simulate_small(url, keys)
        with psycopg.connect(url, autocommit=True) as connection:
            vault = Vault.load(connection, simulated.tenant.tenant_id, keys)
            secrets = [
                issue_token(connection, simulated.tenant, vault, label=scope, scopes=[scope])[1]
                for scope in ("scim", "audit")
            ]
        client = Client(service.base_url, simulated.tenant.slug, *secrets)
        user_id = alive(entries, simulated.truth.ids)
        before = client.scim.get(f"/Users/{user_id}").headers["etag"]
        patch = {"Operations": [{"op": "replace", "path": "title", "value": "Chief Witness"}]}
        patch["schemas"] = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]  # type: ignore[assignment]
        after = client.scim.patch(f"/Users/{user_id}", json=patch)
        assert after.status_code == 200
        assert version(after.headers["etag"]) == version(before) + 1
        told = client.api.get("/history", params={"subject": user_id}).json()["histories"][0]["changes"]
        assert told[-1]["position"] == simulated.size + 2  # After the two tokens.
        assert told[0]["event"] == "UserCreated" and told[0]["position"] < 2_000
        with psycopg.connect(url, autocommit=True) as connection:
            assert not replay(Reader(connection, simulated.tenant, vault)).differences


def alive(entries: Sequence[Entry], ids: dict[int, list[str]]) -> str:
    """Somebody who is there at the end."""
    gone = {entry.subject_id for entry in entries if entry.event_type == "UserDeleted"}
    return next(user_id for several in ids.values() for user_id in several if user_id not in gone)


def version(etag: str) -> int:
    """The number in W/"7"."""
    return int(etag.removeprefix('W/"').removesuffix('"'))


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_million_entries_of_50_000_people(fresh_database: Database, keys: Keys) -> None:
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        tenant = create_tenant(connection, "large", authority="scim.example.com", keys=keys)
        vault = Vault.load(connection, tenant.tenant_id, keys)
        large = simulate(connection, tenant, vault, people=50_000)
    assert 1_000_000 <= large.size <= 1_150_000
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        assert not ends_otherwise(Reader(connection, large.tenant, vault), large)
        assert len(large.truth.of_kind(*FATES)) == sum(round(share * 50_000) for share in FATES.values())
        assert replay(Reader(connection, large.tenant, vault)).equal


def test_leavers_are_the_fates_that_end_an_employment(simulated: Simulated) -> None:
    ended = {s.kind for s in simulated.truth.situations.values() if s.terminated_at} - {"rehired"}
    assert ended == set(LEAVERS)
