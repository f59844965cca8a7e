"""Plays an Entra tenant against a running service, tells what happens, and asks why somebody left."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.demo_dialects import DEFAULT, FLAG, Dialect, Operation, patch
from cli.demo_story import (
    ENTERPRISE,
    MANAGER,
    Change,
    Joining,
    Leaving,
    Person,
    Quitting,
    Reference,
    Returning,
    Step,
    Story,
    Team,
    tell,
)

CORE_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
CORE_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ADSCIM_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
USER_AGENT = "azure-ad-scim-provisioning/1.0 (scim-ledger demo)"
AT_ONCE = 8  # Requests Entra has on the way in an initial cycle; the incremental ones go one by one.
TIMEOUT_S = 30.0

Item = TypeVar("Item")


class Unexpected(Exception):
    """The service answered something else than the story needs; the message is a sentence for the reader."""


class Entra:
    """The provisioning service of the story: what it knows of the other side are ids, as the real one.

    ids: of users by key and of groups by name. requests: how many were sent.
    """

    def __init__(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        self.client = client
        self.chance = chance
        self.ids: dict[str, str] = {}
        self.requests = 0

    def activity_id(self) -> str:
        """Return the id under which Microsoft's side would log the next change."""
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    async def send(
        self, method: str, path: str, expected: Sequence[int], body: Any = None, **parameters: str
    ) -> httpx.Response:
        """Send one request with Entra's headers; raises Unexpected for a status that is not expected."""
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        version = {"ADSCIMVersion": f"Date:{moment}, ActivityId:{self.activity_id()}"}
        try:
            answer = await self.client.request(method, path, json=body, params=parameters or None, headers=version)
        except httpx.TransportError as error:
            raise Unexpected(
                f"{method} {path} got no answer ({error or type(error).__name__}): is the service running?"
            ) from None
        self.requests += 1
        if answer.status_code not in expected:
            wanted = " or ".join(str(status) for status in expected)
            raise Unexpected(
                f"{method} {answer.url.raw_path.decode()} was answered {answer.status_code}, not {wanted}: "
                f"{answer.text[:300] or 'no body'}"
            )
        return answer

    async def matches(self, path: str, attribute: str, value: str, **parameters: str) -> int:
        """Ask whether somebody has this value, as Entra does before it creates; return how many."""
        answer = await self.send("GET", path, [200], filter=f'{attribute} eq "{value}"', **parameters)
        return int(answer.json()["totalResults"])

    async def test_connection(self) -> None:
        """What the button in the portal does: look for somebody who cannot be there."""
        if await self.matches("Users", "userName", self.activity_id()):
            raise Unexpected("a userName that nobody has was found all the same")

    async def create_user(self, person: Person) -> None:
        """Match, then POST; the manager comes in the second pass."""
        if await self.matches("Users", "userName", person.key):
            raise Unexpected(f"{person.key} is there already: the demo needs an empty tenant")
        answer = await self.send("POST", "Users", [201], user_body(person))
        self.ids[person.key] = answer.json()["id"]

    async def create_group(self, team: Team) -> None:
        """Match, then POST without members, which follow one by one."""
        if await self.matches("Groups", "displayName", team.name, excludedAttributes="members"):
            raise Unexpected(f"the group {team.name} is there already: the demo needs an empty tenant")
        body = {
            "schemas": [CORE_GROUP, ADSCIM_GROUP],
            "externalId": team.external_id,
            "displayName": team.name,
            "meta": {"resourceType": "Group"},
        }
        answer = await self.send("POST", "Groups", [201], body)
        self.ids[team.name] = answer.json()["id"]

    async def patch_user(self, key: str, operations: list[Operation], *, refused: bool = False) -> None:
        """GET, then PATCH, as Entra does with somebody it knows."""
        path = f"Users/{self.ids[key]}"
        await self.send("GET", path, [200])
        await self.send("PATCH", path, [409] if refused else [200, 204], patch(operations))

    async def patch_group(self, name: str, operations: list[Operation]) -> None:
        """GET without members, then PATCH."""
        path = f"Groups/{self.ids[name]}"
        await self.send("GET", path, [200], excludedAttributes="members")
        await self.send("PATCH", path, [200, 204], patch(operations))

    def resolved(self, values: dict[str, Any]) -> dict[str, Any]:
        """Put ids where the story names people."""
        return {path: self.ids[value.key] if isinstance(value, Reference) else value for path, value in values.items()}

    async def play(self, step: Step, dialect: Dialect) -> None:
        """Send what one step of the story makes Entra send."""
        match step:
            case Change(who, _, values, refused):
                await self.patch_user(who, dialect.replace(self.resolved(values)), refused=refused)
            case Leaving(who, _, values):
                operations = dialect.active(False) + dialect.replace(self.resolved(values))
                await self.patch_user(who, operations)
            case Returning(who, _, values):
                operations = dialect.active(True) + dialect.replace(self.resolved(values))
                await self.patch_user(who, operations)
            case Joining(who, _, group):
                await self.patch_group(group, dialect.add_member(self.ids[who]))
            case Quitting(who, _, group):
                await self.patch_group(group, dialect.remove_member(self.ids[who]))


def user_body(person: Person) -> dict[str, Any]:
    """Return the POST with which Entra creates somebody, in the default mapping."""
    return {
        "schemas": [CORE_USER, ENTERPRISE],
        "externalId": person.key.partition("@")[0],
        "userName": person.key,
        "active": True,
        "displayName": person.name,
        "title": person.title,
        "emails": [{"primary": True, "type": "work", "value": person.key}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": person.name, "familyName": person.family, "givenName": person.given},
        "roles": [],
        ENTERPRISE: {"department": person.department},
    }


class Teller:
    """Says on stdout what happens, and shows on stderr how far it is, where somebody watches."""

    def __init__(self, console: Console, errors: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )

    def say(self, text: str, style: str = "") -> None:
        """Print a sentence as it is; nothing in it is markup."""
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    async def all(
        self,
        what: str,
        items: Sequence[Item],
        work: Callable[[Item], Awaitable[None]],
        at_once: int = AT_ONCE,
    ) -> None:
        """Do the work for every item, some at once; the first failure ends all."""
        task, waiting = self.progress.add_task(what, total=len(items)), iter(items)

        async def worker() -> None:
            for item in waiting:
                await work(item)
                self.progress.advance(task)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(worker())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        self.progress.remove_task(task)


def run(
    base_url: str,
    token: str,
    api_token: str,
    *,
    tenant: str = "default",
    seed: int = 2026,
    options: str = "",
    console: Console | None = None,
) -> int:
    """Play the story against a service and print it. Return the exit status: 0, or 1 when it was stopped.

    base_url: scheme, host and port. token, api_token: of the tenant, of scope scim and of scope audit; the
    tenant must be empty. options: what the reader's next commands need to reach this service: --data DIR.
    """
    teller = Teller(console or Console(), Console(stderr=True))
    try:
        asyncio.run(_play(teller, base_url.rstrip("/"), tenant, token, api_token, tell(seed), options))
    except Unexpected as failure:
        teller.say(f"The demo stops here: {failure}", "red")
        return 1
    return 0


@asynccontextmanager
async def _client(base_url: str, token: str, media_type: str) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of ours: connections are kept, no proxy of the environment stands between."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": USER_AGENT, "Content-Type": media_type}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
        yield client


async def _play(
    teller: Teller, base_url: str, tenant: str, token: str, api_token: str, story: Story, options: str
) -> None:
    scim = f"{base_url}/scim/{tenant}/v2/"
    with teller.progress:
        async with _client(scim, token, "application/scim+json; charset=utf-8") as client:
            entra = Entra(client, random.Random(story.seed))  # noqa: S311
            teller.say(f"An Entra tenant is connected to {scim}", "bold")
            await entra.test_connection()
            teller.say("  Test Connection: somebody who cannot be there is looked up, and not found.")
            await _initial_cycle(teller, entra, story)
            between = datetime.now(UTC)
            await _incremental_cycle(teller, entra, "First", story.first_cycle, DEFAULT)
            await _incremental_cycle(teller, entra, "Second", story.second_cycle, FLAG)
            name = await _check(entra, story)
        async with _client(base_url, api_token, "application/json") as client:
            teller.say(f"\nAn auditor asks: why was {name} deprovisioned?", "bold")
            answer = await _why(client, tenant, name)
            teller.say(str(answer["text"]))
    request_id = answer["explanations"][0]["disabled"]["request_id"]
    teller.say(_closing(tenant, name, story.asked_about, between, request_id, options))


async def _initial_cycle(teller: Teller, entra: Entra, story: Story) -> None:
    """Everybody, every group, then the second pass: managers and memberships need ids of both."""
    people, teams = story.people, story.teams
    memberships = [(team.name, member) for team in teams for member in team.members]
    reporting = [person for person in people if person.manager]
    teller.say(f"\nInitial cycle: {len(people)} people, {len(teams)} groups", "bold")
    started, before = time.monotonic(), entra.requests

    async def set_manager(person: Person) -> None:
        assert person.manager
        await entra.patch_user(person.key, DEFAULT.add(MANAGER, entra.ids[person.manager]))

    async def add_member(membership: tuple[str, str]) -> None:
        group, member = membership
        await entra.patch_group(group, DEFAULT.add_member(entra.ids[member]))

    await teller.all("people", people, entra.create_user)
    teller.say(f"  {len(people)} people are created, each looked up by userName first.")
    await teller.all("groups", teams, entra.create_group)
    teller.say(f"  {len(teams)} groups are created, without members.")
    await teller.all("managers", reporting, set_manager)
    teller.say(f"  {len(reporting)} people get their manager in a second pass: by then everybody has an id.")
    await teller.all("memberships", memberships, add_member)
    teller.say(f"  {len(memberships)} memberships follow, one PATCH each.")
    seconds, sent = time.monotonic() - started, entra.requests - before
    teller.say(f"  {sent:,} requests in {seconds:.1f} s, every answer as it should be.", "dim")


async def _incremental_cycle(
    teller: Teller, entra: Entra, ordinal: str, steps: Sequence[Step], dialect: Dialect
) -> None:
    teller.say(f"\n{ordinal} incremental cycle, in Entra's {dialect.name}", "bold")

    async def play(step: Step) -> None:
        await entra.play(step, dialect)
        if step.told:
            teller.say(f"  {step.told}")

    await teller.all("changes", steps, play, at_once=1)


async def _check(entra: Entra, story: Story) -> str:
    """See that the directory is what the story made of it; return the userName of whom it asks about."""
    expected = {"Leaving": False, "Returning": True}
    last = {
        step.who: expected[type(step).__name__]
        for step in (*story.first_cycle, *story.second_cycle)
        if isinstance(step, Leaving | Returning)
    }
    for who, active in last.items():
        user = (await entra.send("GET", f"Users/{entra.ids[who]}", [200])).json()
        if user["active"] is not active:
            raise Unexpected(f"{user['userName']} should be active: {active}, and is {user['active']}")
    asked = (await entra.send("GET", f"Users/{entra.ids[story.asked_about]}", [200])).json()
    return str(asked["userName"])


async def _why(client: httpx.AsyncClient, tenant: str, name: str) -> dict[str, Any]:
    """Ask the service, and return its answer as it gives it; `text` is what a person reads."""
    answer = await client.get(f"/api/{tenant}/why", params={"subject": name})
    if answer.status_code != 200:
        raise Unexpected(f"why was answered {answer.status_code} instead of 200: {answer.text[:300]}")
    told: dict[str, Any] = answer.json()
    return told


def _closing(tenant: str, name: str, first_name: str, between: datetime, request_id: str, options: str) -> str:
    moment = between.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    tail = f"{tenant} {name}"
    more = f" {options}" if options else ""
    return (
        "\nEvery request you saw, also the refused one and the one that changed nothing, is an entry in the "
        "ledger now. Try next:\n"
        f"  the same story by the name she had at first:\n    ./scim-ledger why {tenant} {first_name}{more}\n"
        f"  what exactly was sent when she was disabled, and what was answered:\n"
        f"    ./scim-ledger request {tenant} {request_id}{more}\n"
        f"  all that ever happened to her, entry by entry:\n    ./scim-ledger history {tail}{more}\n"
        f"  how she was before the two cycles:\n    ./scim-ledger show {tail} --as-of {moment}{more}\n"
        f"  the provisioning log, one line a request:\n    ./scim-ledger log {tenant}{more}"
    )
