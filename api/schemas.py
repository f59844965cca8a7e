"""/api/{tenant}/schemas and /resource-types: what a tenant declared, and declaring; a token of scope `admin`.

A body is one Schema or ResourceType (RFC 7643 §6, §7), an array of them, or a ListResponse, in any order; all of
it is declared, or nothing.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from litestar import MediaType, Response, get, post, put

from api.audit import Asked, answered
from api.caller import Caller
from api.exchange import Exchange
from api.recording import Recording, refused, unchanged
from api.service import Service
from domain.declarations import Declarations
from domain.declarations import declare as decide
from domain.errors import InvalidValue, NoSuchResource, ScimError
from domain.events import Declared
from domain.schema_bodies import read_json, sorted_out
from ledger.declarations import STREAM, declare, present_declarations
from ledger.jobs import Job
from ledger.single import append
from ledger.tenants import opaque_id

_SHOWN_CHARACTERS = 200
_SCHEMAS, _TYPES = "schemas", "resource_types"
Deciding = Callable[[Declarations], list[Declared]]


@get("/api/{slug:str}/schemas", media_type=MediaType.JSON)
async def list_schemas(request: Asked, slug: str) -> Response[bytes]:
    """Return the schemas that the tenant declared."""
    return await _listed(request, slug, _SCHEMAS, None)


@get("/api/{slug:str}/schemas/{name:str}", media_type=MediaType.JSON)
async def show_schema(request: Asked, slug: str, name: str) -> Response[bytes]:
    """Return one of them by its URN."""
    return await _listed(request, slug, _SCHEMAS, name)


@get("/api/{slug:str}/resource-types", media_type=MediaType.JSON)
async def list_types(request: Asked, slug: str) -> Response[bytes]:
    """Return the resource types that the tenant declared, and User and Group where it extended them."""
    return await _listed(request, slug, _TYPES, None)


@get("/api/{slug:str}/resource-types/{name:str}", media_type=MediaType.JSON)
async def show_type(request: Asked, slug: str, name: str) -> Response[bytes]:
    """Return one of them by its name."""
    return await _listed(request, slug, _TYPES, name)


@post(["/api/{slug:str}/schemas", "/api/{slug:str}/resource-types"], media_type=MediaType.JSON, status_code=200)
async def add(request: Asked, slug: str) -> Response[bytes]:
    """Declare what the body holds. `extends=User` makes its schemas extensions of that type, `required=true` needed."""
    return await _declared(request, slug, None)


@put(
    ["/api/{slug:str}/schemas/{name:str}", "/api/{slug:str}/resource-types/{name:str}"], media_type=MediaType.JSON
)  # fmt: skip
async def replace(request: Asked, slug: str, name: str) -> Response[bytes]:
    """Declare the next revision of one schema or resource type, named by URN or name; a new one too."""
    return await _declared(request, slug, name)


SCHEMA_HANDLERS = [list_schemas, show_schema, list_types, show_type, add, replace]


async def _listed(request: Asked, slug: str, of: str, name: str | None) -> Response[bytes]:
    def work(service: Service, caller: Caller) -> Any:
        with service.reading.connection() as connection:
            documents = getattr(present_declarations(connection, caller.tenant.tenant_id), of)
        if name is None:
            return list(documents.values())
        if name not in documents:
            raise NoSuchResource(f"the tenant has declared no {name[:_SHOWN_CHARACTERS]}")
        return documents[name]

    return await answered(request, slug, "admin", work)


async def _declared(request: Asked, slug: str, name: str | None) -> Response[bytes]:
    proxies = request.app.state.service.config.trusted_proxies
    exchange = Exchange(request.scope, request.receive, request.send, proxies)
    exchange.body = await request.body()

    def work(service: Service, caller: Caller) -> Any:
        exchange.caller = caller
        with service.reading.connection() as connection:
            try:
                deciding = _deciding(exchange.body, request.query_params, name)
                return declare(connection, caller.tenant, deciding, partial(_job, exchange))
            except ScimError as error:
                append(connection, refused(exchange, error))
                raise

    return await answered(request, slug, "admin", work)


def _job(exchange: Exchange, revision: int, events: Sequence[Declared]) -> Job:
    if not events:
        return unchanged(exchange, 200, revision)
    recording = Recording(exchange, 200, revision)
    for version, event in enumerate(events, revision + 1):
        recording.add(event, STREAM, version, opaque_id(recording.caller.tenant))
    return recording.finish()


def _deciding(raw: bytes, asked: Any, name: str | None) -> Deciding:
    """The decision that a request asks for. Raises InvalidSyntax, InvalidValue."""
    body = read_json(raw)
    extends, required = _once(asked, "extends"), _once(asked, "required")
    if required not in (None, "true", "false"):
        raise InvalidValue("required is true or false")
    if required == "true" and extends is None:
        raise InvalidValue("required=true says what extends=TYPE needs; in the body, schemaExtensions have it")
    if name is not None:
        named = [each.get("id", each.get("name")) for kind in sorted_out(body) for each in kind]
        if named != [name]:
            raise InvalidValue(f"the body declares something else than {name[:_SHOWN_CHARACTERS]}")
    return lambda present: decide(present, body, extends=extends, required=required == "true")


def _once(asked: Any, name: str) -> str | None:
    given: list[str] = asked.getall(name, [])
    if len(given) > 1:
        raise InvalidValue(f"{name} is given {len(given)} times; a declaration takes it once")
    return given[0] if given else None
