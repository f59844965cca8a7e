"""`serve` as an operator meets it: started, started twice, signalled at any moment, killed."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from commanding import command, ended, left_behind, ran, secrets_in, stopped

from bench.service import below, kill
from ledger.postmaster import find_postmaster
from tests.conftest import drop_folder, throw_away_folder
from tests.running import ROOT, Service, free_port

Json = dict[str, Any]
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATIENCE_S = 30
pytestmark = pytest.mark.database
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
COMMON = {(0.25, signal.SIGTERM), (0.35, signal.SIGINT), (0.45, signal.SIGTERM), (0.55, signal.SIGHUP)}
MOMENTS = [
    pytest.param(moment_s, number, marks=() if (moment_s, number) in COMMON else pytest.mark.slow)
    for moment_s in (0.05, 0.15, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8)
    for number in ENDING
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data folder that the tests of this file share; each leaves it without a process."""
    above = throw_away_folder()
    above.chmod(0o755)
    yield above / "data"
    drop_folder(above)


@pytest.fixture(scope="module")
def first_words(folder: Path) -> str:
    """What the first start on the folder printed; it is stopped again."""
    service = Service.start(folder)
    words = until_printed(service, "Secret Token")
    assert stopped(service) == 0
    return words


@pytest.fixture(scope="module")
def token(first_words: str) -> str:
    """The Secret Token that the first start printed."""
    return secrets_in(first_words)[0]


@pytest.fixture
def service(folder: Path, token: str) -> Iterator[Service]:
    """A `serve` on the shared folder."""
    started = Service.start(folder)
    yield started
    assert started.process is not None
    if started.process.poll() is None:
        stopped(started)


def until_printed(service: Service, words: str) -> str:
    """Wait until the service has printed something, and return all it printed."""
    deadline = time.monotonic() + PATIENCE_S
    while words not in (text := service.log.read_text()):
        assert time.monotonic() < deadline, text
        time.sleep(0.02)
    return text


def scim(service: Service, token: str) -> httpx.Client:
    """The default tenant, as its identity provider reaches it."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    return httpx.Client(base_url=f"{service.base_url}/scim/default/v2", headers=headers, timeout=PATIENCE_S)


def create(client: httpx.Client, user_name: str) -> httpx.Response:
    """POST a user."""
    return client.post("/Users", json={"schemas": [USER], "userName": user_name})


def test_the_first_start_prints_what_to_paste_and_no_later_one_does(
    first_words: str, service: Service, token: str
) -> None:
    """The Secret Token provisions, the audit token asks; they are shown once and work from then on."""
    assert "/scim/default/v2" in first_words
    secret, audit = secrets_in(first_words)
    with scim(service, secret) as client:
        assert client.get("/Users", params={"filter": 'userName eq "nobody"'}).json()["totalResults"] == 0
    headers = {"Authorization": f"Bearer {audit}"}
    assert httpx.get(f"{service.base_url}/api/default/log", headers=headers).status_code == 200
    words = until_printed(service, "token create")
    assert secrets_in(words) == []


def test_a_warm_start_answers_within_two_seconds(folder: Path, token: str) -> None:
    """Or, where others compute too, within a few times what loading the service alone takes at that moment."""
    took = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "import api.serving"], cwd=ROOT, check=True)
        loaded = time.monotonic()
        service = Service.start(folder)
        took.append((time.monotonic() - loaded, loaded - began))
        stopped(service)
        if took[-1][0] < max(2.0, 3 * took[-1][1]):
            return
    raise AssertionError(took)


def test_a_second_serve_says_so_and_harms_nothing(service: Service, folder: Path, token: str) -> None:
    """It names the process to stop; the first one and its database go on."""
    assert service.process is not None
    server = find_postmaster(folder / "postgres")
    second = command("serve", "--data", str(folder), "--port", str(free_port()))
    told = ended(second).told
    assert second.returncode == 1
    assert told.startswith(f"{folder} is in use by another scim-ledger serve (process {service.process.pid});")
    assert left_behind(folder.with_name("none"), second.pid) == []
    assert find_postmaster(folder / "postgres") == server
    with scim(service, token) as client:
        assert client.get("/Users").status_code == 200


def test_a_port_in_use_is_said_before_anything_is_made(tmp_path: Path) -> None:
    """No data folder, no process."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = command("serve", "--data", str(tmp_path / "data"), "--port", str(port))
        told = ended(process).told
    assert process.returncode == 1
    assert told.startswith(f"cannot listen on 127.0.0.1 port {port}: Address already in use;")
    assert not (tmp_path / "data").exists()
    assert left_behind(tmp_path, process.pid) == []


def test_after_kill_9_the_next_start_adopts_the_database_and_everything_is_there(
    service: Service, folder: Path, token: str
) -> None:
    """Nothing that was answered is missing, and the database server is the same process."""
    with scim(service, token) as client:
        answers = [create(client, f"kept{number}@contoso.example") for number in range(20)]
    assert {answer.status_code for answer in answers} == {201}
    server = find_postmaster(folder / "postgres")
    service.kill()
    assert service.process is not None and server is not None
    service.run()
    assert find_postmaster(folder / "postgres") == server
    with scim(service, token) as client:
        for answer in answers:
            assert client.get(answer.headers["location"].partition("/v2")[2]).json() == answer.json()


def test_after_kill_9_of_both_the_next_start_recovers(service: Service, folder: Path, token: str) -> None:
    """The machine's own way to end: service and database at once."""
    with scim(service, token) as client:
        location = create(client, "recovered@contoso.example").headers["location"].partition("/v2")[2]
    server = find_postmaster(folder / "postgres")
    assert server is not None
    service.kill()
    kill(server.pid)
    service.run()
    with scim(service, token) as client:
        assert client.get(location).status_code == 200


@pytest.mark.parametrize(
    ("number", "workers"),
    [
        (signal.SIGINT, "1"),
        (signal.SIGTERM, "2"),
        pytest.param(signal.SIGTERM, "1", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, "2", marks=pytest.mark.slow),
    ],
)
def test_what_is_in_flight_is_answered_and_no_process_stays(
    folder: Path, token: str, number: signal.Signals, workers: str
) -> None:
    """A request whose body is still on its way when the signal comes is read, recorded and answered."""
    service = Service.start(folder, "--workers", workers)
    body = b'{"schemas": ["%s"], "userName": "flight%d.%s@contoso.example"}' % (USER.encode(), number, workers.encode())
    head = f"POST /scim/default/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: application/scim+json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.settimeout(PATIENCE_S)
        client.sendall(head.encode() + body[:20])
        time.sleep(0.2)
        late = threading.Timer(0.4, client.sendall, (body[20:],))
        late.start()
        assert stopped(service, number) == 0
        answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 201 "), answer
    assert b"flight" in answer


def test_under_load_every_answer_is_an_answer_and_is_there_afterwards(folder: Path, token: str) -> None:
    """Eight clients write while the service is stopped: nobody is told 500, and no 201 is lost."""
    service = Service.start(folder, "--workers", "2")
    answered: list[tuple[int, str]] = []

    def write(client_number: int) -> None:
        with scim(service, token) as client:
            for number in range(10_000):
                try:
                    answer = create(client, f"load.{client_number}.{number}@contoso.example")
                except httpx.TransportError:
                    return  # The service has gone: no answer, no promise.
                answered.append((answer.status_code, answer.headers.get("location", "")))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    assert stopped(service) == 0
    for thread in threads:
        thread.join()
    assert len(answered) > 50
    assert {status for status, _ in answered} == {201}
    service.run()
    with scim(service, token) as client:
        total = client.get("/Users", params={"filter": 'userName sw "load."', "count": 0}).json()["totalResults"]
    stopped(service)
    assert total >= len({location for _, location in answered})


@pytest.mark.parametrize(("moment_s", "number"), MOMENTS)
def test_a_signal_while_starting_leaves_no_process(
    folder: Path, token: str, moment_s: float, number: signal.Signals
) -> None:
    """At whatever moment: importing, starting the database, telling the workers."""
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("hang-ups are ignored here, as under nohup, and so by whatever we start")
    process = command("serve", "--data", str(folder), "--port", str(free_port()), "--workers", "2")
    time.sleep(moment_s)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    # Python ends by SIGINT when a KeyboardInterrupt passed an exec() on its way, as in imports, whoever caught it.
    assert process.returncode in (0, 128 + number, -number, -signal.SIGINT), err
    assert "Traceback" not in err
    assert left_behind(folder, process.pid) == []


def test_a_worker_that_dies_is_replaced(folder: Path, token: str) -> None:
    """The service goes on, and the log says that it happened."""
    service = Service.start(folder)
    assert service.process is not None
    (worker,) = [pid for pid in below(service.process.pid, without="postgres") if pid != service.process.pid]
    kill(worker)
    until_printed(service, "another one is started")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            assert httpx.get(f"{service.base_url}/healthz", timeout=1).status_code == 200
            break
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert stopped(service) == 0


def test_a_verb_without_a_service_starts_the_database_for_the_moment(folder: Path, token: str) -> None:
    """And stops it again; a signal in between does so too."""
    done = ran("token", "list", "--tenant", "default", "--data", str(folder))
    assert (done.status, done.err, done.out.count("\n")) == (0, "", 2)
    process = command("token", "list", "--tenant", "default", "--data", str(folder))
    deadline = time.monotonic() + PATIENCE_S
    while find_postmaster(folder / "postgres") is None and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.terminate()
    assert ended(process).status in (0, 143)
    assert left_behind(folder, process.pid) == []
    assert find_postmaster(folder / "postgres") is None


def test_a_wrong_command_line_is_one_sentence_and_status_2() -> None:
    """As a person sees it; test_verbs.py has all of them."""
    done = ran("serve", "--port", "http")
    assert (done.status, done.told) == (2, "port must be a whole number, not 'http'")


def test_whoever_reads_half_an_answer_sees_no_traceback(folder: Path, token: str) -> None:
    """`scim-ledger ... | head -1`."""
    process = command("tenant", "list", "--data", str(folder))
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() == 128 + signal.SIGPIPE
    process.stderr.close()


WATCHING = """
import os, signal, socket, threading, traceback
from cli.workers import Workers
from ledger.endings import Ending

with socket.create_server(("127.0.0.1", 0)) as listener, Workers(listener, 1, Ending()) as workers:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    try:
        workers.watch(print)
    except SystemExit as ended:
        print(traceback.extract_tb(ended.__traceback__)[-1].name)
"""


def test_a_signal_is_heeded_between_two_looks_at_the_workers() -> None:
    """In the middle of one its exception could leave a lock taken for good, and the end would wait for ever."""
    watched = subprocess.run(
        [sys.executable, "-P", "-c", WATCHING], env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT,
        capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    assert watched.stdout.split() == ["heed"]
