"""Takes the numbers: a service of its own, directories loaded, rows and reference in interleaved rounds."""

import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.directory import Directory, NotLoaded, headers, load_users
from bench.load import Address, Outcome
from bench.reference import NotDurable, Reference
from bench.report import Measured, Report, RowReport, print_table, to_json
from bench.rows import QUESTIONS, LeftOut, Row, all_rows, lacking, question_rows, size_name
from bench.service import Service, ServiceFailed, processor_us
from bench.simulated import SLUG, Differs, fill, replayed
from ledger.vault import Keys
from projections.runner import behind

WARM_UP_S = 0.3
LEAD = 0.5  # Of a row's time, before it is measured: projections then follow it as they would for as long as it lasts.
REFERENCE_S = 1.0
CAUGHT_UP_S_MAX = 60.0
SIMULATED = "-simulated"  # How the keys of rows end that ask the simulated company's ledger.
REPLAY = "replay" + SIMULATED
WIDTH = 130  # Of the table where no terminal gives one.

Told = Callable[[str, int, int], None]  # Told what is being done, how much is done, and of how much.


class Arguments(Struct, frozen=True):
    """What `./scim-ledger bench` takes.

    users: sizes of the directories, a tenant each. rows: keys of the rows wanted; empty for all.
    simulated: people of a simulated company whose ledger is asked and replayed as well; 0 for none.
    seconds: of one row in one round. data: folder for the service's data, on the disk to be measured; a
    temporary one otherwise.
    base_url, tenants: measure a running service instead; a tenant is "slug:SCIM token:AUDIT token", one for
    newcomers first, then one for each size. database_url: of its server, for the reference.
    """

    users: tuple[int, ...] = (10_000, 1_000_000)
    rounds: int = 5
    seconds: float = 2.0
    connections: int = 16
    rows: tuple[str, ...] = ()
    simulated: int = 0
    json: bool = False
    data: Path | None = None
    base_url: str = ""
    tenants: tuple[str, ...] = ()
    database_url: str = ""


class Site(Struct, frozen=True):
    """The service under measurement.

    new_directory: makes an empty tenant. reference: None where the database is out of reach.
    simulated: fills a tenant with so many people's past, and says how many entries that made; None for a service that
    is not the bench's own. replayed: replays it, and says how many entries in how many seconds.
    processor_us: processor time used so far by the service and by its database, in µs.
    settle: lets the database finish what filling it has left to do.
    """

    new_directory: Callable[[str], Directory]
    database_url: str = ""
    simulated: Callable[[int, Told], tuple[Directory, int]] | None = None
    replayed: Callable[[Callable[[int, int], None]], tuple[int, float]] | None = None
    processor_us: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)
    settle: Callable[[], None] = lambda: None


def run(arguments: Arguments) -> int:
    """Take the numbers and print them. Return the exit status: 1 when a row is invalid or nothing runs."""
    console = Console(stderr=True)
    try:
        check_rows(arguments)
        with site(arguments, console) as place:
            report = measure(arguments, place, console)
    except (NotLoaded, NotDurable, ServiceFailed, Differs, OSError, psycopg.Error) as error:
        console.print(f"bench: {error}", style="red", markup=False)
        return 1
    if arguments.json:
        sys.stdout.write(to_json(report) + "\n")
    else:
        print_table(report, terminal if (terminal := Console()).is_terminal else Console(width=WIDTH))
    return 0 if report.valid else 1


def check_rows(arguments: Arguments) -> None:
    """Refuse rows that do not exist, before anything is started and loaded. Raises ServiceFailed."""
    nobody = Directory(slug="", scim=Address("", 0), audit=Address("", 0), ids=[])
    rows, left_out = all_rows(dict.fromkeys(arguments.users, nobody), nobody, arguments.seconds)
    known = {row.key for row in rows} | {each.key for each in left_out}
    if arguments.simulated:
        known |= {f"{name}{SIMULATED}" for name in QUESTIONS} | {REPLAY}
    if unknown := sorted(set(arguments.rows) - known):
        raise ServiceFailed(f"there is no row {', '.join(unknown)}; there are {', '.join(sorted(known))}")


@contextmanager
def site(arguments: Arguments, console: Console) -> Iterator[Site]:
    """Start a service on a new data folder, or take the running one that was named."""
    if arguments.base_url:
        tenants = iter(arguments.tenants)
        yield Site(lambda _: named_directory(arguments.base_url, next(tenants, "")), arguments.database_url)
        return
    folder = Path(tempfile.mkdtemp(prefix="scim-ledger-bench-", dir=arguments.data))
    folder.chmod(0o755)  # The database server may run as another account.
    try:
        with Service(folder / "data") as service:
            console.print(f"service {service.base_url}, data in {folder}", highlight=False)

            def used() -> tuple[float, float]:
                return processor_us(service.service_pids()), processor_us(service.postgres_pids())

            def new_directory(slug: str) -> Directory:
                return directory(service.base_url, slug, *service.new_tenant(slug))

            def simulated(people: int, told: Told) -> tuple[Directory, int]:
                company = fill(service.database_url(), Keys.open(service.data / "keys"), people, told)
                tokens = [service.new_token(SLUG, scope) for scope in ("scim", "audit")]
                filled = directory(service.base_url, SLUG, *tokens)
                filled.ids.extend(company.ids)
                return filled, company.entries

            def once_more(told: Callable[[int, int], None]) -> tuple[int, float]:
                return replayed(service.database_url(), Keys.open(service.data / "keys"), told)

            yield Site(
                new_directory, service.database_url(), simulated, once_more, used,
                lambda: settle(service.database_url()),
            )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settle(database_url: str) -> None:
    """Vacuum what was just filled, and have it on the disk: else the first rows would pay for filling it."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")


def rest(database_url: str) -> None:
    """Return when the projections have read every entry: no row pays for what the one before it wrote."""
    until = time.monotonic() + CAUGHT_UP_S_MAX
    with psycopg.connect(database_url, autocommit=True) as connection:
        while behind(connection)[0]:
            if time.monotonic() > until:
                raise ServiceFailed(f"projections are still behind after {CAUGHT_UP_S_MAX:.0f} s")
            time.sleep(0.05)


def named_directory(base_url: str, tenant: str) -> Directory:
    """Return the directory of a tenant given as slug:SCIM-TOKEN:AUDIT-TOKEN. Raises ServiceFailed."""
    parts = tenant.split(":")
    if len(parts) != 3:
        wanted = "--tenant slug:SCIM-TOKEN:AUDIT-TOKEN, one for newcomers and one for each size"
        raise ServiceFailed(f"a running service is measured in empty tenants: give {wanted}")
    return directory(base_url, *parts)


def directory(base_url: str, slug: str, scim_token: str, audit_token: str = "") -> Directory:
    """Return an empty directory: a tenant with the addresses that its tokens open."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    return Directory(
        slug=slug,
        scim=Address(host, port, headers(scim_token)),
        audit=Address(host, port, headers(audit_token)),
        ids=[],
    )


def measure(arguments: Arguments, place: Site, console: Console) -> Report:
    """Load the directories, try every row once, then take the rounds."""
    newcomers = place.new_directory("newcomers")
    directories = {size: place.new_directory(f"people-{size}") for size in sorted(arguments.users)}
    rows, left_out = all_rows(directories, newcomers, (1 + LEAD) * arguments.seconds)
    for size, empty in directories.items():
        load(empty, size, console)
    if arguments.simulated:
        more, lacking_too = simulated_rows(arguments.simulated, place, console)
        rows, left_out = rows + more, left_out + lacking_too
    if arguments.rows:
        rows = [row for row in rows if row.key in arguments.rows]
        left_out = [each for each in left_out if each.key in arguments.rows]
    rows, lacking_rows = tried(rows, arguments)
    with _progress(console) as progress:
        progress.add_task("letting the database settle", total=None)
        place.settle()
    reference, server, results = rounds(arguments, place, rows, console)
    reports = [RowReport(row.key, row.work, results[row.key]) for row in rows]
    if arguments.simulated and place.replayed and REPLAY in (arguments.rows or (REPLAY,)):
        reports.append(replay_row(place, place.replayed, statistics.median(reference), console))
    return Report(
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {server or 'database out of reach'}",
        users=tuple(sorted(arguments.users)),
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        connections=arguments.connections,
        reference_per_s=reference,
        rows=reports,
        left_out=left_out + lacking_rows,
    )


def load(empty: Directory, size: int, console: Console) -> None:
    """Fill a tenant with that many users over HTTP."""
    with _progress(console) as progress:
        task = progress.add_task(f"loading {size_name(size)} users", total=size)
        outcome = load_users(empty, size, lambda done: progress.update(task, completed=done))
    console.print(f"{size_name(size)} users loaded, {outcome.rate:,.0f}/s", highlight=False)


def simulated_rows(people: int, place: Site, console: Console) -> tuple[list[Row], list[LeftOut]]:
    """Have a simulated company's ledger made, and return the rows that ask it."""
    if place.simulated is None:
        return [], [LeftOut(f"why{SIMULATED}", "a simulated ledger is made in a service of the bench's own only")]
    with _progress(console) as progress:
        task = progress.add_task("simulating", total=None)

        def told(what: str, done: int, total: int) -> None:
            progress.update(
                task, description=f"simulating {size_name(people)} people, {what}", completed=done, total=total
            )

        filled, entries = place.simulated(people, told)
    console.print(f"simulated ledger of {size_name(people)} people: {entries:,} entries", highlight=False)
    return question_rows(filled, f"simulated ledger of {entries:,} entries", SIMULATED), []


def replay_row(
    place: Site, replayed: Callable[[Callable[[int, int], None]], tuple[int, float]], reference: float, console: Console
) -> RowReport:
    """Replay the simulated company's ledger, once: in as many rounds it would take longer than all rows together.

    What this process does counts as the service's.
    """
    rest(place.database_url)
    with _progress(console) as progress:
        task = progress.add_task("replaying", total=None)
        (_, postgres_before), before = place.processor_us(), time.process_time()
        entries, seconds = replayed(lambda done, total: progress.update(task, completed=done, total=total))
        (_, postgres_after), after = place.processor_us(), time.process_time()
    measured = Measured(
        rate=entries / seconds, ratio=entries / seconds / reference, p50_ms=0.0, p99_ms=0.0, bad=0, first_bad="",
        statuses={}, service_us=(after - before) * 1e6 / entries,
        postgres_us=(postgres_after - postgres_before) / entries, generator_us=0.0,
    )  # fmt: skip
    return RowReport(REPLAY, f"replay of all projections, {entries:,} entries, once", [measured])


def tried(rows: Sequence[Row], arguments: Arguments) -> tuple[list[Row], list[LeftOut]]:
    """Send each row's requests for a moment: it warms up, and shows what the service does not have."""
    there, left_out = [], []
    for row in rows:
        try:
            seen: Outcome | NotLoaded = row.prepared(-1)(WARM_UP_S, arguments.connections)
        except NotLoaded as error:
            seen = error
        if reason := lacking(row, seen):
            left_out.append(LeftOut(row.key, reason))
        else:
            there.append(row)
    return there, left_out


def rounds(
    arguments: Arguments, place: Site, rows: Sequence[Row], console: Console
) -> tuple[list[float], str, dict[str, list[Measured]]]:
    """Measure every row once a round, after the reference; each round begins with another row.

    Nothing is measured before the projections have read what came earlier. Return the references, the database
    server's version, and what was measured by row and round.
    """
    results: dict[str, list[Measured]] = {row.key: [] for row in rows}
    references: list[float] = []
    reference = Reference(place.database_url) if place.database_url else None
    with reference or _nothing(), _progress(console) as progress:
        task = progress.add_task("measuring", total=arguments.rounds * (len(rows) + 1))
        for number in range(arguments.rounds):
            if reference:
                rest(place.database_url)
                references.append(reference.measure(REFERENCE_S))
            progress.advance(task)
            turn = number % len(rows) if rows else 0
            for row in [*rows[turn:], *rows[:turn]]:
                progress.update(task, description=f"round {number + 1}, {row.key}")
                base = references[-1] if references else 0.0
                results[row.key].append(one_row(row, number, arguments, place, base))
                progress.advance(task)
    return references, reference.server if reference else "", results


def one_row(row: Row, number: int, arguments: Arguments, place: Site, reference: float) -> Measured:
    """Measure one row once, under way, with the processor time that an operation took on either side."""
    prepared = row.prepared(number)
    if place.database_url:
        rest(place.database_url)
    prepared(LEAD * arguments.seconds, arguments.connections)
    service_before, postgres_before = place.processor_us()
    outcome = prepared(arguments.seconds, arguments.connections)
    service_after, postgres_after = place.processor_us()
    operations, rate = max(1, outcome.requests) * row.operations, outcome.rate * row.operations
    return Measured(
        rate=rate,
        ratio=rate / reference if reference else 0.0,
        p50_ms=outcome.p50_ms,
        p99_ms=outcome.p99_ms,
        bad=outcome.bad,
        first_bad=outcome.first_bad,
        statuses=outcome.statuses,
        service_us=(service_after - service_before) / operations,
        postgres_us=(postgres_after - postgres_before) / operations,
        generator_us=outcome.generator_us,
    )


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _progress(console: Console) -> Progress:
    """Return a progress bar on stderr, silent where nobody watches."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
