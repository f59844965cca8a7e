"""Everything that happened to one user."""

from collections.abc import Iterator
from typing import Any

import msgspec

from domain.errors import InvalidValue
from ledger.tenants import OPERATOR
from projections.answers import Told, history
from projections.reports.frame import AN_OPERATOR, Figure, Parameter, Report, Row, Rows, Scope
from projections.story import Change
from projections.subjects import NoSuchSubject


def begin(scope: Scope) -> Rows:
    """Find who is meant."""
    given = scope.given("subject")
    if not given or not given[0].strip() or len(given[0]) > 1_024 or "\0" in given[0]:
        raise InvalidValue("say whom you mean: subject is a userName, externalId or id")
    told = [each for each in history(scope.reader, given[0]).histories if each.resource == "users"]
    if not told:
        raise NoSuchSubject(scope.reader.tenant, given[0])
    ids = [each.id for each in told]
    scope.recorded["subject"] = ids[:1]  # By the id: the report's entry outlives an erasure.
    scope.filters.append(f"only what is about {', '.join(ids)}")
    return _rows(scope, told)


def _rows(scope: Scope, histories: list[Told]) -> Rows:
    figures = []
    for told in histories:
        versions = []
        for change in told.changes:
            scope.scanned += 1
            if change.version and not change.group_id:
                versions.append(change.version)
            if scope.first < change.position <= scope.last:
                scope.matched += 1
                yield from _lines(told, change)
        figures.append(
            Figure(f"Changes of {told.id} itself", len(versions), versions == list(range(1, len(versions) + 1)))
        )
    return figures


def _lines(told: Told, change: Change) -> Iterator[Row]:
    """A row a change; of a creation one for each attribute."""
    request = told.requests.get(change.request_id)
    by = "" if request is None else AN_OPERATOR if request.token_id == OPERATOR else request.token_label
    through: Row = (None,) * 6
    if request is not None:
        through = (
            request.token_id, request.client_address, request.method, request.path, request.status,
            request.activity_id or None,
        )  # fmt: skip
    changed: list[Any] = [(name, None, each) for name, each in change.resource.items()]
    for attribute, before, after in changed or [(change.attribute, change.before, change.after)]:
        yield (
            change.position, change.at, told.id, change.event, attribute, _text(before), _text(after),
            change.group_name or change.group_id, change.explicit, change.erased, change.request_id, by, *through,
        )  # fmt: skip


def _text(value: Any) -> str | None:
    """A value as it is when it is a text, else as JSON."""
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


CHANGES = Report(
    "changes",
    1,
    "Change history of one user",
    "What happened to one user, old value and new, through which request, by whom; and which groups came and went.",
    (
        "position", "at", "id", "event", "attribute", "before", "after", "group", "explicit", "erased", "request_id",
        "by", "token_id", "address", "method", "path", "status", "activity_id",
    ),
    begin,
    of_period=True,
    parameters=(Parameter("subject", "Of whom: a userName, externalId or id, held now or ever. Has to be given."),),
)  # fmt: skip
