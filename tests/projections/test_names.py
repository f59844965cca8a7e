"""Names, wherever a page ends. Found by fuzzing: a replay told another end of a name than the live row."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ledger.entry import Entry
from projections.names import NameRow, rows, settle
from tests.projections.telling import ADA, Telling, changed, created, deleted


def held(entries: list[Entry], cuts: list[int]) -> list[tuple[str, int, int | None]]:
    """Fold page by page as the runner does: new rows are added, and open ones of a name ended."""
    kept: list[NameRow] = []
    for start, end in pairwise(sorted({0, len(entries), *cuts})):
        made, older = settle(rows(entries[start:end]))
        for closed in older:
            ended = [row for row in kept if row.kind == closed.kind and row.to_position is None]
            for row in ended:
                row.to_position = closed.position
        assert len({(closed.id, closed.kind) for closed in older}) == len(older), "which end would a row get?"
        kept += made
    return sorted((row.kind, row.from_position, row.to_position) for row in kept)


@given(st.lists(st.sampled_from([None, "a", "b"]), max_size=5), st.lists(st.integers(0, 7), max_size=3))
def test_names_end_where_they_ended_however_the_pages_are_cut(values: list[str | None], cuts: list[int]) -> None:
    """Given, given up, given again, and in the end the user goes."""
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada", externalId="a"))
    for before, after in pairwise(["a", *values]):
        if before != after:
            telling.request("PATCH", f"/Users/{ADA}", changed(ADA, "externalId", before, after))
    telling.request("DELETE", f"/Users/{ADA}", deleted(ADA))
    cuts = [cut for cut in cuts if cut < len(telling.entries)]
    assert held(telling.entries, cuts) == held(telling.entries, [])
