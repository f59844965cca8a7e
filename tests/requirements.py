"""Which test keeps which promise: docs/requirements.md, made from the tests by reading them, without a run.

A row is named in a test's docstring or in its parametrize ids, as `EP-01`, several as `SO-01 to SO-04`; a golden
file of a client names its rows itself. Rows, their sources and titles are in golden/requirements.tsv, with a reason
for each row that no test can keep. `python -m tests.requirements` writes the document again.
"""

import ast
import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent
DOCUMENT = TESTS.parent / "docs" / "requirements.md"
ROWS = TESTS / "golden" / "requirements.tsv"
CLIENTS = TESTS / "golden" / "clients"
PLAYED_BY = "api/test_golden_clients.py::test_a_client_is_understood"

# Chapters and rows whose tests are still being written, and where; what is named here may be missing.
PENDING: dict[str, str] = {}

CHAPTERS = {
    "EP": "Endpoints and methods", "MT": "Media types, encoding, JSON", "AU": "Authentication and authorization",
    "DI": "Discovery", "RS": "Resources and common attributes", "CR": "Create", "GE": "Retrieve one",
    "LQ": "List and query", "FI": "Filters", "SO": "Sorting", "PG": "Index pagination", "CU": "Cursor pagination",
    "PJ": "Projection", "SE": "Search by POST", "PU": "Replace", "PA": "PATCH: the message", "PP": "PATCH: paths",
    "PT": "PATCH: targets", "PD": "PATCH: details", "DE": "Delete", "ET": "ETags and conditional requests",
    "ME": "Me", "BU": "Bulk", "GR": "Groups and membership", "ER": "Errors", "IN": "Strings and PRECIS",
    "VT": "Versions and tenants", "SX": "Sensitive data", "EV": "Security events",
    "DEC": "Decisions where the RFCs are silent", "RX": "What real clients get wrong",
}  # fmt: skip

_NAMED = re.compile(r"\b([A-Z]{2,3})-(\d\d)\b(?: to (?:\1-)?(\d\d)\b)?")


class Row(NamedTuple):
    """One requirement. reason: why no test keeps it, or empty."""

    id: str
    source: str
    title: str
    reason: str

    @property
    def chapter(self) -> str:
        """The letters of its id."""
        return self.id.partition("-")[0]

    @property
    def pending(self) -> str:
        """Where its test is being written; empty when it has to be here."""
        return PENDING.get(self.id) or PENDING.get(self.chapter, "")


def rows() -> list[Row]:
    """Every requirement, in the catalogue's order."""
    with ROWS.open(newline="") as file:
        _, *lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [Row(*line) for line in lines]


def named() -> dict[str, list[str]]:
    """By row id the tests that name it, as file::name in the order of files."""
    found: dict[str, list[str]] = {}
    for test, text in (*_tests(), *_golden_files()):
        for row_id in row_ids(text):
            if test not in found.setdefault(row_id, []):
                found[row_id].append(test)
    return found


def row_ids(text: str) -> Iterator[str]:
    """The row ids in a text, ranges written out."""
    for chapter, first, last in _NAMED.findall(text):
        if chapter in CHAPTERS:
            yield from (f"{chapter}-{number:02}" for number in range(int(first), int(last or first) + 1))


def _tests() -> Iterator[tuple[str, str]]:
    """Every test with the texts in which it may name rows: its docstring and its decorators."""
    for path in sorted(TESTS.rglob("test_*.py")):
        module = ast.parse(path.read_text())
        assigned = {
            target.id: statement.value
            for statement in module.body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
        for function in module.body:
            if isinstance(function, ast.FunctionDef) and function.name.startswith("test_"):
                texts = [ast.get_docstring(function) or ""]
                texts += [text for decorator in function.decorator_list for text in _ids(decorator, assigned)]
                yield f"{path.relative_to(TESTS)}::{function.name}", "\n".join(texts)


def _ids(decorator: ast.expr, assigned: dict[str, ast.expr]) -> Iterator[str]:
    """The texts in a decorator, and the keys of a dict of the module that it names: parametrize ids."""
    for node in ast.walk(decorator):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Name) and isinstance(table := assigned.get(node.id), ast.Dict):
            yield from (key.value for key in table.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def _golden_files() -> Iterator[tuple[str, str]]:
    """Every golden file of a client, under the test that plays it."""
    for path in sorted(CLIENTS.glob("*/*.json")):
        yield f"{PLAYED_BY}[{path.parent.name}/{path.stem}]", " ".join(json.loads(path.read_text())["rows"])


def document() -> str:
    """The text of docs/requirements.md."""
    tests, everything = named(), rows()
    done = sum(row.id in tests for row in everything)
    reasoned = sum(row.id not in tests and bool(row.reason) for row in everything)
    lines = [
        "# SCIM, row by row",
        "",
        "What RFC 7643, 7644, 9865 and 9967 ask of a service provider, what they leave open, and what clients send:",
        f"{len(everything)} rows, of which {done} are kept by a test and {reasoned} have a reason instead. Made from",
        "the tests by `python -m tests.requirements`; a test fails when this page says anything else.",
    ]
    for chapter, title in CHAPTERS.items():
        lines += ["", f"## {title}", "", "| row | asks | source | state | tests |", "|---|---|---|---|---|"]
        lines += [_line(row, tests.get(row.id, [])) for row in everything if row.chapter == chapter]
    return "\n".join(lines) + "\n"


def _line(row: Row, tests: list[str]) -> str:
    state = "done" if tests else row.reason or (f"pending: {row.pending}" if row.pending else "MISSING")
    shown = "<br>".join(f"`{test}`" for test in tests)
    return f"| {row.id} | {row.title} | {row.source} | {state} | {shown} |"


def problems() -> list[str]:
    """What is wrong between rows and tests, a sentence each."""
    tests, everything = named(), rows()
    known = {row.id for row in everything}
    missing = [row.id for row in everything if not (row.id in tests or row.reason or row.pending)]
    return [
        *(f"{row_id} is named by {', '.join(tests[row_id])} and is no row" for row_id in tests if row_id not in known),
        *(f"{row_id} is named by no test and has no reason" for row_id in missing),
        *(f"{row.id} has a reason and a test: one is too many" for row in everything if row.reason and row.id in tests),
    ]


if __name__ == "__main__":
    DOCUMENT.write_text(document())
