"""As of a moment: which entry is the last that counts, and everybody as they were after it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from domain.attributes import ResourceType
from ledger.lookups import StoredResource
from ledger.reader import Reader
from projections.answers import come_by, read_up_to
from projections.ordering import Mark
from projections.queries import Question, read_edges, read_page, select_edges, select_page

_PAGE = 500


def last_position(reader: Reader, moment: datetime | int) -> int:
    """Return the position of the last entry that counts as of a time or a position; -1 before the first.

    As of a time counts what was recorded at it or before. Returns once past states are known up to there.
    Raises InvalidValue for what has not come yet: whatever were answered could still turn out otherwise.
    """
    position = come_by(reader, moment) - 1
    read_up_to(reader, "versions", position + 1)
    read_up_to(reader, "names", position + 1)
    return position


def population(reader: Reader, question: Question) -> Iterator[tuple[ResourceType, StoredResource, list[Any]]]:
    """Yield every match as of the question's position, in order, each with its edges (see `Edges`); page by page."""
    connection = reader.connection
    mark: Mark | None = None
    while True:
        rows = connection.execute(*select_page(question, mark, offset=0, count=_PAGE + 1)).fetchall()
        resources, mark = read_page(question, rows, _PAGE)
        edges = read_edges([connection.execute(*asked).fetchall() for asked in select_edges(question, resources)])
        for kind, stored in resources:
            yield kind, stored, edges.get(stored.id, [])
        if mark is None:
            return
