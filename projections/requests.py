"""Entries put back together as the requests that made them.

One append writes a request's entries side by side, so a request is a run of neighbours in position order. A
page of entries may end in the middle of one; the end of the ledger never does.
"""

from collections.abc import Iterable, Iterator, Sequence

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
