"""XLSX, written as it comes: the rows' sheet goes out while it is made, and what is about it follows at the end.

A workbook is a zip file of XML parts (ECMA-376, SpreadsheetML), and both can be written without going back: sizes and
checksums stand behind each part, and which sheets there are is said last. So a million rows take no memory and the
first byte does not wait for the last row, which no library offers (DECISIONS.md). Texts are texts here, whatever they
begin with; times are dates of the spreadsheet, in UTC.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO, Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from projections.reports.formats import Csv, Line
from projections.reports.frame import Cell, Row
from projections.words import plain

ROWS_MAX = 1_048_576  # Of one sheet, the names of the columns included.
TEXT_MAX = 32_767  # Characters of one cell, as spreadsheets count them: in UTF-16.
CUT = " \u2026 [cut here: CSV has all of it]"
_DAY_S = 86_400
_FIRST_DAY = datetime(1899, 12, 30, tzinfo=UTC)
_AS_TIME, _AS_NAME = 1, 2  # Indices of cellXfs below.

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

_STYLES = f"""<styleSheet xmlns="{_MAIN}"><numFmts count="1"><numFmt numFmtId="164" \
formatCode="yyyy\\-mm\\-dd hh:mm:ss"/></numFmts><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>\
<font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/>\
</fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders>\
<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="3"><xf/><xf numFmtId="164" applyNumberFormat="1"/>\
<xf fontId="1" applyFont="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/>\
</cellStyles></styleSheet>"""
_SHEET = f"""<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" \
activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><cols><col min="1" max="%d" width="22" \
customWidth="1"/></cols><sheetData>"""
_ABOUT = f"""<worksheet xmlns="{_MAIN}"><cols><col min="1" max="1" width="36" customWidth="1"/><col min="2" max="2" \
width="110" customWidth="1"/></cols><sheetData>"""


Shown = str | int | float | bool | datetime | None  # What a cell is given; texts as they fit.

_NOTE: Line = ("About the rows", "Times are in UTC. The SHA-256 is that of the same rows as CSV.")


class _Passed:
    """What the zip file is written to: bytes go on, and there is no way back."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, piece: bytes) -> int:
        self._waiting += piece
        return len(piece)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


class Workbook:
    """A sheet About with header and footer, and one or more of rows; `sha256` is that of the rows as CSV."""

    media_type = f"{_KIND}.sheet"
    extension = "xlsx"
    as_text = False

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        """rows_max: of a sheet; then comes another one."""
        self._passed = _Passed()
        self._zip = ZipFile(self._passed, "w", ZIP_DEFLATED, compresslevel=3)  # type: ignore[call-overload]
        self._rows_max = rows_max
        self._csv = Csv()
        self._head: list[Line] = []
        self._foot: list[Line] = []
        self._names: Sequence[str] = ()
        self._sheet: IO[bytes] | None = None
        self._sheets = 0
        self._row = 0
        self._cut = 0

    @property
    def sha256(self) -> str:
        """In hex."""
        return self._csv.sha256

    def head(self, lines: Sequence[Line], told: Any) -> bytes:
        """Keep the header until its sheet's turn."""
        self._head = list(lines)
        return b""

    def columns(self, names: Sequence[str]) -> bytes:
        """Begin the first sheet of rows."""
        self._names = names
        self._csv.columns(names)
        self._begin()
        return self._passed.take()

    def rows(self, rows: Sequence[Row]) -> bytes:
        """Write some rows."""
        self._csv.rows(rows)
        for row in rows:
            if self._row == self._rows_max:
                self._end_sheet()
                self._begin()
            self._write(row)
        return self._passed.take()

    def foot(self, lines: Sequence[Line], told: Any) -> bytes:
        """Keep the footer as well."""
        self._foot = list(lines)
        return b""

    def end(self) -> bytes:
        """Write what there is about the rows, and what the file is made of."""
        self._end_sheet()
        if self._head:
            about = (_NOTE, *self._head, ("", ""), *self._cells_cut(), *self._foot)
            lines = "".join(_row(number, [_fitted(text)[0] for text in line]) for number, line in enumerate(about, 1))
            self._part("xl/worksheets/about.xml", f"{_ABOUT}{lines}</sheetData></worksheet>")
        for name, text in _parts(self._sheets, about=bool(self._head)).items():
            self._part(name, text)
        self._zip.close()
        return self._passed.take()

    def _begin(self) -> None:
        self._sheets += 1
        self._sheet = self._zip.open(f"xl/worksheets/rows{self._sheets}.xml", "w")
        self._sheet.write((_XML + _SHEET % len(self._names)).encode())
        self._row = 0
        self._write(self._names, _AS_NAME)

    def _write(self, row: Row, style: int = 0) -> None:
        assert self._sheet is not None
        self._row += 1
        shown = [self._shown(cell) for cell in row]
        self._sheet.write(_row(self._row, shown, style).encode("utf-8", "replace"))

    def _shown(self, cell: Cell) -> Shown:
        text = "; ".join(cell) if isinstance(cell, list) else cell
        if not isinstance(text, str):
            return text
        fitted, cut = _fitted(text)
        self._cut += cut
        return fitted

    def _cells_cut(self) -> list[Line]:
        if not self._cut:
            return []
        holds = f"a spreadsheet's cell holds {TEXT_MAX:,} characters"
        return [("Cells cut", f"{self._cut}, marked at their ends: {holds}; CSV and JSON Lines have them whole")]

    def _end_sheet(self) -> None:
        if self._sheet is not None:
            last = f"{_letters(len(self._names))}{self._row}"
            self._sheet.write(f'</sheetData><autoFilter ref="A1:{last}"/></worksheet>'.encode())
            self._sheet.close()
            self._sheet = None

    def _part(self, name: str, text: str) -> None:
        self._zip.writestr(name, _XML + text)


def _fitted(text: str) -> tuple[str, bool]:
    """Return a text as a cell can hold it, with a mark at its end where it was cut, and whether it was."""
    shown = plain(text)
    if len(shown) <= TEXT_MAX // 2:
        return shown, False
    units = shown.encode("utf-16-le", "replace")
    if len(units) <= 2 * TEXT_MAX:
        return shown, False
    return units[: 2 * (TEXT_MAX - len(CUT))].decode("utf-16-le", "ignore") + CUT, True


def _row(number: int, row: Sequence[Shown], style: int = 0) -> str:
    cells = "".join(_cell(f"{_letters(place)}{number}", cell, style) for place, cell in enumerate(row, 1))
    return f'<row r="{number}">{cells}</row>'


def _cell(place: str, cell: Shown, style: int) -> str:
    match cell:
        case None | "":
            return ""
        case bool():
            return f'<c r="{place}" t="b"><v>{int(cell)}</v></c>'
        case int() | float():
            return f'<c r="{place}"><v>{cell}</v></c>'
        case datetime():
            return f'<c r="{place}" s="{_AS_TIME}"><v>{(cell - _FIRST_DAY).total_seconds() / _DAY_S:.9f}</v></c>'
        case _:
            text = escape(cell)
            return f'<c r="{place}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


@lru_cache(maxsize=256)
def _letters(place: int) -> str:
    """What a column is called: A to Z, AA and so on."""
    before, last = divmod(place - 1, 26)
    return (_letters(before) if before else "") + chr(ord("A") + last)


def _parts(sheets: int, *, about: bool) -> dict[str, str]:
    """What the file is made of, beside its sheets; the one that is about the rows comes first."""
    listed = [("About", "about")] if about else []
    listed += [("Rows" if number == 1 else f"Rows {number}", f"rows{number}") for number in range(1, sheets + 1)]
    overrides = "".join(_override(f"/xl/worksheets/{file}.xml", "worksheet") for _, file in listed)
    named = "".join(f'<sheet name="{name}" sheetId="{id}" r:id="r{id}"/>' for id, (name, _) in enumerate(listed, 1))
    targets = [("worksheet", f"worksheets/{file}.xml") for _, file in listed] + [("styles", "styles.xml")]
    return {
        "xl/styles.xml": _STYLES,
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{named}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations(targets),
        "_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]),
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
        f'ContentType="application/xml"/>{_override("/xl/workbook.xml", "sheet.main")}'
        f"{_override('/xl/styles.xml', 'styles')}{overrides}</Types>",
    }


def _override(part: str, kind: str) -> str:
    return f'<Override PartName="{part}" ContentType="{_KIND}.{kind}+xml"/>'


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    related = "".join(
        f'<Relationship Id="r{id}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for id, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{related}</Relationships>'
