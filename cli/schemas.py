"""The verbs about a tenant's own schemas: schema add, list, show."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter, Token

from cli.exits import Failed, Misused
from cli.flags import Data, DatabaseUrl, Flag, Json, KeysFolder, TenantName
from cli.verbs import say

_FILE_BYTES_MAX = 4 * 1024 * 1024


def _path(_: Any, tokens: Sequence[Token]) -> Path:
    """A file, or `-`. Raises Misused for every other word with a hyphen first: it is a misspelt option."""
    written = tokens[0].value
    if written.startswith("-") and written != "-":
        raise Misused(f"schema add has no option {written!r}; ./scim-ledger schema add --help tells what it takes")
    return Path(written)


# Without the leading hyphen `-` would count as an option, and an unknown one.
_File = Annotated[Path, Parameter(allow_leading_hyphen=True, converter=_path)]

schema = App(name="schema", help="Declare schemas and resource types of a tenant's own, list and show them.")


def add_schemas(app: App) -> None:
    """Give the application its verbs about schemas."""
    app.command(schema)


@schema.command
def add(
    tenant: TenantName, file: _File, /, *, extends: Flag = None,
    required: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    json: Json = False, data: Data = None, database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Declare what a file holds: SCIM Schemas and ResourceTypes (RFC 7643 §7, §6), all of it or nothing.

    A file that declares a schema again is its next revision. A running service has it within a second.

    Exit status: 0 declared, or it was so; 1 refused, with the reason, or failed; 2 usage, or no file to read.

    Args:
        file: JSON: one Schema or ResourceType, an array of them, or a ListResponse. `-` reads standard input.
        extends: The type that the schemas of the file extend, such as User, unless a ResourceType in it says so.
        required: Every resource of that type needs the extension from now on.
    """
    from cli.connect import open_tenant
    from domain.declarations import declare as decide
    from domain.errors import ScimError
    from domain.schema_bodies import read_json
    from ledger.config import read_config
    from ledger.declarations import declare, operators_job

    if required and extends is None:
        raise Misused("--required says what --extends TYPE needs; in a file, schemaExtensions have it")
    raw = _read(file)
    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, tenant) as (connection, found, vault):
        try:
            body = read_json(raw)
            revised = declare(
                connection, found, lambda present: decide(present, body, extends=extends, required=required),
                operators_job(found, vault),
            )  # fmt: skip
        except ScimError as error:
            raise Failed(error.detail) from None
    if json:
        return say(msgspec.json.encode(revised).decode())
    for name in revised.declared:
        say(f"declared {name}")
    if not revised.declared:
        say("all of it is declared already")


@schema.command(name="list")
def list_(
    tenant: TenantName, /, *, json: Json = False, data: Data = None, database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
) -> None:  # fmt: skip
    """List what a tenant declared: its schemas, and the resource types that are its own or have its extensions.

    Exit status: 0 listed, 1 failed, 2 usage.
    """
    from projections.words import counted

    schemas, types = _declared(tenant, data, database_url, keys)
    if json:
        return say(msgspec.json.encode([*schemas.values(), *types.values()]).decode())
    for urn, document in schemas.items():
        say(f"Schema        {urn}  {counted(len(document['attributes']), 'attribute')}")
    for name, document in types.items():
        extensions = [f"{each['schema']}{' (required)' * each['required']}" for each in _extensions(document)]
        say(f"ResourceType  {name} at {document['endpoint']}  {', '.join([document['schema'], *extensions])}")


@schema.command
def show(
    tenant: TenantName, name: str, /, *, json: Json = False, data: Data = None, database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Show one schema or resource type as the service publishes it, which is JSON that schema add takes.

    Exit status: 0 shown, 1 the tenant declared no such, or failed; 2 usage.

    Args:
        name: The schema's URN, or the resource type's name.
    """
    schemas, types = _declared(tenant, data, database_url, keys)
    document = schemas.get(name) or types.get(name)
    if document is None:
        raise Failed(f"tenant {tenant} has declared no {name}; ./scim-ledger schema list {tenant} shows all")
    encoded = msgspec.json.encode(document)
    say((encoded if json else msgspec.json.format(encoded, indent=2)).decode())


def _declared(
    tenant: str, data: str | None, database_url: str | None, keys: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    from cli.connect import open_tenant
    from ledger.config import read_config
    from ledger.declarations import present_declarations

    with open_tenant(read_config(data=data, database_url=database_url, keys=keys), tenant) as (connection, found, _):
        declared = present_declarations(connection, found.tenant_id)
    return declared.schemas, declared.resource_types


def _extensions(document: dict[str, Any]) -> list[dict[str, Any]]:
    extensions: list[dict[str, Any]] = document.get("schemaExtensions", [])
    return extensions


def _read(file: Path) -> bytes:
    import sys

    try:
        raw = sys.stdin.buffer.read(_FILE_BYTES_MAX + 1) if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Misused(f"{file} cannot be read: {(error.strerror or 'no reason was given').lower()}") from None
    if len(raw) > _FILE_BYTES_MAX:
        raise Failed(f"{file} is larger than {_FILE_BYTES_MAX} bytes")
    return raw
