"""The verb: what `./scim-ledger bench` takes from the command line."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.exits import Misused


def bench(
    *,
    users: str = "10000,1000000",
    rounds: int = 5,
    seconds: float = 2.0,
    connections: int = 16,
    rows: str = "",
    simulated: int = 0,
    json: bool = False,
    data: Path | None = None,
    base_url: str = "",
    tenant: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    database_url: str = "",
) -> int:
    """Measure the service on this machine, as ratios to single durable commits.

    Exit status: 0 measured, 1 nothing runs or a row had bad answers, 2 usage.

    Args:
        users: Sizes of the directories to load, separated by commas.
        rounds: How often each row is measured; the table shows medians.
        seconds: How long each row runs in each round.
        connections: How many clients ask at once.
        rows: Keys of the rows wanted, separated by commas; all when empty.
        simulated: Ask and replay also the ledger of a simulated company of so many people, twenty entries a person.
        json: Print the numbers as JSON, every round of them.
        data: Folder, on the disk to be measured, below which the service keeps its data for the run.
        base_url: Measure this running service instead of starting one; needs --tenant.
        tenant: slug:SCIM-TOKEN:AUDIT-TOKEN of an empty tenant; first one for newcomers, then one for each size.
        database_url: Of that service's database, for the reference; only rates are printed without it.
    """
    from bench.run import Arguments, run

    try:
        sizes = tuple(int(size) for size in users.split(",") if size)
    except ValueError:
        raise Misused(f"--users takes whole numbers separated by commas, not {users!r}") from None
    if not sizes or min(sizes) < 1:
        raise Misused(f"--users takes one number of users or more, each at least 1, not {users!r}")
    return run(
        Arguments(
            users=sizes,
            rounds=rounds,
            seconds=seconds,
            connections=connections,
            rows=tuple(row.strip() for row in rows.split(",") if row.strip()),
            simulated=simulated,
            json=json,
            data=data,
            base_url=base_url,
            tenants=tenant,
            database_url=database_url,
        )
    )
