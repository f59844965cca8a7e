"""Verbs about OAuth clients and their secrets."""

from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from cli.flags import Data, DatabaseUrl, Flag, Json, KeysFolder, TenantName
from cli.verbs import expiry, over, say, scopes

client = App(name="client", help="Register, list and revoke OAuth clients, which are given access tokens for an hour.")
secret = App(name="secret", help="Add, list and revoke the secrets of an OAuth client; several can live at once.")
client.command(secret)

ClientName = Annotated[str, Parameter(metavar="CLIENT", help="The client's id or label.")]


def add_clients(app: App) -> None:
    """Give the application its verbs about clients."""
    app.command(client)


@client.command(name="create")
def create_client(
    *,
    tenant: TenantName,
    label: str,
    scope: Annotated[list[str], Parameter(negative="")],
    profile: str = "lenient",
    json: Json = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
) -> None:
    """Register a client; its id alone is printed, and client secret add gives it secrets.

    Exit status: 0 registered, 1 failed, 2 usage.

    Args:
        label: What it is for, such as "Entra"; shown wherever the client's deeds are.
        scope: scim, audit or admin; repeat the option, or separate by commas, for several.
        profile: lenient (what identity providers need) or strict (the RFCs to the letter).
    """
    from cli.connect import known_public_url, open_tenant
    from ledger.clients import register_client
    from ledger.config import read_config

    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, tenant) as (connection, found, vault):
        client_id = register_client(connection, found, vault, label=label, scopes=scopes(scope), profile=profile)
    told = {"client_id": client_id, "token_url": f"{known_public_url(config)}/oauth/{tenant}/token"}
    say(msgspec.json.encode(told).decode() if json else client_id)


@client.command(name="list")
def list_clients_(
    *, tenant: TenantName, json: Json = False, data: Data = None, database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
) -> None:  # fmt: skip
    """List a tenant's clients.

    Exit status: 0 listed, 1 failed, 2 usage.
    """
    from cli.connect import open_tenant
    from ledger.clients import list_clients
    from ledger.config import read_config

    with open_tenant(read_config(data=data, database_url=database_url, keys=keys), tenant) as (connection, found, _):
        clients = list_clients(connection, found)
    if json:
        return say(msgspec.json.encode(clients).decode())
    for each in clients:
        state = "revoked" if each.revoked_at else "live"
        used = each.last_used_at.strftime("used %Y-%m-%d %H:%M") if each.last_used_at else "never used"
        may = f"{','.join(each.scopes):<12} {each.profile:<8}"
        say(f"{each.client_id}  {state:<8} {may} {used:<21} {each.secrets_live} secrets  {each.label}")


@client.command(name="revoke")
def revoke_client_(
    client: ClientName, /, *, tenant: TenantName, json: Json = False, data: Data = None,
    database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Revoke a client, its secrets and its access tokens; they stop working within a second.

    Exit status: 0 revoked, 1 there is no such live client, or failed; 2 usage.
    """
    from cli.connect import open_tenant
    from ledger.clients import revoke_client
    from ledger.config import read_config

    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, tenant) as (connection, found, vault):
        revoked = revoke_client(connection, found, vault, client)
    if json:
        return say(msgspec.json.encode(revoked).decode())
    say(f"revoked {revoked.client_id} ({revoked.label})")


@secret.command(name="add")
def add_secret(
    client: ClientName, /, *, tenant: TenantName, expires: Flag = None, json: Json = False, data: Data = None,
    database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Give a client one more secret, which alone is printed, this once.

    Exit status: 0 added, 1 there is no such live client, or failed; 2 usage.

    Args:
        expires: How long it is valid, such as 365d; without it, until it is revoked.
    """
    from cli.connect import open_tenant
    from ledger.clients import issue_secret
    from ledger.config import read_config

    expires_at = expiry(expires)
    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, tenant) as (connection, found, vault):
        secret_id, made = issue_secret(connection, found, vault, client, expires_at=expires_at)
    told = {"secret_id": secret_id, "secret": made, "expires_at": expires_at}
    say(msgspec.json.encode(told).decode() if json else made)


@secret.command(name="list")
def list_secrets_(
    client: ClientName, /, *, tenant: TenantName, json: Json = False, data: Data = None,
    database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """List a client's secrets by their ids, never the secrets themselves; also of a client that is revoked.

    Exit status: 0 listed, 1 there is no such client, or failed; 2 usage.
    """
    from cli.connect import open_tenant
    from ledger.clients import find_client_ever, list_secrets
    from ledger.config import read_config

    with open_tenant(read_config(data=data, database_url=database_url, keys=keys), tenant) as (connection, found, _):
        secrets = list_secrets(connection, found, find_client_ever(connection, found, client).client_id)
    if json:
        return say(msgspec.json.encode(secrets).decode())
    for each in secrets:
        state = "revoked" if each.revoked_at else "expired" if over(each.expires_at) else "live"
        used = each.last_used_at.strftime("used %Y-%m-%d %H:%M") if each.last_used_at else "never used"
        say(f"{each.secret_id}  {state:<8} {used:<21} added {each.created_at:%Y-%m-%d %H:%M}")


@secret.command(name="revoke")
def revoke_secret_(
    client: ClientName, secret_id: str, /, *, tenant: TenantName, json: Json = False, data: Data = None,
    database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Revoke one secret of a client, and the access tokens given for it; they stop working within a second.

    Exit status: 0 revoked, 1 there is no such live secret, or failed; 2 usage.

    Args:
        secret_id: Its id, as `client secret list` shows it.
    """
    from cli.connect import open_tenant
    from ledger.clients import revoke_secret
    from ledger.config import read_config

    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, tenant) as (connection, found, vault):
        revoked = revoke_secret(connection, found, vault, client, secret_id)
    if json:
        return say(msgspec.json.encode(revoked).decode())
    say(f"revoked {revoked.secret_id}")
