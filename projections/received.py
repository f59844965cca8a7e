"""One request: what was sent, what we made of it, what it changed, what was answered."""

from datetime import datetime

import msgspec
from msgspec import Struct

from ledger.reader import Reader
from projections.answers import read_up_to
from projections.attributes import short
from projections.requests import happened_at
from projections.story import Change, GroupNames, RequestTold, change, requests_told
from projections.subjects import names_of
from projections.words import change as changed
from projections.words import counted, initiator, plain, request_details, value, when

_ENTRIES_MAX = 1_000
_OPERATIONS_MAX = 1_000
# The operations of a bulk request have its id, but for the last four digits.
_RUNS = """
select first_position, last_position
  from trail
 where tenant_id = %(tenant)s
   and request_id between %(request)s::uuid and %(last)s::uuid
   and (request_id = %(request)s::uuid or bulk_request_id = %(request)s::uuid)
 order by first_position
 limit %(count)s
"""


class NoSuchRequest(Exception):
    """No request of the tenant has this id: it was a read, was never recorded, or is another tenant's."""


class RequestShown(Struct, frozen=True):
    """A request and its outcome.

    told: without what was erased; None when nothing is left; of a bulk request its first operation. operations: of a
    bulk request, all of them, without the like for any other. body: as received, passwords struck out; None when it had
    none, was not kept or is erased, which `body_is` says. changes: its entries, the first of `entry_count`; several
    when it was refused and repeated.
    """

    request_id: str
    at: datetime
    told: RequestTold | None
    operations: list[RequestTold]
    body: str | None
    body_is: str
    changes: list[Change]
    entry_count: int


def show_request(reader: Reader, request_id: str) -> RequestShown:
    """Return what is recorded of a request. Raises NoSuchRequest."""
    read_up_to(reader, "trail")
    last = request_id[:-4] + "ffff" if request_id.endswith("0000") else request_id
    runs = reader.found(_RUNS, request=request_id, last=last, count=_OPERATIONS_MAX)
    if not runs:
        raise NoSuchRequest(
            f"no request {request_id} is recorded; requests that only read, and those without a valid token, are not"
        )
    positions = [position for first, last in runs for position in range(first, last + 1)]
    entries = reader.at(positions[:_ENTRIES_MAX])
    group_ids = {entry.stream[7:] for entry in entries if entry.stream.startswith("groups/")}
    named = {row[2] for row in names_of(reader.connection, reader.tenant, group_ids)}
    names = GroupNames(reader.at(named))
    by_id = requests_told(entries)
    operations = [each for each in by_id.values() if each.bulk is not None and each.request_id != request_id]
    told = by_id.get(request_id) or (operations[0] if operations else None)
    body = reader.received(request_id)
    if body is None and told is not None and told.bulk is not None and told.status < 400:
        body = reader.received(told.bulk.request_id)
    return RequestShown(
        request_id=request_id,
        at=happened_at(entries[0]),
        told=told,
        operations=operations,
        body=None if body is None else body.decode(errors="replace"),
        body_is=_body_is(told, body, operations),
        changes=[change(entry, names) for entry in entries],
        entry_count=len(positions),
    )


def _body_is(told: RequestTold | None, body: bytes | None, operations: list[RequestTold]) -> str:
    if body is not None:
        return "as received, passwords struck out"
    if operations and all(each.status >= 400 for each in operations):
        return "kept with each operation, for all were refused"
    if told is None:
        return "erased"
    if told.received is None:
        return "none was sent"
    size = counted(told.received.body_bytes, "byte")
    return f"erased ({size})" if told.received.kept else f"not kept: too long ({size}); its hash is recorded"


def request(shown: RequestShown) -> str:
    """A request in plain words: what came, what was decided, what was answered."""
    told = shown.told
    lines = [f"Request {shown.request_id}, {when(shown.at)}, by {initiator(told)}"]
    if told is not None:
        sent = f"{told.method} {plain(told.path)}"
        if shown.operations:
            sent = counted(len(shown.operations), "operation")
        lines += ["", "What was sent", f"  {sent}".rstrip()]
        if told.client_address:
            lines.append(f"  from {plain(told.client_address)}")
        details = [line for line in request_details(told) if not line.startswith("detail: ")]
        lines += [f"  {line}" for line in details if not (shown.operations and line.startswith("operation"))]
    lines += ["", f"Body ({shown.body_is})"]
    if shown.body is not None:
        lines += [f"  {plain(line)}" for line in _pretty(shown.body).split("\n")]
    lines += ["", "What it changed"]
    for each in shown.changes:
        lines.append(f"  position {each.position}: {changed(each)}")
        lines += [f"    {short(name)}: {value(held)}" for name, held in each.resource.items()]
    if shown.entry_count > len(shown.changes):
        lines.append(f"  and {counted(shown.entry_count - len(shown.changes), 'more entry', 'more entries')}")
    if shown.operations:
        lines += ["", "What was answered", *(f"  {_operation(each)}" for each in shown.operations)]
    elif told is not None:
        answered = f"  {told.status} {told.scim_type}".rstrip() if told.status else "  not over HTTP"
        lines += ["", "What was answered", answered + (f": {plain(told.detail)}" if told.detail else "")]
        lines.append(f"  after {told.duration_us / 1_000:.1f} ms")
    return "\n".join(lines) + "\n"


def _operation(told: RequestTold) -> str:
    number = told.bulk.number if told.bulk is not None else 0
    detail = f": {plain(told.detail)}" if told.detail else ""
    return f"{number:>4}  {told.method} {plain(told.path)}, {told.status} {told.scim_type}".rstrip() + detail


def _pretty(body: str) -> str:
    try:
        return msgspec.json.format(body.encode(), indent=2).decode()
    except (msgspec.DecodeError, RecursionError):
        return body
