"""The launcher over small checkouts of the tests' own: installed, locked, interrupted, moved, closed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "import sys, time\nprint(sys.argv[1:], sys.prefix, flush=True)\n"
HANGING = f"nothing==1 --hash=sha256:{'0' * 64}\n"  # Asked for at an index that never answers.


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The launcher, a lock without packages, and a command that prints its arguments and its environment."""
    root = tmp_path / "a checkout"
    (root / "cli").mkdir(parents=True)
    shutil.copy(ROOT / "scim-ledger", root)
    (root / "requirements.lock").write_text("# none\n")
    (root / "cli" / "__init__.py").touch()
    (root / "cli" / "__main__.py").write_text(COMMAND)
    return root


@pytest.fixture
def index() -> Iterator[socket.socket]:
    """A package index that says nothing until it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


@pytest.fixture
def silent_index(index: socket.socket) -> dict[str, str]:
    """An environment in which pip waits for that index."""
    url = f"http://127.0.0.1:{index.getsockname()[1]}"
    return {
        "PIP_INDEX_URL": url,
        "PIP_EXTRA_INDEX_URL": url,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "0",
    }


def launch(checkout: Path, *arguments: str, **options: object) -> "subprocess.Popen[str]":
    """Start it as a person would, from elsewhere. environ: more variables. python: another interpreter."""
    environ = {**os.environ, **options.pop("environ", {})}  # type: ignore[dict-item]
    python = str(options.pop("python", sys.executable))
    return subprocess.Popen(
        [python, str(checkout / "scim-ledger"), *arguments],
        env={name: value for name, value in environ.items() if not name.startswith("PYTEST_")},
        **{"cwd": "/", "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )


def finished(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait and return exit status, stdout, stderr."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_the_first_run_installs_with_one_line_and_the_second_says_nothing(checkout: Path) -> None:
    """Arguments and standard output are the command's own."""
    said = f"['why', 'acme', 'ada  x'] {checkout / '.venv'}\n"
    first = finished(launch(checkout, "why", "acme", "ada  x"))
    assert first == (0, said, "scim-ledger: installing into .venv (first run only) ...\n")
    assert finished(launch(checkout, "why", "acme", "ada  x")) == (0, said, "")


def test_what_is_compiled_once_is_kept(checkout: Path) -> None:
    """Containers tell Python to keep nothing; each start, and each verb, would be half a second slower for it."""
    (checkout / "cli" / "verb.py").touch()
    (checkout / "cli" / "__main__.py").write_text("import cli.verb\n")
    assert finished(launch(checkout, environ={"PYTHONDONTWRITEBYTECODE": "1"}))[0] == 0
    assert list((checkout / "cli" / "__pycache__").glob("verb.*.pyc"))


def test_packages_of_the_place_it_is_called_from_are_not_ours(checkout: Path, tmp_path: Path) -> None:
    """Many a folder holds something called cli."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "cli").mkdir(parents=True)
    (elsewhere / "cli" / "__main__.py").write_text("print('wrong')")
    (elsewhere / "cli" / "__init__.py").touch()
    assert finished(launch(checkout, "right", cwd=elsewhere))[1].startswith("['right']")


def test_two_first_runs_at_once_install_once(checkout: Path) -> None:
    """One waits for the other, says so, and both run."""
    ended = [finished(each) for each in [launch(checkout, "a"), launch(checkout, "b"), launch(checkout, "c")]]
    assert [status for status, _, _ in ended] == [0, 0, 0], ended
    assert sum("installing into" in err for _, _, err in ended) == 1
    assert all(err.count("\n") <= 1 for _, _, err in ended)


def test_another_lock_or_place_installs_again(checkout: Path) -> None:
    """What .venv holds was made for this lock, this Python and this folder."""
    assert finished(launch(checkout))[0] == 0
    (checkout / "requirements.lock").write_text("# other\n")
    assert "installing" in finished(launch(checkout))[2]
    moved = checkout.rename(checkout.with_name("moved"))
    status, out, err = finished(launch(moved))
    assert (status, out, "installing" in err) == (0, f"[] {moved / '.venv'}\n", True)


def test_what_runs_is_not_replaced_under_its_feet(checkout: Path) -> None:
    """A service goes on with the environment it was started in; whoever needs another one is told."""
    (checkout / "cli" / "__main__.py").write_text(COMMAND + "time.sleep(60)\n")
    service = launch(checkout, "serve")
    assert service.stdout is not None and service.stdout.readline().startswith("['serve']")
    (checkout / "requirements.lock").write_text("# other\n")
    status, out, err = finished(launch(checkout, "why"))
    assert (status, out) == (1, "")
    assert err.count("\n") == 1 and "still runs from this checkout" in err
    service.kill()
    service.communicate()
    (checkout / "cli" / "__main__.py").write_text(COMMAND)
    assert finished(launch(checkout, "why"))[0] == 0


def test_what_pip_says_is_shown_when_it_fails(checkout: Path) -> None:
    """And the next start tries again."""
    (checkout / "requirements.lock").write_text(HANGING)
    nowhere = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    status, out, err = finished(launch(checkout, environ=nowhere))
    assert (status, out) == (1, "")
    assert "No matching distribution found for nothing==1" in err
    assert err.splitlines()[-1].startswith("scim-ledger: cannot install: pip failed")
    (checkout / "requirements.lock").write_text("# none\n")
    assert finished(launch(checkout))[0] == 0


def test_ctrl_c_while_installing_ends_cleanly(
    checkout: Path, index: socket.socket, silent_index: dict[str, str]
) -> None:
    """One sentence, no traceback, no process, and the next start installs again."""
    (checkout / "requirements.lock").write_text(HANGING)
    process = launch(checkout, environ=silent_index, start_new_session=True)
    with index.accept()[0]:
        os.killpg(process.pid, signal.SIGINT)
        status, out, err = finished(process)
    assert (status, out) == (130, "")
    assert err.splitlines()[1:] == ["scim-ledger: interrupted; the next start installs again"]
    (checkout / "requirements.lock").write_text("# none\n")
    assert finished(launch(checkout))[0] == 0


def test_a_killed_installation_is_redone(checkout: Path, index: socket.socket, silent_index: dict[str, str]) -> None:
    """Half an environment is never taken for a whole one; the pip that was left behind may end first."""
    (checkout / "requirements.lock").write_text(HANGING)
    process = launch(checkout, environ=silent_index, start_new_session=True)
    with index.accept()[0]:
        process.kill()
        process.wait()
        assert (checkout / ".venv" / "bin" / "python").exists()
        (checkout / "requirements.lock").write_text("# none\n")
        second = launch(checkout)
        assert second.stderr is not None
        assert second.stderr.readline() == "scim-ledger: waiting for another launch that is installing ...\n"
        index.close()
    status, _, err = finished(second)
    assert (status, err) == (0, "scim-ledger: installing into .venv (first run only) ...\n")


def test_sigterm_while_installing_takes_pip_along(
    checkout: Path, index: socket.socket, silent_index: dict[str, str]
) -> None:
    """So that a supervisor's stop leaves nothing behind."""
    (checkout / "requirements.lock").write_text(HANGING)
    process = launch(checkout, environ=silent_index, start_new_session=True)
    with index.accept()[0] as asked:  # pip is at work: it has asked.
        process.terminate()
        assert finished(process)[0] == 143
        asked.settimeout(10)
        while asked.recv(4096):  # Nothing more comes once pip has gone.
            pass


def test_a_checkout_that_cannot_be_written_to_is_named(checkout: Path) -> None:
    """One sentence; and once it is installed, it runs all the same."""
    options: dict[str, object] = {}
    if os.geteuid() == 0:  # Root may write anywhere, so somebody else starts it, with a Python open to all.
        if not Path("/usr/bin/python3").exists():
            pytest.skip("needs a Python that everybody may run")
        options = {"user": 65534, "group": 65534, "extra_groups": [], "python": "/usr/bin/python3"}
        for folder in (checkout, *checkout.parents[:-2]):  # Below the folder for temporary files.
            folder.chmod(folder.stat().st_mode | 0o055)
    checkout.chmod(0o555)
    status, out, err = finished(launch(checkout, **options))
    checkout.chmod(0o755)
    if "needs Python 3.11" in err:
        pytest.skip("the Python that everybody may run is too old")
    assert (status, out) == (1, "")
    assert err.startswith(f"scim-ledger: cannot install: {checkout} cannot be written to; copy the checkout")
    assert err.count("\n") == 1
    python = options.get("python", sys.executable)
    assert finished(launch(checkout, python=python))[0] == 0
    checkout.chmod(0o555)
    assert finished(launch(checkout, **options))[0] == 0
    checkout.chmod(0o755)


def test_an_old_python_is_named(checkout: Path) -> None:
    """Whatever else this Python cannot do."""
    trick = "import sys, runpy; sys.version_info = (3, 10, 13); sys.argv[:] = sys.argv[1:]; "
    trick += "runpy.run_path(sys.argv[0], run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", trick, str(checkout / "scim-ledger")], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("scim-ledger: needs Python 3.11 or newer; this is ")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_real_checkout_installs_and_tests_itself_from_a_closed_folder(tmp_path: Path) -> None:
    """The two commands of the README, with this Python: .venv from the lock, then tests on a Postgres."""
    root = tmp_path / "home" / "checkout"
    root.parent.mkdir(mode=0o700)
    kept = shutil.ignore_patterns(".venv*", ".git", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, root, ignore=kept)
    chosen = ["tests/test_house.py", "tests/ledger/test_migrations.py"]
    status, out, err = finished_slowly(launch(root, "test", *chosen))
    assert status == 0, out + err
    assert " passed" in out.splitlines()[-1]


def finished_slowly(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait as long as a slow package index takes."""
    out, err = process.communicate(timeout=580)
    return process.returncode, out, err
