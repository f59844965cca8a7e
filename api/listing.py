"""Lists and searches: GET on a collection or the root, POST .search (RFC 7644 §3.4.2, §3.4.3)."""

import asyncio

from api.answers import group_bytes, list_bytes, shows, user_bytes, walk_bytes
from api.cursors import TIMEOUT_S, Cursor, digest, seal, unseal
from api.exchange import Answer, Exchange
from api.query import Query, list_query, parameters, search_query
from api.service import Service
from domain.attributes import ResourceType
from domain.bodies import parse_json
from domain.errors import InvalidCount, InvalidSyntax
from domain.filters import parse_filter
from domain.selections import Selection
from domain.sorting import read_sort
from ledger.lookups import StoredResource
from projections.queries import Found, Question
from projections.where import point

Types = tuple[ResourceType, ...]
SEARCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


async def read(service: Service, exchange: Exchange, types: Types) -> Answer:
    """GET on a collection, or on the base for all types."""
    return await _list(service, exchange, types, list_query(parameters(exchange.query)))


async def search(service: Service, exchange: Exchange, types: Types) -> Answer:
    """POST .search: the same question without personal data in a URL."""
    body = parse_json(await exchange.read_body(service.config.body_bytes_max))
    named = next((value for name, value in body.items() if name.lower() == "schemas"), None)
    if named is not None and (not isinstance(named, list) or SEARCH_SCHEMA not in named):
        raise InvalidSyntax(f"the body must be a {SEARCH_SCHEMA}")
    return await _list(service, exchange, types, search_query(body))


async def _list(service: Service, exchange: Exchange, types: Types, query: Query) -> Answer:
    tenant = exchange.authenticated.tenant
    question = Question(
        tenant_id=tenant.tenant_id,
        types=types,
        filter=None if query.filter is None else parse_filter(query.filter, types),
        sort=None if query.sort_by is None else read_sort(query.sort_by, query.sort_order, types),
        location_base=service.base(tenant.slug),
    )
    if query.cursor is not None:
        return await _walk(service, exchange, question, query)
    asked = point(question.filter) if question.filter is not None and question.sort is None else None
    if asked is not None:
        found = await _point(service, tenant.tenant_id, types[0], asked, query)
    else:
        found = await service.queries.page(question, offset=query.offset, count=query.page_count)
    shown = await _shown(service, question, query, found.resources)
    return Answer(200, list_bytes(found.total, query.start_index, shown))


async def _walk(service: Service, exchange: Exchange, question: Question, query: Query) -> Answer:
    """Answer one page of a walk by cursor. The total is counted once, when the walk begins."""
    vault, now_s = exchange.authenticated.vault, exchange.received_ns // 10**9
    sort = None if question.sort is None else question.sort.name
    asked = digest(*(kind.name for kind in question.types), query.filter, sort)
    if query.cursor:
        cursor = unseal(query.cursor, vault, question=asked, now_s=now_s)
        if query.count is not None and query.page_count != cursor.count:
            raise InvalidCount("count has to be the same on every page")
        count, total = cursor.count, cursor.total
        resources, mark = await service.queries.walk(question, cursor.mark, count)
    else:
        count = query.page_count
        resources, mark = await service.queries.walk(question, None, count) if count else ([], None)  # CU-09
        complete = count > 0 and mark is None
        total = len(resources) if complete else await service.queries.count(question)
    shown = await _shown(service, question, query, resources)
    next_cursor = None if mark is None else seal(Cursor(asked, mark, count, total, now_s + TIMEOUT_S), vault)
    return Answer(200, walk_bytes(total, next_cursor, shown))


async def _point(
    service: Service,
    tenant_id: int,
    resource_type: ResourceType,
    asked: tuple[str, str | bytes],
    query: Query,
) -> Found:
    """Answer a filter that names one thing through a coalesced point read."""
    lookups, (name, key) = service.lookups, asked
    rows: list[StoredResource]
    of_groups = resource_type.has_members
    if isinstance(key, str):
        one = await (lookups.group(tenant_id, key) if of_groups else lookups.user(tenant_id, key, resource_type.name))
        rows = [one] if one is not None else []
    elif name == "userName":
        rows = await lookups.users_by_name(tenant_id, key)
    elif name == "displayName":
        rows = list(await lookups.groups_by_name(tenant_id, key))
    elif of_groups:
        rows = list(await lookups.groups_by_external_id(tenant_id, key))
    else:
        rows = await lookups.users_by_external_id(tenant_id, key, resource_type.name)
    page = rows[query.offset : query.offset + query.page_count]
    return Found(len(rows), [(resource_type, row) for row in page])


async def _shown(
    service: Service, question: Question, query: Query, resources: list[tuple[ResourceType, StoredResource]]
) -> list[bytes]:
    selections = {kind.name: query.selection(kind) for kind in question.types}
    if len(resources) == 1:  # Most lists; a task of its own would cost a tenth of the answer.
        ((kind, stored),) = resources
        return [await _representation(service, question, kind, stored, selections[kind.name])]
    return await asyncio.gather(
        *(_representation(service, question, kind, stored, selections[kind.name]) for kind, stored in resources)
    )


async def _representation(
    service: Service, question: Question, resource_type: ResourceType, stored: StoredResource,
    selection: Selection | None,
) -> bytes:  # fmt: skip
    if resource_type.has_members:
        members: list[tuple[str, str]] = []
        if shows(selection, "members"):
            members = await service.lookups.members(question.tenant_id, stored.id)
        return group_bytes(question.location_base, resource_type, stored, members, selection)
    groups = await service.groups(question.tenant_id, stored, selection)
    return user_bytes(question.location_base, resource_type, stored, groups, selection)
