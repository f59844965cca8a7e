"""What the operations of a bulk request rest on, and the orders that follow from it. Pure.

Ids are chosen before anything runs, so an operation may name what a later one creates. It keeps its place in the
request all the same (BU-20): only one whose own resource does not exist yet has to wait.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from msgspec import Struct

from domain.attributes import JsonObject
from domain.bulk import Operation, References
from domain.errors import InvalidValue, ScimError


class Task(Struct, frozen=True):
    """An operation whose path and data name ids where they named bulkIds.

    resource_id: of its path; "" for a collection, or when it is not known. creates: the id of what a POST makes, ""
    for other methods. awaits: the number of the operation that creates what the path names, 0 for none.
    refers: the numbers of those that create anything it names. refusal: why it cannot be executed, if so.
    """

    operation: Operation
    resource_id: str
    data: JsonObject
    creates: str
    awaits: int
    refers: frozenset[int]
    refusal: ScimError | None

    @property
    def number(self) -> int:
        """Its place in the request, from 1."""
        return self.operation.number


def creators(operations: Sequence[Operation]) -> dict[str, int]:
    """By bulkId, the operation that creates what the bulkId stands for: the first POST that has it (BU-15)."""
    return {each.bulk_id: each.number for each in reversed(operations) if each.bulk_id and each.method == "POST"}


def tasks(operations: Sequence[Operation], ids: Mapping[str, str]) -> list[Task]:
    """Put ids in the place of bulkIds. ids: by bulkId, one for everything that will be created."""
    numbers = creators(operations)
    return [_task(operation, numbers, ids) for operation in operations]


def _task(operation: Operation, numbers: Mapping[str, int], ids: Mapping[str, str]) -> Task:
    references = References(ids)
    bulk_id = operation.bulk_id or ""
    creates = ids[bulk_id] if numbers.get(bulk_id) == operation.number else ""
    if operation.refusal is not None:
        resource_id = "" if operation.resource_id.startswith("bulkId:") else operation.resource_id
        return Task(operation, resource_id, {}, creates, 0, frozenset(), operation.refusal)
    resource_id = references.text(operation.resource_id)
    awaits = max((numbers[each] for each in references.used), default=0)
    data = references.data(operation)
    refusal = InvalidValue("it refers to a bulkId that the request does not have") if references.unknown else None
    refers = frozenset(numbers[each] for each in references.used)
    return Task(operation, resource_id, data, creates, awaits, refers, refusal)


def in_order(tasks: Sequence[Task]) -> Iterator[Task]:
    """The request's order, but for operations on what a later one creates: those follow right behind it."""
    waiting: dict[int, list[Task]] = {}
    for task in tasks:
        if task.awaits > task.number:
            waiting.setdefault(task.awaits, []).append(task)
            continue
        yield task
        yield from waiting.pop(task.number, ())


def with_dependants(broken: AbstractSet[int], tasks: Sequence[Task]) -> set[int]:
    """Operations that create nothing, and those that would create something and refer to them, directly or not."""
    dependants: dict[int, list[int]] = {}
    for task in tasks:
        for number in task.refers if task.creates else ():
            dependants.setdefault(number, []).append(task.number)
    found, waiting = set(broken), list(broken)
    while waiting:
        new = {number for number in dependants.get(waiting.pop(), ()) if number not in found}
        found |= new
        waiting += new
    return found


def created_first(numbers: Sequence[int], refers: Mapping[int, Sequence[int]]) -> list[int]:
    """The same operations, each behind those that create what it refers to, as far as there are no circles.

    For the ledger: nobody reads of a member before reading of its creation. A creation touches no other stream than
    its own, so that moving it forward changes nothing.
    """
    ordered: dict[int, None] = {}
    entered: set[int] = set()
    for first in numbers:
        waiting = [first]
        while waiting:
            number = waiting[-1]
            if number in entered:
                ordered[waiting.pop()] = None
            else:
                entered.add(number)
                waiting += [other for other in refers.get(number, ()) if other not in entered]
    return list(ordered)
