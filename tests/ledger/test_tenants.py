"""Tokens and settings: made and changed on the command line, by several people at once, while requests go on."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from api.caller import REUSE_S
from domain.events import TokenRevoked
from ledger.codec import encode_cause, encode_payload, seal_payload
from ledger.entry import Cause, Settings, Tenant
from ledger.jobs import Job, NewEntry
from ledger.randomness import random_id
from ledger.single import append
from ledger.tenants import TenantRefused, change_setting, find_tenant, issue_token, list_tokens, revoke_token
from ledger.vault import Keys, Vault
from ledger.writer import Conflict
from tests.conftest import Database
from tests.ledger.desk import Connection, Desk, check_whole, failures, group, patch


def threads(count: int, act: Callable[[Connection], Any], url: str) -> list[Any]:
    """Let so many connections do the same at once; what each returned or raised."""
    started = threading.Barrier(count)

    def run() -> Any:
        with psycopg.connect(url, autocommit=True) as connection:
            started.wait(10)
            try:
                return act(connection)
            except TenantRefused as refused:
                return refused

    with ThreadPoolExecutor(count) as pool:
        return [each.result() for each in [pool.submit(run) for _ in range(count)]]


def test_a_token_revoked_by_two_at_once_is_revoked_once(
    tenant: Tenant, database: Database, keys: Keys, auditor: Connection
) -> None:
    """The other one is told that there is no such live token; tokens issued meanwhile are there."""
    vault = Vault.load(auditor, tenant.tenant_id, keys)
    for _ in range(5):
        issue_token(auditor, tenant, vault, label="old", scopes=["scim"])
        results = threads(3, lambda connection: revoke_token(connection, tenant, vault, "old"), database.app_url)
        assert sorted(type(each).__name__ for each in results) == ["TenantRefused", "TenantRefused", "Token"]
        threads(
            2, lambda connection: issue_token(connection, tenant, vault, label="new", scopes=["scim"]), database.app_url
        )
    live = [token.label for token in list_tokens(auditor, tenant) if token.revoked_at is None]
    assert live == ["new"] * 10
    assert check_whole(auditor, tenant, keys) == 5 * (1 + 1 + 2)


def test_a_token_stream_that_moved_refuses_the_job(tenant: Tenant, keys: Keys, auditor: Connection) -> None:
    """The append itself: a job decided on version 1 of a token's stream, which is at 2."""
    vault = Vault.load(auditor, tenant.tenant_id, keys)
    token_id, _ = issue_token(auditor, tenant, vault, label="old", scopes=["scim"])
    revoke_token(auditor, tenant, vault, "old")
    job = Job(tenant.tenant_id, random_id(), "operator")
    job.streams_at.append((f"tokens/{token_id}", 1))
    event = TokenRevoked(token_id)
    commitment, sealed = seal_payload(
        encode_payload(event, encode_cause(Cause(job.request_id))),
        vault.tenant_key,
        tenant.origin,
        f"tokens/{token_id}",
    )
    key_id = vault.tenant_key.key_id
    job.entries.append(NewEntry(f"tokens/{token_id}", 2, event, token_id, commitment, sealed, key_id))
    with pytest.raises(Conflict):
        append(auditor, job)
    assert check_whole(auditor, tenant, keys) == 2


def test_two_settings_changed_at_once_are_both_kept(
    tenant: Tenant, database: Database, keys: Keys, auditor: Connection
) -> None:
    """Each was decided by somebody who had read the tenant before the other changed it."""
    vault = Vault.load(auditor, tenant.tenant_id, keys)
    change_setting(auditor, tenant, vault, "group_names_unique", False)
    changed = change_setting(auditor, tenant, vault, "group_answer_members_max", 7)
    assert changed.settings == Settings(group_names_unique=False, group_answer_members_max=7)
    assert change_setting(auditor, tenant, vault, "group_names_unique", False) == changed
    assert find_tenant(auditor, tenant.slug) == changed
    assert check_whole(auditor, tenant, keys) == 2


async def test_a_group_decided_under_another_setting_is_decided_again(
    desk: Desk, keys: Keys, auditor: Connection
) -> None:
    """A token in use knows the tenant's settings for up to a second: some would claim a name, others not."""
    vault = Vault.load(auditor, desk.tenant.tenant_id, keys)
    staff = await desk.made("/Groups", group("Staff"))
    rename = patch({"op": "replace", "path": "displayName", "value": "Crew"})
    for unique in (False, True):
        jobs = [
            await desk.decided("POST", "/Groups", group(f"Club {unique}")),
            await desk.decided("PATCH", f"/Groups/{staff}", rename),
            await desk.decided("PATCH", f"/Groups/{staff}", patch({"op": "remove", "path": "externalId"})),
        ]
        change_setting(auditor, desk.tenant, vault, "group_names_unique", unique)
        assert failures(await desk.appended(*jobs)) == ["Conflict", "Conflict", "stands"]
        if not unique:
            await asyncio.sleep(REUSE_S)
            await desk.made("/Groups", group("Club False"))
    check_whole(auditor, desk.tenant, keys)
