"""The check that every fault test ends with: silent on a whole ledger, and no broken promise escapes it."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from tests.conftest import Database
from tests.faults.audit import PROMISES, Counted, broken, check_everything
from tests.running import Client, Service

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

LAST = "tenant_id = {t} and position = (select max(position) from entries where tenant_id = {t})"

BREAKAGES = {
    "positions run from 0 without a gap": f"update entries set position = position + 1 where {LAST}",
    "recorded_at never decreases": (f"update entries set recorded_at = recorded_at - interval '1 day' where {LAST}"),
    "recorded_at is whole milliseconds": (
        f"update entries set recorded_at = recorded_at + interval '1 microsecond' where {LAST}"
    ),
    "versions of a stream run from 1 without a gap, in the order of positions": (
        f"update entries set stream_version = stream_version + 1 where {LAST}"
    ),
    "the entries of a request follow each other": (
        f"update entries set request_id = (select request_id from entries where tenant_id = {{t}}"
        f" and position = 1) where {LAST}"
    ),
    "a leaf says what its entry says": f"update entries set event_type = 'GroupDeleted' where {LAST}",
    "a users row has the version and position of its newest entry": (
        "update users set version = version + 1 where tenant_id = {t}"
    ),
    "a groups row has the version and position of its newest entry": (
        "update groups set position = position + 1 where tenant_id = {t}"
    ),
    "a groups row has the version of its last change that was not a membership": (
        "update groups set attribute_version = version + 1 where tenant_id = {t}"
    ),
    "who was created and not deleted has a row, and nobody else": "delete from users where tenant_id = {t}",
    "a row's creation is its first entry": (
        "update users set created_at = created_at + interval '1 ms' where tenant_id = {t}"
    ),
    "a row's time of change is that of its newest entry": (
        "update groups set modified_at = modified_at + interval '1 ms' where tenant_id = {t}"
    ),
    "active is what its last entry made of it": "update users set active = not active where tenant_id = {t}",
    "every interval of a membership begins with its MembershipAdded, and each of these begins one": (
        "delete from memberships where tenant_id = {t} and to_position is null"
    ),
    "every interval ends with its MembershipRemoved or with its group, and every removal ends one": (
        "update memberships set to_position = to_position + 1 where tenant_id = {t}"
    ),
    "intervals end after they began and do not overlap": (
        "update memberships set to_position = from_position where tenant_id = {t}"
    ),
    "an open membership is of a group that is there, and of a member that is there": (
        "delete from groups where tenant_id = {t}"
    ),
    "member_count is the number of open memberships": (
        "update groups set member_count = member_count + 1 where tenant_id = {t}"
    ),
    "a received request has a key and an entry": "delete from request_keys where tenant_id = {t}",
    "whoever was created has a key of their own": "delete from subject_keys where tenant_id = {t}",
    "no projection has read further than the ledger goes": (
        "insert into tracking values ({t}, 'impatient', 1, 1000000)"
    ),
}


@pytest.fixture(scope="module")
def lived(service: Service) -> Client:
    """A tenant in which everything that a promise speaks of has happened."""
    client = service.new_tenant()
    scim = client.scim
    people = [_made(scim.post("/Users", json={"schemas": [USER], "userName": f"p{n}"})) for n in range(3)]
    group = _made(scim.post("/Groups", json={"schemas": [GROUP], "displayName": "G"}))
    for person in people:
        operation = {"op": "add", "path": "members", "value": [{"value": person}]}
        _patch(scim, f"/Groups/{group}", operation)
    _patch(scim, f"/Groups/{group}", {"op": "remove", "path": f'members[value eq "{people[1]}"]'})
    _patch(scim, f"/Users/{people[0]}", {"op": "replace", "path": "active", "value": False})
    _patch(scim, f"/Users/{people[0]}", {"op": "replace", "path": "active", "value": True})
    assert scim.delete(f"/Users/{people[2]}").status_code == 204
    return client


def _made(answer: httpx.Response) -> str:
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _patch(scim: httpx.Client, path: str, operation: dict[str, object]) -> None:
    answer = scim.patch(path, json={"schemas": [PATCH_OP], "Operations": [operation]})
    assert answer.status_code in (200, 204), answer.text


@pytest.fixture
def connection(service: Service) -> Iterator[psycopg.Connection]:
    """A superuser's connection whose transaction is undone."""
    with service.database() as server, psycopg.connect(server.superuser_url) as opened:
        opened.execute("set lock_timeout = '5s'")
        yield opened
        opened.rollback()


def test_a_whole_ledger_keeps_every_promise(service: Service, lived: Client) -> None:
    with service.database() as server:
        counted = check_everything(server.superuser_url, lived.slug)
    assert counted == Counted(entries=counted.entries, users=2, groups=1, open_memberships=1)
    assert counted.entries >= 12


@pytest.mark.parametrize("promise", PROMISES)
def test_a_broken_promise_is_noticed(connection: psycopg.Connection, lived: Client, promise: str) -> None:
    """Each is broken as somebody with all rights could, in a transaction that is undone."""
    row = connection.execute("select tenant_id from tenants where slug = %s", (lived.slug,)).fetchone()
    assert row
    assert not list(broken(connection, row[0]))
    connection.execute("alter table entries disable trigger all")
    connection.execute("alter table received_requests disable trigger all")
    connection.execute(BREAKAGES[promise].format(t=int(row[0])).encode())
    found = list(broken(connection, row[0]))
    assert any(promise in sentence for sentence in found), found


def test_an_unknown_tenant_is_not_a_whole_one(database: Database) -> None:
    """A misspelt name must not pass for a ledger without faults."""
    with pytest.raises(AssertionError, match="there is no tenant nowhere"):
        check_everything(database.superuser_url, "nowhere")
