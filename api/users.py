"""/Users, and the endpoints of tenants' own types: each request read, decided, recorded, answered."""

from collections.abc import Callable, Iterable
from datetime import datetime

from msgspec.structs import replace as replace_fields

from api.answers import location, resource_answer, user_bytes, with_written
from api.conditions import check_conditions, not_modified
from api.exchange import Answer, Exchange
from api.recording import Recording, unchanged
from api.service import Service
from api.uniqueness import claim
from domain import users
from domain.attributes import ResourceType
from domain.bodies import parse_json
from domain.errors import NoSuchResource, NotUnique
from domain.events import AttributeChanged, Deactivated, MembershipRemoved, Reactivated, UserEvent
from domain.ids import is_id
from domain.patches import apply_patch, read_patch
from domain.resources import Reading, name_key, read_resource
from domain.returning import named, returning
from domain.search import search_document
from domain.selections import Selection
from domain.users import User
from ledger.batch import Appended
from ledger.jobs import Job, Membership, UserRow
from ledger.lookups import StoredResource, StoredUser
from projections.directory import resource_of, toggled_user_row, user_row


async def read(
    service: Service, exchange: Exchange, resource_type: ResourceType, user_id: str, selection: Selection | None
) -> Answer:
    """GET /Users/{id}"""
    caller = exchange.authenticated
    tenant_id, kind = caller.tenant.tenant_id, resource_type.name
    stored = await service.lookups.user(tenant_id, user_id, kind) if is_id(user_id) else None
    if stored is None:
        raise NoSuchResource
    if (answer := not_modified(exchange, stored.version)) is not None:
        return answer
    return await _answer(service, exchange, resource_type, 200, stored, selection)


async def create(
    service: Service, exchange: Exchange, resource_type: ResourceType, selection: Selection | None
) -> Answer:
    """POST /Users"""
    caller = exchange.authenticated
    body = parse_json(await exchange.read_body(service.config.body_bytes_max))
    reading = read_resource(body, resource_type, caller.profile)
    exchange.quirks, exchange.ignored, exchange.written = reading.quirks, reading.ignored, reading.assigned
    user_id = exchange.new_id()
    events = users.create(user_id, reading, resource_type)
    row = user_row(caller.tenant.tenant_id, _fold(None, events), resource_type)
    decided = False
    before: StoredUser | None = None
    after: UserRow | None = None

    async def decide() -> Job:
        nonlocal decided, before, after
        if decided and row.name_key is not None:  # Looked up only now: hardly anybody posts who is there.
            before = await _returning(service, exchange, reading, row, row.name_key)
        decided = True
        if before is None:
            return await _created(service, exchange, resource_type, reading, row, events)
        user = _user(before)
        back = users.come_back(user, reading, resource_type)
        job, after = await _changed(service, exchange, before, user, back, resource_type, 201)
        return job

    async def answer(appended: Appended) -> Answer:
        at = appended.recorded_at
        stored = StoredResource(user_id, row.version, at, at, row.document, False)
        if before is not None:
            stored = _after(before, after, at)
        return await _answer(service, exchange, resource_type, 201, stored, selection)

    return await service.write(decide, answer)


async def _created(
    service: Service, exchange: Exchange, resource_type: ResourceType, reading: Reading, row: UserRow,
    events: list[UserEvent],
) -> Job:  # fmt: skip
    recording = Recording(exchange, 201)
    sealer = recording.new_subject(row.id)
    for version, event in enumerate(events, 1):
        recording.add(event, f"{resource_type.stream}/{row.id}", version, row.id, sealer)
    job = recording.job
    if row.name_key is not None:
        job.names.append((row.name_key, row.id, False))
        if row.external_id_key is not None and named(reading.resource.get("externalId")):
            job.left.append(row.external_id_key)
    await claim(service, job, row.id, {}, reading.resource, resource_type)
    job.new_users.append((row, 0, len(events) - 1))
    return recording.finish()


async def _returning(
    service: Service, exchange: Exchange, reading: Reading, row: UserRow, name_key: bytes
) -> StoredUser | None:
    """Return the inactive user that a POST is about, if the tenant lets it come back (`domain.returning`)."""
    tenant, lookups = exchange.authenticated.tenant, service.lookups
    by_name = await lookups.users_by_name(tenant.tenant_id, name_key)
    key = row.external_id_key if named(reading.resource.get("externalId")) else None
    by_external_id = await lookups.users_by_external_id(tenant.tenant_id, key) if key is not None else []
    reactivates = tenant.settings.repost_inactive == "reactivate"
    user = returning(reading, [*map(_user, by_name)], [*map(_user, by_external_id)], reactivates=reactivates)
    present = await lookups.user_to_change(tenant.tenant_id, user.id) if user is not None else None
    if user is None or present is None:
        return None
    _aim(exchange, exchange.authenticated.types.user, user.id)
    found = next(each for each in (*by_name, *by_external_id) if each.id == user.id)
    # With the version that was decided on: should it have moved meanwhile, the append refuses.
    return replace_fields(present, version=found.version, document=found.document)


async def replace(
    service: Service, exchange: Exchange, resource_type: ResourceType, user_id: str, selection: Selection | None
) -> Answer:
    """PUT /Users/{id}"""
    caller = exchange.authenticated
    raw = await exchange.read_body(service.config.body_bytes_max)

    def decide(user: User) -> list[UserEvent]:
        reading = read_resource(parse_json(raw), resource_type, caller.profile)
        exchange.quirks, exchange.ignored, exchange.written = reading.quirks, reading.ignored, reading.assigned
        return users.replace(user, reading, resource_type)

    return await _change(service, exchange, resource_type, user_id, selection, decide)


async def patch(
    service: Service, exchange: Exchange, resource_type: ResourceType, user_id: str, selection: Selection | None
) -> Answer:
    """PATCH /Users/{id}"""
    caller = exchange.authenticated
    raw = await exchange.read_body(service.config.body_bytes_max)

    def decide(user: User) -> list[UserEvent]:
        asked = read_patch(parse_json(raw), resource_type, caller.profile)
        exchange.operations = list(asked.operations_text)
        patched = apply_patch(asked, user.resource)
        exchange.quirks, exchange.ignored, exchange.written = patched.quirks, asked.ignored, asked.written()
        return users.change(user, patched, resource_type)

    return await _change(service, exchange, resource_type, user_id, selection, decide)


async def _change(
    service: Service, exchange: Exchange, resource_type: ResourceType, user_id: str, selection: Selection | None,
    decide_events: Callable[[User], list[UserEvent]],
) -> Answer:  # fmt: skip
    """Decide on the user's present state, record what changes, answer with the state after it."""
    tenant_id = exchange.authenticated.tenant.tenant_id
    _aim(exchange, resource_type, user_id)
    before: StoredUser | None = None
    after: UserRow | None = None

    async def decide() -> Job:
        nonlocal before, after
        before = await _to_change(service, exchange, resource_type, user_id)
        user = _user(before)
        events = decide_events(user)
        if resource_type.name == users.USER and (name := _new_name(events)) is not None:
            await _claim_name(service, tenant_id, user_id, name)
        job, after = await _changed(service, exchange, before, user, events, resource_type, 200)
        return job

    async def answer(appended: Appended) -> Answer:
        assert before is not None
        stored = _after(before, after, appended.recorded_at)
        return await _answer(service, exchange, resource_type, 200, stored, selection)

    async with service.turns.of((tenant_id, user_id)):
        return await service.write(decide, answer)


def _new_name(events: Iterable[UserEvent]) -> str | None:
    """The userName that these events give, or None."""
    for event in events:
        if isinstance(event, AttributeChanged) and event.attribute == "userName":
            name: str = event.after
            return name
    return None


async def _claim_name(service: Service, tenant_id: int, user_id: str, user_name: str) -> None:
    holders = await service.lookups.users_by_name(tenant_id, name_key(user_name))
    if any(holder.id != user_id for holder in holders):
        raise NotUnique("userName")


async def _changed(
    service: Service, exchange: Exchange, before: StoredUser, user: User, events: list[UserEvent],
    resource_type: ResourceType, status: int,
) -> tuple[Job, UserRow | None]:  # fmt: skip
    """The job that records a user's events, and the row they make; no row when there are none."""
    if not events:
        return unchanged(exchange, status, before.version), None
    recording = Recording(exchange, status, before.version)
    changed = _fold(user, events)
    # Of the operations of a bulk request the last one's row is written: it has to be whole.
    if exchange.bulk is None and all(isinstance(event, Deactivated | Reactivated) for event in events):
        after = toggled_user_row(changed, resource_type)
    else:
        after = user_row(recording.job.tenant_id, changed, resource_type)
    await claim(service, recording.job, user.id, user.resource, changed.resource, resource_type)
    assert before.key_wrapped is not None, "a live user has its key"
    sealer = recording.caller.vault.unwrap(before.id, before.key_id, before.key_wrapped)
    for version, event in enumerate(events, before.version + 1):
        recording.add(event, f"{resource_type.stream}/{before.id}", version, before.id, sealer)
    job = recording.job
    job.users_at.append((before.id, before.version))
    if after.name_key is not None and (exchange.bulk is not None or _new_name(events) is not None):
        job.names.append((after.name_key, after.id, False))
    job.changed_users.append((after, len(events) - 1))
    return recording.finish(), after


def _after(before: StoredUser, after: UserRow | None, at: datetime) -> StoredResource:
    """The stored user once its change is recorded, without reading it again."""
    if after is None:
        return before
    return StoredResource(
        before.id, after.version, before.created_at, at, after.document, before.belongs, before.groups
    )


async def delete(service: Service, exchange: Exchange, resource_type: ResourceType, user_id: str) -> Answer:
    """DELETE /Users/{id}: gone from SCIM and from every group; the ledger keeps what it was."""
    _aim(exchange, resource_type, user_id)
    await exchange.read_body(service.config.body_bytes_max)
    tenant_id = exchange.authenticated.tenant.tenant_id

    async def decide() -> Job:
        stored = await _to_change(service, exchange, resource_type, user_id)
        user = _user(stored)
        search_document(user.resource, resource_type)  # Or unique values that it holds would be held for ever.
        held = await service.lookups.held(tenant_id, user_id)
        recording = Recording(exchange, 204, stored.version)
        assert stored.key_wrapped is not None, "a live user has its key"
        sealer = recording.caller.vault.unwrap(user_id, stored.key_id, stored.key_wrapped)
        for event in users.delete(user, resource_type):
            recording.add(event, f"{resource_type.stream}/{user_id}", stored.version + 1, user_id, sealer)
        await claim(service, recording.job, user_id, user.resource, {}, resource_type)
        recording.job.users_at.append((user_id, stored.version))
        recording.job.gone_users.append(user_id)
        leave_groups(recording, user_id, held)
        return recording.finish()

    async with service.turns.of((tenant_id, user_id)):
        return await service.write(decide, gone)


async def gone(_: Appended) -> Answer:
    """Answer a DELETE."""
    return Answer(204)


def leave_groups(recording: Recording, member_id: str, held: list[str]) -> None:
    """End a deleted member's memberships: exactly those it holds, or the decision is taken again."""
    job = recording.job
    job.held.append((member_id, len(held)))
    for group_id in held:
        job.edges.append((group_id, member_id, True))
        if group_id == member_id:  # A group in itself: its own deletion ends that one.
            continue
        entry = recording.add(
            MembershipRemoved(member_id, explicit=False), f"groups/{group_id}", 1, member_id, bumps=True
        )
        job.closed.append(Membership(group_id, member_id, "", entry))


async def _to_change(service: Service, exchange: Exchange, resource_type: ResourceType, user_id: str) -> StoredUser:
    tenant_id, kind = exchange.authenticated.tenant.tenant_id, resource_type.name
    stored = await service.lookups.user_to_change(tenant_id, user_id, kind) if is_id(user_id) else None
    if stored is None:
        raise NoSuchResource
    check_conditions(exchange, stored.version)
    return stored


async def _answer(
    service: Service, exchange: Exchange, resource_type: ResourceType, status: int, stored: StoredResource,
    selection: Selection | None,
) -> Answer:  # fmt: skip
    tenant = exchange.authenticated.tenant
    groups = await service.groups(tenant.tenant_id, stored, selection)
    base = service.base(tenant.slug)
    body = user_bytes(base, resource_type, stored, groups, with_written(exchange, selection))
    return resource_answer(status, body, stored.version, location(base, resource_type, stored.id))


def _aim(exchange: Exchange, resource_type: ResourceType, user_id: str) -> None:
    if is_id(user_id):
        exchange.target = (f"{resource_type.stream}/{user_id}", user_id)


def _user(stored: StoredResource) -> User:
    return User(stored.id, resource_of(stored.document), stored.version)


def _fold(user: User | None, events: Iterable[UserEvent]) -> User:
    for event in events:
        user = users.evolve(user, event)
    assert user is not None
    return user
