"""The rows of the table: which requests each sends, and how a right answer is known."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count, cycle, islice
from urllib.parse import quote

from msgspec import Struct

from bench.directory import (
    PATCH_OP,
    Directory,
    NotLoaded,
    add_members,
    new_group,
    new_groups,
    posts,
    user_body,
    user_name,
)
from bench.load import Address, Call, Outcome, drive, request_bytes

SMALL_GROUP = 10
ADDS_A_SMALL_GROUP = 16  # Then the next group of 10 takes over, or it would be a group of thousands.
SMALL_GROUPS_A_SECOND = 500  # Enough for 8,000 adds a second.
BULK_OPERATIONS = 1_000
BULK_REQUEST = b"urn:ietf:params:scim:api:messages:2.0:BulkRequest"
LAST_CREATED = b'"status":"201"}]}'
QUESTIONS = {"why": "why?subject={id}", "history": "history?subject={id}", "as-of": "users/{id}?asOf={now}"}
NOT_THERE = frozenset({404, 405, 501})  # All answers of a row like this: the service lacks that part.


class Row(Struct, frozen=True):
    """One line of the table.

    key: what `--rows` takes. calls: asked once a round, outside the measured time, for the round's requests.
    connections: None for as many as the run has; 1 where the latency of a lone question is what matters.
    operations: in each request; the rate counts them, so that bulk stands beside single requests.
    """

    key: str
    work: str
    address: Address
    wanted: frozenset[int]
    calls: Callable[[int], Iterator[Call]]
    connections: int | None = None
    operations: int = 1

    def prepared(self, round_number: int) -> Callable[[float, int], Outcome]:
        """Get the round's requests ready; return what sends them, for so many seconds over N connections."""
        calls = self.calls(round_number)
        return lambda seconds, connections: drive(
            self.address,
            calls,
            connections=self.connections or connections,
            seconds=seconds,
            wanted=self.wanted,
        )


class LeftOut(Struct, frozen=True):
    """A row that was asked for and not measured, and why."""

    key: str
    reason: str


def size_name(number: int) -> str:
    """Return 10000 as 10k and 1000000 as 1M."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if number >= unit and not number % unit:
            return f"{number // unit}{name}"
    return str(number)


def shuffled(directory: Directory, seed: int) -> list[int]:
    """Return every user's number, in an order that the database's cache cannot foresee."""
    numbers = list(range(len(directory.ids)))
    random.Random(seed).shuffle(numbers)
    return numbers


def post_row(directory: Directory, size: int) -> Row:
    """POST /Users: new people for ever, after those who are loaded."""
    names = ((user_name(number), number) for number in count(max(size, 1_000_000)))
    calls = posts(directory, names)
    work = "POST /Users" + (f", into {size_name(size)}" if size else "")
    key = f"post-{size_name(size)}" if size else "post"
    return Row(key, work, directory.scim, frozenset({201}), lambda _: calls)


def bulk_row(directory: Directory) -> Row:
    """POST /Bulk: as many new people in each request as it may have, one request after the other."""

    def endless() -> Iterator[Call]:
        numbers = count(5_000_000)
        while True:
            bodies = [user_body(user_name(number), number) for number in islice(numbers, BULK_OPERATIONS)]
            operations = (
                b'{"method":"POST","path":"/Users","bulkId":"%d","data":%s}' % (number, body)
                for number, body in enumerate(bodies)
            )
            message = b'{"schemas":["%s"],"Operations":[%s]}' % (BULK_REQUEST, b",".join(operations))
            yield Call(request_bytes(directory.scim, "POST", directory.target("Bulk"), message), LAST_CREATED)

    calls = endless()
    work = f"POST /Bulk, {BULK_OPERATIONS:,} new users each, 1 connection"
    return Row(
        "bulk", work, directory.scim, frozenset({200}), lambda _: calls, connections=1, operations=BULK_OPERATIONS
    )


def get_row(directory: Directory, size: int) -> Row:
    """GET /Users/{id}: everybody in turn, in random order."""

    def endless() -> Iterator[Call]:
        for number in cycle(shuffled(directory, 1)):
            user_id = directory.ids[number]
            target = directory.target(f"Users/{user_id}")
            yield Call(request_bytes(directory.scim, "GET", target), user_name(number))

    calls = endless()
    key, work = f"get-{size_name(size)}", f"GET /Users/{{id}}, {size_name(size)} users"
    return Row(key, work, directory.scim, frozenset({200}), lambda _: calls)


def filter_row(directory: Directory, size: int) -> Row:
    """GET /Users?filter=userName eq "…": as Entra matches."""

    def endless() -> Iterator[Call]:
        for number in cycle(shuffled(directory, 2)):
            text = quote(f'userName eq "{user_name(number).decode()}"')
            target = directory.target(f"Users?filter={text}")
            yield Call(request_bytes(directory.scim, "GET", target), directory.ids[number].encode())

    calls = endless()
    key, work = f"filter-{size_name(size)}", f"GET filter userName eq, {size_name(size)} users"
    return Row(key, work, directory.scim, frozenset({200}), lambda _: calls)


def patch_row(directory: Directory, size: int) -> Row:
    """PATCH active: everybody out, then everybody in again, so that every request changes something.

    The answer's version proves it: one change for each time that somebody's turn came.
    """

    def endless() -> Iterator[Call]:
        order = shuffled(directory, 3)
        for version, active in enumerate(cycle((b"false", b"true")), 2):
            body = b'{"schemas":["%s"],"Operations":[{"op":"replace","path":"active","value":%s}]}'
            filled = body % (PATCH_OP.encode(), active)
            for number in order:
                target = directory.target(f"Users/{directory.ids[number]}")
                yield Call(request_bytes(directory.scim, "PATCH", target, filled), b'W/"%d"' % version)

    calls = endless()
    key, work = f"patch-{size_name(size)}", f"PATCH active, {size_name(size)} users"
    return Row(key, work, directory.scim, frozenset({200}), lambda _: calls)


def add_to_small_groups_row(directory: Directory, seconds: float) -> Row:
    """Add one member to a group of 10: each group takes 16 members in turn, so it stays a small one."""
    rounds = count()

    def calls(_: int) -> Iterator[Call]:
        how_many = int(SMALL_GROUPS_A_SECOND * seconds) + 1
        turn = next(rounds)
        names = [f"group of {SMALL_GROUP}, {turn}-{number}" for number in range(how_many)]
        users, width = directory.ids, SMALL_GROUP + ADDS_A_SMALL_GROUP
        first = [(number * width) % (len(users) - width) for number in range(how_many)]
        groups = new_groups(directory, names, [users[start : start + SMALL_GROUP] for start in first])
        return (
            Call(add_members(directory, group, [member]))
            for group, start in zip(groups, first, strict=True)
            for member in users[start + SMALL_GROUP : start + width]
        )

    return _add_row(directory, SMALL_GROUP, calls)


def add_to_one_group_row(directory: Directory, size: int, *, anew: bool) -> Row:
    """Add one member to one group that has `size` members at the start.

    anew: a new group each round; otherwise the first one goes on, growing by what the rounds add.
    """
    made: list[Iterator[Call]] = []
    rounds = count()

    def adds() -> Iterator[Call]:
        name = f"group of {size}, {next(rounds)}"
        group = new_group(directory, name, directory.ids[:size], lambda _: None)
        return (Call(add_members(directory, group, [member])) for member in directory.ids[size:])

    def calls(_: int) -> Iterator[Call]:
        if anew or not made:
            made[:] = [adds()]
        return made[0]

    return _add_row(directory, size, calls)


def _add_row(directory: Directory, size: int, calls: Callable[[int], Iterator[Call]]) -> Row:
    key, work = f"add-{size_name(size)}", f"add one member, group of {size_name(size)}"
    return Row(key, work, directory.scim, frozenset({200, 204}), calls)


def question_rows(directory: Directory, ledger: str, suffix: str = "") -> list[Row]:
    """Why, history and as-of for one user of a full ledger, one question at a time. suffix: of the rows' keys."""
    now = quote(datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))

    def endless(path: str) -> Iterator[Call]:
        for number in cycle(shuffled(directory, 4)):
            user_id = directory.ids[number]
            target = f"/api/{directory.slug}/" + path.format(id=user_id, now=now)
            yield Call(request_bytes(directory.audit, "GET", target), user_id.encode())

    def row(name: str, calls: Iterator[Call]) -> Row:
        work = f"{name} of one user, {ledger}, 1 connection"
        return Row(name + suffix, work, directory.audit, frozenset({200}), lambda _: calls, connections=1)

    return [row(name, endless(path)) for name, path in QUESTIONS.items()]


def all_rows(
    directories: dict[int, Directory], newcomers: Directory, seconds: float
) -> tuple[list[Row], list[LeftOut]]:
    """Return the rows for these directories (by how many users they hold), and those that need a larger one.

    newcomers: an empty tenant for POST, so that a directory of 10,000 keeps 10,000.
    """
    sizes = sorted(directories)
    rows = [post_row(newcomers, 0), bulk_row(newcomers)]
    for size in sizes:
        directory = directories[size]
        rows += [get_row(directory, size), filter_row(directory, size), patch_row(directory, size)]
    largest = directories[sizes[-1]]
    left_out = []
    rows.append(add_to_small_groups_row(largest, seconds))
    for members, anew in ((1_000, True), (100_000, False)):
        if sizes[-1] < 2 * members:
            needs = f"needs a directory of {size_name(2 * members)} users"
            left_out.append(LeftOut(f"add-{size_name(members)}", needs))
        else:
            rows.append(add_to_one_group_row(largest, members, anew=anew))
    return rows + question_rows(largest, f"{size_name(sizes[-1])} users"), left_out


def lacking(row: Row, warm_up: Outcome | NotLoaded) -> str:
    """Return why a row cannot be measured on this service, or "" when it can."""
    if isinstance(warm_up, NotLoaded):
        return str(warm_up)
    statuses = set(warm_up.statuses)
    if statuses and statuses <= NOT_THERE - row.wanted:
        return f"the service answers {', '.join(map(str, sorted(statuses)))}: it does not have this part"
    return ""
