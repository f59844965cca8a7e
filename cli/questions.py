"""The verbs that ask: why, request, history, show, log, runs, replay."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from cli.exits import Failed, Misused, NoSubject
from cli.flags import Before, Count, Data, DatabaseUrl, Flag, Json, KeysFolder, TenantName
from cli.progress import progress
from cli.verbs import say


def add_questions(app: App) -> None:
    """Give the application its questions."""
    app.command(why)
    app.command(request)
    app.command(history)
    app.command(show)
    app.command(log)
    app.command(runs)
    app.command(replay)


def why(
    tenant: TenantName, subject: str, /, *, group: Flag = None, attribute: Flag = None, id: Flag = None,
    others: Annotated[bool, Parameter(negative="", show_default=False)] = False, json: Json = False,
    data: Data = None, database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Say why a user is deprovisioned, still active or was never provisioned: who asked, and by which request.

    Facts come first, then what they suggest, then where to look at the identity provider, and how to undo it.

    Exit status: 0 answered (also: not deprovisioned), 1 failed, 2 usage, 3 no such subject, and nothing was refused.

    Args:
        subject: userName, externalId or id, held now or ever; a group by displayName too.
        group: Only tell who put the person into this group, and who took it out.
        attribute: Only tell who changed this attribute, or a part such as name.givenName, and whose value that
            overwrote.
        id: Of several records with the name, only tell of the one with this id.
        others: Also name the others of a mass change.
    """
    from projections.asking import Asked, Why
    from projections.asking import why as put
    from projections.subjects import absence
    from projections.whole import story

    if not subject.strip():
        raise Misused("say whom you mean: a userName, externalId or id")
    asked = Asked(record=id or "", group=group or "", attribute=attribute or "", others=others)
    told: list[Why] = []

    def question(reader: Any) -> Any:
        told.append(put(reader, subject, asked))
        return told[0]

    ask(tenant, question, story, json, data, database_url, keys)
    if told[0].absent is not None and not told[0].absent.is_told_of:
        raise NoSubject(absence(tenant, subject))


def request(
    tenant: TenantName, request_id: str, /, *, json: Json = False, data: Data = None,
    database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Show one request: exactly what the client sent, what was decided, what it changed, what was answered.

    Exit status: 0 answered, 1 failed, 2 usage, 3 no such request.

    Args:
        request_id: As every answer and the provisioning log name it.
    """
    from domain.ids import is_id
    from projections import received

    wanted = request_id.strip().lower()
    if not is_id(wanted):
        raise Misused("a request id is a UUID, as why, history and log show it")
    ask(tenant, lambda reader: received.show_request(reader, wanted), received.request, json, data, database_url, keys)


def history(
    tenant: TenantName, subject: str, /, *, count: Count = 100, before: Before = None, json: Json = False,
    data: Data = None, database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Tell what is recorded about a subject, in order, with old values and new.

    Exit status: 0 answered, 1 failed, 2 usage, 3 no such subject.

    Args:
        subject: userName, externalId or id, held now or ever; a group by displayName too.
        count: How many entries, the newest (100; at most 1000).
        before: Only what is recorded before this position.
    """
    from projections import answers, telling

    def read(reader: Any) -> Any:
        return answers.history(reader, subject, count=count, before=before)

    ask(tenant, read, telling.history, json, data, database_url, keys)


def show(
    tenant: TenantName, subject: str, /, *, as_of: Flag = None, json: Json = False,
    data: Data = None, database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Show a subject as it was at a time, or is now.

    Exit status: 0 answered, 1 failed, 2 usage, 3 no such subject.

    Args:
        subject: userName, externalId or id, held now or ever.
        as_of: An RFC 3339 time, such as 2026-11-24T09:00:00Z (everything recorded until then), or a position.
    """
    from projections import answers, telling

    then = _moment(as_of, "--as-of")
    ask(tenant, lambda reader: answers.as_of(reader, subject, then), telling.as_of, json, data, database_url, keys)


def log(
    tenant: TenantName, /, *, count: Count = 20, before: Before = None, subject: Flag = None, action: Flag = None,
    status: Flag = None, run: int | None = None, json: Json = False, data: Data = None,
    database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> None:  # fmt: skip
    """Show the provisioning log, newest first: one record a request.

    Exit status: 0 answered, 1 failed, 2 usage, 3 no such subject.

    Args:
        count: How many records (20; at most 1000).
        before: Only what began before this position.
        subject: Only requests about somebody: userName, externalId or id, held now or ever.
        action: create, update, disable, enable, delete or other.
        status: success, failure or skipped.
        run: Only the requests of one run, as `runs` names it.
    """
    from projections import answers, telling
    from projections.log import ACTIONS, STATUSES

    for name, given, known in (("--action", action, ACTIONS), ("--status", status, STATUSES)):
        if given is not None and given not in known:
            raise Misused(f"{name} is one of {', '.join(known)}")

    def read(reader: Any) -> Any:
        return answers.log(reader, count=count, before=before, subject=subject, action=action, status=status, run=run)

    ask(tenant, read, telling.log, json, data, database_url, keys)


def runs(
    tenant: TenantName, /, *, client: Flag = None, since: Flag = None, until: Flag = None, count: Count = 20,
    before: Before = None, json: Json = False, data: Data = None, database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
) -> None:  # fmt: skip
    """List the runs of each client, newest first: its requests without a pause; and say which client is silent.

    Exit status: 0 answered, 1 failed, 2 usage, 3 no such client.

    Args:
        client: Only runs of one client: a token's or OAuth client's id or label, or operator.
        since: Only runs with a request from then on: an RFC 3339 time, or a position.
        until: Only runs with a request until then.
        count: How many runs (20; at most 1000).
        before: Only what began before this position.
    """
    from domain.errors import InvalidValue
    from projections import answers, telling
    from projections.moments import period

    try:
        first, last = period(since, until, "--since", "--until")
    except InvalidValue as error:
        raise Misused(str(error)) from None

    def read(reader: Any) -> Any:
        return answers.runs(reader, count=count, before=before, client=client, since=first, until=last)

    ask(tenant, read, telling.runs, json, data, database_url, keys)


def _moment(text: str | None, name: str) -> Any:
    from domain.errors import InvalidValue
    from projections.moments import moment

    try:
        return moment(text, name)
    except InvalidValue as error:
        raise Misused(str(error)) from None


def ask(
    slug: str, question: Callable[[Any], Any], text: Callable[[Any], str], as_json: bool,
    data: str | None, database_url: str | None, keys: str | None,
) -> None:  # fmt: skip
    """Put a question to a tenant's ledger and print the answer, as text or JSON. Raises NoSubject, Misused, Failed."""
    from cli.connect import open_tenant
    from domain.errors import InvalidValue
    from ledger.config import read_config
    from ledger.reader import Reader
    from projections.log import NoSuchRun
    from projections.received import NoSuchRequest
    from projections.rhythm import NoSuchClient
    from projections.subjects import NoSuchSubject

    config = read_config(data=data, database_url=database_url, keys=keys)
    with open_tenant(config, slug) as (connection, tenant, vault):
        try:
            told = question(Reader(connection, tenant, vault))
        except (NoSuchClient, NoSuchRequest, NoSuchSubject) as error:
            raise NoSubject(str(error)) from None
        except InvalidValue as error:
            raise Misused(error.detail) from None
        except NoSuchRun as error:
            raise Failed(str(error)) from None
    answer = msgspec.json.encode(told).decode() + "\n" if as_json else text(told)
    print(answer, end="")  # noqa: T201  # What the command is asked for.


def replay(
    tenant: str | None = None, /, *, repair: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    json: Json = False,
    data: Data = None, database_url: DatabaseUrl = None, keys: KeysFolder = None,
) -> int:  # fmt: skip
    """Read every entry again and compare with the live tables, row by row and column by column.

    Exit status: 0 equal, or repaired; 1 different or failed; 2 usage.

    Args:
        tenant: The tenant to compare; all of them without it.
        repair: Put right the rows that differ, under the tenant's lock.
    """
    from cli.connect import reach
    from ledger.config import read_config
    from ledger.reader import Reader
    from ledger.tenants import list_tenants
    from ledger.vault import Vault
    from projections.replay import LedgerMoved
    from projections.replay import replay as run

    config = read_config(data=data, database_url=database_url, keys=keys)
    with reach(config) as (connection, keyring):
        tenants = [each for each in list_tenants(connection) if tenant in (None, each.slug)]
    if not tenants:
        raise Failed(f"there is no tenant {tenant}; ./scim-ledger tenant list shows all")
    done = []
    for each in tenants:
        with reach(config) as (connection, keyring), progress(f"{each.slug}: entries") as told:
            reader = Reader(connection, each, Vault.load(connection, each.tenant_id, keyring))
            try:
                done.append(run(reader, repair=repair, progress=told))
            except LedgerMoved as error:
                raise Failed(str(error)) from None
    text = msgspec.json.encode(done).decode() if json else "\n".join(_replayed(one) for one in done)
    say(text)
    return 0 if all(one.equal or one.repaired for one in done) else 1


def _replayed(told: Any) -> str:
    from projections.words import counted

    entries = counted(told.size, "entry", "entries")
    if told.equal:
        rows = ", ".join(f"{name} {count:,}" for name, count in told.rows.items())
        return f"{told.tenant}: equal. {entries} read again; every column of these rows compared: {rows}."
    differ = f"{counted(len(told.differences), 'row')} {'differs' if len(told.differences) == 1 else 'differ'}"
    lines = [f"{told.tenant}: {differ} from what {entries} add up to."]
    for difference in told.differences[:20]:
        key = ", ".join(f"{name} {value}" for name, value in difference.key.items() if name != "tenant_id")
        what = f"differs in {', '.join(difference.columns)}" if difference.columns else "is missing"
        if not difference.columns and difference.replayed is None:
            what = "is one too many"
        lines.append(f"  {difference.table}: {key} {what}")
    if told.repaired:
        lines.append(f"  repaired: {counted(told.repaired, 'row')} written or removed")
    return "\n".join(lines)
