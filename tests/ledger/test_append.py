"""What one append leaves: positions, versions, times, leaves, and payloads that only the right key opens."""

import asyncio
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from cryptography.exceptions import InvalidTag

from ledger import arrays
from ledger.batch import CALL, Batch
from ledger.codec import Tampered, open_payload
from ledger.entry import Tenant
from ledger.reader import Reader
from ledger.tenants import create_tenant
from ledger.vault import Keys, Sealer, Vault, commit
from ledger.writer import ClocksDisagree, Writer
from tests.conftest import Database
from tests.ledger.desk import (
    Connection,
    Deciding,
    Desk,
    Offices,
    check_whole,
    group,
    locked,
    patch,
    served,
    serving,
    user,
)


async def lived(desk: Desk) -> None:
    """Let a user and a group come, change and go, with an error in between."""
    ada = await desk.made("/Users", user("ada", title="Dr"))
    staff = await desk.made("/Groups", group("Staff", ada))
    await desk.ask("PATCH", f"/Users/{ada}", patch({"op": "replace", "path": "active", "value": False}))
    await desk.ask("PATCH", f"/Users/{ada}", patch({"op": "replace", "path": "active", "value": False}))
    assert (await desk.ask("POST", "/Users", user("ada"))).status == 409
    await desk.ask("PUT", f"/Groups/{staff}", group("Crew"))
    await desk.ask("DELETE", f"/Users/{ada}")
    await desk.ask("DELETE", f"/Groups/{staff}")


def stored(connection: Connection, tenant: Tenant) -> list[Any]:
    """The tenant's entries as they stand in the table."""
    return connection.execute(
        "select position, stream, stream_version, event_type, subject_id::text, request_id::text, recorded_at, leaf, "
        "payload, key_id::text from entries where tenant_id = %s order by position",
        (tenant.tenant_id,),
    ).fetchall()


async def test_positions_are_gapless_and_each_tenants_own(
    offices: Offices, database: Database, keys: Keys, auditor: Connection
) -> None:
    """Two tenants written to at the same time, in batches and alone."""
    desks = [Desk.new(offices, database, keys) for _ in range(2)]
    await asyncio.gather(*(desk.made("/Users", user(f"u{n}")) for n in range(40) for desk in desks))
    for desk in desks:
        assert [row[0] for row in stored(auditor, desk.tenant)] == list(range(41))  # The token's entry is the first.


async def test_versions_of_a_stream_run_from_one(desk: Desk, auditor: Connection) -> None:
    """They are what SCIM's ETag says; what changes nothing has a stream of its own and moves none."""
    await lived(desk)
    versions: dict[str, list[int]] = {}
    for row in stored(auditor, desk.tenant):
        versions.setdefault(row[1].partition("/")[0], []).append(row[2])
    assert versions == {"tokens": [1], "users": [1, 2, 3], "groups": [1, 2, 3, 4, 5], "requests": [1, 1]}


async def test_a_leaf_is_the_record_of_the_facts_byte_for_byte(desk: Desk, auditor: Connection) -> None:
    """Built here once more, from the columns and the opened payload, by nothing but the standard library."""
    await lived(desk)
    vault = Vault.load(auditor, desk.tenant.tenant_id, Keys.open(desk.service.keys.folder))
    rows = stored(auditor, desk.tenant)
    assert {row[3] for row in rows} >= {"TokenIssued", "UserCreated", "MembershipAdded", "RequestRefused"}
    actors = set()
    for position, stream, version, event_type, subject, _, recorded_at, leaf, payload, key_id in rows:
        sealer = sealer_of(auditor, desk.tenant, vault, subject, key_id)
        salt, opened = open_payload(bytes(payload), sealer, desk.tenant.origin, stream)
        commitment = sha256(b"scim-ledger/payload/v1\n" + salt + opened).digest()
        actor = json.loads(bytes(leaf))["act"]
        actors.add(actor)
        kind, _, resource = stream.partition("/")
        record = {
            "v": 1,
            "log": desk.tenant.origin,
            "seq": position,
            "at": recorded_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "typ": event_type,
            "sub": f"{kind.title()}/{resource}",
            "sv": version,
            "act": actor,
            "pc": b64encode(commitment).decode(),
        }
        assert bytes(leaf) == json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
        assert len(leaf) <= 1024 and len(salt) == 32
    (token,) = [row[1].partition("/")[2] for row in rows if row[3] == "TokenIssued"]
    assert actors == {"operator", token}


def sealer_of(connection: Connection, tenant: Tenant, vault: Vault, subject: str, key_id: str) -> Sealer:
    """The key that an entry names: the tenant's, or its subject's."""
    if key_id == vault.tenant_key.key_id:
        return vault.tenant_key
    row: Any = connection.execute(
        "select key_id::text, wrapped from subject_keys where tenant_id = %s and subject_id = %s",
        (tenant.tenant_id, subject),
    ).fetchone()
    assert row[0] == key_id
    return vault.unwrap(subject, key_id, bytes(row[1]))


def test_the_commitment_is_that_of_the_worked_example() -> None:
    """Two payloads with their salts and commitments, made by another program."""
    examples = (
        (
            "7343fd9b80611e9a65077ce3ca6eb473f6a28a3412c4999c567ce2dbdbb9712c",
            b'{"explicit":true,"from":true,"to":false}',
            "ac40f4f895c28b5c1cb93dedd0d81f6ff7eb5783d67392cccfcf3f8637769a7b",
        ),
        (
            "63baf4f93d09d0856c13de0fd624c48f63350c3031be95f99456559b9dce2023",
            b'{"active":true,"externalId":"00u1abcd","userName":"alice@example.com"}',
            "5c92239a5355b0eb881f36de11584e2f37962ccf32d835514066c03ce714285d",
        ),
    )
    for salt, payload, commitment in examples:
        assert commit(bytes.fromhex(salt), payload).hex() == commitment


async def test_what_is_about_a_person_is_sealed_under_that_persons_own_key(desk: Desk, auditor: Connection) -> None:
    """Two people have two keys; their groups and the requests that changed nothing have the tenant's."""
    ada, bob = [await desk.made("/Users", user(name)) for name in ("ada", "bob")]
    for who in (ada, bob):
        await desk.ask("PATCH", f"/Users/{who}", patch({"op": "add", "path": "title", "value": "Dr"}))
    staff = await desk.made("/Groups", group("Staff"))
    rows = stored(auditor, desk.tenant)
    name_keys = {who: {row[9] for row in rows if row[1] == f"users/{who}"} for who in (ada, bob)}
    tenant_keys = {row[9] for row in rows if row[1] == f"groups/{staff}"}
    assert [len(each) for each in (*name_keys.values(), tenant_keys)] == [1, 1, 1]
    assert len(name_keys[ada] | name_keys[bob] | tenant_keys) == 3
    vault = Vault.load(auditor, desk.tenant.tenant_id, desk.service.keys)
    payload = next(bytes(row[8]) for row in rows if row[1] == f"users/{ada}")
    bobs = sealer_of(auditor, desk.tenant, vault, bob, *name_keys[bob])
    for wrong in (bobs, vault.tenant_key):
        with pytest.raises(Tampered):
            open_payload(payload, wrong, desk.tenant.origin, f"users/{ada}")
    with pytest.raises(InvalidTag):  # A person's key is bound to the person, also while it is wrapped.
        row: Any = auditor.execute(
            "select wrapped from subject_keys where tenant_id = %s and subject_id = %s", (desk.tenant.tenant_id, ada)
        ).fetchone()
        vault.unwrap(bob, *name_keys[ada], bytes(row[0]))


async def test_another_tenants_key_opens_nothing(desk: Desk, auditor: Connection, keys: Keys) -> None:
    await desk.made("/Groups", group("Staff"))
    stranger = create_tenant(auditor, f"x-{desk.tenant.slug}", authority="scim.example.com", keys=keys)
    theirs = Vault.load(auditor, stranger.tenant_id, keys)
    wrong = Vault(desk.tenant.tenant_id, key_of(auditor, desk), b"\0" * 32)
    with pytest.raises(Tampered):
        Reader(auditor, desk.tenant, wrong).at([1])
    row = stored(auditor, desk.tenant)[1]
    with pytest.raises(Tampered):
        open_payload(bytes(row[8]), theirs.tenant_key, desk.tenant.origin, row[1])


def key_of(connection: Connection, desk: Desk) -> str:
    """The id of a tenant's key."""
    row: Any = connection.execute(
        "select key_id::text from tenant_keys where tenant_id = %s", (desk.tenant.tenant_id,)
    ).fetchone()
    return str(row[0])


async def test_an_entry_copied_to_another_stream_or_tenant_does_not_open(
    desk: Desk, offices: Offices, database: Database, keys: Keys, auditor: Connection
) -> None:
    """Whoever can write to the table still cannot let somebody else have done it."""
    ada, bob = [await desk.made("/Users", user(name)) for name in ("ada", "bob")]
    other = Desk.new(offices, database, keys)
    copy = (
        "insert into entries select %(to)s, %(position)s, %(stream)s, 2, event_type, subject_id, request_id, "
        "recorded_at, leaf, payload, key_id from entries where tenant_id = %(tenant)s and stream = %(from)s"
    )
    places = (
        (desk, 3, f"users/{bob}"),
        (other, 1, f"users/{ada}"),
    )
    for place, position, stream in places:
        parameters = {
            "to": place.tenant.tenant_id,
            "position": position,
            "stream": stream,
            "tenant": desk.tenant.tenant_id,
            "from": f"users/{ada}",
        }
        auditor.execute(copy, parameters)
    auditor.execute(
        "insert into subject_keys select %s, subject_id, key_id, wrapped from subject_keys "
        "where tenant_id = %s and subject_id = %s",
        (other.tenant.tenant_id, desk.tenant.tenant_id, ada),
    )
    for place, position, _ in places:
        reader = Reader(auditor, place.tenant, Vault.load(auditor, place.tenant.tenant_id, keys))
        with pytest.raises(Tampered):
            reader.at([position])
    whole = Reader(auditor, desk.tenant, Vault.load(auditor, desk.tenant.tenant_id, keys))
    assert [entry.position for entry in whole.at([1, 2])] == [1, 2]


async def test_times_are_whole_milliseconds_and_one_for_a_request(desk: Desk, auditor: Connection) -> None:
    await lived(desk)
    rows = stored(auditor, desk.tenant)
    assert all(row[6].microsecond % 1000 == 0 for row in rows)
    assert len({row[5] for row in rows}) == len({(row[5], row[6]) for row in rows})
    assert abs(rows[-1][6] - datetime.now(UTC)) < timedelta(seconds=30)


def put_ahead(connection: Connection, desk: Desk, ahead: timedelta) -> datetime:
    """Give the ledger a newest entry as a clock would have left it that was ahead then and was set back since."""
    row: Any = connection.execute(
        """
        insert into entries
        select tenant_id, position + 1, 'requests/' || gen_random_uuid(), 1, event_type, subject_id, gen_random_uuid(),
               date_trunc('milliseconds', clock_timestamp()) + %(ahead)s, leaf, payload, key_id
          from entries where tenant_id = %(tenant)s order by position desc limit 1
        returning recorded_at
        """,
        {"tenant": desk.tenant.tenant_id, "ahead": ahead},
    ).fetchone()
    return row[0]  # type: ignore[no-any-return]


async def test_time_never_decreases_when_the_databases_clock_was_set_back(desk: Desk, auditor: Connection) -> None:
    """Up to a minute is bridged: entries have the newest time until the clock has caught up."""
    newest = put_ahead(auditor, desk, timedelta(seconds=50))
    said = await desk.ask("POST", "/Users", user("ada"))
    assert said.status == 201
    times = [row[6] for row in stored(auditor, desk.tenant)]
    assert times == sorted(times) and times[-1] == newest
    assert datetime.fromisoformat(said.body["meta"]["created"]) == newest


async def test_an_entry_from_the_future_refuses_every_write(
    offices: Offices, database: Database, keys: Keys, auditor: Connection
) -> None:
    """503 with Retry-After, /readyz red and saying why, nothing written; other tenants are served."""
    async with served(database, keys) as (service, client):
        late, fine = [Desk.new((service, offices[1]), database, keys) for _ in range(2)]
        put_ahead(auditor, late, timedelta(seconds=70))
        assert (await client.get("/readyz")).status_code == 200
        job = await late.decided("POST", "/Users", user("ada"))
        with pytest.raises(ClocksDisagree, match=r"^clocks disagree by more than 60 seconds: [^\n]+$"):
            await late.writer.append(job)
        said = await late.ask("POST", "/Users", user("ada"))
        assert (said.status, said.headers["retry-after"]) == (503, "2")
        assert len(stored(auditor, late.tenant)) == 2
        red = await client.get("/readyz")
        assert red.status_code == 503
        assert any("clock" in problem for problem in red.json()["problems"])
        await fine.made("/Users", user("ada"))
        assert (await client.get("/readyz")).status_code == 200


async def test_a_clock_that_is_not_the_services_refuses_every_write(desk: Desk, auditor: Connection) -> None:
    """The call itself, told the time of a service a minute and a second away in either direction."""
    job = await desk.decided("POST", "/Users", user("ada"))
    arrays.register(auditor.adapters)
    for away in (-61, 61):
        with psycopg.RawCursor(auditor) as cursor, pytest.raises(psycopg.Error) as refused:
            cursor.execute(CALL, Batch([job]).arguments(datetime.now(UTC) + timedelta(seconds=away)), binary=True)
        assert refused.value.sqlstate == "SL001"
    assert len(stored(auditor, desk.tenant)) == 1
    await desk.writer.append(job)


async def test_a_stricter_default_isolation_hides_nothing_from_a_call(fresh_database: Database, keys: Keys) -> None:
    """In repeatable read two calls that waited for the lock would see the ledger as it was before they waited."""
    strict = f"alter database {fresh_database.name} set default_transaction_isolation = 'repeatable read'"
    with psycopg.connect(fresh_database.superuser_url, autocommit=True) as connection:
        connection.execute(strict.encode())
    async with serving(fresh_database, keys) as service, serving(fresh_database, keys, Deciding) as deciding:
        desk = Desk.new((service, deciding), fresh_database, keys)
        other = Writer(fresh_database.app_url)
        jobs = [await desk.decided("POST", "/Users", user(f"u{n}")) for n in range(2)]
        async with locked(fresh_database, desk.tenant) as waiting:
            appends = [
                asyncio.create_task(each.append(job)) for each, job in zip((service.writer, other), jobs, strict=True)
            ]
            await waiting(2)
        await asyncio.gather(*appends)
        await other.close()
        with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
            assert check_whole(connection, desk.tenant, keys) == 3
