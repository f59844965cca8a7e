"""Tokens that a test needs besides the ones every tenant has: expired, revoked, of another scope."""

from datetime import UTC, datetime, timedelta

import psycopg
from speaking import Speaker, fresh

from ledger.tenants import find_tenant, issue_token, revoke_token
from ledger.vault import Keys, Vault


def token_with(
    speaker: Speaker, *scopes: str, label: str = "", expires_at: datetime | None = None, revoked: bool = False
) -> str:
    """The secret of a new token of this tenant, made in the service's own database as the command does."""
    with (
        speaker.service.database() as server,
        psycopg.connect(server.superuser_url, autocommit=True) as connection,
    ):
        tenant = find_tenant(connection, speaker.slug)
        assert tenant is not None
        vault = Vault.load(connection, tenant.tenant_id, Keys.open(speaker.service.data / "keys"))
        label = label or fresh("token")
        _, secret = issue_token(
            connection, tenant, vault, label=label, scopes=list(scopes), profile=speaker.profile,
            expires_at=expires_at,
        )  # fmt: skip
        if revoked:
            revoke_token(connection, tenant, vault, label)
    return secret


def expired_token(speaker: Speaker) -> str:
    """A token that was good until a minute ago."""
    return token_with(speaker, "scim", expires_at=datetime.now(UTC) - timedelta(minutes=1))


def revoked_token(speaker: Speaker) -> str:
    """A token that somebody took back."""
    return token_with(speaker, "scim", revoked=True)


def revoke(speaker: Speaker, label: str) -> None:
    """Take back the token of that label."""
    with (
        speaker.service.database() as server,
        psycopg.connect(server.superuser_url, autocommit=True) as connection,
    ):
        tenant = find_tenant(connection, speaker.slug)
        assert tenant is not None
        vault = Vault.load(connection, tenant.tenant_id, Keys.open(speaker.service.data / "keys"))
        revoke_token(connection, tenant, vault, label)
