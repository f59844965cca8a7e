"""What reports are written as: nothing in a spreadsheet becomes a formula, nothing in JSON is altered, hashes fit."""

import csv
import io
import json
import tracemalloc
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.reports.formats import Csv, Format, JsonLines
from projections.reports.frame import Cell
from projections.reports.workbook import CUT, TEXT_MAX, Workbook

AT = datetime(2026, 3, 31, 12, 0, 1, 500_000, UTC)
ROW: list[Cell] = ["=1+1", None, True, 7, 2.5, AT, ["a", "@b"], 'Zo\u00eb \u202e\n\x07<&>"']
NAMES = ("text", "nothing", "yes", "whole", "part", "at", "several", "odd")
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


def written(form: Format, *rows: list[Cell], names: tuple[str, ...] = NAMES) -> bytes:
    """A whole report."""
    pieces = [form.head([("Report", "=A & B")], {"report": "=A & B"}), form.columns(names)]
    pieces += [form.rows([row]) for row in rows]
    pieces += [form.foot([("Rows output", str(len(rows)))], {"rows_output": len(rows)}), form.end()]
    return b"".join(pieces)


def test_csv_is_for_people_and_spreadsheets() -> None:
    head, rows, foot = written(Csv(), ROW).decode().split("\r\n\r\n")
    assert list(csv.reader(io.StringIO(head))) == [["Report", "'=A & B"]]
    assert list(csv.reader(io.StringIO(rows)))[1] == [
        "'=1+1", "", "yes", "7", "2.5", "2026-03-31T12:00:01.500Z", "a; @b", 'Zo\u00eb \\u202e\\n\\x07<&>"',
    ]  # fmt: skip
    assert foot == "Rows output,1\r\n"


@given(TEXTS)
def test_no_text_begins_as_a_formula_does_or_breaks_a_line(text: str) -> None:
    """Whatever anybody is called; and what is printable can be had back by taking one apostrophe away."""
    form = Csv()
    form.columns(["name"])
    line = form.rows([[text]]).decode()
    assert line.count("\r\n") == 1 and line.endswith("\r\n")
    (cell,) = next(csv.reader([line]), [""])
    assert not cell.startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))
    if text.isprintable():
        assert (cell.removeprefix("'") if cell.startswith("'") else cell) == text


@given(TEXTS)
def test_json_lines_alter_nothing(text: str) -> None:
    form = JsonLines()
    form.columns(["name", "at"])
    line = form.rows([[text, AT]])
    assert json.loads(line) == {"name": text, "at": "2026-03-31T12:00:01.500Z"} and line.count(b"\n") == 1


@pytest.mark.parametrize("kind", [Csv, JsonLines])
def test_the_hash_is_of_what_stands_between_header_and_footer(kind: type[Csv] | type[JsonLines]) -> None:
    whole, bare, rows = kind(), kind(), kind()
    text = written(whole, ROW, ROW)
    alone = bare.columns(NAMES) + bare.rows([ROW]) + bare.rows([ROW]) + bare.end()
    assert whole.sha256 == bare.sha256 == sha256(alone).hexdigest() and alone in text
    assert rows.columns(NAMES) + rows.rows([ROW, ROW]) == alone


def opened(content: bytes) -> Any:
    """A workbook as another program reads it."""
    return openpyxl.load_workbook(io.BytesIO(content))


@pytest.mark.filterwarnings("error")
def test_a_workbook_is_opened_by_others() -> None:
    """Texts are texts, times are dates, and the sheet about it all comes first."""
    form, plain = Workbook(), Csv()
    book = opened(written(form, ROW))
    assert book.sheetnames == ["About", "Rows"]
    assert [[cell.value for cell in row] for row in book["About"]][1:] == [
        ["Report", "=A & B"], [None, None], ["Rows output", "1"],
    ]  # fmt: skip
    names, values = ([cell.value for cell in row] for row in book["Rows"])
    assert tuple(names) == NAMES
    assert values == ["=1+1", None, True, 7, 2.5, AT.replace(tzinfo=None), "a; @b", 'Zo\u00eb \\u202e\\n\\x07<&>"']
    assert book["Rows"]["A2"].data_type == "s" and book["Rows"]["F2"].is_date
    written(plain, ROW)
    assert form.sha256 == plain.sha256


def test_a_sheet_that_is_full_is_followed_by_another() -> None:
    form = Workbook(rows_max=3)
    content = form.columns(["n"]) + form.rows([[n] for n in range(5)]) + form.end()
    book = opened(content)
    assert book.sheetnames == ["Rows", "Rows 2", "Rows 3"]
    assert [[cell.value for cell in row] for row in book["Rows 2"]] == [["n"], [2], [3]]
    assert book["Rows 3"]["A2"].value == 4


@pytest.mark.parametrize("sign", ["a", "\U0001f600", "&"])
def test_a_cell_that_is_cut_says_so_and_is_counted(sign: str) -> None:
    """Spreadsheets count in UTF-16: a sign of two units is not cut in its middle. What just fits is left alone."""
    units = len(sign.encode("utf-16-le")) // 2
    fits, long = sign * (TEXT_MAX // units), sign * (TEXT_MAX // units + 1)
    book = opened(written(Workbook(), [fits, long], [[fits, "b"], "c"], names=("one", "two")))
    (one, two), (several, whole) = ([cell.value for cell in row] for row in list(book["Rows"])[1:])
    assert (one, whole) == (fits, "c")
    for text in (two, several):
        assert text.startswith(sign * 100) and set(text.removesuffix(CUT)) == {sign} and text.endswith(CUT)
        assert TEXT_MAX - units < len(text.encode("utf-16-le")) // 2 <= TEXT_MAX
    about = {row[0].value: row[1].value for row in book["About"]}
    assert about["Cells cut"].startswith("2, marked at their ends: a spreadsheet's cell holds 32,767 characters")
    assert "Cells cut" not in {row[0].value for row in opened(written(Workbook(), ROW))["About"]}


def test_a_workbook_comes_as_it_is_made_and_takes_no_memory() -> None:
    """Nothing waits for the end."""
    form = Workbook()
    assert form.columns(NAMES)
    form.rows([ROW] * 250)
    tracemalloc.start()
    try:
        sent = sum(len(form.rows([ROW] * 250)) for _ in range(40))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent and peak < 1_000_000
    form.end()
