"""The SCIM endpoint: one ASGI application mounted in Litestar, a dispatcher over resource types.

Mounted rather than a handler a route: Litestar's handlers cost 1.6 times as much end to end (DECISIONS 3), and
resource types that tenants define want a dispatcher anyway.
"""

import re
from collections.abc import Awaitable, Callable

import structlog
from litestar.types import Receive, Scope, Send

from api import bulk, discovery, groups, listing, users
from api.answers import error_answer
from api.caller import Caller
from api.exchange import Answer, ClientGone, Exchange
from api.query import parameters, refuse_long, selection
from api.refusals import Refusals
from api.service import Service
from domain.attributes import ResourceType
from domain.errors import (
    MethodNotAllowed,
    NoSuchResource,
    NotOffered,
    ScimError,
    Unauthenticated,
    Unavailable,
    UnsupportedVersion,
)
from domain.ids import is_id
from domain.selections import Selection
from ledger.connections import DatabaseError, is_passing, sqlstate
from ledger.writer import ClocksDisagree, QueueFull, Unreachable

_VERSION = re.compile(r"v\d+", re.IGNORECASE)
_RETRY_AFTER_S = 2
# How endpoints are named in metrics and log lines, those of tenants' own types and unknown ones as "other".
_ROUTES = {name.lower(): (f"/{name}", f"/{name}/{{id}}") for name in ("Users", "Groups", "Bulk")}
_ROUTES["me"] = ("/Me", "/Me")
_OTHER = ("/other", "/other/{id}")
_READ_ONLY = ("ServiceProviderConfig", "ResourceTypes", "Schemas")
_READING = ("GET", "HEAD")
_KNOWN_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))

log = structlog.get_logger()
Handler = Callable[[Service, Exchange, ResourceType, str, Selection | None], Awaitable[Answer]]
_METHODS: dict[str, Handler] = {
    "GET": users.read, "HEAD": users.read, "PUT": users.replace, "PATCH": users.patch,
}  # fmt: skip
_GROUP_METHODS: dict[str, Handler] = {
    "GET": groups.read, "HEAD": groups.read, "PUT": groups.replace, "PATCH": groups.patch,
}  # fmt: skip


class _Defect(ScimError):
    """A defect of ours (ER-06): the detail says where to look, not what went wrong inside."""

    status = 500


class Scim:
    """Answers every request below /scim."""

    def __init__(self, service: Service, refusals: Refusals) -> None:
        self._service = service
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever happens, with a SCIM body."""
        exchange = Exchange(scope, receive, send, self._service.config.trusted_proxies)
        try:
            answer = await self._answer(exchange)
        except ClientGone:
            return
        await exchange.send(answer)
        self._account(exchange, answer)

    async def _answer(self, exchange: Exchange) -> Answer:
        try:
            try:
                return await self._route(exchange)
            except ScimError as error:
                await self._refusals.record(exchange, error)
                return error_answer(error)
        except QueueFull:
            return error_answer(Unavailable(1, "more writes are waiting than will be served soon"))
        except (Unreachable, ClocksDisagree) as error:
            return error_answer(Unavailable(_RETRY_AFTER_S, str(error)))
        except ScimError as error:
            return error_answer(error)
        except ClientGone:
            raise
        except Exception as error:
            return self._defect(exchange, error)

    def _defect(self, exchange: Exchange, error: Exception) -> Answer:
        if is_passing(error):
            log.error("database", request_id=exchange.request_id, sqlstate=sqlstate(error))
            return error_answer(Unavailable(_RETRY_AFTER_S, "the database cannot do this at the moment"))
        # The message of a database error can hold values of a row: its class and state must do.
        is_database = isinstance(error, DatabaseError)
        known = {"sqlstate": sqlstate(error)} if is_database else {}
        trace = None if is_database else error
        log.error("defect", request_id=exchange.request_id, error=type(error).__name__, exc_info=trace, **known)
        return error_answer(_Defect(f"an internal error; the operator finds it under {exchange.request_id}"))

    async def _route(self, exchange: Exchange) -> Answer:
        segments = exchange.segments
        if segments and segments[-1] == "":
            segments = segments[:-1]  # EP-18: one trailing slash.
        if not segments:
            raise Unauthenticated
        slug, rest = segments[0], segments[1:]
        if rest and _VERSION.fullmatch(rest[0]):
            version, rest = rest[0].lower(), rest[1:]
        else:
            version = "v2"  # VT-01: without one, the newest.
        if rest == ["ServiceProviderConfig"] and exchange.method in _READING and version == "v2":
            return discovery.service_provider_config(self._service, exchange, slug)
        exchange.caller = await self._service.callers.identify(slug, exchange.headers.get(b"authorization"))
        if exchange.caller.bucket is not None:
            await exchange.caller.bucket.turn()
        refuse_long(exchange.query)
        if self._service.quiet and exchange.method not in _READING:
            await self._service.quiet.passed(exchange.caller.tenant.tenant_id)
        rest = _spelled(exchange.caller, rest)
        self._authorise(exchange, rest)
        if version != "v2":
            raise UnsupportedVersion
        return await self._dispatch(exchange, rest)

    def _authorise(self, exchange: Exchange, rest: list[str]) -> None:
        """Require the scope for SCIM. Lists and resources as of a moment need another one, which `listing` requires."""
        caller = exchange.authenticated
        if exchange.query and exchange.method in _READING and b"asof" in exchange.query.lower():
            exchange.as_of = parameters(exchange.query).get("asof")
            if exchange.as_of is not None and (not rest or rest[0] in caller.types.by_endpoint):
                return
        if exchange.method == "POST" and rest[-1:] == [".search"]:
            return  # Its body says.
        caller.require("scim")

    async def _dispatch(self, exchange: Exchange, rest: list[str]) -> Answer:
        endpoint = rest[0] if rest else ""
        types = exchange.authenticated.types
        resource_type = types.by_endpoint.get(endpoint)
        if resource_type is not None:
            if len(rest) == 1:
                return await self._collection(exchange, resource_type)
            if len(rest) == 2 and rest[1] == ".search":
                return await _only(exchange, "POST", listing.search(self._service, exchange, (resource_type,)))
            if len(rest) == 2:
                return await self._resource(exchange, resource_type, rest[1])
        if not rest:
            return await _only(exchange, "GET", listing.read(self._service, exchange, types.types))
        if rest == [".search"]:
            return await _only(exchange, "POST", listing.search(self._service, exchange, types.types))
        if endpoint in _READ_ONLY and len(rest) <= 2:
            return self._discovery(exchange, endpoint, rest[1] if len(rest) == 2 else None)
        if rest == ["Me"]:
            return await self._me(exchange)
        if rest == ["Bulk"]:
            return await _only(exchange, "POST", bulk.execute(self._service, exchange))
        raise NoSuchResource("there is no such endpoint")

    async def _collection(self, exchange: Exchange, resource_type: ResourceType) -> Answer:
        if exchange.method in _READING:
            return await listing.read(self._service, exchange, (resource_type,))
        if exchange.method != "POST":
            raise _other_method(exchange, "GET", "HEAD", "POST")
        create = groups.create if resource_type.has_members else users.create
        return await create(self._service, exchange, resource_type, _wanted(exchange, resource_type))

    async def _resource(self, exchange: Exchange, resource_type: ResourceType, resource_id: str) -> Answer:
        if is_id(resource_id):
            exchange.target = (f"{resource_type.stream}/{resource_id}", resource_id)
        service = self._service
        if exchange.as_of is not None:
            return await listing.read_then(
                service, exchange, resource_type, resource_id, _wanted(exchange, resource_type)
            )
        if exchange.method == "DELETE":
            delete = groups.delete if resource_type.has_members else users.delete
            return await delete(service, exchange, resource_type, resource_id)
        methods = _GROUP_METHODS if resource_type.has_members else _METHODS
        handler = methods.get(exchange.method)
        if handler is None:
            raise _other_method(exchange, *methods, "DELETE")
        return await handler(service, exchange, resource_type, resource_id, _wanted(exchange, resource_type))

    async def _me(self, exchange: Exchange) -> Answer:
        """The user that the token is bound to, under its permanent URI: processed here, not redirected (ME-02)."""
        user_id = exchange.authenticated.user_id
        if user_id is None:
            raise NoSuchResource("this token is bound to no user, so there is nobody that /Me could be")  # ME-03
        return await self._resource(exchange, exchange.authenticated.types.user, user_id)

    def _discovery(self, exchange: Exchange, endpoint: str, name: str | None) -> Answer:
        if exchange.method not in _READING:
            raise _other_method(exchange, "GET", "HEAD")
        base = self._service.base(exchange.authenticated.tenant.slug)
        if endpoint == "ResourceTypes":
            return discovery.resource_types(exchange, base, name)
        if endpoint == "Schemas":
            return discovery.schemas(exchange, base, name)
        if name is not None:
            raise NoSuchResource
        return discovery.service_provider_config(self._service, exchange, exchange.authenticated.tenant.slug)

    def _account(self, exchange: Exchange, answer: Answer) -> None:
        """One metric, one log line: ids and routes, never names, bodies or query strings."""
        elapsed_us = exchange.elapsed_us()
        route = _route(exchange.segments)[exchange.target is not None]
        self._service.metrics.request(route, exchange.method, answer.status, elapsed_us)
        caller = exchange.caller
        self._service.access(
            exchange.received_ns,
            exchange.request_id,
            caller.tenant.tenant_id if caller else None,
            caller.token_id if caller else None,
            exchange.method if exchange.method.isalpha() else "?",
            route,
            exchange.target[1] if exchange.target else None,
            answer.status,
            elapsed_us,
        )


def _route(segments: list[str]) -> tuple[str, str]:
    """An endpoint's name, without and with an id after it. It comes second, or third after the version."""
    for segment in segments[1:3]:
        if (found := _ROUTES.get(segment.lower())) is not None:
            return found
    return _OTHER


def _spelled(caller: Caller, rest: list[str]) -> list[str]:
    """The path below the base, its endpoint in the letter case it has, where the tenant takes any (RX-33)."""
    if not rest or not caller.tenant.settings.endpoints_any_case:
        return rest
    asked = rest[0].lower()
    known = (*caller.types.by_endpoint, *_READ_ONLY, "Me", "Bulk")
    return [next((name for name in known if name.lower() == asked), rest[0]), *rest[1:]]


def _wanted(exchange: Exchange, resource_type: ResourceType) -> Selection | None:
    return selection(parameters(exchange.query), resource_type)


async def _only(exchange: Exchange, method: str, answer: Awaitable[Answer]) -> Answer:
    """Answer one method; a HEAD counts as its GET."""
    if exchange.method == method or (method == "GET" and exchange.method == "HEAD"):
        return await answer
    answer.close()  # type: ignore[attr-defined]  # A coroutine that is not wanted.
    raise _other_method(exchange, *(("GET", "HEAD") if method == "GET" else (method,)))


def _other_method(exchange: Exchange, *allow: str) -> ScimError:
    """405 with the methods that the endpoint has (EP-09); 501 for one that nobody here knows (EP-10)."""
    if exchange.method in _KNOWN_METHODS:
        return MethodNotAllowed(*allow)
    return NotOffered("no endpoint has this method")
