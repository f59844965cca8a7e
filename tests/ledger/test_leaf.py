"""The leaf in Python is the leaf in SQL, byte for byte."""

import json
from datetime import UTC, datetime

import psycopg

from domain.events import RequestUnchanged
from ledger.codec import encode_cause, encode_payload, open_payload, seal_payload
from ledger.entry import Cause, Tenant
from ledger.jobs import Job, NewEntry
from ledger.leaf import leaf_bytes
from ledger.randomness import random_id
from ledger.single import append
from ledger.tenants import change_setting, issue_token, revoke_token
from ledger.vault import Keys, Vault, commit
from tests.conftest import Database


def test_a_leaf_is_what_the_append_makes(database: Database, tenant: Tenant, keys: Keys) -> None:
    """For every kind of stream that needs no directory row, several versions, and both kinds of actors."""
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        vault = Vault.load(connection, tenant.tenant_id, keys)
        token_id, _ = issue_token(connection, tenant, vault, label="Entra", scopes=["scim"])
        revoke_token(connection, tenant, vault, "Entra")
        change_setting(connection, tenant, vault, "group_names_unique", False)
        _append_unchanged(connection, tenant, vault, actor=token_id)
        rows = connection.execute(
            "select position, recorded_at, stream, stream_version, event_type, leaf, payload from entries "
            "where tenant_id = %s order by position",
            (tenant.tenant_id,),
        ).fetchall()
    assert [row[2].partition("/")[0] for row in rows] == ["tokens", "tokens", "tenant", "requests"]
    for position, recorded_at, stream, version, event_type, leaf, payload in rows:
        commitment = commit(*open_payload(bytes(payload), vault.tenant_key, tenant.origin, stream))
        actor = json.loads(bytes(leaf))["act"]
        assert actor == (token_id if stream.startswith("requests/") else "operator")
        assert bytes(leaf) == leaf_bytes(
            origin=tenant.origin, position=position, recorded_at=recorded_at.astimezone(UTC), stream=stream,
            version=version, event_type=event_type, actor=actor, commitment=commitment,
        )  # fmt: skip


def _append_unchanged(connection: psycopg.Connection, tenant: Tenant, vault: Vault, *, actor: str) -> None:
    job = Job(tenant.tenant_id, random_id(), actor)
    stream = f"requests/{job.request_id}"
    payload = encode_payload(RequestUnchanged(), encode_cause(Cause(job.request_id)))
    commitment, sealed = seal_payload(payload, vault.tenant_key, tenant.origin, stream)
    event = RequestUnchanged()
    job.entries.append(NewEntry(stream, 1, event, job.request_id, commitment, sealed, vault.tenant_key.key_id))
    append(connection, job)


def test_a_whole_second_has_three_zeros() -> None:
    """As `to_char` writes milliseconds."""
    leaf = leaf_bytes(
        origin="scim.example.com/t/0", position=7, recorded_at=datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC),
        stream="users/7f3a", version=2, event_type="Deactivated", actor="operator", commitment=bytes(32),
    )  # fmt: skip
    assert leaf == (
        b'{"act":"operator","at":"2026-03-31T23:59:59.000Z","log":"scim.example.com/t/0",'
        b'"pc":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","seq":7,"sub":"Users/7f3a","sv":2,'
        b'"typ":"Deactivated","v":1}'
    )
