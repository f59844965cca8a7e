"""Lists and searches: GET on a collection or the root, POST .search (RFC 7644 §3.4.2, §3.4.3)."""

import asyncio

from api.answers import (
    group_bytes,
    list_bytes,
    location,
    resource_answer,
    resource_bytes,
    shows,
    user_bytes,
    walk_bytes,
)
from api.conditions import not_modified
from api.cursors import TIMEOUT_S, Cursor, digest, seal, unseal
from api.exchange import Answer, Exchange
from api.query import Query, list_query, parameters, search_query
from api.service import Service
from domain.attributes import ResourceType
from domain.bodies import names_message, parse_json
from domain.errors import InvalidCount, InvalidSyntax, NoSuchResource
from domain.filters import parse_filter
from domain.ids import is_id
from domain.selections import Selection
from domain.sorting import read_sort
from ledger.lookups import StoredResource
from projections.asof import last_position
from projections.moments import past_moment
from projections.queries import Found, Question, Resources
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
    if named is not None and not names_message(named, SEARCH_SCHEMA):
        raise InvalidSyntax(f"the body must be a {SEARCH_SCHEMA}")
    return await _list(service, exchange, types, search_query(body))


async def read_then(
    service: Service, exchange: Exchange, resource_type: ResourceType, resource_id: str, selection: Selection | None
) -> Answer:
    """GET on a resource with asOf: as it was."""
    assert exchange.as_of is not None
    tenant, types = exchange.authenticated.tenant, (resource_type,)
    at = await _position(service, exchange, exchange.as_of)
    base = service.base(tenant.slug)
    found: Resources = []
    if is_id(resource_id):
        question = Question(tenant.tenant_id, types, parse_filter(f'id eq "{resource_id}"', types), None, base, at)
        found, _ = await service.queries.walk(question, None, 1)
    if not found:
        raise NoSuchResource(f"there was no such resource at position {at}")
    ((_, stored),) = found
    answer = not_modified(exchange, stored.version)
    if answer is None:
        (shown,) = await _shown(service, question, {resource_type.name: selection}, found)
        answer = resource_answer(200, shown, stored.version, location(base, resource_type, resource_id))
    return _as_of(answer, at)


async def _position(service: Service, exchange: Exchange, as_of: str) -> int:
    """Return the position of the last entry that counts. The past is shown to auditors only."""
    caller = exchange.authenticated
    caller.require("audit")
    moment = past_moment(as_of)
    return await service.ask(caller, lambda reader: last_position(reader, moment))


def _as_of(answer: Answer, at: int | None) -> Answer:
    """Say up to which position an answer about the past has read."""
    if at is not None:
        answer.headers.append((b"scim-ledger-position", str(at).encode()))
    return answer


async def _list(service: Service, exchange: Exchange, types: Types, query: Query) -> Answer:
    tenant, at = exchange.authenticated.tenant, None
    if query.as_of is None:
        exchange.authenticated.require("scim")
    else:
        at = await _position(service, exchange, query.as_of)
    question = Question(
        tenant_id=tenant.tenant_id,
        types=types,
        filter=None if query.filter is None else parse_filter(query.filter, types),
        sort=None if query.sort_by is None else read_sort(query.sort_by, query.sort_order, types),
        location_base=service.base(tenant.slug),
        at=at,
    )
    if query.cursor is not None:
        return await _walk(service, exchange, question, query)
    asked = None
    if question.filter is not None and question.sort is None and question.at is None:
        asked = point(question.filter)
    if asked is not None:
        found = await _point(service, tenant.tenant_id, types[0], asked, query)
    else:
        found = await service.queries.page(question, offset=query.offset, count=query.page_count)
    shown = await _shown(service, question, _selections(question, query), found.resources)
    return _as_of(Answer(200, list_bytes(found.total, query.start_index, shown)), question.at)


async def _walk(service: Service, exchange: Exchange, question: Question, query: Query) -> Answer:
    """Answer one page of a walk by cursor. The total is counted once, when the walk begins."""
    vault, now_s = exchange.authenticated.vault, exchange.received_ns // 10**9
    sort = None if question.sort is None else question.sort.name
    then = () if question.at is None else (str(question.at),)
    asked = digest(*(kind.name for kind in question.types), query.filter, sort, *then)
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
    shown = await _shown(service, question, _selections(question, query), resources)
    next_cursor = None if mark is None else seal(Cursor(asked, mark, count, total, now_s + TIMEOUT_S), vault)
    return _as_of(Answer(200, walk_bytes(total, next_cursor, shown)), question.at)


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


Selections = dict[str, Selection | None]  # By the name of the resource type.


def _selections(question: Question, query: Query) -> Selections:
    return {kind.name: query.selection(kind) for kind in question.types}


async def _shown(service: Service, question: Question, selections: Selections, resources: Resources) -> list[bytes]:
    if question.at is not None:
        return await _shown_then(service, question, selections, resources)
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


async def _shown_then(
    service: Service, question: Question, selections: Selections, resources: Resources
) -> list[bytes]:
    """The same for resources as they were; their edges come with one query a page."""
    having = [
        (kind, stored) for kind, stored in resources
        if shows(selections[kind.name], "members" if kind.has_members else "groups")
    ]  # fmt: skip
    edges = await service.queries.edges_then(question, having)
    return [
        resource_bytes(question.location_base, kind, stored, edges.get(stored.id, []), selections[kind.name])
        for kind, stored in resources
    ]
