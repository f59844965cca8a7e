"""The simulation: the story played to the service in memory, what it leaves written, and everything built from that."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct

from bench.simulator.clients import Entra, Script
from bench.simulator.company import END, START, Company
from bench.simulator.happenings import Happening
from bench.simulator.personnel import PersonnelFile, personnel_file
from bench.simulator.provisioning_log import ProvisioningLog
from bench.simulator.service import Service
from bench.simulator.story import happenings
from bench.simulator.truth import TokenTruth, Truth
from bench.simulator.writing import Filling, filling
from ledger.entry import Tenant
from ledger.reader import Reader
from ledger.vault import Vault
from projections.runner import catch_up

ENTRIES_A_PERSON = 20
PEOPLE_MIN = 100  # Below, there are not enough people for two of every fate.

Progress = Callable[[str, int, int], None]  # Told what is being done, how much is done, and of how much.


class Simulated(Struct, frozen=True):
    """A simulated ledger and what is true of it. size: its entries."""

    tenant: Tenant
    company: Company
    size: int
    truth: Truth
    provisioning_log: ProvisioningLog
    personnel: PersonnelFile


def simulate(
    connection: psycopg.Connection[Any],
    tenant: Tenant,
    vault: Vault,
    *,
    seed: int = 2026,
    people: int = 1_000,
    progress: Progress = lambda what, done, total: None,
) -> Simulated:
    """Fill an empty tenant with three years of a company, about 20 entries a person.

    connection: of the database's owner, in autocommit. A running service may go on serving beside it.
    The same seed and number of people tell the same story with the same ids; keys, salts and the tenant's origin are
    not the story's. Raises TenantNotEmpty.
    """
    company = Company(seed, max(people, PEOPLE_MIN))
    truth, log = Truth(), ProvisioningLog(company)
    with _no_collector(), filling(connection, tenant, vault) as filled:
        _Play(company, filled, truth, log).all(progress)
    size = filled.position
    simulated = Tenant(tenant.tenant_id, tenant.slug, tenant.origin, filled.settings)
    catch_up(Reader(connection, simulated, vault), progress=lambda position: progress("projections", position, size))
    return Simulated(simulated, company, size, truth, log, personnel_file(company, truth))


@contextmanager
def _no_collector() -> Iterator[None]:
    """Nothing here makes cycles, so looking for them among all that is kept is for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Play:
    """The story being played."""

    def __init__(self, company: Company, filled: Filling, truth: Truth, log: ProvisioningLog) -> None:
        self.company, self.filled, self.truth = company, filled, truth
        self.service = Service(filled, START, company.seed)
        self.entra = Entra(company, self.service, truth, log)
        self.scripts = {name: Script(name, self.service, truth, company.seed) for name in ("Help desk", "Migration")}

    def all(self, progress: Progress) -> None:
        """Play everything, in the order of time."""
        month = START
        expected = self.company.people_count * ENTRIES_A_PERSON
        for happening in happenings(self.company):
            self.entra.run_cycles(happening.at)
            if (happening.at.year, happening.at.month) != (month.year, month.month):
                month = happening.at
                self.truth.counts.append(self.service.counts())
                progress("entries", self.filled.position, expected)
            self._play(happening)
        self.entra.run_cycles(END)
        self.truth.counts.append(self.service.counts())
        self.truth.tokens = [
            TokenTruth(token.token_id, token.label, token.created_at, token.revoked_at)
            for token in self.filled.tokens.values()
        ]

    def _play(self, happening: Happening) -> None:
        match happening.by:
            case "Entra":
                self.entra.take(happening)
            case "Entra on demand":
                self.entra.on_demand(happening)
            case "operator":
                self._operate(happening, happening.at)
            case "Personnel":
                self.truth.terminate(happening.plot, happening.at)
            case name:
                self.scripts[name].act(happening, self.entra)

    def _operate(self, happening: Happening, at: datetime) -> None:
        """What an operator does on the command line."""
        values = happening.values
        match happening.act:
            case "issue_token":
                self.service.issue_token(values["label"], at)
            case "revoke_token":
                self.service.revoke_token(values["label"], at)
            case "change_setting":
                for setting, value in values.items():
                    self.service.change_setting(setting, value, at)
