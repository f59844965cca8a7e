"""The verb that makes reports."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
from cyclopts import App, Parameter

from cli.exits import Failed, Misused, NoSubject
from cli.flags import Data, DatabaseUrl, Flag, Json, KeysFolder, TenantName
from cli.progress import progress
from cli.verbs import say

_File = Annotated[Path | None, Parameter(negative="", metavar="FILE")]


def add_reports(app: App) -> None:
    """Give the application its reports."""
    app.command(report)


def report(
    tenant: TenantName, name: Annotated[str | None, Parameter(metavar="NAME")] = None, /, *, as_of: Flag = None,
    from_: Flag = None, to: Flag = None, group: Annotated[list[str] | None, Parameter(negative="")] = None,
    state: Flag = None, subject: Flag = None, hours: Flag = None, days: Flag = None, hr_file: _File = None,
    approvals: _File = None,
    format: str = "csv", output: _File = None,
    rows_only: Annotated[bool, Parameter(negative="", show_default=False)] = False, json: Json = False,
    data: Data = None, database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> int:  # fmt: skip
    """Make a report for an auditor, with a header that says what it is of and a footer that adds up; or list all.

    Making one is an entry of the ledger. Exit status: 0 made, 1 failed, or its figures contradict each other; 2 usage;
    3 no such subject or group.

    Args:
        name: Which report; without it they are listed.
        as_of: Of reports about a moment: an RFC 3339 time (everything recorded until then), or a position; now
            without it.
        from_: Of reports about a period: its beginning, likewise; the first entry without it.
        to: The period's end; now without it.
        group: Only these groups: displayName, externalId or id; repeat the option for several.
        state: Of population: present, any, active, disabled, deleted or erased.
        subject: Of changes: userName, externalId or id, held now or ever.
        hours: Of leavers: how long an account may stay active after a termination (24).
        days: Of orphans: after how long nobody touching an account is worth a look (90).
        hr_file: Of leavers: the personnel system's CSV file of terminations to lay beside the ledger.
        approvals: Of joiners: a CSV file of approvals to lay beside it, with a name and a reference in each line.
        format: csv, jsonl or xlsx.
        output: The file to write; without it the report is printed.
        rows_only: Without header and footer: column names and rows.
    """
    from ledger.config import read_config

    if name is None:
        return _list(json)
    named = {"group": group, "state": state, "subject": subject, "hours": hours, "days": days}
    parameters = {each: [given] if isinstance(given, str) else given for each, given in named.items() if given}
    config = read_config(data=data, database_url=database_url, keys=keys)
    asked = _asked(as_of, from_, to, parameters)
    if json and output is None:
        raise Misused("--json tells what was written with --output; for rows as JSON take --format jsonl")
    with ExitStack() as opened:
        written = _format(format, output)
        if (file := _beside(name, hr_file, approvals)) is not None:
            asked = msgspec.structs.replace(asked, file=opened.enter_context(_open(file)))
        footer = _make(tenant, config, name, asked, written, output, rows_only)
    if output is not None:
        say(msgspec.json.encode(footer).decode() if json else _told(name, output, footer))
    if not footer.reconciled:
        raise Failed(f"{name} was made, but its figures contradict each other: see its footer")
    return 0


def _beside(name: str, hr_file: Path | None, approvals: Path | None) -> Path | None:
    """The file that the report is laid beside. Raises Misused for one that is about something else."""
    for option, of, file in (("--hr-file", "leavers", hr_file), ("--approvals", "joiners", approvals)):
        if file is not None and name != of:
            raise Misused(f"{option} is for {of}, not for {name}")
    return hr_file or approvals


def _list(json: bool) -> int:
    from projections.reports.catalog import REPORTS, described

    if json:
        say(msgspec.json.encode(described()).decode())
    else:
        for each in REPORTS.values():
            say(f"{each.name:<18} {each.answers}")
    return 0


def _asked(as_of: str | None, since: str | None, until: str | None, parameters: dict[str, list[str]]) -> Any:
    from domain.errors import InvalidValue
    from projections.moments import moment
    from projections.reports.frame import Asked

    try:
        return Asked(moment(as_of, "--as-of"), moment(since, "--from"), moment(until, "--to"), parameters)
    except InvalidValue as error:
        raise Misused(error.detail) from None


def _format(name: str, output: Path | None) -> Any:
    from projections.reports.catalog import FORMATS

    if name not in FORMATS:
        raise Misused(f"--format is one of {', '.join(FORMATS)}")
    written = FORMATS[name]()
    if output is None and not written.as_text:
        raise Misused(f"{name} is no text to print: name a file with --output")
    return written


def _make(slug: str, config: Any, name: str, asked: Any, written: Any, output: Path | None, rows_only: bool) -> Any:
    from cli.connect import open_tenant
    from domain.errors import NoSuchResource, ScimError
    from ledger.reader import Reader
    from ledger.tenants import operator_cause
    from projections.reports.catalog import known_report
    from projections.reports.making import Making
    from projections.subjects import NoSuchSubject

    try:
        kind = known_report(name)
        with open_tenant(config, slug) as (connection, tenant, vault), _writing(output) as write:
            connection.execute("set timezone = 'UTC'")
            reader = Reader(connection, tenant, vault)
            making = Making(reader, kind, asked, written, operator_cause, rows_only=rows_only)
            with progress(f"{name}: rows") as told, closing(making.pieces()) as pieces:
                for piece in pieces:
                    write(piece)
                    told(making.output, None)
    except NoSuchSubject as error:
        raise NoSubject(str(error)) from None
    except (NoSuchResource, ScimError) as error:
        raise Misused(error.detail) from None
    return making.footer


@contextmanager
def _writing(output: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Write to a file, which is there when all of it is, or to standard output."""
    if output is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    if output.exists():
        raise Misused(f"{output} is there already: name a new file, or remove that one first")
    draft = output.with_name(f".{output.name}.part")
    try:
        with draft.open("wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        draft.rename(output)
    except OSError as error:
        raise Failed(f"{output}: {(error.strerror or 'cannot be written').lower()}") from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise Misused(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None


def _told(name: str, output: Path, footer: Any) -> str:
    from projections.words import counted

    reconciled = "reconciled" if footer.reconciled else "NOT reconciled"
    return (
        f"{name}: {counted(footer.rows_output, 'row')} in {output}, {reconciled}; "
        f"recorded at position {footer.position}\nSHA-256 of the rows: {footer.sha256}"
    )
