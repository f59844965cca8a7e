"""Verbs about Entra's own provisioning log: take in an export, and compare it with what the ledger holds."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from cyclopts import App, Parameter

from cli.exits import Misused
from cli.flags import Data, DatabaseUrl, Json, KeysFolder, TenantName, from_on
from cli.verbs import say

_Shown = Annotated[int, Parameter(validator=from_on(0, "--count"))]  # None of them: how many there are is told still.

entra_log = App(name="entra-log", help="Take in Entra's provisioning log, and compare it with what was recorded here.")


def add_entra_log(app: App) -> None:
    """Give the application its verbs about Entra's log."""
    app.command(entra_log)


@entra_log.command(name="import")
def import_(
    tenant: TenantName,
    /,
    *files: Annotated[Path, Parameter(metavar="FILE")],
    json: Json = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
) -> None:
    """Take in an export of Entra's provisioning log, so that cycles, scoping and skip reasons are known here.

    JSON as the portal or Graph gives it, or the portal's CSV files, all three in one call. Taking in the same rows
    again changes nothing. Exit status: 0 done, 1 failed, 2 usage, or a file is no such export.

    Args:
        files: The exported files.
    """
    from cli.connect import open_tenant
    from ledger.config import read_config
    from ledger.reader import Reader
    from ledger.tenants import operator_cause
    from projections.entra_import import import_export
    from projections.files import BadFile
    from projections.telling import imported

    if not files:
        raise Misused("entra-log import needs FILE; ./scim-ledger entra-log import --help tells more")
    config = read_config(data=data, database_url=database_url, keys=keys)
    with ExitStack() as opened:
        given = [(str(path), opened.enter_context(_open(path))) for path in files]
        connection, found, vault = opened.enter_context(open_tenant(config, tenant))
        progress = opened.enter_context(_progress(sum(path.stat().st_size for path in files)))
        try:
            told = import_export(Reader(connection, found, vault), given, operator_cause, progress=progress)
        except BadFile as error:
            raise Misused(str(error)) from None
    say(msgspec.json.encode(told).decode() if json else imported(told))


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise Misused(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    with file:
        if not path.is_file():
            raise Misused(f"{path}: is no file that can be read twice; save the export first")
        yield file


@contextmanager
def _progress(size: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, on a terminal only."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), *Progress.get_default_columns()[1:], DownloadColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("reading", total=size)
        yield lambda read: bar.update(task, completed=read)


@entra_log.command
def unmatched(
    tenant: TenantName, /, *, count: _Shown = 20, json: Json = False, data: Data = None,
    database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Show what does not fit together: rows of Entra's log without a request here, requests without a row there.

    Exit status: 0 answered, 1 failed, 2 usage.

    Args:
        count: How many of each to show, the newest (20; at most 1000); all are counted.
    """
    from cli.questions import ask
    from projections import entra_report, telling

    ask(
        tenant, lambda reader: entra_report.unmatched(reader, count=count), telling.unmatched, json, data,
        database_url, keys,
    )  # fmt: skip
