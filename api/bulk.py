"""POST /Bulk (RFC 7644 §3.7): many operations, decided one after the other, written by one call or not at all.

Operations run in the order of the request, through the handlers of single requests, on a `Draft` of what the ones
before them leave. Every id is chosen beforehand, so what refers to an operation that comes later, or to each other in
circles, needs no other order: it rests on the promise that the id will exist. When a promise is broken, everything is
decided again knowing that: nothing has been written until then.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from api.answers import error_answer, etag, location
from api.bulk_operation import DraftService, OperationExchange, handled
from api.exchange import Answer, Exchange
from api.recording import refused, seal_body
from api.service import Service, TooFast
from domain.attributes import ResourceType
from domain.bodies import parse_json
from domain.bulk import read_bulk, strings
from domain.comparison import display_name_key, exact, name_key
from domain.dependencies import Task, created_first, creators, in_order, tasks, with_dependants
from domain.errors import Conflict, ScimError
from domain.ids import is_id
from domain.users import USER
from ledger.batch import Appended
from ledger.draft import Draft
from ledger.jobs import Job, ReceivedRequest
from ledger.lookups import StoredGroup, StoredUser
from ledger.merging import merged
from ledger.randomness import random_id
from projections.directory import equality_key

OPERATIONS_MAX = 1_000
_PASSES_MAX = 4  # The last one makes no promises.
_DECISIONS_BESIDE_OTHERS = 2
_READ_AHEAD_KEYS = 500  # Look-ups asked together.
RESPONSE_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
_encode = msgspec.json.Encoder().encode


class Result(Struct, rename="camel", omit_defaults=True):
    """What became of an operation, as the response says it (BU-06)."""

    method: str = ""
    bulk_id: str | UnsetType = UNSET
    location: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    status: str = ""
    response: Raw | UnsetType = UNSET

    @property
    def succeeded(self) -> bool:
        """Whether it was executed; otherwise `response` says why not (BU-07)."""
        return self.response is UNSET


async def execute(service: Service, exchange: Exchange) -> Answer:
    """POST /Bulk"""
    exchange.request_id = exchange.request_id[:-4] + "0000"  # Its operations count on from here.
    await exchange.read_body(service.config.bulk_body_bytes_max)
    # In a thread: a long body would keep everybody else waiting.
    bulk = await asyncio.to_thread(Bulk, service, exchange)
    # Two of them would mostly contradict each other, and each takes longer than many single requests.
    tenant_id = exchange.authenticated.tenant.tenant_id
    async with service.turns.of((tenant_id, "Bulk")):
        try:
            return await service.write(bulk.decide, bulk.answer, decisions_max=_DECISIONS_BESIDE_OTHERS)
        except TooFast:  # One user of a thousand who changes often is enough.
            async with service.quiet.kept(tenant_id):
                return await service.write(bulk.decide, bulk.answer)


class Bulk:
    """One bulk request, read. kept: its body, sealed."""

    def __init__(self, service: Service, exchange: Exchange) -> None:
        """Read the body. Raises what `parse_json` and `read_bulk` raise."""
        caller = exchange.authenticated
        any_case = caller.tenant.settings.endpoints_any_case
        request = read_bulk(parse_json(exchange.body), caller.types.by_endpoint, OPERATIONS_MAX, any_case=any_case)
        self.service = service
        self.exchange = exchange
        exchange.received, self.kept = seal_body(exchange, [])
        self.fail_on_errors = request.fail_on_errors
        self._operations = request.operations
        self._ids = {bulk_id: random_id() for bulk_id in creators(request.operations)}
        self.tasks = tasks(self._operations, self._ids)
        self.returning: set[int] = set()  # POSTs that brought somebody back the last time.
        self.own_errors: dict[int, ScimError] = {}  # Of operations that failed though all that they refer to was there.
        self._run: Run | None = None

    async def decide(self) -> Job:
        """Run the operations on the present state, until none rests on a promise that is not kept."""
        failing: set[int] = set()
        self.own_errors.clear()
        for number in range(1, _PASSES_MAX + 1):
            self._run = run = Run(self, failing, promising=number < _PASSES_MAX)
            await run.through()
            broken = run.broken()
            if not broken:
                break
            failing |= with_dependants(broken - run.moved.keys(), self.tasks)
            self._move(run.moved)
        return await asyncio.to_thread(run.merged)

    def _move(self, moved: dict[int, tuple[str, bool]]) -> None:
        """Let bulkIds mean whom their POST brought back, where the tenant wants that."""
        for number, (resource_id, came_back) in moved.items():
            self._ids[self._operations[number - 1].bulk_id or ""] = resource_id
            (self.returning.add if came_back else self.returning.discard)(number)
        if moved:
            self.tasks = tasks(self._operations, self._ids)

    async def answer(self, appended: Appended) -> Answer:
        """Return the BulkResponse."""
        assert self._run is not None
        return Answer(200, _encode({"schemas": [RESPONSE_SCHEMA], "Operations": self._run.results(appended)}))


class Run:
    """One pass through a bulk request's operations.

    failing: operations that are known to create nothing. promising: whether an operation may rest on a later one.
    """

    def __init__(self, bulk: Bulk, failing: set[int], *, promising: bool) -> None:
        self._bulk = bulk
        self._tenant = bulk.exchange.authenticated.tenant
        self._promised = {
            task.number: task for task in bulk.tasks if promising and task.creates and task.number not in failing
        }
        types = {
            task.creates: task.operation.resource_type.name
            for task in self._promised.values()
            if task.operation.resource_type is not None
        }
        self._draft = Draft(bulk.service.lookups, self._tenant.tenant_id, types)
        self._service = DraftService(bulk.service, self._draft)
        self._relying: dict[int, list[int]] = {}  # Operation → those that ran before it and refer to it.
        self._done: dict[int, Result] = {}
        self.moved: dict[int, tuple[str, bool]] = {}  # POST → the id that came of it, not as promised; by coming back.
        self._made: set[int] = set()  # Operations that created something.
        self._refused: set[int] = set()
        self._versions: dict[int, tuple[str, int]] = {}
        self._named: dict[str, None] = {}

    async def through(self) -> None:
        """Run every operation, until there are too many errors (BU-09)."""
        await self._read_ahead()
        errors = 0
        for task in in_order(self._bulk.tasks):
            await self._execute(task)
            errors += not self._succeeded(task.number)
            if errors == self._bulk.fail_on_errors:
                return
            await asyncio.sleep(0)  # Other requests are served in between.

    async def _execute(self, task: Task) -> None:
        # Whoever comes back has an id; should nobody come back this time, nobody else may get it.
        new_id = random_id() if task.number in self._bulk.returning else task.creates
        exchange = OperationExchange(self._bulk.exchange, task, new_id, len(self._bulk.tasks))
        result = Result(method=task.operation.method, bulk_id=task.operation.bulk_id or UNSET)
        try:
            answer = await self._handled(task, exchange)
            result.status = str(answer.status)
        except ScimError as error:
            self._draft.take(refused(exchange.alone(), error))
            self._refused.add(task.number)
            result.status, result.response = str(error.status), Raw(error_answer(error).body)
        self._done[task.number] = result
        resource_id = self._posted(task, exchange, new_id) if result.succeeded and task.creates else task.resource_id
        self._named |= dict.fromkeys([resource_id, *exchange.subjects])
        if task.operation.resource_type is not None and resource_id and (result.succeeded or result.method != "POST"):
            await self._locate(task, task.operation.resource_type, resource_id, result)

    async def _handled(self, task: Task, exchange: OperationExchange) -> Answer:
        """Execute an operation. What is wrong with it by itself comes before what it refers to and is not there."""
        own_errors = self._bulk.own_errors
        try:
            self._check(task)
        except ScimError as unmet:
            raise own_errors.get(task.number, unmet) from None
        try:
            return await handled(self._service, exchange, task)
        except ScimError as error:
            own_errors[task.number] = error
            raise

    def _posted(self, task: Task, exchange: Exchange, new_id: str) -> str:
        """Return the id that came of a POST: a new one, or that of whom it brought back."""
        came_back = exchange.target is not None
        resource_id = exchange.target[1] if exchange.target is not None else new_id
        if not came_back:
            self._made.add(task.number)
        if resource_id != task.creates:
            self.moved[task.number] = resource_id, came_back
        return resource_id

    def _check(self, task: Task) -> None:
        """Refuse what cannot be executed, and what refers to something that is not created (BU-14)."""
        if task.refusal is not None:
            raise task.refusal
        for number in sorted(task.refers):
            if number not in self._done or number in self.moved:
                self._relying.setdefault(number, []).append(task.number)
            if not (self._kept(number) if number in self._done else number in self._promised):
                because = self._bulk.own_errors.get(number)
                detail = f"it refers to what operation {number} does not create"
                raise Conflict(f"{detail}: {because.detail}" if because else detail)

    async def _locate(self, task: Task, resource_type: ResourceType, resource_id: str, result: Result) -> None:
        base = self._bulk.service.base(self._tenant.slug)
        result.location = location(base, resource_type, quote(resource_id, safe=""))
        if result.succeeded and task.operation.method != "DELETE":
            stored = await self._stored(resource_type, resource_id)
            assert stored is not None, "what succeeded leaves its resource"
            self._versions[task.number] = (resource_id, stored.version)

    def _stored(
        self, resource_type: ResourceType, resource_id: str
    ) -> Coroutine[Any, Any, StoredUser | StoredGroup | None]:
        tenant_id = self._tenant.tenant_id
        if resource_type.has_members:
            return self._draft.group(tenant_id, resource_id)
        return self._draft.user_to_change(tenant_id, resource_id, resource_type.name)

    def _succeeded(self, number: int) -> bool:
        return number in self._done and self._done[number].succeeded

    def _kept(self, number: int) -> bool:
        return self._succeeded(number) and number not in self.moved

    def broken(self) -> set[int]:
        """The operations that did not create what another one rests on."""
        return {
            number
            for number, relying in self._relying.items()
            if number in self.moved or (not self._succeeded(number) and any(map(self._succeeded, relying)))
        }

    def merged(self) -> Job:
        """Return everything as one job."""
        numbers = list(self._done)
        places = {number: place for place, number in enumerate(numbers)}
        refers = {task.number: sorted(task.refers & self._made) for task in self._bulk.tasks}
        order = [places[number] for number in created_first(numbers, refers)]
        job = merged(self._draft, self._bulk.exchange.request_id, order)
        kept = self._bulk.kept
        if kept is not None and len(self._refused) < len(self._done):  # What is all refused has its parts kept.
            named = [name for name in self._named if is_id(name)]
            job.received += (ReceivedRequest(kept.request_id, kept.wrapped, kept.sealed, named),)
        return job

    def results(self, appended: Appended) -> list[Result]:
        """Return what became of each operation, in the request's order (BU-05), with the versions that came to be."""
        for number, (resource_id, version) in self._versions.items():
            base = appended.group_base.get(resource_id)
            self._done[number].version = etag(self._draft.settled_version(resource_id, version, base))
        return [self._done[number] for number in sorted(self._done)]

    async def _read_ahead(self) -> None:
        """Ask together what the operations will ask one by one; what is missing here is asked then."""
        asked: list[Coroutine[Any, Any, object]] = []
        keys = 0
        for task in self._bulk.tasks:
            named = [each for each in strings(task.data) if is_id(each)]
            asked += self._questions(task, named)
            keys += 1 + len(named)
            if keys > _READ_AHEAD_KEYS:  # Others ask as well.
                await asyncio.gather(*asked)
                asked, keys = [], 0
        await asyncio.gather(*asked)

    def _questions(self, task: Task, named: list[str]) -> list[Coroutine[Any, Any, object]]:
        resource_type, resource_id = task.operation.resource_type, task.creates or task.resource_id
        if task.refusal is not None or resource_type is None or not is_id(resource_id):
            return []
        draft, tenant_id, method = self._draft, self._tenant.tenant_id, task.operation.method
        asked: list[Coroutine[Any, Any, object]] = []
        if resource_type.has_members:
            asked += [draft.groups_by_name(tenant_id, display_name_key(name)) for name in _names(task, "displayName")]
            asked.append(draft.edges(tenant_id, resource_id, named))
        elif resource_type.name == USER:
            asked += [draft.users_by_name(tenant_id, name_key(name)) for name in _names(task, "userName")]
            if method == "POST" and isinstance(external_id := task.data.get("externalId"), str):
                asked.append(draft.users_by_external_id(tenant_id, equality_key(exact(external_id))))
        if method != "POST":
            asked.append(self._stored(resource_type, resource_id))
        if method == "DELETE":
            asked.append(draft.held(tenant_id, resource_id))
        return asked


def _names(task: Task, attribute: str) -> list[str]:
    """The names that an operation gives its resource, where they stand in the usual place."""
    given = [task.data.get(attribute)]
    steps = task.data.get("Operations")
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, dict):
            value, path = step.get("value"), step.get("path")
            if isinstance(value, dict):
                given.append(value.get(attribute))
            elif isinstance(path, str) and path.lower() == attribute.lower():
                given.append(value)
    return [name for name in given if isinstance(name, str)]
