"""/schema: every endpoint in one OpenAPI 3.1 document, for client generators and for our own fuzz tests."""

from functools import cache

import msgspec
from litestar import HttpMethod, MediaType, route
from litestar.handlers import HTTPRouteHandler

from api.openapi.audit import audit_paths
from api.openapi.messages import components
from api.openapi.others import other_paths
from api.openapi.scim import scim_paths
from api.openapi.shapes import Json
from domain.schemas import RESOURCE_TYPES

_ABOUT = """\
The SCIM 2.0 endpoint that never forgets. Resources are described with the attributes that every tenant has; a tenant's
own schemas and resource types are at its /Schemas and /ResourceTypes. Clients that deviate from this description in the
ways that identity providers do are understood as well, unless their token has the strict profile."""
_BEARER = "The Secret Token of a tenant, or an access token of a client. Its scopes say what it may do."
_CLIENT = "A registered client's id and secret, each form-encoded; they may stand in the form instead."


def schema_endpoint(public_url: str) -> HTTPRouteHandler:
    """Return the handler of /schema. public_url: where the service is reached."""

    @cache  # Made when first asked for.
    def encoded() -> bytes:
        return msgspec.json.encode(document(public_url))

    @route("/schema", http_method=[HttpMethod.GET, HttpMethod.HEAD], media_type=MediaType.JSON)
    async def schema() -> bytes:
        """Return the document: it says nothing of any tenant, so it needs no token. The server drops HEAD's body."""
        return encoded()

    return schema


def document(public_url: str) -> Json:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "scim-ledger",
            "summary": "SCIM 2.0, and questions to the ledger of everything it was told",
            "description": _ABOUT,
            "version": "v2",  # Of the interface, as in its URLs.
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "tags": [
            {"name": "SCIM", "description": "For identity providers; a token of scope scim."},
            {"name": "Audit", "description": "For auditors and admins; a token of scope audit."},
            {
                "name": "Admin",
                "description": "Schemas of a tenant's own, and Entra's log; a token of scope admin.",
            },
            {"name": "OAuth", "description": "Access tokens for an hour, for registered clients."},
            {"name": "Operations", "description": "For operators; no token."},
        ],
        "paths": {**scim_paths(RESOURCE_TYPES), **audit_paths(), **other_paths()},
        "components": {
            "schemas": components(RESOURCE_TYPES),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": _BEARER},
                "client": {"type": "http", "scheme": "basic", "description": _CLIENT},
            },
        },
    }
