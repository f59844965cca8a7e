"""Lists and searches: GET on a collection or the root, POST .search (RFC 7644 §3.4.2, §3.4.3)."""

import asyncio

from api.answers import group_bytes, list_bytes, shows, user_bytes
from api.exchange import Answer, Exchange
from api.query import Query, list_query, parameters, search_query
from api.service import Service
from domain.attributes import ResourceType
from domain.bodies import parse_json
from domain.errors import InvalidSyntax
from domain.filters import parse_filter
from domain.selections import Selection
from ledger.lookups import StoredResource
from projections.queries import Found
from projections.where import point

Types = tuple[ResourceType, ...]
_SEARCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


async def read(service: Service, exchange: Exchange, types: Types) -> Answer:
    """GET on a collection, or on the base for all types."""
    return await _list(service, exchange, types, list_query(parameters(exchange.query)))


async def search(service: Service, exchange: Exchange, types: Types) -> Answer:
    """POST .search: the same question without personal data in a URL."""
    body = parse_json(await exchange.read_body(service.config.body_bytes_max))
    named = next((value for name, value in body.items() if name.lower() == "schemas"), None)
    if named is not None and (not isinstance(named, list) or _SEARCH_SCHEMA not in named):
        raise InvalidSyntax(f"the body must be a {_SEARCH_SCHEMA}")
    return await _list(service, exchange, types, search_query(body))


async def _list(service: Service, exchange: Exchange, types: Types, query: Query) -> Answer:
    expression = None if query.filter is None else parse_filter(query.filter, types)
    tenant = exchange.authenticated.tenant
    base = service.base(tenant.slug)
    asked = point(expression) if expression is not None else None
    if asked is not None:
        found = await _point(service, tenant.tenant_id, types[0], asked, query)
    else:
        found = await service.queries.page(
            tenant.tenant_id, types, expression, offset=query.offset, count=query.count, location_base=base
        )
    shown = await asyncio.gather(
        *(
            _shown(service, tenant.tenant_id, base, resource_type, stored, query.selection(resource_type))
            for resource_type, stored in found.resources
        )
    )
    return Answer(200, list_bytes(found.total, query.start_index, shown))


async def _point(
    service: Service,
    tenant_id: int,
    resource_type: ResourceType,
    asked: tuple[str, str | bytes],
    query: Query,
) -> Found:
    """Answer a filter that names one thing through a coalesced point read."""
    lookups, (kind, key) = service.lookups, asked
    rows: list[StoredResource]
    of_groups = resource_type.has_members
    if isinstance(key, str):
        one = await (lookups.group if of_groups else lookups.user)(tenant_id, key)
        rows = [one] if one is not None else []
    elif kind == "userName":
        rows = await lookups.users_by_name(tenant_id, key)
    elif kind == "displayName":
        rows = list(await lookups.groups_by_name(tenant_id, key))
    elif of_groups:
        rows = list(await lookups.groups_by_external_id(tenant_id, key))
    else:
        rows = await lookups.users_by_external_id(tenant_id, key)
    page = rows[query.offset : query.offset + query.count]
    return Found(len(rows), [(resource_type, row) for row in page])


async def _shown(
    service: Service, tenant_id: int, base: str, resource_type: ResourceType, stored: StoredResource,
    selection: Selection | None,
) -> bytes:  # fmt: skip
    if resource_type.has_members:
        members: list[tuple[str, str]] = []
        if shows(selection, "members"):
            members = await service.lookups.members(tenant_id, stored.id)
        return group_bytes(base, resource_type, stored, members, selection)
    groups = []
    if stored.belongs and shows(selection, "groups"):
        groups = await service.lookups.groups_of(tenant_id, stored.id)
    return user_bytes(base, resource_type, stored, groups, selection)
