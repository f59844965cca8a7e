"""/Groups: attributes as with users; members are edges, and no request loads a member list to change one member."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from api.answers import etag, group_bytes, location, resource_answer, shows, with_written
from api.conditions import check_conditions, not_modified, wants_exact_version
from api.exchange import Answer, Exchange
from api.recording import Recording, unchanged
from api.service import Service
from api.uniqueness import claim
from api.users import gone, leave_groups
from domain import groups
from domain.attributes import ResourceType
from domain.bodies import parse_json
from domain.errors import InvalidValue, NoSuchResource, NotUnique, ScimError
from domain.events import GroupDeleted, GroupEvent, MembershipAdded, MembershipRemoved
from domain.groups import Group
from domain.ids import is_id
from domain.members import MemberChange, replaced_by, resolve, selected
from domain.patches import apply_patch, read_patch
from domain.resources import read_resource
from domain.schemas import GROUP, USER
from domain.search import search_document
from domain.selections import Selection
from ledger.batch import Appended
from ledger.entry import Tenant
from ledger.jobs import GroupRow, Job, Membership
from ledger.lookups import Edge, StoredGroup
from projections.directory import group_row, resource_of

Deciding = Callable[[Group], tuple[list[GroupEvent], MemberChange | None]]


class Edges(Struct, frozen=True):
    """What becomes of the members: (id, type) that join; ids that leave, with whether the request named them."""

    added: list[tuple[str, str]]
    removed: list[tuple[str, bool]]


NO_EDGES = Edges([], [])
_FOREIGN = "members: an id that was never ours"


async def read(
    service: Service, exchange: Exchange, resource_type: ResourceType, group_id: str, selection: Selection | None
) -> Answer:
    """GET /Groups/{id}"""
    # Members are read at once, unless none may be wanted: by the selection, or by who has the group already.
    known = b"if-none-match" in exchange.headers
    stored = await _stored(service, exchange, group_id, with_members=not known and shows(selection, "members"))
    if stored is None:
        raise NoSuchResource
    if (answer := not_modified(exchange, stored.version)) is not None:
        return answer
    return await _whole(service, exchange, resource_type, 200, stored, selection)


async def create(
    service: Service, exchange: Exchange, resource_type: ResourceType, selection: Selection | None
) -> Answer:
    """POST /Groups"""
    tenant = exchange.authenticated.tenant
    body = parse_json(await exchange.read_body(service.config.body_bytes_max))
    reading = read_resource(body, resource_type, exchange.authenticated.profile)
    exchange.quirks, exchange.ignored, exchange.written = reading.quirks, reading.ignored, reading.assigned
    exchange.subjects = list(reading.members or ())
    group_id = exchange.new_id()
    events = groups.create(group_id, reading)
    row = group_row(tenant.tenant_id, _fold(None, events), resource_type, tenant.settings)

    async def decide() -> Job:
        await _claim_name(service, tenant, row)
        edges = await _edges(service, exchange, group_id, replaced_by(reading.members or ()), is_new=True)
        recording = Recording(exchange, 201)
        await claim(service, recording.job, group_id, {}, reading.resource, resource_type)
        for version, event in enumerate(events, 1):
            recording.add(event, f"groups/{group_id}", version, group_id)
        _record_edges(recording, group_id, edges, len(events), is_new=True)
        row.version = len(recording.job.entries)
        row.member_count = len(edges.added)
        if row.unique_name_key is not None:
            recording.job.names.append((row.unique_name_key, group_id, True))
        recording.job.new_groups.append((row, 0, row.version - 1))
        return recording.finish()

    async def answer(appended: Appended) -> Answer:
        at = appended.recorded_at
        stored = StoredGroup(
            group_id, row.version, at, at, row.document, False, attribute_version=1, member_count=row.member_count
        )
        return await _whole(service, exchange, resource_type, 201, stored, selection)

    return await service.write(decide, answer)


async def replace(
    service: Service, exchange: Exchange, resource_type: ResourceType, group_id: str, selection: Selection | None
) -> Answer:
    """PUT /Groups/{id}: the list of members becomes exactly the given one."""
    raw = await exchange.read_body(service.config.body_bytes_max)
    reading = None

    def decide(group: Group) -> tuple[list[GroupEvent], MemberChange | None]:
        nonlocal reading
        reading = reading or read_resource(parse_json(raw), resource_type, exchange.authenticated.profile)
        exchange.quirks, exchange.ignored, exchange.written = reading.quirks, reading.ignored, reading.assigned
        exchange.subjects = list(reading.members or ())
        return groups.replace(group, reading, resource_type), replaced_by(reading.members or ())

    return await _change(service, exchange, resource_type, group_id, selection, decide, in_turn=True, shown=True)


async def patch(
    service: Service, exchange: Exchange, resource_type: ResourceType, group_id: str, selection: Selection | None
) -> Answer:
    """PATCH /Groups/{id}"""
    raw = await exchange.read_body(service.config.body_bytes_max)
    try:
        asked = read_patch(parse_json(raw), resource_type, exchange.authenticated.profile)
    except ScimError:
        await _to_change(service, exchange, group_id)  # ET-05: what is not there comes before what is wrong.
        raise
    exchange.operations, exchange.ignored = list(asked.operations_text), asked.ignored
    exchange.written = asked.written()
    change = asked.members
    exchange.subjects = list(change.present) if change else []

    def decide(group: Group) -> tuple[list[GroupEvent], MemberChange | None]:
        patched = apply_patch(asked, group.resource)
        exchange.quirks = patched.quirks
        return groups.change(group, patched, resource_type), patched.members

    in_turn = bool(asked.steps) or change is None or change.clear or change.selects
    return await _change(
        service, exchange, resource_type, group_id, selection, decide, in_turn=in_turn, concerned=_concerned(change)
    )


async def _change(
    service: Service, exchange: Exchange, resource_type: ResourceType, group_id: str, selection: Selection | None,
    deciding: Deciding, *, in_turn: bool, shown: bool = False, concerned: Sequence[str] = (),
) -> Answer:  # fmt: skip
    """Decide on the group's present state, record what changes, answer.

    in_turn: False for operations that only add or remove named members: those commute, and none waits.
    shown: whether the answer shows the group however large it is, as that of a PUT has to (PU-01).
    concerned: the ids whose edges it rests on, as far as they are known before the group is.
    """
    tenant = exchange.authenticated.tenant
    if in_turn:
        async with service.turns.of((tenant.tenant_id, group_id)):
            return await _change(
                service, exchange, resource_type, group_id, selection, deciding, in_turn=False, shown=shown,
                concerned=concerned,
            )  # fmt: skip
    version, status = 0, 200

    async def decide() -> Job:
        nonlocal version, status
        stored, known = await _with_edge(service, exchange, group_id, concerned)
        group = Group(group_id, resource_of(stored.document), stored.version)
        events, change = deciding(group)
        edges = await _edges(service, exchange, group_id, change, known) if change is not None else NO_EDGES
        count = stored.member_count + len(edges.added) - len(edges.removed)
        status = 200 if shown else _status(tenant, count, selection)
        version = len(events) + len(edges.added) + len(edges.removed)
        if not version:
            version = stored.version
            return unchanged(exchange, status, stored.version)
        exact = wants_exact_version(exchange) or (change is not None and (change.clear or change.selects))
        return await _changed(
            service, exchange, resource_type, stored, group, events, edges, status=status, exact=exact
        )

    async def answer(appended: Appended) -> Answer:
        after = version + appended.group_base.get(group_id, 0)
        uri = location(service.base(tenant.slug), resource_type, group_id)
        present = None
        if status == 200:
            present = await _stored(service, exchange, group_id, with_members=shows(selection, "members"))
        if present is None:  # Also when the group was deleted just after this change, which stands all the same.
            return Answer(204, headers=[(b"etag", etag(after).encode()), (b"location", uri.encode())])
        return await _whole(service, exchange, resource_type, 200, present, selection)

    return await service.write(decide, answer)


def _status(tenant: Tenant, member_count: int, selection: Selection | None) -> int:
    """200 with the group while it is small or was asked for (PA-07), else 204: nobody wants 100,000 members back."""
    return 204 if selection is None and member_count > tenant.settings.group_answer_members_max else 200


async def _changed(
    service: Service, exchange: Exchange, resource_type: ResourceType, stored: StoredGroup, group: Group,
    events: list[GroupEvent], edges: Edges, *, status: int, exact: bool,
) -> Job:  # fmt: skip
    tenant = exchange.authenticated.tenant
    recording = Recording(exchange, status, stored.version)
    job = recording.job
    for version, event in enumerate(events, 1):
        recording.add(event, f"groups/{group.id}", version, group.id, bumps=True)
    if events:
        changed = _fold(group, events)
        row = group_row(tenant.tenant_id, changed, resource_type, tenant.settings)
        await claim(service, job, group.id, group.resource, changed.resource, resource_type)
        if changed.resource["displayName"] != group.resource["displayName"]:
            await _claim_name(service, tenant, row)
        if row.unique_name_key is not None:
            job.names.append((row.unique_name_key, group.id, True))
        job.changed_groups.append((row, len(events)))
    if events or exact:
        job.groups_at.append((group.id, stored.attribute_version, stored.version if exact else None))
    else:
        job.existing.append((group.id, True))
    _record_edges(recording, group.id, edges, len(events))
    return recording.finish()


def _concerned(change: MemberChange | None) -> list[str]:
    """The ids whose edges a change rests on, whatever the group."""
    if change is None:
        return []
    return [each for each in {**change.present, **dict.fromkeys(change.expected)} if is_id(each)]


async def _edges(
    service: Service, exchange: Exchange, group_id: str, change: MemberChange, known: dict[str, Edge] | None = None,
    *, is_new: bool = False,
) -> Edges:  # fmt: skip
    """Compare what the request wants of the members with the edges it concerns, and with no others.

    known: those edges, where they have been read already.
    """
    tenant, lookups = exchange.authenticated.tenant, service.lookups
    if change.selects:
        members = await lookups.members(tenant.tenant_id, group_id)
        change = selected(change, [_element(service.base(tenant.slug), *member) for member in members])
    if known is None:
        known = await lookups.edges(tenant.tenant_id, group_id, _concerned(change))
    open_members = {member_id: edge[0] for member_id, edge in known.items()}
    if change.clear and not is_new:
        open_members |= dict.fromkeys([each for each, _ in await lookups.members(tenant.tenant_id, group_id)], True)
    added, removed = resolve(change, open_members)
    # Who sends a whole list means exactly that list: dropping one of it would take others out of the group.
    forgiving = exchange.authenticated.profile.ignores_unknown and not change.clear
    kinds = [(each, _kind(exchange, each, known.get(each), forgiving=forgiving)) for each in added]
    return Edges([(each, kind) for each, kind in kinds if kind], removed)


def _kind(exchange: Exchange, member_id: str, edge: Edge | None, *, forgiving: bool) -> str:
    """Return User or Group; "" for an id that no resource of ours can have, which the lenient profile ignores in `add`.

    A well-formed id that names nothing is refused in both profiles (DEC-12): the client once got it from somebody.
    """
    if edge is None and forgiving:
        exchange.ignored = (*exchange.ignored, _FOREIGN) if _FOREIGN not in exchange.ignored else exchange.ignored
        return ""
    _, is_user, is_group = edge or (False, False, False)
    if not is_user and not is_group:
        raise InvalidValue("members names a resource that does not exist")
    return "User" if is_user else "Group"


def _element(base: str, member_id: str, kind: str) -> dict[str, str]:
    uri = location(base, USER if kind == "User" else GROUP, member_id)
    return {"value": member_id, "type": kind, "$ref": uri}


def _record_edges(recording: Recording, group_id: str, edges: Edges, first: int, *, is_new: bool = False) -> None:
    """Record who leaves and who joins; each edge is a precondition of its own, so other members' edges may change."""
    job, stream, version = recording.job, f"groups/{group_id}", first
    for member_id, explicit in edges.removed:
        version += 1
        entry = recording.add(MembershipRemoved(member_id, explicit), stream, version, member_id, bumps=True)
        job.edges.append((group_id, member_id, True))
        job.closed.append(Membership(group_id, member_id, "", entry))
    for member_id, kind in edges.added:
        version += 1
        entry = recording.add(MembershipAdded(member_id, kind), stream, version, member_id, bumps=not is_new)
        job.existing.append((member_id, kind == "Group"))
        if not is_new:
            job.edges.append((group_id, member_id, False))
        job.opened.append(Membership(group_id, member_id, kind, entry))


async def delete(service: Service, exchange: Exchange, resource_type: ResourceType, group_id: str) -> Answer:
    """DELETE /Groups/{id}: one event ends every membership in it; its own memberships end one by one."""
    await exchange.read_body(service.config.body_bytes_max)
    tenant_id = exchange.authenticated.tenant.tenant_id

    async def decide() -> Job:
        stored = await _to_change(service, exchange, group_id)
        held = await service.lookups.held(tenant_id, group_id)
        recording = Recording(exchange, 204, stored.version)
        entry = recording.add(GroupDeleted(), f"groups/{group_id}", 1, group_id, bumps=True)
        job = recording.job
        resource = resource_of(stored.document)
        search_document(resource, resource_type)  # Or values that it holds would be held for ever.
        await claim(service, job, group_id, resource, {}, resource_type)
        if wants_exact_version(exchange):
            job.groups_at.append((group_id, stored.attribute_version, stored.version))
        elif resource_type.unique:
            job.groups_at.append((group_id, stored.attribute_version, None))
        job.existing.append((group_id, True))
        job.gone_groups.append((group_id, entry))
        leave_groups(recording, group_id, held)
        return recording.finish()

    async with service.turns.of((tenant_id, group_id)):
        return await service.write(decide, gone)


async def _stored(
    service: Service, exchange: Exchange, group_id: str, *, with_members: bool = False
) -> StoredGroup | None:
    if not is_id(group_id):
        return None
    lookup = service.lookups.whole_group if with_members else service.lookups.group
    return await lookup(exchange.authenticated.tenant.tenant_id, group_id)


async def _to_change(service: Service, exchange: Exchange, group_id: str) -> StoredGroup:
    stored = await _stored(service, exchange, group_id)
    if stored is None:
        raise NoSuchResource
    check_conditions(exchange, stored.version)
    return stored


async def _with_edge(
    service: Service, exchange: Exchange, group_id: str, concerned: Sequence[str]
) -> tuple[StoredGroup, dict[str, Edge] | None]:
    """Return a group to change, and with it the edge that the request concerns if it concerns just one, as most do."""
    if len(concerned) != 1 or not is_id(group_id):
        return await _to_change(service, exchange, group_id), None
    found = await service.lookups.group_with_edge(exchange.authenticated.tenant.tenant_id, group_id, *concerned)
    if found is None:
        raise NoSuchResource
    check_conditions(exchange, found[0].version)
    return found


async def _claim_name(service: Service, tenant: Tenant, row: GroupRow) -> None:
    if row.unique_name_key is None:
        return
    holders = await service.lookups.groups_by_name(tenant.tenant_id, row.name_key)
    if any(holder.id != row.id for holder in holders):
        raise NotUnique("displayName")


async def _whole(
    service: Service, exchange: Exchange, resource_type: ResourceType, status: int, stored: StoredGroup,
    selection: Selection | None,
) -> Answer:  # fmt: skip
    tenant = exchange.authenticated.tenant
    members = stored.members or []
    if stored.members is None and stored.member_count and shows(selection, "members"):
        members = await service.lookups.members(tenant.tenant_id, stored.id)
    base = service.base(tenant.slug)
    body = group_bytes(base, resource_type, stored, members, with_written(exchange, selection))
    return resource_answer(status, body, stored.version, location(base, resource_type, stored.id))


def _fold(group: Group | None, events: list[GroupEvent]) -> Group:
    for event in events:
        group = groups.evolve(group, event)
    assert group is not None
    return group
