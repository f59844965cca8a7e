"""What the clients of the simulation make of what happens: Entra with its cycles, and scripts that act at once.

Entra knows of the service what it was answered, as the real one does: an id for everybody it created, and what it
sent last. It sends nothing it believes to be there already, does not notice what others change, and tries again
what was refused, with growing gaps.
"""

import heapq
import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from bench.simulator.company import END, OUTAGE, START, Company, Person, object_id, uuid_text
from bench.simulator.happenings import By, Happening, Reference
from bench.simulator.provisioning_log import ProvisioningLog
from bench.simulator.service import Answer, Request, Service
from bench.simulator.truth import Truth
from cli.demo_dialects import DEFAULT, FLAG, Dialect, Operation, patch
from cli.demo_story import DEPARTMENT, MANAGER, WORK_EMAIL
from domain.schemas import CORE_GROUP, CORE_USER, ENTERPRISE_USER

ADSCIM_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
ADDRESSES = tuple(f"198.51.100.{number}" for number in (18, 19, 77, 140))
NEW_ADDRESS = "203.0.113.66"
FLAG_SINCE = datetime(2024, 6, 3, tzinfo=UTC)  # The admin appends aadOptscim062020 to the Tenant URL.
CYCLE = timedelta(minutes=40)
FIRST_CYCLE = START + timedelta(hours=3)
RETRY_GAP_MAX = timedelta(days=7)


class Account(Struct):
    """A person in Entra's list of whom it provisions.

    user_name: as they were created with. active: as it was sent last.
    assigned: whether the application is meant for them; in_scope: whether they pass the scoping filter. Either one
    lost is all that the service ever sees: active=false.
    """

    user_id: str
    user_name: str
    department: str
    active: bool = True
    assigned: bool = True
    in_scope: bool = True


class Client:
    """Whoever holds a token: sends requests, one after the other, each a moment after the last."""

    user_agent = "python-httpx/0.27"

    def __init__(self, name: By, service: Service, truth: Truth, seed: int) -> None:
        self.name, self.service, self.truth = name, service, truth
        self.chance = random.Random(f"{seed} {name}")
        self.seed = seed
        self.label: str = name
        self.addresses: Sequence[str] = ("192.0.2.10",)
        self.clock = START

    def send(self, method: str, path: str, body: dict[str, Any] | None, happening: Happening | None = None) -> Answer:
        """Send one request; what belongs to a planted situation is noted as such."""
        self.clock += timedelta(milliseconds=80 + int(self.chance.random() * 300))
        plot = happening.plot if happening else ""
        token = self.service.filling.tokens[self.label]
        correlation = self.correlation()
        answer = self.service.handle(
            Request(
                self.clock,
                token,
                method,
                path,
                body,
                self.chance.choice(self.addresses),
                self.user_agent,
                correlation,
                planted=bool(plot),
            )
        )
        self.clock = max(self.clock, answer.at)
        if happening is not None and plot:
            self.truth.note(plot, happening.act, self.name, answer)
        return answer

    def correlation(self) -> dict[str, str]:
        """Headers that lead back to the client's side."""
        return {"x-request-id": uuid_text(self.chance)}


class Script(Client):
    """The help desk's script and the migration's: RFC 7644 to the letter, at the moment of the happening."""

    def act(self, happening: Happening, entra: "Entra") -> None:
        """Send what a happening asks for."""
        self.clock = max(self.clock, happening.at)
        account, values = entra.accounts.get(happening.who), happening.values
        match happening.act:
            case "create":
                body = {"schemas": [CORE_USER], "active": True, **values}
                self.send("POST", "Users", body, happening)
            case "delete":
                self.send("DELETE", f"Users/{self.service.find_user(values['userName'])}", None, happening)
            case "put" if account:
                self.send("PUT", f"Users/{account.user_id}", self._short(account, values), happening)
            case "put_group":
                self._shorten(happening)
            case "change" if account:
                self._patch(f"Users/{account.user_id}", FLAG.replace(values), happening)
            case "disable" if account:
                self._patch(f"Users/{account.user_id}", FLAG.active(False), happening)
            case "join" if account:
                group_id = self.service.find_group(happening.group)
                self._patch(f"Groups/{group_id}", FLAG.add_member(account.user_id), happening)
            case "move_client":
                self.addresses = (NEW_ADDRESS,)
                self.truth.new_address = NEW_ADDRESS

    def _patch(self, path: str, operations: list[Operation], happening: Happening) -> None:
        self.send("PATCH", path, patch(operations), happening)

    def _short(self, account: Account, values: dict[str, Any]) -> dict[str, Any]:
        """A PUT that repeats the names and leaves out everything else."""
        resource = self.service.user(account.user_id).resource
        names = {name: resource[name] for name in ("userName", "externalId", "displayName", "name")}
        return {"schemas": [CORE_USER], **names, **values}

    def _shorten(self, happening: Happening) -> None:
        """Replace a group's list by its first half."""
        group_id = self.service.find_group(happening.group)
        members = self.service.members(group_id)
        kept = [{"value": member} for member in members[: len(members) // 2]]
        names = {"externalId": object_id(self.seed, happening.group), "displayName": happening.group}
        body = {"schemas": [CORE_GROUP], **names, "members": kept}
        self.send("PUT", f"Groups/{group_id}", body, happening)


class Entra(Client):
    """The provisioning service: cycles every 40 minutes, and single requests on demand."""

    user_agent = "azure-ad-scim-provisioning/1.0"

    def __init__(self, company: Company, service: Service, truth: Truth, log: ProvisioningLog) -> None:
        super().__init__("Entra", service, truth, company.seed)
        self.company, self.log = company, log
        self.addresses = ADDRESSES
        self.label = "Entra 2023"
        self.accounts: dict[int, Account] = {}
        self.groups: dict[str, str] = {}
        self.next_cycle = FIRST_CYCLE
        self._queue: list[Happening] = []
        self._waiting: list[tuple[datetime, int, Happening, timedelta]] = []  # A heap: due, turn, what, next gap.
        self._turn = 0
        self._stuck: dict[int, Happening] = {}
        truth.outage = OUTAGE

    def take(self, happening: Happening) -> None:
        """Keep in mind what the next cycle has to send."""
        self._queue.append(happening)

    def correlation(self) -> dict[str, str]:
        """What Entra's header carries: the only thread back to Microsoft's own log."""
        self.activity_id = uuid_text(self.chance)
        return {"adscimversion": f"Date:{self.clock.isoformat(timespec='seconds')}, ActivityId:{self.activity_id}"}

    def run_cycles(self, until: datetime) -> None:
        """Run every cycle that begins before a moment; none begins while it is silent, or while another runs."""
        while self.next_cycle < until:
            if not OUTAGE[0] <= self.next_cycle < OUTAGE[1]:
                self._cycle()
            self.next_cycle += CYCLE
            idle_until = max(self.clock, min(self._next_work(), until))
            if self.next_cycle < idle_until:
                self.next_cycle += CYCLE * math.ceil((idle_until - self.next_cycle) / CYCLE)
            self.clock = self.next_cycle

    def _next_work(self) -> datetime:
        """Before when a cycle would have nothing to send."""
        if self._queue or self._stuck:
            return self.next_cycle
        return self._waiting[0][0] if self._waiting else END

    def _cycle(self) -> None:
        self.clock = max(self.clock, self.next_cycle + timedelta(seconds=self.chance.random() * 20))
        self.log.begin_cycle(self.clock)
        queue, self._queue = self._queue, []
        newcomers: set[int] = set()
        second_pass: list[Happening] = []
        for happening in queue:
            if happening.act == "hire":
                newcomers.add(happening.who)
            if happening.act in ("join", "quit") and happening.who in newcomers:
                second_pass.append(happening)
                continue
            self._play(happening)
            if happening.act == "hire":
                second_pass.append(happening)
        for happening in second_pass:
            self._set_manager(happening) if happening.act == "hire" else self._play(happening)
        self._try_again()
        for happening in self._stuck.values():
            self._repeat(happening)

    def on_demand(self, happening: Happening) -> None:
        """What an admin does with one person in the portal: a single request between cycles, in the old dialect."""
        account = self.accounts[happening.who]
        account.assigned = False
        now, self.clock = self.clock, max(self.service.clock, happening.at)
        self._set_active(account, happening, DEFAULT)
        self.clock = max(now, self.clock)

    def _dialect(self) -> Dialect:
        return FLAG if self.clock >= FLAG_SINCE else DEFAULT

    def _play(self, happening: Happening) -> None:
        if not self._sent(happening):
            self._wait(happening, CYCLE - timedelta(minutes=1), CYCLE * 2)

    def _wait(self, happening: Happening, time: timedelta, then: timedelta) -> None:
        """Keep what was refused for a later cycle; after the next failure it waits longer."""
        self._turn += 1
        heapq.heappush(self._waiting, (self.clock + time, self._turn, happening, then))

    def _try_again(self) -> None:
        begun = self.clock
        while self._waiting and self._waiting[0][0] <= begun:
            _, _, happening, gap = heapq.heappop(self._waiting)
            if not self._sent(happening):
                self._wait(happening, gap, min(gap * 2, RETRY_GAP_MAX))

    def _sent(self, happening: Happening) -> bool:
        """Send what a happening asks for; False when it was refused and has to be tried again."""
        match happening.act:
            case "make_group":
                return self._make_group(happening)
            case "delete_group":
                return self._sending(happening, "DELETE", f"Groups/{self.groups.pop(happening.group)}", None)
            case "narrow_scope" | "widen_scope":
                return self._change_scope(happening)
            case "use_token":
                self.label = happening.values["label"]
                return True
            case "hire":
                return self._hire(happening)
        account = self.accounts.get(happening.who)
        return True if account is None else self._about(account, happening)

    def _about(self, account: Account, happening: Happening) -> bool:
        """Send what concerns somebody who is there."""
        match happening.act:
            case "change":
                return self._change(account, happening)
            case "join" | "quit":
                return self._membership(account, happening)
            case "disable" | "enable":
                account.assigned = happening.act == "enable"
                self._forget(happening.who)
                return self._set_active(account, happening, self._dialect())
            case "delete":
                self._forget(happening.who)
                del self.accounts[happening.who]
                return self._sending(happening, "DELETE", f"Users/{account.user_id}", None)
            case "stuck":
                self._stuck[happening.who] = happening
            case "unstuck":
                self._stuck.pop(happening.who, None)
        return True

    def _forget(self, who: int) -> None:
        """What is no longer wanted of somebody is not tried again."""
        if any(waiting[2].who == who for waiting in self._waiting):
            self._waiting = [waiting for waiting in self._waiting if waiting[2].who != who]
            heapq.heapify(self._waiting)

    def _sending(self, happening: Happening, method: str, path: str, body: dict[str, Any] | None) -> bool:
        answer = self.send(method, path, body, happening)
        self.log.record(happening, answer, self.activity_id)
        return answer.status < 400

    def _make_group(self, happening: Happening) -> bool:
        body = {
            "schemas": [CORE_GROUP, ADSCIM_GROUP],
            "externalId": object_id(self.seed, happening.group),
            "displayName": happening.group,
            "meta": {"resourceType": "Group"},
        }
        sent = self._sending(happening, "POST", "Groups", body)
        self.groups[happening.group] = self.service.find_group(happening.group)
        return sent

    def _hire(self, happening: Happening) -> bool:
        person = self.company.person(happening.who)
        body = user_body(person, happening.values)
        answer = self.send("POST", "Users", body, happening)
        self.log.record(happening, answer, self.activity_id)
        if answer.status >= 400:
            return False
        department = body[ENTERPRISE_USER].get("department", "")
        self.accounts[person.number] = Account(answer.resource_id, body["userName"], department)
        self.truth.ids.setdefault(person.number, []).append(answer.resource_id)
        return True

    def _set_manager(self, happening: Happening) -> None:
        """The second pass of a cycle: by now everybody has an id."""
        account, manager = self.accounts.get(happening.who), happening.values.get(MANAGER)
        if account is not None and manager is not None and manager.who in self.accounts:
            operations = self._dialect().add(MANAGER, self.accounts[manager.who].user_id)
            self._sending(happening, "PATCH", f"Users/{account.user_id}", patch(operations))

    def _change(self, account: Account, happening: Happening) -> bool:
        values = {}
        for path, value in happening.values.items():
            if not isinstance(value, Reference):
                values[path] = value
            elif value.who in self.accounts:
                values[path] = self.accounts[value.who].user_id
        account.department = values.get(DEPARTMENT, account.department)
        body = patch(self._dialect().replace(values))
        return self._sending(happening, "PATCH", f"Users/{account.user_id}", body)

    def _membership(self, account: Account, happening: Happening) -> bool:
        group_id = self.groups.get(happening.group)
        if group_id is None:
            return True
        dialect = self._dialect()
        turn = dialect.add_member if happening.act == "join" else dialect.remove_member
        return self._sending(happening, "PATCH", f"Groups/{group_id}", patch(turn(account.user_id)))

    def _set_active(self, account: Account, happening: Happening, dialect: Dialect) -> bool:
        wanted = account.assigned and account.in_scope
        if wanted == account.active:
            return True
        account.active = wanted
        operations = dialect.active(wanted) + (dialect.replace(happening.values) if happening.act == "enable" else [])
        return self._sending(happening, "PATCH", f"Users/{account.user_id}", patch(operations))

    def _change_scope(self, happening: Happening) -> bool:
        """Somebody edits the scoping filter: whole departments leave or come back within one cycle."""
        narrows, departments = happening.act == "narrow_scope", happening.values["departments"]
        for who, account in list(self.accounts.items()):
            # Whoever changed departments meanwhile comes back as well.
            if account.department in departments if narrows else not account.in_scope:
                account.in_scope = not narrows
                told = Happening(happening.at, "disable" if narrows else "enable", who, plot=happening.plot)
                self._set_active(account, told, self._dialect())
        return True

    def _repeat(self, happening: Happening) -> None:
        """Send again what is there already."""
        account = self.accounts.get(happening.who)
        if account is not None and account.active:
            body = patch(self._dialect().replace({WORK_EMAIL: account.user_name}))
            situation = self.truth.situation(happening.plot)
            self.send("PATCH", f"Users/{account.user_id}", body, None if situation.repeats else happening)
            situation.repeats += 1


def user_body(person: Person, values: dict[str, Any]) -> dict[str, Any]:
    """Return the POST with which Entra creates somebody, in its default mapping but for employeeNumber."""
    name = values.get("userName", person.user_name)
    enterprise = {"employeeNumber": person.employee_id}
    if DEPARTMENT in values:
        enterprise["department"] = values[DEPARTMENT]
    return {
        "schemas": [CORE_USER, ENTERPRISE_USER],
        "externalId": values.get("externalId", person.alias),
        "userName": name,
        "active": True,
        "displayName": person.name,
        "title": person.title,
        "emails": [{"primary": True, "type": "work", "value": name}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": person.name, "familyName": person.family, "givenName": person.given},
        "roles": [],
        ENTERPRISE_USER: enterprise,
    }
