"""Verbs about tenants and tokens."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from cli.exits import Misused

Flag = Annotated[str | None, Parameter(negative="")]
_DURATION = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

tenant = App(name="tenant", help="Create and list tenants, and change their settings.")
token = App(name="token", help="Create, list and revoke bearer tokens.")


def add_verbs(app: App) -> None:
    """Give the application its verbs."""
    app.command(tenant)
    app.command(token)


@tenant.command
def create(
    slug: str, /, *, data: Flag = None, database_url: Flag = None, keys: Flag = None, public_url: Flag = None
) -> None:
    """Create a tenant; prints its Tenant URL.

    Exit status: 0 created, 1 failed, 2 usage.

    Parameters
    ----------
    slug: its name in URLs and commands: lower-case letters, digits, hyphens.
    """
    from cli.connect import reach
    from cli.serve import origin_authority
    from ledger.config import read_config
    from ledger.tenants import create_tenant

    config = read_config(data=data, database_url=database_url, keys=keys, public_url=public_url)
    with reach(config) as (connection, keyring):
        create_tenant(connection, slug, authority=origin_authority(config), keys=keyring)
    _say(f"{config.public_url}/scim/{slug}/v2")


@tenant.command(name="list")
def list_(*, json: bool = False, data: Flag = None, database_url: Flag = None, keys: Flag = None) -> None:
    """List all tenants with their origins.

    Exit status: 0 listed, 1 failed, 2 usage.
    """
    from cli.connect import reach
    from ledger.config import read_config
    from ledger.tenants import list_tenants

    with reach(read_config(data=data, database_url=database_url, keys=keys)) as (connection, _):
        found = list_tenants(connection)
    if json:
        _say(msgspec.json.encode(found).decode())
        return
    for each in found:
        _say(f"{each.slug:<24} {each.origin}")


@tenant.command(name="set")
def set_(
    slug: str, setting: str, value: str, /, *, data: Flag = None, database_url: Flag = None, keys: Flag = None
) -> None:
    """Change a setting of a tenant: group_names_unique (true, false), group_answer_members_max (a number).

    Exit status: 0 changed, 1 refused or failed, 2 usage.
    """
    from cli.connect import open_tenant
    from ledger.config import read_config
    from ledger.tenants import change_setting

    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, slug) as (connection, found, vault):
        change_setting(connection, found, vault, setting, value)


@token.command(name="create")
def create_token(
    *, tenant: str, label: str, scope: list[str], profile: str = "lenient", expires: Flag = None,
    data: Flag = None, database_url: Flag = None, keys: Flag = None,
) -> None:  # fmt: skip
    """Create a token; the secret alone is printed, once.

    Exit status: 0 created, 1 failed, 2 usage.

    Parameters
    ----------
    label: what it is for; shown wherever the token's deeds are.
    scope: scim, audit or admin; repeat the option for several.
    profile: lenient (what identity providers need) or strict (the RFCs to the letter).
    expires: how long it is valid, such as 180d, 12h, 90s; without it, until it is revoked.
    """
    from cli.connect import open_tenant
    from ledger.config import read_config
    from ledger.tenants import issue_token

    expires_at = _expiry(expires)
    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, tenant) as (connection, found, vault):
        _, secret = issue_token(
            connection,
            found,
            vault,
            label=label,
            scopes=_scopes(scope),
            profile=profile,
            expires_at=expires_at,
        )
    _say(secret)


@token.command(name="list")
def list_tokens_(
    *, tenant: str, json: bool = False, data: Flag = None, database_url: Flag = None, keys: Flag = None
) -> None:
    """List a tenant's tokens, never their secrets.

    Exit status: 0 listed, 1 failed, 2 usage.
    """
    from cli.connect import open_tenant
    from ledger.config import read_config
    from ledger.tenants import list_tokens

    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, tenant) as (connection, found, _):
        tokens = list_tokens(connection, found)
    if json:
        _say(msgspec.json.encode(tokens).decode())
        return
    for each in tokens:
        state = "revoked" if each.revoked_at else "expired" if _over(each.expires_at) else "live"
        used = each.last_used_at.strftime("%Y-%m-%d %H:%M") if each.last_used_at else "never used"
        _say(f"{each.token_id}  {state:<8} {','.join(each.scopes):<12} {each.profile:<8} {used:<17} {each.label}")


@token.command
def revoke(token: str, /, *, tenant: str, data: Flag = None, database_url: Flag = None, keys: Flag = None) -> None:
    """Revoke a token, by id or label; it stops working within a second.

    Exit status: 0 revoked, 1 failed, 2 usage.
    """
    from cli.connect import open_tenant
    from ledger.config import read_config
    from ledger.tenants import revoke_token

    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, tenant) as (connection, found, vault):
        revoked = revoke_token(connection, found, vault, token)
    _say(f"revoked {revoked.token_id} ({revoked.label})")


def _scopes(given: list[str]) -> list[str]:
    return list(dict.fromkeys(scope for part in given for scope in part.split(",") if scope))


def _expiry(text: str | None) -> datetime | None:
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if not match or not int(match[1]):
        raise Misused(f"{text!r} is no duration: write 180d, 12h, 30m or 90s")
    return datetime.now(UTC) + timedelta(**{_UNITS[match[2]]: int(match[1])})


def _over(time: datetime | None) -> bool:
    return time is not None and time <= datetime.now(UTC)


def _say(text: Any) -> None:
    print(text)  # noqa: T201  # What the command is asked for.
