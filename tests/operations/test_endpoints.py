"""/healthz, /readyz, /metrics, and an outside database: as its app role, as its owner, away, newer, somebody else's."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql

from bench.service import below
from tests.conftest import Database
from tests.running import Service, free_port

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from commanding import Ended, command, ended, ran, secrets_in, stopped

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATIENCE_S = 30


def sample(page: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.partition("{")[0].partition(" ")[0] == name and all(each in line for each in wanted)
    )


def metrics(service: Service) -> str:
    """The metrics page, from whichever worker answers."""
    answer = httpx.get(f"{service.base_url}/metrics", timeout=PATIENCE_S)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


@contextmanager
def outside(database: Database, folder: Path, url: str, *flags: str) -> Iterator[Service]:
    """A `serve` on an outside database; its keys are in the folder."""
    service = Service.start(folder / "keys-only", "--database-url", url, "--keys", str(folder / "keys"), *flags)
    try:
        yield service
    finally:
        assert stopped(service) == 0


@contextmanager
def altered(database: Database, there: str, back: str) -> Iterator[None]:
    """Alter the database for a while; everybody has to connect anew. there, back: what `alter database` takes."""
    url = psycopg.conninfo.make_conninfo(database.superuser_url, dbname="postgres")
    with psycopg.connect(url, autocommit=True) as connection:

        def alter(how: str) -> None:
            statement = "alter database {} " + how
            connection.execute(sql.SQL(statement).format(sql.Identifier(database.name)))  # type: ignore[arg-type]
            ends = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
            connection.execute(ends, (database.name,))

        alter(there)
        try:
            yield
        finally:
            alter(back)


def away(database: Database) -> AbstractContextManager[None]:
    """The database lets nobody in."""
    return altered(database, "allow_connections false", "allow_connections true")


def read_only(database: Database) -> AbstractContextManager[None]:
    """The database takes no writes, like a standby."""
    return altered(database, "set default_transaction_read_only = on", "reset default_transaction_read_only")


def printed(service: Service, words: str) -> str:
    """Wait until the service printed something, and return all it printed."""
    until(lambda: words in service.log.read_text())
    return service.log.read_text()


def create(service: Service, token: str, user_name: str) -> httpx.Response:
    """POST a user to the default tenant, on a connection of its own."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    body = {"schemas": [USER], "userName": user_name}
    return httpx.post(f"{service.base_url}/scim/default/v2/Users", json=body, headers=headers, timeout=PATIENCE_S)


def test_alive_and_ready(service: Service) -> None:
    """The embedded service needs nothing and warns of nothing."""
    assert httpx.get(f"{service.base_url}/healthz").json() == {"status": "ok"}
    ready = httpx.get(f"{service.base_url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_head_is_get_without_the_body(service: Service, path: str) -> None:
    """Load balancers send it."""
    head, get = (httpx.request(method, f"{service.base_url}{path}", timeout=PATIENCE_S) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"] and int(head.headers["content-length"]) > 0
    other = httpx.post(f"{service.base_url}{path}", timeout=PATIENCE_S)
    assert (other.status_code, set(other.headers["allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})


def test_metrics_tell_of_requests_latency_batches_queue_and_lag(service: Service) -> None:
    """By route, method and status; no label names anybody."""
    client = service.new_tenant()
    before = metrics(service)
    for number in range(3):
        body = {"schemas": [USER], "userName": f"metered{number}@contoso.example"}
        assert client.scim.post("/Users", json=body).status_code == 201
    assert client.scim.post("/Users", content="{").status_code == 400
    after = metrics(service)

    def more(name: str, **labels: str) -> float:
        return sample(after, name, **labels) - sample(before, name, **labels)

    assert more("scim_ledger_requests_total", route="/Users", method="POST", status="201") == 3
    assert more("scim_ledger_requests_total", route="/Users", method="POST", status="400") == 1
    assert more("scim_ledger_request_seconds_count", route="/Users", method="POST") == 4
    assert 0 < more("scim_ledger_request_seconds_sum", route="/Users", method="POST") < 10
    assert 3 <= more("scim_ledger_batch_jobs_count") <= 5
    assert more("scim_ledger_batch_jobs_sum") >= 3
    assert "\nscim_ledger_queue_jobs 0.0\n" in after
    assert {"trail", "names"} <= {
        line.partition('"')[2].partition('"')[0]
        for line in after.splitlines()
        if line.startswith("scim_ledger_projection_lag_entries{")
    }
    assert client.slug not in after and "metered" not in after
    until(lambda: sample(metrics(service), "scim_ledger_projection_lag_entries") == 0)


def test_an_outside_database_as_its_app_role(fresh_database: Database, tmp_path: Path) -> None:
    """Two workers, whose counters are added up; and while the database is away, everybody is told soon and why."""
    with outside(fresh_database, tmp_path, fresh_database.app_url, "--workers", "2") as service:
        words = printed(service, "Audit token")
        assert "Note:" not in words
        token = secrets_in(words)[0]
        assert httpx.get(f"{service.base_url}/readyz").json() == {"status": "ready"}
        for number in range(24):
            assert create(service, token, f"outside{number}@contoso.example").status_code == 201
        assert service.process is not None
        workers = below(service.process.pid, without="postgres")
        assert len(workers) == 3
        for _ in range(6):
            assert sample(metrics(service), "scim_ledger_requests_total", route="/Users", status="201") == 24
        with away(fresh_database):
            told_while_away(service, token)
        until(lambda: httpx.get(f"{service.base_url}/readyz", timeout=PATIENCE_S).status_code == 200)
        until(lambda: create(service, token, "back@contoso.example").status_code == 201)
        with read_only(fresh_database):
            ready = httpx.get(f"{service.base_url}/readyz")
            assert ready.json()["problems"] == ["the database takes no writes: it is a standby, or set to read only"]
            refused = create(service, token, "readonly@contoso.example")
            assert (refused.status_code, refused.json()["status"]) == (503, "503")
        until(lambda: create(service, token, "writable@contoso.example").status_code == 201)
        for line in service.log.read_text().splitlines():
            assert not line.startswith("{") or json.loads(line)["event"]
            assert "Traceback" not in line


def told_while_away(service: Service, token: str) -> None:
    """Ready: 503 with the reason; alive; SCIM: 503 with Retry-After; metrics as ever."""
    began = time.monotonic()
    ready = httpx.get(f"{service.base_url}/readyz", timeout=PATIENCE_S)
    assert ready.status_code == 503
    assert ready.json() == {"status": "not ready", "problems": ["the database cannot be reached"]}
    assert time.monotonic() - began < 5
    assert httpx.get(f"{service.base_url}/healthz").status_code == 200
    refused = create(service, token, "away@contoso.example")
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    began = time.monotonic()
    assert "scim_ledger_requests_total" in metrics(service)
    assert time.monotonic() - began < 5


def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so again."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_as_owner_it_says_that_it_could_change_the_past(fresh_database: Database, tmp_path: Path) -> None:
    """At start, to the operator and in the log, and in /readyz for as long as it is so."""
    sentence = "the database role scim_ledger may change what is recorded: let serve connect as scim_ledger_app"
    with outside(fresh_database, tmp_path, fresh_database.owner_url) as service:
        assert f"\nNote: {sentence}" in printed(service, "Note:")
        assert any(sentence in line for line in service.log.read_text().splitlines() if line.startswith("{"))
        ready = httpx.get(f"{service.base_url}/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "warnings": [sentence]})


def refused(database: Database, keys: Path, url: str | None = None) -> Ended:
    """What `serve` says that must not start."""
    arguments = ("--database-url", url or database.app_url, "--keys", str(keys), "--port", str(free_port()))
    done = ran("serve", *arguments)
    assert done.status == 1
    return done


def test_a_database_that_is_not_ours_to_serve_is_refused(fresh_database: Database, tmp_path: Path) -> None:
    """Unreachable, of other keys, without keys, newer than this code; each in one sentence, and nothing is written."""
    unreachable = refused(fresh_database, tmp_path / "a", "postgresql://app:geheim@127.0.0.1:9/x")
    assert unreachable.told.startswith("the database cannot be reached: connection to server at")
    assert "geheim" not in unreachable.err
    with outside(fresh_database, tmp_path, fresh_database.app_url) as service:
        printed(service, "Audit token")
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "master.key").write_text("07" * 32)
    wrong = refused(fresh_database, tmp_path / "wrong").told
    assert wrong.startswith(f"the keys in {tmp_path / 'wrong'} do not open this ledger")
    assert refused(fresh_database, tmp_path / "none").told.startswith(f"no usable master.key in {tmp_path / 'none'}:")
    assert not (tmp_path / "none").exists()
    with psycopg.connect(fresh_database.superuser_url, autocommit=True) as connection:
        connection.execute("insert into schema_migrations values (9999, '9999_later', 'x', now(), 1)")
    newer = refused(fresh_database, tmp_path / "keys").told
    assert newer.startswith("the database is newer than this code: 9999_later was applied")


def test_two_first_starts_on_one_database_make_one_ledger(fresh_database: Database, tmp_path: Path) -> None:
    """Both serve; one of them made the tenant and shows its tokens."""
    arguments = ("--database-url", fresh_database.app_url, "--keys", str(tmp_path / "keys"))
    both = [command("serve", *arguments, "--port", str(free_port())) for _ in range(2)]
    words = []
    for process in both:
        assert process.stdout is not None
        text = ""
        while "Tenant URL" not in text:
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            text += line
        words.append(text + process.stdout.readline())
    for process in both:
        process.terminate()
        assert ended(process).status == 0
    assert sorted(len(secrets_in(text)) for text in words) == [0, 1]
    with psycopg.connect(fresh_database.superuser_url) as connection:
        assert connection.execute("select count(*) from tenants").fetchone() == (1,)
        assert connection.execute("select count(*) from tokens").fetchone() == (2,)
