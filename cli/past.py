"""The verbs about moments: list, diff."""

from collections.abc import Callable, Iterator
from typing import Any

from cyclopts import App

from cli.exits import Misused
from cli.flags import Data, DatabaseUrl, Flag, Json, KeysFolder, PublicUrl, TenantName


def add_past(app: App) -> None:
    """Give the application its verbs about moments."""
    app.command(list_, name="list")
    app.command(diff)


def list_(
    tenant: TenantName, /, *, as_of: Flag = None, type: Flag = None, filter: Flag = None, json: Json = False,
    data: Data = None, database_url: DatabaseUrl = None, keys: KeysFolder = None, public_url: PublicUrl = None,
) -> None:  # fmt: skip
    """List everybody as they were at a time, or are now, with the groups they belonged to.

    Exit status: 0 listed, 1 failed, 2 usage.

    Args:
        as_of: An RFC 3339 time, such as 2026-11-24T09:00:00Z (everything recorded until then), or a position.
        type: User, Group, or another resource type; all of them without it.
        filter: A SCIM filter, such as 'active eq true'; those of one type need --type.
    """
    from cli.connect import known_public_url
    from ledger.config import read_config

    config = read_config(data=data, database_url=database_url, keys=keys, public_url=public_url)
    base = f"{known_public_url(config)}/scim/{tenant}/v2"

    def told(reader: Any) -> Iterator[str]:
        from api.answers import resource_bytes
        from domain.errors import InvalidValue
        from domain.filters import parse_filter
        from projections.asof import last_position, population
        from projections.asof_words import line
        from projections.moments import moment
        from projections.queries import Question

        known = _types(reader).types
        types = tuple(kind for kind in known if type in (None, kind.name))
        if not types:
            raise InvalidValue(f"--type is one of {', '.join(kind.name for kind in known)}")
        asked = moment(as_of, "--as-of")
        at = last_position(reader, reader.size() - 1 if asked is None else asked)
        parsed = None if filter is None else parse_filter(filter, types)
        question = Question(reader.tenant.tenant_id, types, parsed, None, base, at)
        found = population(reader, question)
        if not json:
            yield f"{tenant} at position {at}\n"
            yield from (f"{line(*each)}\n" for each in found)
            return
        yield f'{{"tenant":"{tenant}","position":{at},"resources":['
        for number, (kind, stored, edges) in enumerate(found):
            yield (",\n" if number else "\n") + resource_bytes(base, kind, stored, edges, None).decode()
        yield "]}\n"

    _tell(tenant, config, told)


def diff(
    tenant: TenantName, /, *, from_: Flag = None, to: Flag = None, json: Json = False,
    data: Data = None, database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Tell what is different between two moments: who came, left, was renamed, changed; who joined and left groups.

    Exit status: 0 told, also that nothing is different; 1 failed; 2 usage.

    Args:
        from_: The first moment: an RFC 3339 time (everything recorded until then), or a position.
        to: The second one, likewise; now without it.
    """
    from ledger.config import read_config

    def told(reader: Any) -> Iterator[str]:
        from projections.difference_words import as_json, as_text
        from projections.differences import Differences, moments
        from projections.moments import moment, past_moment

        standings = moments(reader, past_moment(from_, "--from"), moment(to, "--to"))
        with Differences(reader, _types(reader), *standings).opened() as differences:
            if json:
                yield from (piece.decode() for piece in as_json(tenant, differences))
                yield "\n"
            else:
                yield from (f"{line}\n" for line in as_text(tenant, differences))

    _tell(tenant, read_config(data=data, database_url=database_url, keys=keys), told)


def _types(reader: Any) -> Any:
    from domain.declarations import resource_types
    from ledger.declarations import present_declarations

    return resource_types(present_declarations(reader.connection, reader.tenant.tenant_id))


def _tell(slug: str, config: Any, told: Callable[[Any], Iterator[str]]) -> None:
    from cli.connect import open_tenant
    from domain.errors import ScimError
    from ledger.reader import Reader

    with open_tenant(config, slug) as (connection, tenant, vault):
        try:
            for text in told(Reader(connection, tenant, vault)):
                print(text, end="")  # noqa: T201  # What the command is asked for.
        except ScimError as error:
            raise Misused(error.detail) from None
