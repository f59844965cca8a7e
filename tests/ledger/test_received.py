"""Everybody whom a received request names leads to it: by an entry about them, or by the list kept with its key."""

from typing import Any

import pytest

from ledger.reader import Reader
from ledger.vault import Keys, Vault
from projections.wanted import name_ids
from tests.ledger.desk import Connection, Desk, Json, group, patch, user


@pytest.fixture
def reader(desk: Desk, auditor: Connection, keys: Keys) -> Reader:
    return Reader(auditor, desk.tenant, Vault.load(auditor, desk.tenant.tenant_id, keys))


async def newest(desk: Desk, reader: Reader, method: str, path: str, body: Json) -> tuple[set[str], set[str]]:
    """Send a request; return whom its entries are about, and who is kept beside them."""
    await desk.ask(method, path, body)
    request_id = reader.entries_after(reader.size() - 1)[0].request_id
    query = "select request_id::text, subjects::text[] from request_keys where tenant_id = %(tenant)s"
    kept = dict[str, Any](reader.found(query))[request_id]
    about = {entry.subject_id for entry in reader.entries_after(0) if entry.request_id == request_id}
    return about, set(kept)


async def test_who_has_an_entry_is_not_listed_again(desk: Desk, reader: Reader) -> None:
    ada, bob = await desk.made("/Users", user("ada")), await desk.made("/Users", user("bob"))
    about, kept = await newest(
        desk, reader, "PATCH", f"/Users/{ada}", patch({"op": "add", "path": "title", "value": "x"})
    )
    assert (about, kept) == ({ada}, set())
    about, kept = await newest(desk, reader, "POST", "/Groups", group("All", ada, bob))
    assert about > {ada, bob} and not kept


async def test_members_that_stay_are_listed(desk: Desk, reader: Reader) -> None:
    """A PUT names all of them, and has an entry for the new one only; seen and no change, for none."""
    ada, bob = await desk.made("/Users", user("ada")), await desk.made("/Users", user("bob"))
    staff = await desk.made("/Groups", group("Staff", ada))
    assert await newest(desk, reader, "PUT", f"/Groups/{staff}", group("Staff", ada, bob)) == ({bob}, {ada})
    assert await newest(desk, reader, "PUT", f"/Groups/{staff}", group("Staff", ada, bob)) == ({staff}, {ada, bob})


async def test_a_refused_name_leads_to_its_request(desk: Desk, reader: Reader) -> None:
    """Nobody has to have it for that."""
    body = user("eve", externalId="E1", active="perhaps")
    about, kept = await newest(desk, reader, "POST", "/Users", body)
    assert about.isdisjoint(kept)
    assert kept == {
        *name_ids(desk.tenant.origin, b'{"userName":"eve"}'), *name_ids(desk.tenant.origin, b'{"externalId":"E1"}')
    }  # fmt: skip


async def test_entries_about_somebody_are_found_wherever_they_stand(desk: Desk, reader: Reader) -> None:
    """In the person's own stream, a group's, a request's; as reading all of them finds them."""
    ada, bob = await desk.made("/Users", user("ada")), await desk.made("/Users", user("bob"))
    staff = await desk.made("/Groups", group("Staff", ada, bob))
    await desk.ask("PATCH", f"/Users/{ada}", patch({"op": "replace", "path": "active", "value": False}))
    await desk.ask("PATCH", f"/Users/{ada}", patch({"op": "replace", "path": "active", "value": False}))
    await desk.ask("DELETE", f"/Users/{ada}")
    entries = reader.entries_after(0)
    for subjects in ((ada,), (bob,), (staff,), (ada, staff)):
        assert reader.about(*subjects) == [entry for entry in entries if entry.subject_id in subjects]
    last = entries[-1].position
    assert reader.about(ada, until=last) == [
        each for each in entries if each.subject_id == ada and each.position < last
    ]
    assert {entry.stream.partition("/")[0] for entry in reader.about(ada)} == {"users", "groups", "requests"}
    assert {entry.event_type for entry in reader.about(ada, kind="groups/")} == {"MembershipAdded", "MembershipRemoved"}
