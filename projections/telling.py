"""History, a past state, the logs and runs in plain words. Pure; `words.py` tells single facts."""

from collections.abc import Iterator

from projections.answers import AsOf, History, Shown, Told
from projections.attributes import flat, short
from projections.entra_import import Imported
from projections.entra_report import OURS, THEIRS, TheirRow, Unmatched
from projections.log import Log, Record
from projections.rhythm import ClientSeen, RunList, RunTold
from projections.story import last_name
from projections.words import change, counted, group, modified, overwrote, plain, request_line, span, value, when


def history(told: History) -> str:
    """The newest entries about the subject in order, old values and new."""
    return "\n".join("\n".join(_history(one)) + "\n" for one in told.histories)


def _history(told: Told) -> Iterator[str]:
    noun, called = told.resource_type, last_name(told.names, told.resource)
    yield f"{noun} {plain(called)} ({told.id})" if called else f"{noun} {told.id}"
    yield "" if told.present else "  deleted since; this is what the ledger keeps"
    seen = ""
    for fact in told.changes:
        request = told.requests.get(fact.request_id)
        if fact.request_id != seen and request is not None:
            yield f"  {when(fact.at)}, {request_line(request)}"
        seen = fact.request_id
        yield f"    position {fact.position}: {change(fact)}"
        if fact.overwrote is not None:
            yield f"      {overwrote(fact.overwrote)}"
        for attribute, assigned in fact.resource.items():
            yield f"      {short(attribute)}: {value(assigned)}"
    if told.next_before is not None:
        yield f"  Older ones: --before {told.next_before}"


def as_of(told: AsOf) -> str:
    """A subject as it was."""
    moment = f"as of {when(told.at)}" if told.at is not None else f"at position {told.position}"
    return "\n".join("\n".join(_shown(one, moment, told.position)) + "\n" for one in told.resources)


def _shown(told: Shown, moment: str, position: int) -> Iterator[str]:
    yield f"{told.resource_type} {told.id} {moment} (up to position {position})"
    if told.resource is None:
        yield "  deleted by then" if told.version else "  not there yet"
        return
    changed = f", last changed {when(told.changed_at)}" if told.changed_at else ""
    yield f"  version {told.version}{changed}"
    for attribute, assigned in flat(told.resource).items():
        if attribute not in ("id", "schemas"):
            yield f"  {short(attribute)}: {value(assigned)}"
    yield from (
        f"  member of {group(held.group_id, held.group_name)} since {when(held.from_at)}" for held in told.groups
    )
    if not told.groups:
        yield "  member of no group"


def log(told: Log) -> str:
    """The provisioning log, newest first, one record after the other."""
    if not told.records:
        return "No request matches.\n"
    return "\n".join(line for record in told.records for line in _record(record)) + "\n"


def _record(told: Record) -> Iterator[str]:
    target = f"{told.resource_type} {told.target_id}" if told.target_id else told.resource_type
    client = f'"{plain(told.token_label)}"' if told.token_label else told.token_id
    yield f"{when(told.at)}  {told.action:<8} {told.status:<8} {target}"
    address = f" from {plain(told.client_address)}" if told.client_address else ""
    request = f"{told.method} {plain(told.path)} by {client}{address}, request {told.request_id}"
    yield f"    position {told.first_position}, {request}" + ("" if told.run is None else f", run {told.run}")
    if told.bulk_operation is not None:
        yield f"    operation {told.bulk_operation} of the bulk request {told.bulk_request_id}"
    if told.entra is not None:
        by = f", set off by {plain(told.entra.initiated_by)}" if told.entra.initiated_by else ""
        yield f"    Entra's log: cycle {plain(told.entra.cycle_id)}, change {plain(told.entra.change_id)}{by}"
    if told.scim_type or told.detail:
        yield f"    {told.http_status} {told.scim_type} {plain(told.detail)}".rstrip()
    for each in told.modified:
        yield f"    {modified(each['attribute'], each.get('before'), each.get('after'))}"
    if told.ignored:
        yield f"    ignored: {', '.join(map(plain, told.ignored))}"
    if told.repetitions:
        stands = f"stands for {counted(told.repetitions, 'repetition')} of an earlier refusal"
        yield f"    {stands}, recorded {when(told.recorded_at)}"


def runs(told: RunList) -> str:
    """Runs, newest first, and before them how regularly each client comes."""
    clients = [line for client in told.clients for line in _client(client)]
    listed = [line for run in told.runs for line in _run(run)] or ["No run matches."]
    more = [] if told.next_before is None else [f"Older ones: --before {told.next_before}"]
    return "\n".join([*clients, "", *listed, *more]).lstrip("\n") + "\n"


def _client(told: ClientSeen) -> Iterator[str]:
    usual = f"comes every {span(told.usual_interval_s)}" if told.usual_interval_s is not None else "no regular visitor"
    last = f"last request {when(told.last_seen)}" if told.last_seen else "no request yet"
    yield f'"{plain(told.client_label)}" ({told.client_id}): {usual}, {last}'
    if told.silent_since is not None:
        yield f"    SILENT since {when(told.silent_since)}: look at its provisioning status, and at its token"


def _run(told: RunTold) -> Iterator[str]:
    client = f'"{plain(told.client_label)}"' if told.client_label else told.client_id or "erased"
    took = f"in {span(told.duration_s)}" if told.duration_s else "at once"
    yield f"Run {told.first_position}  {when(told.started)}  {client}  {_requests(told)} {took}"
    touched = f"    touched {counted(told.users_touched, 'user')}, {counted(told.groups_touched, 'group')}"
    yield touched + (": one object alone, as on demand" if told.single_object else "")
    done = [_done(count, *_DONE[name]) for name in _DONE if (count := getattr(told, name))]
    yield f"    {', '.join(done) or 'nobody created, deactivated or deleted'}"
    others = "; other clients changed them meanwhile" if told.changed_by_others else ""
    yield f"    active users: {told.active_before} → {told.active_after}{others}"
    seen = [*told.client_addresses, *told.user_agents]
    seen += [f"ActivityId {told.activity_id}"] if told.activity_id else []
    if seen:
        yield f"    {', '.join(map(plain, seen))}"


def _requests(told: RunTold) -> str:
    statuses = [
        f"{count} {action} {status}" for action, by in sorted(told.counts.items()) for status, count in by.items()
    ]
    return f"{counted(told.requests, 'request')} ({', '.join(statuses)})"


_DONE = {
    "users_created": ("user", "created"),
    "users_deactivated": ("", "deactivated"),
    "users_reactivated": ("", "reactivated"),
    "users_deleted": ("", "deleted"),
    "groups_created": ("group", "created"),
    "groups_deleted": ("group", "deleted"),
    "memberships_added": ("membership", "added"),
    "memberships_removed": ("", "removed"),
    "memberships_ended": ("membership", "ended with their groups"),
}


def _done(count: int, noun: str, done: str) -> str:
    return f"{counted(count, noun) if noun else f'{count:,}'} {done}"


def imported(told: Imported) -> str:
    """What an import came to."""
    between = f", {when(told.from_at)} to {when(told.to_at)}" if told.from_at and told.to_at else ""
    erased = f", {told.rows_erased:,} left out: they are about people who were erased" if told.rows_erased else ""
    return (
        f"{counted(told.rows, 'row')}{between}: {told.rows_new:,} new{erased}\n"
        f"{told.rows_joined:,} of them {'is' if told.rows_joined == 1 else 'are'} about requests recorded here; "
        "entra-log unmatched shows the others\n"
        f"import {told.import_id}, position {told.position}"
    )


def unmatched(told: Unmatched) -> str:
    """What does not fit together, by reason, and the newest of each."""
    if not told.covered:
        return "No provisioning log was imported yet: ./scim-ledger entra-log import\n"
    lines = [f"compared from {when(each.from_at)} to {when(each.to_at)}" for each in told.covered]
    lines.append(f"{counted(told.rows, 'row')} there, {counted(told.requests, 'request')} here, {told.joined:,} joined")
    lines += ["", "Rows of Entra's log without a request here"]
    lines += [f"  {count:>7,} {reason}: {THEIRS[reason]}" for reason, count in told.theirs.items()] or ["  none"]
    lines += [line for each in told.their_rows for line in _their_row(each)]
    lines += ["", "Requests here without a row in Entra's log"]
    lines += [f"  {count:>7,} {reason}: {OURS[reason]}" for reason, count in told.ours.items()] or ["  none"]
    lines += [
        f"    {when(each.at)}  {each.action} {each.status} {each.resource_type} {each.target_id or ''} "
        f"position {each.first_position}: {each.reason}"
        for each in told.our_requests
    ]
    return "\n".join(lines) + "\n"


def _their_row(told: TheirRow) -> Iterator[str]:
    row = told.row
    who = plain(row.source_name or row.source_id)
    why = f" ({plain(row.skip_reason or row.error_code)})" if row.skip_reason or row.error_code else ""
    yield f"    {when(row.at)}  {plain(row.action)} {plain(row.status)} {who}, change {plain(row.change_id)}"
    yield f"      {told.reason}{why}"
