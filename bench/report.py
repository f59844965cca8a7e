"""The table: medians over the rounds, and what makes a row worth nothing."""

import statistics
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench.rows import LeftOut


class Measured(Struct, frozen=True):
    """One row in one round.

    rate: requests a second; of a replay, which has no latency, entries. ratio: rate by the same round's single durable
    commits a second; 0 without them. service_us, postgres_us, generator_us: processor time for each request, whatever
    ran in it meanwhile.
    """

    rate: float
    ratio: float
    p50_ms: float
    p99_ms: float
    bad: int
    first_bad: str
    statuses: dict[int, int]
    service_us: float
    postgres_us: float
    generator_us: float


class RowReport(Struct, frozen=True):
    """One row in all rounds."""

    key: str
    work: str
    rounds: list[Measured]

    @property
    def bad(self) -> int:
        """Answers that were wrong or never came; any makes the row invalid."""
        return sum(each.bad for each in self.rounds)

    def median(self, take: Callable[[Measured], float]) -> float:
        """Return the median over the rounds of one of their numbers."""
        return statistics.median(take(each) for each in self.rounds)


class Report(Struct, frozen=True):
    """A whole run. reference_per_s: single durable commits a second, one number a round."""

    taken_at: str
    machine: str
    users: tuple[int, ...]
    rounds: int
    seconds: float
    connections: int
    reference_per_s: list[float]
    rows: list[RowReport]
    left_out: list[LeftOut]

    @property
    def valid(self) -> bool:
        """Whether every answer of every row was right."""
        return not any(row.bad for row in self.rows)


def to_json(report: Report) -> str:
    """Return the run as JSON: the medians of each row, and every round behind them."""
    value = msgspec.to_builtins(report)
    value["valid"] = report.valid
    value["reference_per_s_median"] = _median(report.reference_per_s)
    for row, shown in zip(report.rows, value["rows"], strict=True):
        shown["bad"] = row.bad
        shown["valid"] = not row.bad
        shown["median"] = {
            name: row.median(lambda each, name=name: getattr(each, name))  # type: ignore[misc]
            for name in ("rate", "ratio", "p50_ms", "p99_ms", "service_us", "postgres_us", "generator_us")
        }
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def print_table(report: Report, console: Console) -> None:
    """Print the run as a table, and below it what to know before quoting from it."""
    table = Table(title=f"scim-ledger bench, {report.taken_at}", title_justify="left")
    table.add_column("work")
    for heading in ("rate/s", "min-max", "x commits/s", "p50 ms", "p99 ms", "service µs", "postgres µs"):
        table.add_column(heading, justify="right")
    if report.reference_per_s:
        rates = report.reference_per_s
        table.add_row("single durable commits, 1 connection", f"{_median(rates):,.0f}", _range(rates), "1.00")
    for row in report.rows:
        table.add_row(row.work, *_cells(row), style="red" if row.bad else "")
    console.print(table)
    console.print(
        f"{report.machine}. Medians of {report.rounds} interleaved rounds of {report.seconds:g} s, "
        f"{report.connections} connections; the generator shares the cores.",
        highlight=False,
    )
    for row in report.rows:
        if row.bad:
            example = next(each.first_bad for each in row.rounds if each.bad)
            console.print(f"INVALID {row.key}: {row.bad} bad answers, the first: {example}", markup=False)
    for left_out in report.left_out:
        console.print(f"not measured: {left_out.key}: {left_out.reason}", markup=False, highlight=False)


def _cells(row: RowReport) -> Sequence[str]:
    if row.bad:
        return ("invalid", "", "", "", "", "", "")
    return (
        f"{row.median(lambda each: each.rate):,.0f}",
        _range([each.rate for each in row.rounds]),
        f"{row.median(lambda each: each.ratio):.2f}",
        _latency(row.median(lambda each: each.p50_ms)),
        _latency(row.median(lambda each: each.p99_ms)),
        f"{row.median(lambda each: each.service_us):.0f}",
        f"{row.median(lambda each: each.postgres_us):.0f}",
    )


def _latency(ms: float) -> str:
    return f"{ms:.1f}" if ms else ""


def _range(rates: Sequence[float]) -> str:
    return f"{min(rates):,.0f}-{max(rates):,.0f}"


def _median(rates: Sequence[float]) -> float:
    return statistics.median(rates) if rates else 0.0
