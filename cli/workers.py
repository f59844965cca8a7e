"""The worker processes of a `serve`: started, told, started again when they die, stopped."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cli.exits import Failed
from ledger.endings import Ending, endings_deferred

ROOT = Path(__file__).resolve().parent.parent
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_POLL_S = 0.05
_STOP_S = 40.0  # More than a worker gives its requests and its last writes.
_YOUNG_S = 2.0
_YOUNG_DEATHS_MAX = 5


class Workers:
    """Some processes that answer on one listening socket. Use as a context: on leaving, all are gone.

    They import what they need while the database starts, and wait for `tell`.
    """

    def __init__(self, listener: socket.socket, count: int, ending: Ending) -> None:
        self._listener = listener
        self._count = count
        self._ending = ending
        self._description = b""
        self._running: dict[subprocess.Popen[bytes], float] = {}  # With their start, by the monotonic clock.
        self._young_deaths = 0
        self._metrics: Path | None = None

    def __enter__(self) -> "Workers":
        if self._count > 1:
            self._metrics = Path(tempfile.mkdtemp(prefix="scim-ledger-metrics-"))
        while len(self._running) < self._count:
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._metrics is not None:
            shutil.rmtree(self._metrics, ignore_errors=True)

    def tell(self, description: bytes) -> None:
        """Let them serve. description: the line they wait for."""
        self._description = description
        for worker in self._running:
            _tell(worker, description)

    def watch(self, report: Callable[[str], None]) -> None:
        """Start again whatever dies, until a signal ends this by SystemExit. report: told of each death.

        Raises Failed when they keep dying as soon as they are started.
        """
        # From here on a signal is heeded between two looks: its exception in the middle of one, at just that
        # instruction, would leave a lock of `subprocess` taken, and nobody would ever learn that a worker has ended.
        self._ending.begin()
        while True:
            self._ending.heed()
            time.sleep(_POLL_S)
            for worker, started in list(self._running.items()):
                if worker.poll() is not None:
                    self._bury(worker, started, report)

    def stop(self) -> None:
        """Let them answer what is in flight and end; at a second signal, end at once. May be called twice."""
        self._ending.begin()
        self._listener.close()
        self._signal(signal.SIGTERM)
        deadline, impatient = time.monotonic() + _STOP_S, False
        while any(worker.poll() is None for worker in self._running):
            if time.monotonic() > deadline or (self._ending.asked > 1 and not impatient):
                impatient = True
                self._signal(signal.SIGKILL)
            time.sleep(_POLL_S / 5)

    def _bury(self, worker: "subprocess.Popen[bytes]", started: float, report: Callable[[str], None]) -> None:
        del self._running[worker]
        if self._metrics is not None:
            _forget_gauges(worker.pid, self._metrics)
        self._young_deaths = self._young_deaths + 1 if time.monotonic() - started < _YOUNG_S else 0
        if self._young_deaths >= _YOUNG_DEATHS_MAX:
            raise Failed("the worker processes end as soon as they are started; the log lines above say why")
        report(f"worker process {worker.pid} ended with status {worker.returncode}, another one is started")
        self._start()
        _tell(list(self._running)[-1], self._description)

    def _start(self) -> None:
        environ = {name: value for name, value in os.environ.items() if name != METRICS_FOLDER}
        if self._metrics is not None:
            environ[METRICS_FOLDER] = str(self._metrics)
        environ["PYTHONPATH"] = str(ROOT)
        listening = self._listener.fileno()
        with endings_deferred():
            worker = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", "api.worker", str(listening), str(os.getpid())],
                stdin=subprocess.PIPE,
                pass_fds=[listening],
                env=environ,
                start_new_session=True,  # Ctrl-C is for us; we tell them.
            )
            self._running[worker] = time.monotonic()

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._running:
            worker.send_signal(number)


def _tell(worker: "subprocess.Popen[bytes]", description: bytes) -> None:
    assert worker.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # It died; `watch` finds out.
        worker.stdin.write(description)
        worker.stdin.close()


def _forget_gauges(pid: int, folder: Path) -> None:
    """A dead worker's queue is empty, whatever it said last."""
    for path in folder.glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)
