"""Flags that several verbs have: one name, one meaning, one sentence of help."""

from typing import Annotated

from cyclopts import Parameter

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
