"""A telling written into a real tenant with its own times, and the question *why* put to it."""

from datetime import datetime, timedelta
from typing import Any

import psycopg

from ledger.entry import Tenant
from ledger.reader import Reader
from ledger.vault import Keys
from projections.asking import Asked, Why, why
from projections.inferences import Inference
from projections.runner import catch_up
from projections.why import Explanation
from tests.projections.recording import Recording
from tests.projections.telling import ADA, EVERYONE, FINANCE, Telling, created, deactivated, group_created, joined

ENTRA = {"user_agent": "azure-ad-scim-provisioning/1.0", "token_id": "e0720000-0000-4000-8000-00000000000e"}
SCRIPT = {"token_label": "HR script", "token_id": "5c210000-0000-4000-8000-00000000000d", "user_agent": "curl/8.5"}
OPERATOR = {"token_id": "operator", "token_label": "", "user_agent": "", "client_address": ""}


class Told(Telling):
    """A telling in which Entra sends everything, in a ledger that is three years old."""

    def __init__(self) -> None:
        super().__init__()
        self.at("2023-11-02T09:00:00+00:00")
        self.request("POST", "/Groups", group_created(FINANCE, "Finance"))
        self.request("POST", "/Groups", group_created(EVERYONE, "Everyone"))
        self.at("2026-11-02T09:00:00+00:00")

    def request(self, method: str, path: str, *happenings: Any, **cause: Any) -> str:
        return super().request(method, path, *happenings, **(ENTRA | cause))

    def hired(self, user_id: str = ADA, name: str = "ada", **attributes: Any) -> "Told":
        self.request("POST", "/Users", created(user_id, **{"userName": name, "active": True, **attributes}))
        return self

    def joins(self, *group_ids: str, user_id: str = ADA) -> "Told":
        for group_id in group_ids:
            self.request("PATCH", f"/Groups/{group_id}", joined(group_id, user_id))
        return self

    def disabled(self, user_id: str = ADA, **cause: Any) -> "Told":
        self.request("PATCH", f"/Users/{user_id}", deactivated(user_id), operations=["replace active"], **cause)
        return self

    @property
    def now(self) -> datetime:
        """Of the last entry, a minute on."""
        return self.entries[-1].recorded_at + timedelta(minutes=1)


class Ask:
    """Writes a telling, and asks."""

    def __init__(self, connection: psycopg.Connection[Any], tenant: Tenant, keys: Keys) -> None:
        self.recording = Recording(connection, tenant, keys)

    @property
    def reader(self) -> Reader:
        return self.recording.reader()

    def written(self, told: Telling) -> Reader:
        reader = self.reader
        if not reader.size():
            self.recording.place(told.entries)
            catch_up(reader)
        return reader

    def __call__(self, told: Told, subject: str = "ada", asked: Asked | None = None, *, after: float = 0) -> Why:
        """after: how many days after the telling is asked."""
        return why(self.written(told), subject, asked, now=told.now + timedelta(days=after))

    def one(self, told: Told, subject: str = ADA, **rest: Any) -> Explanation:
        (only,) = self(told, subject, Asked(record=subject), **rest).explanations
        return only

    def rules(self, told: Told, subject: str = ADA, **rest: Any) -> dict[str, Inference]:
        return {each.rule: each for each in self.one(told, subject, **rest).inferences}
