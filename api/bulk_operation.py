"""One operation of a bulk request: what its handler takes for the service, and for a request of its own."""

import msgspec

from api import groups, users
from api.exchange import Answer, Exchange
from api.query import parameters, selection
from api.service import AnswerTo, Decide, Service
from api.turns import Turns
from domain.dependencies import Task
from domain.errors import PayloadTooLarge
from domain.ids import is_id
from ledger.draft import Draft
from ledger.entry import BulkOperation

_CONDITIONS = (b"if-match", b"if-none-match")  # Headers of the bulk request that mean none of its operations.
_encode = msgspec.json.Encoder().encode


class DraftService(Service):
    """The service as an operation's handler finds it: it reads and writes a draft."""

    def __init__(self, service: Service, draft: Draft) -> None:
        vars(self).update(vars(service))
        self.lookups = draft
        self.turns = Turns()  # Nobody else changes a draft.
        self._draft = draft

    async def write(self, decide: Decide, answer: AnswerTo, *, decisions_max: int = 2) -> Answer:
        """Take what is decided. The answer is the status alone: what is not written cannot be shown."""
        job = await decide()
        if await self._draft.contradicts(job):
            job = await decide()
        self._draft.take(job)
        return Answer(job.status)


class OperationExchange(Exchange):
    """One operation as its handler sees it: a request of its own, that came with all the others."""

    __slots__ = ("_data", "_new_id", "_query", "_sent")

    def __init__(self, whole: Exchange, task: Task, new_id: str, count: int) -> None:
        """whole: the bulk request, its body committed to. new_id: of what it makes. count: of its operations."""
        operation = task.operation
        self.started_ns, self.received_ns = whole.started_ns, whole.received_ns
        self.caller, self.client_address = whole.caller, whole.client_address
        self.request_id = f"{whole.request_id[:-4]}{task.number:04x}"
        self.bulk = BulkOperation(whole.request_id, task.number, count)
        self.received, self.body = whole.received, b""
        self.method, self.path, self.target = operation.method, whole.path, None
        if operation.resource_type is not None:
            place = operation.resource_type.endpoint + (f"/{task.resource_id}" if task.resource_id else "")
            self.path = whole.path.rstrip("/").removesuffix("/Bulk") + place
            if is_id(task.resource_id):
                self.target = (f"{operation.resource_type.stream}/{task.resource_id}", task.resource_id)
        self.headers = {name: value for name, value in whole.headers.items() if name not in _CONDITIONS}
        if operation.version is not None and operation.method != "POST":  # ET-07
            self.headers[b"if-match"] = operation.version.encode()
        self.subjects, self.quirks, self.ignored, self.operations = [], (), (), []
        self._data, self._new_id, self._query, self._sent = task.data, new_id, operation.query, operation.data

    @property
    def query(self) -> bytes:
        """The query string of the operation's path."""
        return self._query.encode()

    def new_id(self) -> str:
        """Return the id that others of the request already refer to."""
        return self._new_id

    async def read_body(self, bytes_max: int) -> bytes:
        """Return the operation's data. Raises PayloadTooLarge as the request on its own would."""
        raw = _encode(self._data)
        if len(raw) > bytes_max:
            raise PayloadTooLarge(f"the data of one operation may have {bytes_max} bytes at most")
        return raw

    def alone(self) -> "OperationExchange":
        """As a request of its own, what it sent being its body: so is a refused one kept, and found by its names."""
        self.received = None
        self.body = _encode(self._sent) if self._sent else b""
        return self


async def handled(service: Service, exchange: Exchange, task: Task) -> Answer:
    """Execute an operation through the handler of the request that it would be on its own (BU-08)."""
    resource_type, resource_id = task.operation.resource_type, task.resource_id
    assert resource_type is not None, "an operation without refusal has a resource type"
    handlers = groups if resource_type.has_members else users
    wanted = selection(parameters(exchange.query), resource_type)
    answer: Answer
    match exchange.method:
        case "POST":
            answer = await handlers.create(service, exchange, resource_type, wanted)
        case "PUT":
            answer = await handlers.replace(service, exchange, resource_type, resource_id, wanted)
        case "PATCH":
            answer = await handlers.patch(service, exchange, resource_type, resource_id, wanted)
        case _:
            answer = await handlers.delete(service, exchange, resource_type, resource_id)
    return answer
