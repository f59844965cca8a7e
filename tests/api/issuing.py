"""Tokens and clients that a test needs besides the tokens every tenant has: expired, revoked, of another scope."""

from datetime import UTC, datetime, timedelta

from msgspec import Struct
from speaking import Speaker, fresh

from ledger.clients import issue_secret, register_client
from ledger.tenants import change_setting, issue_token, revoke_token


class Registered(Struct, frozen=True):
    """An OAuth client with one secret."""

    client_id: str
    secret_id: str
    secret: str


def token_with(
    speaker: Speaker, *scopes: str, label: str = "", expires_at: datetime | None = None, revoked: bool = False,
    user_id: str | None = None,
) -> str:  # fmt: skip
    """The secret of a new token of this tenant, made as the command does."""
    label = label or fresh("token")
    with speaker.service.opened(speaker.slug) as (connection, tenant, vault):
        _, secret = issue_token(
            connection, tenant, vault, label=label, scopes=list(scopes), profile=speaker.profile,
            expires_at=expires_at, user_id=user_id,
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
    with speaker.service.opened(speaker.slug) as (connection, tenant, vault):
        revoke_token(connection, tenant, vault, label)


def client_with(speaker: Speaker, *scopes: str, expires_at: datetime | None = None) -> Registered:
    """A new OAuth client of this tenant with a secret."""
    with speaker.service.opened(speaker.slug) as (connection, tenant, vault):
        client_id = register_client(
            connection, tenant, vault, label=fresh("client"), scopes=list(scopes), profile=speaker.profile
        )
        return Registered(client_id, *issue_secret(connection, tenant, vault, client_id, expires_at=expires_at))


def setting(speaker: Speaker, name: str, value: object) -> None:
    """Change a tenant's setting: before its first request, or it takes a second to be known."""
    with speaker.service.opened(speaker.slug) as (connection, tenant, vault):
        change_setting(connection, tenant, vault, name, value)


def limit_requests(speaker: Speaker, per_second: int) -> None:
    """Let each token of this tenant send so many requests a second; 0 is no limit."""
    setting(speaker, "token_requests_per_second", per_second)
