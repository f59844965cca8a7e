"""/oauth/{tenant}/token: access tokens for OAuth clients, by their secret (RFC 6749 §4.4).

Errors are those of §5.2, and the same whatever is wrong with tenant, client or secret: nothing is revealed.
"""

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from api.exchange import client_address, named
from api.rates import Buckets
from api.service import Service
from domain.errors import TooManyRequests
from ledger.clients import Granted, grant, identify_client
from ledger.connections import DatabaseError, DatabaseUnreachable, is_passing

LIFETIME_S = 3_600
_BODY_BYTES_MAX = 16_384
_FIELDS_MAX = 20
_ANSWER_S = 10.0
_RETRY_AFTER_S = 2
# What an address may get wrong, and what may be asked in one client's name, right or wrong: at once, and a second.
_FAILURES_BURST, _FAILURES_PER_S = 20, 0.2
_ATTEMPTS_BURST, _ATTEMPTS_PER_S = 60, 1.0
_FORM = "application/x-www-form-urlencoded"
_HEADERS = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_TRY_AGAIN = "temporarily_unavailable"  # Of §4.1.2.1: §5.2 has no word for it.
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="scim-ledger"'}
_encode = msgspec.json.Encoder().encode


class OAuthError(Exception):
    """A refusal as RFC 6749 §5.2 shapes it. code: its `error`; the text is its description."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code, self.status = code, status


class Asked(Struct, frozen=True):
    """A well-formed token request. scopes: those asked for; None asks for all that the client may have."""

    slug: str
    client_id: str
    secret: str
    scopes: frozenset[str] | None


def token_endpoint(service: Service) -> HTTPRouteHandler:
    """Return the handler of the token endpoint."""
    endpoint = TokenEndpoint(service)

    @post("/oauth/{slug:str}/token", media_type=MediaType.JSON)
    async def give_token(request: Request[Any, Any, Any], slug: str) -> Response[bytes]:
        """Give an access token."""
        return await endpoint.answer(request, slug)

    return give_token


class TokenEndpoint:
    """Answers token requests of one process, and remembers who got too many wrong."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._failures = Buckets()
        self._attempts = Buckets()

    async def answer(self, request: Request[Any, Any, Any], slug: str) -> Response[bytes]:
        """Answer one request."""
        try:
            form = read_form(request.headers.get("content-type", ""), await request.body())
            asked = read_request(slug, request.headers.get("authorization"), form)
            granted, scopes = await self._grant(self._address(request), asked)
        except OAuthError as error:
            return failed(error.status, error.code, str(error), _CHALLENGE if error.status == 401 else {})
        except TooManyRequests as error:
            return failed(429, _TRY_AGAIN, "too many attempts, try again later", error.headers)
        except (DatabaseError, TimeoutError) as error:
            if not isinstance(error, (DatabaseUnreachable, TimeoutError)) and not is_passing(error):
                raise
            return failed(503, _TRY_AGAIN, "the database cannot be reached", {"Retry-After": str(_RETRY_AFTER_S)})
        body: dict[str, object] = {
            "access_token": granted.secret,
            "token_type": "Bearer",
            "expires_in": granted.lifetime_s,
            "scope": " ".join(scopes),
        }
        return _json(200, body, {})

    async def _grant(self, address: str, asked: Asked) -> tuple[Granted, list[str]]:
        # Keyed by what is claimed, there or not: a limit tells no more than the answer does.
        failures = self._failures.of(network(address), _FAILURES_PER_S, _FAILURES_BURST)
        failures.take()
        self._attempts.of((asked.slug, asked.client_id[:64]), _ATTEMPTS_PER_S, _ATTEMPTS_BURST).take()
        wrong = False
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await asyncio.to_thread(self._ask, asked)
        except OAuthError as error:
            wrong = error.code == "invalid_client"
            raise
        finally:
            if not wrong:
                failures.give_back()

    def _ask(self, asked: Asked) -> tuple[Granted, list[str]]:
        with self._service.granting.connection() as connection:
            presented = identify_client(connection, asked.slug, asked.client_id, asked.secret)
            if presented is None:
                raise _invalid_client()
            # More than the client may have is left out, as §3.3 allows; the answer says what is given.
            scopes = [scope for scope in presented.scopes if asked.scopes is None or scope in asked.scopes]
            if not scopes:
                raise OAuthError("invalid_scope", f"this client may have: {' '.join(presented.scopes)}")
            granted = grant(connection, presented, scopes, lifetime_s=LIFETIME_S)
            if granted is None:
                raise _invalid_client()
            return granted, scopes

    def _address(self, request: Request[Any, Any, Any]) -> str:
        headers = named(list(request.scope["headers"]))
        return client_address(request.scope, headers, self._service.config.trusted_proxies)


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """Read a form; a parameter without value counts as left out (§3.1). Raises OAuthError."""
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise OAuthError("invalid_request", f"send {_FORM}")
    if len(body) > _BODY_BYTES_MAX:
        raise OAuthError("invalid_request", f"a token request has {_BODY_BYTES_MAX} bytes at most", 413)
    try:
        fields = parse_qsl(body.decode(), errors="strict", max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise OAuthError("invalid_request", "the form cannot be read") from None
    form = dict(fields)
    if len(form) < len(fields):
        raise OAuthError("invalid_request", "a parameter is there twice")
    return form


def read_request(slug: str, authorization: str | None, form: Mapping[str, str]) -> Asked:
    """Read what is asked and by whom: client_secret_basic or client_secret_post, one of them. Raises OAuthError."""
    match form.get("grant_type"):
        case "client_credentials":
            pass
        case None:
            raise OAuthError("invalid_request", "grant_type is missing")
        case _:
            raise OAuthError("unsupported_grant_type", "client_credentials is the only grant offered")
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if authorization is not None:
        basic_id, basic_secret = _basic(authorization)
        if secret is not None or client_id not in (None, basic_id):
            raise OAuthError("invalid_request", "authenticate in one way: the Authorization header, or the form")
        client_id, secret = basic_id, basic_secret
    if not client_id or not secret:
        raise _invalid_client()
    scope = form.get("scope")
    return Asked(slug, client_id, secret, frozenset(scope.split()) if scope else None)


def _basic(authorization: str) -> tuple[str, str]:
    """Read the Basic scheme; both parts are form-encoded within it (§2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise _invalid_client()
    try:
        client_id, _, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
        return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, ValueError):
        raise _invalid_client() from None


def _invalid_client() -> OAuthError:
    return OAuthError("invalid_client", "no such client, or not its secret", 401)


def network(address: str) -> str:
    """What counts as one address: of IPv6 the first half, of which everybody has all the other halves."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    return known.exploded[:19] if isinstance(known, IPv6Address) and known.ipv4_mapped is None else address


def failed(status: int, code: str, sentence: str, headers: Mapping[str, str]) -> Response[bytes]:
    """Return a refusal as RFC 6749 §5.2 shapes it. code: its `error`."""
    return _json(status, {"error": code, "error_description": sentence}, headers)


def _json(status: int, body: Mapping[str, object], headers: Mapping[str, str]) -> Response[bytes]:
    return Response(_encode(body), status_code=status, headers={**_HEADERS, **headers}, media_type=MediaType.JSON)
