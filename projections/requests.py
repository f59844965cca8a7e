"""Entries put back together as the requests that made them.

One append writes a request's entries side by side, so a request is a run of neighbours in position order. A
page of entries may end in the middle of one; the end of the ledger never does.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from domain.events import RequestRefused
from ledger.entry import Cause, Entry

NO_CAUSE = Cause(request_id="")  # Stands for the cause of an entry whose key was destroyed.


def requests(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Split entries, in position order, into one list a request."""
    current: list[Entry] = []
    for entry in entries:
        if current and _begins(entry, current[-1]):
            yield current
            current = []
        current.append(entry)
    if current:
        yield current


def _begins(entry: Entry, previous: Entry) -> bool:
    # The id alone would join a refusal and the entry that later counts its repetitions.
    return entry.request_id != previous.request_id or (entry.cause is not None and entry.cause.index == 0)


def whole_requests(entries: Sequence[Entry], count_max: int) -> Sequence[Entry]:
    """Return the part of a page that ends with a request, which may be none of it.

    entries: the page. count_max: how many were asked for: a shorter page ends where the ledger ends.
    """
    if len(entries) < count_max:
        return entries
    last = entries[-1]
    if last.cause is not None and last.cause.index + 1 == last.cause.count:
        return entries
    end = len(entries) - 1
    while end > 0 and not _begins(entries[end], entries[end - 1]):
        end -= 1
    return entries[:end]


def cause_of(request: Sequence[Entry]) -> Cause:
    """Return a request's full cause, which its first entry carries; empty when that entry was erased."""
    return request[0].cause or NO_CAUSE


def repetitions(entry: Entry) -> int:
    """Return how many repetitions of an earlier refusal an entry stands for; 0 when it stands for itself."""
    return entry.event.repetitions if isinstance(entry.event, RequestRefused) else 0


def happened_at(entry: Entry) -> datetime:
    """Return when what an entry tells of happened, in whole milliseconds; never after it was recorded.

    That is when it was recorded, but for repetitions of a refusal: their entry comes when the minute is over, and the
    last of them was answered before.
    """
    cause = entry.cause
    if cause is None or not cause.received_at or not repetitions(entry):
        return entry.recorded_at
    answered = datetime.fromisoformat(cause.received_at) + timedelta(microseconds=cause.elapsed_us)
    return min(entry.recorded_at, answered.replace(microsecond=answered.microsecond // 1_000 * 1_000))
