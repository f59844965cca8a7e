"""ServiceProviderConfig, ResourceTypes, Schemas (RFC 7644 §4, RFC 7643 §5 to §7). Read-only, public shape."""

from hashlib import sha256
from typing import Any

import msgspec

from api.answers import etag
from api.bulk import OPERATIONS_MAX
from api.conditions import not_modified
from api.cursors import TIMEOUT_S
from api.exchange import Answer, Exchange
from api.query import COUNT_DEFAULT, COUNT_MAX, parameters
from api.service import Service
from domain.attributes import describe_resource_type, describe_schema
from domain.errors import Forbidden, NoSuchResource

_CONFIG_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_LIST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


def service_provider_config(service: Service, exchange: Exchange, slug: str) -> Answer:
    """GET /ServiceProviderConfig: what is offered, every number included, readable without a token (DI-04).

    It is the same for every tenant, there or not, but for the name that the client itself gave.
    """
    _refuse_filter(exchange)
    base, bulk_body_bytes_max = service.base(slug), service.config.bulk_body_bytes_max
    config = {
        "schemas": [_CONFIG_SCHEMA],
        "documentationUri": "https://www.rfc-editor.org/rfc/rfc7644",
        "patch": {"supported": True},
        "bulk": {"supported": True, "maxOperations": OPERATIONS_MAX, "maxPayloadSize": bulk_body_bytes_max},
        "filter": {"supported": True, "maxResults": COUNT_MAX},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "pagination": {
            "cursor": True,
            "index": True,
            "defaultPaginationMethod": "index",
            "defaultPageSize": COUNT_DEFAULT,
            "maxPageSize": COUNT_MAX,
            "cursorTimeout": TIMEOUT_S,
        },
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "The Secret Token of the tenant, sent as Authorization: Bearer",
                "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
                "primary": True,
            },
            {
                "type": "oauth2",
                "name": "OAuth 2.0 client credentials",
                "description": f"An access token for an hour from {service.token_url(slug)}, for a client's secret",
                "specUri": "https://www.rfc-editor.org/rfc/rfc6749",
                "primary": False,
            },
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }
    return _tagged(exchange, config)


def resource_types(exchange: Exchange, base: str, name: str | None) -> Answer:
    """GET /ResourceTypes and /ResourceTypes/{name}"""
    types = exchange.authenticated.types.types
    described = [_located(describe_resource_type(each), "ResourceType", base) for each in types]
    return _described(exchange, described, name)


def schemas(exchange: Exchange, base: str, urn: str | None) -> Answer:
    """GET /Schemas and /Schemas/{urn}"""
    known = exchange.authenticated.types.schemas
    return _described(exchange, [_located(describe_schema(each), "Schema", base) for each in known], urn)


def _located(described: dict[str, Any], kind: str, base: str) -> dict[str, Any]:
    return {**described, "meta": {"resourceType": kind, "location": f"{base}/{kind}s/{described['id']}"}}


def _described(exchange: Exchange, described: list[dict[str, Any]], wanted: str | None) -> Answer:
    _refuse_filter(exchange)
    if wanted is None:
        # Sorting and paging are ignored here: always the full list (DI-18).
        body: dict[str, Any] = {
            "schemas": [_LIST_SCHEMA],
            "totalResults": len(described),
            "startIndex": 1,
            "itemsPerPage": len(described),
            "Resources": described,
        }
        return _tagged(exchange, body)
    for each in described:
        if str(each["id"]).lower() == wanted.lower():
            return _tagged(exchange, each)
    raise NoSuchResource


def _refuse_filter(exchange: Exchange) -> None:
    if "filter" in parameters(exchange.query):
        raise Forbidden("discovery endpoints take no filter")  # DI-17


def _tagged(exchange: Exchange, body: dict[str, Any]) -> Answer:
    """Answer with an ETag of what is said, or 304 to who has it (DI-21)."""
    encoded = msgspec.json.encode(body)
    version = sha256(encoded).hexdigest()[:16]
    if (answer := not_modified(exchange, version)) is not None:
        return answer
    return Answer(200, encoded, [(b"etag", etag(version).encode())])
