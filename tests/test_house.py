"""What holds everywhere: imports point down, everything public is documented, no file knows this machine.

Runs alone in a moment: pytest tests/test_house.py
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A package may import those below it and itself. The edges are started by cli, which may know the others.
BELOW = {
    "domain": set(),
    "ledger": {"domain"},
    "projections": {"domain", "ledger"},
    "api": {"domain", "ledger", "projections"},
    "console": {"domain", "ledger", "projections"},
    "cli": {"domain", "ledger", "projections", "api", "console", "bench"},
    "bench": {"domain", "ledger", "projections", "api", "cli"},
}

# Who may name a library that we keep in one place.
KEPT_IN = {
    "litestar": ("api/", "console/"),
    "eventsourcing": ("ledger/", "projections/runner.py"),
    "psycopg": ("ledger/", "projections/", "bench/"),
    "psycopg_pool": ("ledger/", "projections/", "bench/"),
}

# domain has no clock, no randomness and no input or output.
IMPURE = {
    *(
        "asyncio",
        "io",
        "logging",
        "os",
        "pathlib",
        "random",
        "secrets",
        "shutil",
        "socket",
        "sqlite3",
        "subprocess",
    ),
    *("tempfile", "threading", "time"),
}
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "open", "print", "input"}

AVOIDED = {"helper", "helpers", "util", "utils", "common", "manager"}


def sources() -> list[Path]:
    """Every Python file of the packages, by its path from the root."""
    return sorted(path.relative_to(ROOT) for package in BELOW for path in (ROOT / package).rglob("*.py"))


def tracked() -> list[Path]:
    """Every file that git has or would add; in an unpacked archive every file outside dot folders."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, capture_output=True, text=True).stdout.split("\0")
    except FileNotFoundError:  # A machine without git.
        names = []
    if not any(names):
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
        names = [name for name in names if not name.startswith(".") and "__pycache__" not in name]
    return [path for name in names if name and (path := ROOT / name).is_file()]


def parse(path: Path) -> ast.Module:
    """Read one file."""
    return ast.parse((ROOT / path).read_text(), str(path))


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, also inside functions."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(path.parent.parts[: len(path.parent.parts) - node.level + 1])
            yield f"{package}.{node.module or ''}".strip(".") if node.level else str(node.module)


def definitions(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield every module, class and function with a public name, and the methods of public classes."""
    module = parse(path)
    if module.body:
        yield str(path), module
    open_nodes: list[tuple[str, ast.Module | ast.ClassDef]] = [(str(path), module)]
    while open_nodes:
        where, parent = open_nodes.pop()
        for node in parent.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                if node.name.startswith("_"):
                    continue
                yield f"{where}: {node.name}", node
                if isinstance(node, ast.ClassDef):
                    open_nodes.append((f"{where}: {node.name}", node))


@pytest.mark.parametrize("package", [name for name in BELOW if (ROOT / name).is_dir()])
def test_imports_point_down(package: str) -> None:
    """A package knows those below it and nothing above or beside."""
    wrong = [
        f"{path} imports {name}"
        for path in sources()
        if path.parts[0] == package
        for name in imports(path)
        if (top := name.partition(".")[0]) in BELOW and top != package and top not in BELOW[package]
    ]
    assert not wrong


def test_the_domain_imports_the_standard_library_and_msgspec_only() -> None:
    """And of the standard library nothing that has a clock, chance, or the outside in it."""
    allowed = (sys.stdlib_module_names - IMPURE) | {"msgspec", "domain"}
    wrong = [
        f"{path} imports {name}"
        for path in sources()
        if path.parts[0] == "domain"
        for name in imports(path)
        if name.partition(".")[0] not in allowed
    ]
    assert not wrong


def test_the_domain_asks_neither_clock_nor_chance() -> None:
    """Also not through modules that are pure otherwise."""
    wrong = []
    for path in sources():
        for node in ast.walk(parse(path)) if path.parts[0] == "domain" else ():
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in IMPURE_CALLS:
                    wrong.append(f"{path}:{node.lineno} calls {name}")
    assert not wrong


@pytest.mark.parametrize("library", KEPT_IN)
def test_libraries_stay_where_they_belong(library: str) -> None:
    """So that replacing one of them is the work of a day."""
    wrong = [
        str(path)
        for path in sources()
        if library in {name.partition(".")[0] for name in imports(path)} and not str(path).startswith(KEPT_IN[library])
    ]
    assert not wrong


def test_everything_public_has_a_docstring() -> None:
    """Every module, class, function and method without a leading underscore."""
    wrong = [name for path in sources() for name, node in definitions(path) if not ast.get_docstring(node)]
    assert not wrong


def test_no_name_says_nothing() -> None:
    """Words that fit every file fit none (style.md)."""
    wrong = []
    for path in sources():
        names = [path.stem, *path.parent.parts]
        names += [name.rpartition(": ")[2] for name, _ in definitions(path)][1:]
        for name in names:
            words = {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}
            if words & AVOIDED:
                wrong.append(f"{path}: {name}")
    assert not wrong


def test_no_file_knows_this_machine() -> None:
    """Neither where somebody's checkout lies nor where somebody's packages come from."""
    # In pieces, because this file is searched as well.
    forbidden = [r"/ho" r"me/\w", r"/ro" r"ot/\w", r"pypi\." r"org", r"python" r"hosted", r"index" r"-url"]
    forbidden += [r"file:" r"///\w"]
    if len(ROOT.parts) > 2:
        forbidden.append(re.escape(str(ROOT)) + r"\b")
    pattern = re.compile("|".join(forbidden))
    wrong = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        wrong += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    assert not wrong


def test_the_lock_names_packages_and_hashes_and_no_host() -> None:
    """It installs from whatever index the machine has."""
    text = (ROOT / "requirements.lock").read_text()
    lines = [line for line in text.splitlines() if not line.strip().startswith("#")]
    package = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[A-Za-z0-9.+!_-]+( ; [^\\]+)?( \\)?")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [line for line in lines if line and not package.fullmatch(line) and not digest.fullmatch(line)] == []
    unpinned = [
        line for line, after in pairwise([*lines, ""]) if package.fullmatch(line) and not digest.fullmatch(after)
    ]
    assert unpinned == []
    assert "://" not in text


def test_the_lock_has_what_the_project_asks_for() -> None:
    """A dependency that is not locked would be missing after the first run."""
    project = (ROOT / "pyproject.toml").read_text()
    locked = {line.partition("==")[0].partition("[")[0] for line in (ROOT / "requirements.lock").open()}
    asked = set(re.findall(r'^    "([a-z0-9-]+)(?:\[[a-z,]+\])?[><=]', project, re.MULTILINE))
    assert asked and asked <= locked
