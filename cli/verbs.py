"""Verbs about the database, tenants and tokens."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from cli.exits import Misused, NoSubject
from cli.flags import Data, DatabaseUrl, Flag, Json, KeysFolder, PublicUrl, TenantName

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

tenant = App(name="tenant", help="Create and list tenants, and change their settings.")
token = App(name="token", help="Create, list and revoke bearer tokens.")


def add_verbs(app: App) -> None:
    """Give the application its verbs."""
    app.command(migrate)
    app.command(tenant)
    app.command(token)


def migrate(
    *, trigrams: bool | None = None, json: Json = False, data: Data = None, database_url: DatabaseUrl = None
) -> None:
    """Bring the database to what this version needs; as its owner, before a service that is not.

    Exit status: 0 done, or nothing was to be done; 1 refused or failed; 2 usage.

    Args:
        trigrams: Also make the index by which filters find a part of a userName (Postgres' extension pg_trgm), or
            with --no-trigrams drop it. Without it they read everybody; with it a new user costs a twentieth more.
    """
    from cli.connect import reach_owner_url
    from ledger.config import read_config
    from ledger.migrations import migrate as run
    from ledger.trigrams import drop_parts_of_names, index_parts_of_names

    with reach_owner_url(read_config(data=data, database_url=database_url)) as url:
        migrated = run(url)
        changed = trigrams is not None and (index_parts_of_names if trigrams else drop_parts_of_names)(url)
    if json:
        return say(msgspec.json.encode({**msgspec.to_builtins(migrated), "trigrams_changed": changed}).decode())
    for name in migrated.applied:
        say(f"applied {name}")
    for warning in migrated.warnings:
        say(f"warning: {warning}")
    if changed:
        say(f"a part of a userName is now found {'by an index' if trigrams else 'by reading everybody'}")
    if not migrated.applied and not changed:
        say("the database is up to date")


@tenant.command
def create(
    slug: str, /, *, json: Json = False, data: Data = None, database_url: DatabaseUrl = None,
    keys: KeysFolder = None, public_url: PublicUrl = None,
) -> None:  # fmt: skip
    """Create a tenant: a directory, a ledger and tokens of its own; prints its Tenant URL.

    Exit status: 0 created, 1 there is one of that name, or failed; 2 usage.

    Args:
        slug: Its name in URLs and commands: lower-case letters, digits, hyphens.
    """
    from cli.connect import known_public_url, reach
    from ledger.config import read_config
    from ledger.tenants import create_tenant, origin_authority

    config = read_config(data=data, database_url=database_url, keys=keys, public_url=public_url)
    with reach(config) as (connection, keyring):
        authority = origin_authority(connection, config.chosen_public_url)
        made = create_tenant(connection, slug, authority=authority, keys=keyring)
    url = f"{known_public_url(config)}/scim/{slug}/v2"
    say(msgspec.json.encode({**msgspec.to_builtins(made), "tenant_url": url}).decode() if json else url)


@tenant.command(name="list")
def list_(*, json: Json = False, data: Data = None, database_url: DatabaseUrl = None, keys: KeysFolder = None) -> None:
    """List all tenants with the origins of their ledgers.

    Exit status: 0 listed, 1 failed, 2 usage.
    """
    from cli.connect import reach
    from ledger.config import read_config
    from ledger.tenants import list_tenants

    with reach(read_config(data=data, database_url=database_url, keys=keys)) as (connection, _):
        found = list_tenants(connection)
    if json:
        return say(msgspec.json.encode(found).decode())
    for each in found:
        say(f"{each.slug:<24} {each.origin}")


@tenant.command(name="set")
def set_(
    slug: str, setting: str, value: str, /, *, json: Json = False,
    data: Data = None, database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Change a setting of a tenant.

    Exit status: 0 changed, or it was so; 1 refused or failed; 2 usage.

    Args:
        slug: The tenant's name.
        setting: group_names_unique (true or false), group_answer_members_max (a number), repost_inactive (refuse
            or reactivate), manager_id_as_value and endpoints_any_case (true or false), token_requests_per_second (of
            each token; 0 for no limit).
        value: What it is to be.
    """
    from cli.connect import open_tenant
    from ledger.config import read_config
    from ledger.tenants import change_setting

    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, slug) as (connection, found, vault):
        changed = change_setting(connection, found, vault, setting, value)
    if json:
        return say(msgspec.json.encode(changed).decode())
    say(f"{setting} of {slug} is {msgspec.json.encode(getattr(changed.settings, setting)).decode()}")


@token.command(name="create")
def create_token(
    *,
    tenant: TenantName,
    label: str,
    scope: Annotated[list[str], Parameter(negative="")],
    profile: str = "lenient",
    expires: Flag = None,
    user: Flag = None,
    json: Json = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
) -> None:
    """Create a token; its secret alone is printed, this once.

    Exit status: 0 created, 1 failed, 2 usage, 3 no such user.

    Args:
        label: What it is for, such as "Entra"; shown wherever the token's deeds are.
        scope: scim, audit or admin; repeat the option, or separate by commas, for several.
        profile: lenient (what identity providers need) or strict (the RFCs to the letter).
        expires: How long it is valid, such as 180d, 12h, 30m or 90s; without it, until it is revoked.
        user: Whose /Me it is: userName, externalId or id. It limits nothing that the scopes allow.
    """
    from cli.connect import open_tenant
    from ledger.config import read_config
    from ledger.reader import Reader
    from ledger.tenants import issue_token
    from projections.answers import present_user
    from projections.subjects import NoSuchSubject

    expires_at = expiry(expires)
    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, tenant) as (connection, found, vault):
        try:
            user_id = present_user(Reader(connection, found, vault), user) if user is not None else None
        except NoSuchSubject as error:
            raise NoSubject(str(error)) from None
        token_id, secret = issue_token(
            connection, found, vault, label=label, scopes=scopes(scope), profile=profile, expires_at=expires_at,
            user_id=user_id,
        )  # fmt: skip
    told = {"token_id": token_id, "secret": secret, "expires_at": expires_at}
    say(msgspec.json.encode(told).decode() if json else secret)


@token.command(name="list")
def list_tokens_(
    *, tenant: TenantName, json: Json = False, data: Data = None, database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
) -> None:  # fmt: skip
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
        return say(msgspec.json.encode(tokens).decode())
    for each in tokens:
        state = "revoked" if each.revoked_at else "expired" if over(each.expires_at) else "live"
        used = each.last_used_at.strftime("used %Y-%m-%d %H:%M") if each.last_used_at else "never used"
        say(f"{each.token_id}  {state:<8} {','.join(each.scopes):<12} {each.profile:<8} {used:<21} {each.label}")


@token.command
def revoke(
    token: str, /, *, tenant: TenantName, json: Json = False, data: Data = None, database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Revoke a token; it stops working within a second.

    Exit status: 0 revoked, 1 there is no such live token, or failed; 2 usage.

    Args:
        token: Its id or its label.
    """
    from cli.connect import open_tenant
    from ledger.config import read_config
    from ledger.tenants import revoke_token

    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, tenant) as (connection, found, vault):
        revoked = revoke_token(connection, found, vault, token)
    if json:
        return say(msgspec.json.encode(revoked).decode())
    say(f"revoked {revoked.token_id} ({revoked.label})")


def scopes(given: list[str]) -> list[str]:
    """Read scopes that were given one by one, or separated by commas."""
    return list(dict.fromkeys(scope for part in given for scope in part.split(",") if scope))


def expiry(text: str | None) -> datetime | None:
    """Read a duration from now. Raises Misused."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if not match or not int(match[1]):
        raise Misused(f"{text!r} is no duration: write 180d, 12h, 30m or 90s")
    return datetime.now(UTC) + timedelta(**{_UNITS[match[2]]: int(match[1])})


def over(time: datetime | None) -> bool:
    """Whether a time has passed."""
    return time is not None and time <= datetime.now(UTC)


def say(text: Any) -> None:
    """Print what the command is asked for."""
    print(text)  # noqa: T201  # What the command is asked for.
