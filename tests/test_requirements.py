"""docs/requirements.md tells the truth: every row kept by a test or given a reason, and no row made up."""

from tests.requirements import DOCUMENT, document, problems, row_ids, rows


def test_every_row_is_kept_by_a_test_or_has_a_reason() -> None:
    """And no test names a row that there is not."""
    assert problems() == []


def test_the_document_says_what_the_tests_say() -> None:
    """`python -m tests.requirements` writes it again."""
    assert DOCUMENT.read_text() == document()


def test_every_row_has_an_id_of_its_own_a_source_and_a_short_title() -> None:
    everything = rows()
    assert len({row.id for row in everything}) == len(everything) == 458  # 389, 27 decisions, 42 relaxations.
    assert all(row.source and 2 <= len(row.title.split()) <= 10 for row in everything)


def test_rows_are_named_one_by_one_or_as_a_range() -> None:
    assert list(row_ids("AU-02, SO-01 to SO-03: RFC-12; PT-01 to 02")) == [
        *("AU-02", "SO-01", "SO-02", "SO-03", "PT-01", "PT-02"),
    ]
