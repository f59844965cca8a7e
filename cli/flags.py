"""Flags that several verbs have: one name, one meaning, one sentence of help."""

from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import Parameter

from cli.exits import Misused


def from_on(least: int, name: str) -> Callable[[Any, int | None], None]:
    """Return what refuses a number below the least. It raises Misused: an empty answer would seem to say something."""

    def check(_: Any, number: int | None) -> None:
        if number is not None and number < least:
            raise Misused(f"{name} is a number from {least} on")

    return check


Flag = Annotated[str | None, Parameter(negative="")]
Json = Annotated[bool, Parameter(negative="", show_default=False, help="Print the answer as JSON.")]
Data = Annotated[
    str | None, Parameter(negative="", metavar="DIR", help="Data folder of the service (SCIM_LEDGER_DATA).")
]
DatabaseUrl = Annotated[
    str | None,
    Parameter(negative="", metavar="URL", help="Postgres of the service, if not its own (SCIM_LEDGER_DATABASE_URL)."),
]
KeysFolder = Annotated[
    str | None, Parameter(negative="", metavar="DIR", help="Folder of the keys, if elsewhere (SCIM_LEDGER_KEYS).")
]
PublicUrl = Annotated[
    str | None,
    Parameter(negative="", metavar="URL", help="What clients reach the service by (SCIM_LEDGER_PUBLIC_URL)."),
]
TenantName = Annotated[str, Parameter(metavar="TENANT", help="The tenant's name.")]
Count = Annotated[int, Parameter(validator=from_on(1, "--count"))]
Before = Annotated[int | None, Parameter(validator=from_on(0, "--before"))]
