"""What can happen at the company of the simulation, as data: who, when, what, and who brings it to the ledger."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

Act = Literal[
    "hire", "change", "join", "quit", "disable", "enable", "delete", "put", "create", "terminate", "stuck", "unstuck",
    "make_group", "delete_group", "put_group", "narrow_scope", "widen_scope", "issue_token", "revoke_token",
    "use_token", "change_setting", "move_client",
]  # fmt: skip
By = Literal["Entra", "Entra on demand", "Help desk", "Migration", "operator", "Personnel"]

NOBODY = -1


class Happening(Struct, frozen=True):
    """Something that happens at a moment, before anybody has sent a request about it.

    who: the number of a person, NOBODY for what concerns a group or the whole company.
    by: who acts on it. Entra does with its next cycle, the others at once; Personnel only writes its own file.
    values: new values by SCIM path; the id of somebody is written as `Person`'s number below `Reference`.
    group: by name. plot: the planted situation that it belongs to, empty for everyday life.
    """

    at: datetime
    act: Act
    who: int = NOBODY
    by: By = "Entra"
    values: dict[str, Any] = {}
    group: str = ""
    plot: str = ""


class Reference(Struct, frozen=True):
    """Stands for the id that the ledger gave a person."""

    who: int
